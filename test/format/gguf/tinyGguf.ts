// Builds tiny, valid Mixtral GGUF files in memory, for tests of whatever reads one. Not a test.

import type { ByteSource } from '../../../dist/base/files/byteSource.js'
import { encodeHeader, type GgufEntry, type GgufPlan } from '../../../dist/format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'

export interface TinyOptions {
  version?: 2 | 3
  /** One 3-D tensor per layer, or one tensor per expert. */
  layout?: 'merged' | 'single'
  router?: 'F32' | 'F16'
  /** Leaves out `output.weight`. */
  tied?: boolean
  layers?: number
  /** At least 3; from 259 on there are byte tokens. */
  vocabSize?: number
  /** Added to the metadata, replacing keys of the same name. */
  metadata?: readonly GgufEntry[]
}

export const tiny = { hiddenSize: 32, intermediateSize: 16, heads: 4, kvHeads: 2, headDim: 8, experts: 4, expertsPerToken: 2 }

/** The metadata and tensors of a Mixtral of width 32 with 4 experts; about 140 KB as a file. */
export function tinyPlan(options: TinyOptions = {}): GgufPlan {
  const { version = 3, layout = 'merged', router = 'F32', tied = false, layers = 2, vocabSize = 264 } = options
  const { hiddenSize: dim, intermediateSize, heads, kvHeads, headDim, experts, expertsPerToken } = tiny
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)
  const more = Array.from({ length: Math.max(0, vocabSize - 259) }, (_, n) => `t${259 + n}`)
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, ...more].slice(0, vocabSize)
  const metadata: GgufEntry[] = [
    ['general.architecture', 'string', 'llama'],
    ['llama.vocab_size', 'uint32', vocabSize],
    ['llama.context_length', 'uint32', 64],
    ['llama.embedding_length', 'uint32', dim],
    ['llama.block_count', 'uint32', layers],
    ['llama.feed_forward_length', 'uint32', intermediateSize],
    ['llama.attention.head_count', 'uint32', heads],
    ['llama.attention.head_count_kv', 'uint32', kvHeads],
    ['llama.attention.layer_norm_rms_epsilon', 'float32', 1e-5],
    ['llama.rope.dimension_count', 'uint32', headDim],
    ['llama.rope.freq_base', 'float32', 1e6],
    ['llama.expert_count', 'uint32', experts],
    ['llama.expert_used_count', 'uint32', expertsPerToken],
    ['tokenizer.ggml.model', 'string', 'llama'],
    ['tokenizer.ggml.tokens', 'array<string>', tokens],
    ['tokenizer.ggml.scores', 'array<float32>', tokens.map((_, id) => (id < 259 ? 0 : 258 - id))],
    ['tokenizer.ggml.token_type', 'array<int32>', tokens.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1))],
    ['tokenizer.ggml.bos_token_id', 'uint32', 1],
    ['tokenizer.ggml.eos_token_id', 'uint32', 2],
  ]
  const replaced = options.metadata ?? []

  const tensors: { name: string; type: string; shape: number[] }[] = []
  const add = (name: string, shape: number[], type = 'F32') => tensors.push({ name: `${name}.weight`, type, shape })
  const addExperts = (name: string, columns: number, rows: number) => {
    if (layout === 'merged') add(`${name}_exps`, [columns, rows, experts])
    else for (let expert = 0; expert < experts; expert++) add(`${name}.${expert}`, [columns, rows])
  }
  add('token_embd', [dim, vocabSize])
  for (let layer = 0; layer < layers; layer++) {
    add(`blk.${layer}.attn_norm`, [dim])
    add(`blk.${layer}.attn_q`, [dim, heads * headDim])
    add(`blk.${layer}.attn_k`, [dim, kvHeads * headDim])
    add(`blk.${layer}.attn_v`, [dim, kvHeads * headDim])
    add(`blk.${layer}.attn_output`, [heads * headDim, dim])
    add(`blk.${layer}.ffn_norm`, [dim])
    add(`blk.${layer}.ffn_gate_inp`, [dim, experts], router)
    addExperts(`blk.${layer}.ffn_gate`, dim, intermediateSize)
    addExperts(`blk.${layer}.ffn_up`, dim, intermediateSize)
    addExperts(`blk.${layer}.ffn_down`, intermediateSize, dim)
  }
  add('output_norm', [dim])
  if (!tied) add('output', [dim, vocabSize])

  return {
    version,
    metadata: [...metadata.filter(([key]) => !replaced.some(([other]) => other === key)), ...replaced],
    tensors: tensors.map(({ name, type, shape }) => ({ name, type: ggmlTypeByName(type)!, shape })),
  }
}

/** A whole file: F32 and F16 tensors hold small numbers, the same each time; others zeros. */
export function ggufBytes(plan: GgufPlan): Uint8Array {
  const header = encodeHeader(plan)
  const file = new Uint8Array(header.fileBytes)
  file.set(header.bytes)
  const view = new DataView(file.buffer)
  let state = 1
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state
  }
  for (const { type, offset, bytes } of header.tensors) {
    for (let at = offset; at < offset + bytes; at += type.blockBytes) {
      if (type.name === 'F32') view.setFloat32(at, random() / 2 ** 32 - 0.5, true)
      if (type.name === 'F16') view.setUint16(at, ((random() >>> 16) & 0x83ff) | 0x3400, true) // 0.25 to 0.5 of either sign
    }
  }
  return file
}

/** The bytes of a tiny file. */
export function tinyGguf(options: TinyOptions = {}): Uint8Array {
  return ggufBytes(tinyPlan(options))
}

/** Bytes in memory as a source. */
export function memorySource(bytes: Uint8Array, name = 'memory.gguf'): ByteSource {
  return { name, bytes: bytes.length, read: async (offset, length) => bytes.slice(offset, offset + length) }
}
