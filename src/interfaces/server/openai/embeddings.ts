// POST /v1/embeddings: vectors of length 1, as numbers or as base64 of little-endian float32.

import { z } from 'zod'
import { inSlices } from '../../../base/timeSlice.js'
import { badRequest, openaiError, unsupported } from '../apiError.js'
import { checked } from '../security/body.js'
import { isIds, LISTS } from '../security/fields.js'
import type { ServedModel } from '../servedModel.js'
import { embeddingRuns, wholeWire } from '../streams/embeddingRuns.js'
import { type Answering, type Requested, respond } from '../streams/respond.js'
import { ADAPTER_NAMES, adaptersOf, loraFields } from './adapters.js'
import { checkModel } from './wire.js'

type GivenInput = string | number[] | string[] | number[][]

function isInput(value: unknown): boolean {
  if (typeof value === 'string') return value !== ''
  if (!Array.isArray(value) || value.length === 0) return false
  if (typeof value[0] === 'number') return isIds(value)
  if (typeof value[0] === 'string') return value.every((one) => typeof one === 'string' && one !== '')
  return value.every((one) => isIds(one) && one.length > 0)
}

export const embeddingFields = z.object({
  model: z.string().nullish(),
  input: z
    .custom<GivenInput>(isInput, { error: 'expected a string, a list of token ids, or a list of either; none of them empty' })
    .meta({ anyOf: [{ type: 'string', minLength: 1 }, ...LISTS] }),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: z.int().nullish(),
  ...loraFields.shape,
})

/** Answers a request. Throws an ApiError, or a MixtralError, for what is wrong with it. */
export async function embeddings(body: Record<string, unknown>, served: ServedModel, answering: Answering): Promise<Response> {
  const { runs, wire, streams } = await requestedEmbeddings(body, served, answering.exchange.signal)
  return respond(runs, wire, streams, answering)
}

/** The vectors that a request asks for. Throws what `embeddings` throws before anything runs, and `ABORTED`. */
export async function requestedEmbeddings(body: Record<string, unknown>, served: ServedModel, signal: AbortSignal): Promise<Requested> {
  const { model, input, encoding_format: format, dimensions } = checkEmbeddings(body)
  checkModel(model, served)
  const { hiddenSize } = served.model.config
  if ((dimensions ?? hiddenSize) < 1) throw badRequest(`dimensions is ${dimensions}, expected ${hiddenSize}`, 'dimensions')
  if ((dimensions ?? hiddenSize) !== hiddenSize) throw unsupported(`dimensions is not supported: vectors have ${hiddenSize}`, 'dimensions')
  const isOne = typeof input === 'string' || typeof input[0] === 'number'
  const runs = await inSlices(
    embeddingRuns((isOne ? [input] : input) as (string | number[])[], served, adaptersOf(body, served.model)),
    signal,
  )
  const wire = wholeWire(
    openaiError,
    (outcomes) => {
      const tokens = outcomes.reduce((sum, { promptTokens }) => sum + promptTokens, 0)
      const data = outcomes.map(({ vector }, index) => ({
        object: 'embedding',
        index,
        embedding: format === 'base64' ? base64(vector!) : Array.from(vector!),
      }))
      return { object: 'list', data, model: served.name, usage: { prompt_tokens: tokens, total_tokens: tokens } }
    },
    ADAPTER_NAMES,
  )
  return { runs, wire, streams: false }
}

/** Throws an ApiError for what is wrong with a request, whatever its model is. */
export function checkEmbeddings(body: Record<string, unknown>): z.infer<typeof embeddingFields> {
  return checked(embeddingFields, body)
}

function base64({ buffer, byteOffset, byteLength }: Float32Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64')
}
