// Small Mixtrals in transformers' own terms, with weights from a rule: the tensors by their names there, and the
// folders that hold them in each layout.

import fs from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { floatToHalf, halfToFloat } from '../../../dist/format/quants/half.js'
import type { Hyperparameters } from '../../format/gguf/mixtralMetadata.js'
import { type FileTensor, safetensorsFile } from '../../format/tensors/safetensorsFile.js'

export interface SourceModel extends Hyperparameters {
  readonly ropeTheta: number
  readonly tied: boolean
}

/** With the vocabulary of the demo model. */
export const smallModel: SourceModel = {
  ...{ layers: 2, hidden: 32, intermediate: 48, heads: 4, kvHeads: 2, headDim: 8, experts: 4, used: 2, vocab: 2048 },
  ropeTheta: 10000,
  tied: false,
}

/** Heads whose widths do not add up to the model's, and the embedding as output. */
export const oddModel: SourceModel = { ...smallModel, heads: 3, kvHeads: 1, headDim: 10, experts: 3, used: 1, tied: true }

export type Dtype = 'F32' | 'F16' | 'BF16'
export type Layout = 'experts' | 'merged' | 'consolidated'

export interface SourceTensor {
  readonly shape: readonly number[] // outermost first
  readonly values: Float32Array
}

const one = new Float32Array(1)
const oneBits = new Uint32Array(one.buffer)
function bitsOf(value: number): number {
  one[0] = value
  return oneBits[0]!
}
function ofBits(bits: number): number {
  oneBits[0] = bits
  return one[0]!
}

/** The model's tensors under transformers' names, rounded to what `dtype` holds (towards zero for BF16). */
export function sourceTensors(model: SourceModel, dtype: Dtype): Map<string, SourceTensor> {
  const { layers, hidden, intermediate, heads, kvHeads, headDim, experts, vocab, tied } = model
  const tensors = new Map<string, SourceTensor>()
  const rounded = (value: number) =>
    dtype === 'F32' ? value : dtype === 'F16' ? halfToFloat(floatToHalf(value)) : ofBits(bitsOf(value) & 0xffff0000)
  const add = (name: string, shape: readonly number[], scale: number, mean = 0) => {
    let state = [...name].reduce((sum, c) => Math.imul(sum ^ c.charCodeAt(0), 0x01000193), 0x811c9dc5) | 1
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1))
    for (let i = 0; i < values.length; i++) {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      values[i] = rounded(mean + (state / 2 ** 31) * scale)
    }
    tensors.set(name, { shape, values })
  }
  add('model.embed_tokens.weight', [vocab, hidden], 1)
  for (let layer = 0; layer < layers; layer++) {
    const name = (part: string) => `model.layers.${layer}.${part}.weight`
    add(name('input_layernorm'), [hidden], 0.125, 1)
    add(name('self_attn.q_proj'), [heads * headDim, hidden], 0.7)
    add(name('self_attn.k_proj'), [kvHeads * headDim, hidden], 0.7)
    add(name('self_attn.v_proj'), [kvHeads * headDim, hidden], 0.4)
    add(name('self_attn.o_proj'), [hidden, heads * headDim], 0.4)
    add(name('post_attention_layernorm'), [hidden], 0.125, 1)
    add(name('block_sparse_moe.gate'), [experts, hidden], 0.7)
    for (let expert = 0; expert < experts; expert++) {
      add(name(`block_sparse_moe.experts.${expert}.w1`), [intermediate, hidden], 0.7)
      add(name(`block_sparse_moe.experts.${expert}.w2`), [hidden, intermediate], 0.3)
      add(name(`block_sparse_moe.experts.${expert}.w3`), [intermediate, hidden], 0.7)
    }
  }
  add('model.norm.weight', [hidden], 0.125, 1)
  if (!tied) add('lm_head.weight', [vocab, hidden], 0.7)
  return tensors
}

