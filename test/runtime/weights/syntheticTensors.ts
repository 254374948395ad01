// The tensors of models that have no file: shapes and types as the planner sees them. Not a test.

import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import type { GgufValue } from '../../../dist/format/gguf/gguf.js'
import { MixtralConfig } from '../../../dist/runtime/weights/mixtralConfig.js'
import type { MixtralTensors, TensorSlice } from '../../../dist/runtime/weights/mixtralTensors.js'

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

const rest = { headDim: 128, kvHeads: 8, experts: 8, used: 2, vocab: 32000 }
export const mixtral8x7b: Hyperparameters = { layers: 32, hidden: 4096, intermediate: 14336, heads: 32, ...rest }
export const mixtral8x22b: Hyperparameters = { layers: 56, hidden: 6144, intermediate: 16384, heads: 48, ...rest }

export function configOf({ layers, hidden, intermediate, heads, kvHeads, headDim, experts, used, vocab }: Hyperparameters): MixtralConfig {
  const metadata: Record<string, GgufValue> = {
    'general.architecture': 'llama',
    'llama.vocab_size': vocab,
    'llama.block_count': layers,
    'llama.context_length': 32768,
    'llama.embedding_length': hidden,
    'llama.feed_forward_length': intermediate,
    'llama.attention.head_count': heads,
    'llama.attention.head_count_kv': kvHeads,
    'llama.attention.key_length': headDim,
    'llama.attention.value_length': headDim,
    'llama.attention.layer_norm_rms_epsilon': 1e-5,
    'llama.expert_count': experts,
    'llama.expert_used_count': used,
  }
  return MixtralConfig.fromGgufMetadata(new Map(Object.entries(metadata)))
}

/** The type of a matrix by its name (`attn_q`, `ffn_down`, `token_embd`, ...), its layer (-1 for none) and its columns. */
export type TypeRule = (name: string, layer: number, columns: number) => string

/** All tensors of a model, one after the other in a file without a header. */
export function tensorsOf(shape: Hyperparameters, typeOf: TypeRule): MixtralTensors {
  const { layers, hidden, intermediate, heads, kvHeads, headDim, experts, vocab, tied = false } = shape
  let offset = 0
  const slice = (name: string, layer: number, rows: number, columns: number): TensorSlice => {
    const type = ggmlTypeByName(name.endsWith('norm') ? 'F32' : typeOf(name, layer, columns))!
    const bytes = (rows * columns * type.blockBytes) / type.blockWeights
    offset += bytes
    return { name: `${layer}.${name}`, type, rows, columns, file: 0, offset: offset - bytes, bytes }
  }
  const tokenEmbd = slice('token_embd', -1, vocab, hidden)
  return {
    tokenEmbd,
    tied,
    outputNorm: slice('output_norm', -1, 1, hidden),
    output: tied ? tokenEmbd : slice('output', -1, vocab, hidden),
    layers: Array.from({ length: layers }, (_, layer) => ({
      attnNorm: slice('attn_norm', layer, 1, hidden),
      attnQ: slice('attn_q', layer, heads * headDim, hidden),
      attnK: slice('attn_k', layer, kvHeads * headDim, hidden),
      attnV: slice('attn_v', layer, kvHeads * headDim, hidden),
      attnOutput: slice('attn_output', layer, hidden, heads * headDim),
      ffnNorm: slice('ffn_norm', layer, 1, hidden),
      ffnGateInp: slice('ffn_gate_inp', layer, experts, hidden),
      experts: Array.from({ length: experts }, () => ({
        ffnGate: slice('ffn_gate', layer, intermediate, hidden),
        ffnUp: slice('ffn_up', layer, intermediate, hidden),
        ffnDown: slice('ffn_down', layer, hidden, intermediate),
      })),
    })),
  }
}

/** The types that llama.cpp's Q4_K_M gives a model of 8 experts. */
export function q4KM(layers: number): TypeRule {
  const types: Record<string, string> = { attn_k: 'Q8_0', attn_v: 'Q8_0', attn_output: 'Q5_K', output: 'Q6_K', ffn_gate_inp: 'F32' }
  const isWide = (layer: number) => layer < layers / 8 || layer >= (7 * layers) / 8 || (layer - Math.floor(layers / 8)) % 3 === 2
  return (name, layer) => types[name] ?? (name === 'ffn_down' && isWide(layer) ? 'Q6_K' : 'Q4_K')
}

/** Every slice to be loaded, the embedding once more where it serves as the output. */
export function slicesOf({ tokenEmbd, outputNorm, output, layers }: MixtralTensors): TensorSlice[] {
  const ofLayers = layers.flatMap(({ experts, ...attention }) => [
    ...Object.values(attention),
    ...experts.flatMap((expert) => Object.values(expert)),
  ])
  return [tokenEmbd, ...ofLayers, outputNorm, output]
}
