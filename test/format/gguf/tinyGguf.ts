// Builds tiny, valid Mixtral GGUF files in memory, for tests of whatever reads one. Not a test.

import type { ByteSource } from '../../../dist/base/files/byteSource.js'
import { encodeHeader, type GgufEntry, type GgufPlan } from '../../../dist/format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import { architectureMetadata, vocabularyMetadata } from './mixtralMetadata.js'

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
  const { hiddenSize: hidden, intermediateSize: intermediate, heads, kvHeads, headDim, experts, expertsPerToken: used } = tiny
  const shape = { layers, hidden, intermediate, heads, kvHeads, headDim, experts, used, vocab: vocabSize }
  const metadata: GgufEntry[] = [
    ...architectureMetadata(shape, 64),
    ['llama.vocab_size', 'uint32', vocabSize],
    ['llama.rope.freq_base', 'float32', 1e6],
    ...vocabularyMetadata(vocabSize),
  ]
  const replaced = options.metadata ?? []

  const tensors: { name: string; type: string; shape: number[] }[] = []
  const add = (name: string, shape: number[], type = 'F32') => tensors.push({ name: `${name}.weight`, type, shape })
  const addExperts = (name: string, columns: number, rows: number) => {
    if (layout === 'merged') add(`${name}_exps`, [columns, rows, experts])
    else for (let expert = 0; expert < experts; expert++) add(`${name}.${expert}`, [columns, rows])
  }
  add('token_embd', [hidden, vocabSize])
  for (let layer = 0; layer < layers; layer++) {
    add(`blk.${layer}.attn_norm`, [hidden])
    add(`blk.${layer}.attn_q`, [hidden, heads * headDim])
    add(`blk.${layer}.attn_k`, [hidden, kvHeads * headDim])
    add(`blk.${layer}.attn_v`, [hidden, kvHeads * headDim])
    add(`blk.${layer}.attn_output`, [heads * headDim, hidden])
    add(`blk.${layer}.ffn_norm`, [hidden])
    add(`blk.${layer}.ffn_gate_inp`, [hidden, experts], router)
    addExperts(`blk.${layer}.ffn_gate`, hidden, intermediate)
    addExperts(`blk.${layer}.ffn_up`, hidden, intermediate)
    addExperts(`blk.${layer}.ffn_down`, intermediate, hidden)
  }
  add('output_norm', [hidden])
  if (!tied) add('output', [hidden, vocabSize])

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