/** The bytes of values that `dtype` holds exactly. */
export function bytesOf(values: Float32Array, dtype: Dtype): Uint8Array {
  if (dtype === 'F32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  return new Uint8Array(Uint16Array.from(values, (value) => (dtype === 'F16' ? floatToHalf(value) : bitsOf(value) >>> 16)).buffer)
}

/** The same tensors under another layout's names. */
function inLayout(model: SourceModel, tensors: ReadonlyMap<string, SourceTensor>, layout: Layout): Map<string, SourceTensor> {
  if (layout === 'experts') return new Map(tensors)
  return layout === 'merged' ? merged(model, tensors) : consolidated(model, tensors)
}

/** As transformers 5 has them in memory, and writes them if asked to. */
function merged(
  { layers, hidden, intermediate, experts }: SourceModel,
  tensors: ReadonlyMap<string, SourceTensor>,
): Map<string, SourceTensor> {
  const out = new Map([...tensors].filter(([name]) => !name.includes('block_sparse_moe')))
  for (let layer = 0; layer < layers; layer++) {
    const from = `model.layers.${layer}.block_sparse_moe`
    const to = `model.layers.${layer}.mlp`
    const all = (...matrices: string[]) => {
      const parts = Array.from({ length: experts }, (_, e) =>
        matrices.map((w) => tensors.get(`${from}.experts.${e}.${w}.weight`)!.values),
      ).flat()
      return Float32Array.from(parts.flatMap((part) => [...part]))
    }
    out.set(`${to}.gate.weight`, tensors.get(`${from}.gate.weight`)!)
    out.set(`${to}.experts.gate_up_proj`, { shape: [experts, 2 * intermediate, hidden], values: all('w1', 'w3') })
    out.set(`${to}.experts.down_proj`, { shape: [experts, hidden, intermediate], values: all('w2') })
  }
  return out
}

/**
 * As Mistral AI publishes them: other names, and the rows of a head by pairs, (2i, 2i + 1), where transformers has
 * halves, (i, i + headDim / 2).
 */
function consolidated({ headDim }: SourceModel, tensors: ReadonlyMap<string, SourceTensor>): Map<string, SourceTensor> {
  const names: [RegExp, string][] = [
    [/^model\.embed_tokens/, 'tok_embeddings'],
    [/^model\./, ''],
    [/^lm_head/, 'output'],
    [/self_attn\.(.)_proj/, 'attention.w$1'],
    [/input_layernorm/, 'attention_norm'],
    [/post_attention_layernorm/, 'ffn_norm'],
    [/block_sparse_moe/, 'feed_forward'],
  ]
  const out = new Map<string, SourceTensor>()
  for (const [name, { shape, values }] of tensors) {
    const renamed = names.reduce((text, [from, to]) => text.replace(from, to), name)
    if (!/[qk]_proj/.test(name)) {
      out.set(renamed, { shape, values })
      continue
    }
    const [rows, columns] = shape as [number, number]
    const paired = new Float32Array(values.length)
    for (let row = 0; row < rows; row++) {
      const inHead = row % headDim
      const pair = inHead % (headDim / 2)
      const second = inHead >= headDim / 2 ? 1 : 0
      paired.set(values.subarray(row * columns, (row + 1) * columns), (row - inHead + 2 * pair + second) * columns)
    }
    out.set(renamed, { shape, values: paired })
  }
  return out
}

export function configOf(model: SourceModel): Record<string, unknown> {
  return {
    architectures: ['MixtralForCausalLM'],
    bos_token_id: 1,
    eos_token_id: 2,
    hidden_act: 'silu',
    hidden_size: model.hidden,
    intermediate_size: model.intermediate,
    max_position_embeddings: 512,
    model_type: 'mixtral',
    num_attention_heads: model.heads,
    ...(model.heads * model.headDim !== model.hidden && { head_dim: model.headDim }),
    num_experts_per_tok: model.used,
    num_hidden_layers: model.layers,
    num_key_value_heads: model.kvHeads,
    num_local_experts: model.experts,
    rms_norm_eps: 1e-5,
    rope_theta: model.ropeTheta,
    sliding_window: null,
    tie_word_embeddings: model.tied,
    vocab_size: model.vocab,
  }
}

function paramsOf(model: SourceModel): Record<string, unknown> {
  const { hidden, layers, headDim, intermediate, heads, kvHeads, vocab, ropeTheta, experts, used } = model
  return {
    ...{ dim: hidden, n_layers: layers, head_dim: headDim, hidden_dim: intermediate, n_heads: heads, n_kv_heads: kvHeads, norm_eps: 1e-5 },
    ...{ vocab_size: vocab, rope_theta: ropeTheta, moe: { num_experts_per_tok: used, num_experts: experts } },
  }
}

export const tokenizerModel = fileURLToPath(new URL('../../golden/demo/tokenizer.model', import.meta.url))

export interface CheckpointOptions {
  readonly dtype?: Dtype
  readonly layout?: Layout
  /** Files, with an index if more than one. Default 1. */
  readonly shards?: number
  /** Copy the demo model's tokenizer.model there. Default true. */
  readonly tokenizer?: boolean
}

/** Writes a checkpoint into an existing folder. */
export async function writeCheckpoint(folder: string, model: SourceModel, options: CheckpointOptions = {}): Promise<void> {
  const { dtype = 'F32', layout = 'experts', tokenizer = true } = options
  const tensors = inLayout(model, sourceTensors(model, dtype), layout)
  await writeWeights(
    folder,
    [...tensors].map(([name, { shape, values }]) => ({ name, dtype, shape, bytes: bytesOf(values, dtype) })),
    { stem: layout === 'consolidated' ? 'consolidated' : 'model', shards: options.shards ?? 1 },
  )
  if (layout === 'consolidated') await writeJson(folder, 'params.json', paramsOf(model))
  else await writeJson(folder, 'config.json', configOf(model))
  if (tokenizer) await fs.copyFile(tokenizerModel, path.join(folder, 'tokenizer.model'))
}

/** Writes tensors to one file, or by turns to shards with an index. */
export async function writeWeights(
  folder: string,
  tensors: readonly FileTensor[],
  { stem, shards }: { readonly stem: string; readonly shards: number },
): Promise<void> {
  if (shards === 1) return fs.writeFile(path.join(folder, `${stem}.safetensors`), safetensorsFile(tensors))
  const number = (n: number) => String(n).padStart(5, '0')
  const weightMap: Record<string, string> = {}
  for (let n = 0; n < shards; n++) {
    const file = `${stem}-${number(n + 1)}-of-${number(shards)}.safetensors`
    const own = tensors.filter((_, i) => i % shards === n)
    for (const { name } of own) weightMap[name] = file
    await fs.writeFile(path.join(folder, file), safetensorsFile(own))
  }
  await writeJson(folder, `${stem}.safetensors.index.json`, { metadata: {}, weight_map: weightMap })
}

export function writeJson(folder: string, name: string, value: unknown): Promise<void> {
  return fs.writeFile(path.join(folder, name), JSON.stringify(value))
}
