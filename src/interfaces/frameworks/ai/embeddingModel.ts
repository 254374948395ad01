// A loaded model as an embedding model of the AI SDK, version 3 of its interface.

import type { EmbeddingModelV3, EmbeddingModelV3CallOptions, EmbeddingModelV3Result, SharedV3Warning } from '@ai-sdk/provider'
import { checkKind } from '../../../base/errors.js'
import type { MixtralModel } from '../../../text/generate/mixtralModel.js'
import { embedAll } from '../sharedCalls.js'
import { callError } from './callError.js'
import { ownOptions, PROVIDER, warnOfHeaders } from './callOptions.js'

/** Options of ours, as `providerOptions.mixtral`. */
export interface MixtralEmbeddingOptions {
  /** Calls share no part of the KV cache with calls of another salt. Default: none. */
  readonly salt?: string
  /** How much of each adapter of the model counts. Default: as the model was loaded. */
  readonly adapters?: readonly number[]
}

/** Its calls throw what `MixtralModel.embed` throws, marked for the SDK. */
export function embeddingModelOf(model: MixtralModel, modelId: string): EmbeddingModelV3 {
  return {
    specificationVersion: 'v3',
    provider: `${PROVIDER}.embedding`,
    modelId,
    maxEmbeddingsPerCall: undefined, // those that find no place in a step wait
    supportsParallelCalls: true,
    doEmbed: (given) => embedded(model, given),
  }
}

async function embedded(model: MixtralModel, given: EmbeddingModelV3CallOptions): Promise<EmbeddingModelV3Result> {
  const { values, abortSignal: signal, providerOptions, headers } = given
  const warnings: SharedV3Warning[] = []
  try {
    const { salt, adapters } = ownOptions(providerOptions, ['salt', 'adapters']) as MixtralEmbeddingOptions
    checkKind('values', values, Array.isArray(values), 'a list of texts')
    warnOfHeaders(headers, (feature, details) => warnings.push({ type: 'unsupported', feature, details }))
    const found = await embedAll(model, values, { salt, adapters, signal })
    const tokens = found.reduce((sum, one) => sum + one.tokens, 0)
    return { embeddings: found.map(({ vector }) => Array.from(vector)), usage: { tokens }, warnings }
  } catch (error) {
    throw callError(error)
  }
}
