// The header of a Mixtral 8x7B in Q4_K_M as merged files have it, without its 28 GB of weights. Not a test.

import { encodeHeader, type GgufEntry } from '../../../dist/format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'

const VOCABULARY = 32000
const LAYERS = 32

export function largeModelHeader(): { header: Uint8Array; fileBytes: number } {
  const tokens = Array.from({ length: VOCABULARY }, (_, id) => `token${id}`)
  const metadata: GgufEntry[] = [
    ['general.architecture', 'string', 'llama'],
    ['llama.context_length', 'uint32', 32768],
    ['llama.embedding_length', 'uint32', 4096],
    ['llama.block_count', 'uint32', LAYERS],
    ['llama.feed_forward_length', 'uint32', 14336],
    ['llama.attention.head_count', 'uint32', 32],
    ['llama.attention.head_count_kv', 'uint32', 8],
    ['llama.attention.layer_norm_rms_epsilon', 'float32', 1e-5],
    ['llama.expert_count', 'uint32', 8],
    ['llama.expert_used_count', 'uint32', 2],
    ['llama.rope.freq_base', 'float32', 1e6],
    ['tokenizer.ggml.model', 'string', 'llama'],
    ['tokenizer.ggml.tokens', 'array<string>', tokens],
    ['tokenizer.ggml.scores', 'array<float32>', tokens.map((_, id) => -id)],
  ]
  const tensors: { name: string; type: NonNullable<ReturnType<typeof ggmlTypeByName>>; shape: number[] }[] = []
  const add = (name: string, type: string, ...shape: number[]) =>
    tensors.push({ name: `${name}.weight`, type: ggmlTypeByName(type)!, shape })
  add('token_embd', 'Q4_K', 4096, VOCABULARY)
  for (let n = 0; n < LAYERS; n++) {
    const blk = `blk.${n}`
    add(`${blk}.attn_norm`, 'F32', 4096)
    add(`${blk}.attn_q`, 'Q4_K', 4096, 4096)
    add(`${blk}.attn_k`, 'Q8_0', 4096, 1024)
    add(`${blk}.attn_v`, 'Q8_0', 4096, 1024)
    add(`${blk}.attn_output`, 'Q5_K', 4096, 4096)
    add(`${blk}.ffn_norm`, 'F32', 4096)
    add(`${blk}.ffn_gate_inp`, 'F32', 4096, 8)
    add(`${blk}.ffn_gate_exps`, 'Q4_K', 4096, 14336, 8)
    add(`${blk}.ffn_up_exps`, 'Q4_K', 4096, 14336, 8)
    add(`${blk}.ffn_down_exps`, n < 4 || n >= 28 || n % 3 === 0 ? 'Q6_K' : 'Q4_K', 14336, 4096, 8)
  }
  add('output_norm', 'F32', 4096)
  add('output', 'Q6_K', 4096, VOCABULARY)
  const { bytes, fileBytes } = encodeHeader({ version: 3, metadata, tensors })
  return { header: bytes, fileBytes }
}
