// What the suites here share: where the golden files are, and a model that says what it is told.

import { fileURLToPath } from 'node:url'
import type { EvaluatedModel } from '../../../dist/evaluation/perplexity/evaluate.js'

/** The path of a file in test/golden. */
export const golden = (name: string) => fileURLToPath(new URL(`../../golden/${name}`, import.meta.url))

/** The path of the demo model in another type than the shipped one, or that. */
export function demoModel(type: string): string {
  return type === 'Q4_K_M' ? 'demo' : golden(`models/tiny-mixtral.${type}.gguf`)
}

interface Told {
  readonly vocabulary: number
  readonly tokens: readonly number[]
  /** What the model answers to a chunk: (tokens, vocabulary). */
  readonly logits: (ids: readonly number[]) => Float32Array
}

/** A model with BOS 1 and a context of 512 whose tokenizer makes `tokens` of any text. */
export function toldModel({ vocabulary, tokens, logits }: Told): EvaluatedModel {
  return {
    config: { vocabSize: vocabulary, maxPositions: 512 },
    contextLength: 512,
    tokenizer: { encode: () => [...tokens], addBos: true, bosId: 1 },
    logits: async (ids) => logits(ids),
  }
}
