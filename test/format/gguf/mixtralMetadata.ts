// The metadata of the Mixtrals that tests make: hyper-parameters, and a vocabulary of bytes and made-up words.
// Not a test.

import type { GgufEntry } from '../../../dist/format/gguf/encodeHeader.js'

export interface Hyperparameters {
  readonly layers: number
  readonly hidden: number
  readonly intermediate: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly experts: number
  readonly used: number
  readonly vocab: number
  readonly tied?: boolean
}

/** What llama.cpp's keys say of the layers. */
export function architectureMetadata(model: Hyperparameters, contextLength: number): GgufEntry[] {
  const { layers, hidden, intermediate, heads, kvHeads, headDim, experts, used } = model
  const ownWidth: GgufEntry[] = [
    ['llama.attention.key_length', 'uint32', headDim],
    ['llama.attention.value_length', 'uint32', headDim],
  ]
  return [
    ['general.architecture', 'string', 'llama'],
    ['llama.block_count', 'uint32', layers],
    ['llama.context_length', 'uint32', contextLength],
    ['llama.embedding_length', 'uint32', hidden],
    ['llama.feed_forward_length', 'uint32', intermediate],
    ['llama.attention.head_count', 'uint32', heads],
    ['llama.attention.head_count_kv', 'uint32', kvHeads],
    ['llama.attention.layer_norm_rms_epsilon', 'float32', 1e-5],
    ['llama.rope.dimension_count', 'uint32', headDim],
    ['llama.expert_count', 'uint32', experts],
    ['llama.expert_used_count', 'uint32', used],
    ...(heads * headDim === hidden ? [] : ownWidth),
  ]
}

/** The first `vocab` of these tokens: `<unk>`, `<s>`, `</s>`, a token for each byte, and `t259`, `t260` and so on. */
export function vocabularyMetadata(vocab: number): GgufEntry[] {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)
  const words = Array.from({ length: Math.max(0, vocab - 259) }, (_, n) => `t${259 + n}`)
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, ...words].slice(0, vocab)
  return [
    ['tokenizer.ggml.model', 'string', 'llama'],
    ['tokenizer.ggml.tokens', 'array<string>', tokens],
    ['tokenizer.ggml.scores', 'array<float32>', tokens.map((_, id) => (id < 259 ? 0 : 258 - id))],
    ['tokenizer.ggml.token_type', 'array<int32>', tokens.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1))],
    ['tokenizer.ggml.bos_token_id', 'uint32', 1],
    ['tokenizer.ggml.eos_token_id', 'uint32', 2],
    ['tokenizer.ggml.unknown_token_id', 'uint32', 0],
  ]
}
