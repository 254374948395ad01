// Vocabularies for the tests, as the metadata of a GGUF file.

import mistral from 'mistral-tokenizer-js'
import type { GgufValue } from '../../../dist/format/gguf/gguf.js'

export type Entry = readonly [piece: string, type: number, score: number]

const bytes: Entry[] = Array.from({ length: 256 }, (_, byte) => [`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`, 6, 0])

/**
 * Metadata of a vocabulary: `<unk>`, `<s>`, `</s>`, the byte tokens (ids 3 to 258), then the entries; `extra` keys come
 * last and win.
 */
export function metadataOf(entries: readonly Entry[], extra: Record<string, GgufValue | undefined> = {}): Map<string, GgufValue> {
  const all: Entry[] = [['<unk>', 2, 0], ['<s>', 3, 0], ['</s>', 3, 0], ...bytes, ...entries]
  const metadata = new Map<string, GgufValue>([
    ['tokenizer.ggml.model', 'llama'],
    ['tokenizer.ggml.tokens', all.map(([piece]) => piece)],
    ['tokenizer.ggml.scores', all.map(([, , score]) => score)],
    ['tokenizer.ggml.token_type', all.map(([, type]) => type)],
    ['tokenizer.ggml.bos_token_id', 1],
    ['tokenizer.ggml.eos_token_id', 2],
    ['tokenizer.ggml.unknown_token_id', 0],
  ])
  for (const [key, value] of Object.entries(extra)) {
    if (value === undefined) metadata.delete(`tokenizer.ggml.${key}`)
    else metadata.set(`tokenizer.ggml.${key}`, value)
  }
  return metadata
}

/** Normal tokens, the first with the highest score. */
export function normal(...pieces: string[]): Entry[] {
  return pieces.map((piece, index) => [piece, 1, -index])
}

/**
 * The vocabulary of Mistral 7B and Mixtral 8x7B. Hugging Face's list of merges names for each piece all its cuts, one
 * after the other, in the order of the scores: a piece's score is minus the place of its first cut.
 */
export function mistralMetadata(): Map<string, GgufValue> {
  const place = new Map<string, number>()
  for (const [cut, priority] of mistral.merges) {
    const piece = cut.replace(' ', '')
    place.set(piece, Math.min(priority, place.get(piece) ?? Infinity))
  }
  return metadataOf(mistral.vocabById.slice(259).map((piece) => [piece, 1, -(place.get(piece) ?? 0)]))
}
