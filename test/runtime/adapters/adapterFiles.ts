// Adapters that tests make: factors from a rule, written as a GGUF file or as PEFT writes a folder, and what they add
// to a weight, in plain sums. Not a test.

import fs from 'node:fs/promises'
import path from 'node:path'
import type { GgufEntry } from '../../../dist/format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import { writeGguf } from '../../../dist/format/gguf/writer.js'
import { bytesOf, type Dtype, type SourceModel } from '../../authoring/convert/sourceModel.js'
import { safetensorsFile } from '../../format/tensors/safetensorsFile.js'

/** Numbers between -scale and scale, which F16 and BF16 hold exactly; the same for the same name. */
function ruleValues(name: string, count: number, scale: number): Float32Array {
  let state = [...name].reduce((sum, c) => Math.imul(sum ^ c.charCodeAt(0), 0x01000193), 0x811c9dc5) | 1
  return Float32Array.from({ length: count }, () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return ((state >> 24) / 128) * scale
  })
}

/** The factors of a matrix, (rank, columns) and (rows, rank). */
export interface PlainPair {
  readonly rank: number
  readonly columns: number
  readonly rows: number
  readonly a: Float32Array
  readonly b: Float32Array
}

/** scale: a power of two. */
export function plainPair(name: string, rows: number, columns: number, rank: number, scale = 0.25): PlainPair {
  return { rank, columns, rows, a: ruleValues(`${name} a`, rank * columns, scale), b: ruleValues(`${name} b`, rows * rank, scale) }
}

/** What a pair adds to the weight of an output and an input. */
export function added({ rank, columns, a, b }: PlainPair, scale: number, row: number, column: number): number {
  let sum = 0
  for (let k = 0; k < rank; k++) sum += b[row * rank + k]! * a[k * columns + column]!
  return scale * sum
}

export interface NamedPairs {
  /** Such as `blk.0.attn_q.weight`. */
  readonly name: string
  /** One, or one for each expert. */
  readonly pairs: readonly PlainPair[]
}

export const adapterMetadata = (alpha: number): GgufEntry[] => [
  ['general.architecture', 'string', 'llama'],
  ['general.type', 'string', 'adapter'],
  ['adapter.type', 'string', 'lora'],
  ['adapter.lora.alpha', 'float32', alpha],
]

/** Writes an adapter as llama.cpp has them. */
export async function writeGgufAdapter(file: string, alpha: number, matrices: readonly NamedPairs[], dtype: Dtype = 'F32'): Promise<void> {
  const tensors = matrices.flatMap(({ name, pairs }) => {
    const [{ rank, columns, rows }] = pairs as [PlainPair]
    const experts = pairs.length > 1 ? [pairs.length] : []
    const tensor = (which: 'a' | 'b', shape: number[]) => ({
      name: `${name}.lora_${which}`,
      type: ggmlTypeByName(dtype)!,
      shape: [...shape, ...experts],
      pieces: () => pairs.map((pair) => bytesOf(pair[which], dtype)),
    })
    return [tensor('a', [columns, rank]), tensor('b', [rank, rows])]
  })
  await writeGguf(file, { metadata: adapterMetadata(alpha), tensors })
}

/** A tensor of a PEFT folder, by its name without `base_model.model.model.layers.`. */
export interface PeftTensor {
  readonly name: string
  readonly shape: readonly number[]
  readonly values: Float32Array
  readonly dtype?: string
}

/** The two tensors of a module, such as `0.self_attn.q_proj`. */
export function modulePair(module: string, { rank, columns, rows, a, b }: PlainPair): PeftTensor[] {
  return [
    { name: `${module}.lora_A.weight`, shape: [rank, columns], values: a },
    { name: `${module}.lora_B.weight`, shape: [rows, rank], values: b },
  ]
}

const PREFIX = 'base_model.model.model.layers.'

/** Writes a folder as PEFT does. `config` replaces values of a usual configuration. */
export async function writePeftFolder(folder: string, tensors: readonly PeftTensor[], config: object = {}, dtype: Dtype = 'F32') {
  await fs.mkdir(folder, { recursive: true })
  const usual = { peft_type: 'LORA', r: 4, lora_alpha: 8, bias: 'none', target_modules: ['q_proj'], task_type: 'CAUSAL_LM' }
  await fs.writeFile(path.join(folder, 'adapter_config.json'), JSON.stringify({ ...usual, ...config }))
  const stored = tensors.map(({ name, shape, values, dtype: own }) => ({
    name: name.startsWith('!') ? name.slice(1) : PREFIX + name,
    dtype: own ?? dtype,
    shape,
    bytes: bytesOf(values, dtype),
  }))
  await fs.writeFile(path.join(folder, 'adapter_model.safetensors'), safetensorsFile(stored))
}

/**
 * The factors of all experts in one pair, as PEFT has them for transformers 5: rows of A by experts, columns of B by
 * ranks.
 */
export function fusedPair(module: string, pairs: readonly PlainPair[]): PeftTensor[] {
  const [{ rank, columns, rows }] = pairs as [PlainPair]
  const width = rank * pairs.length
  const a = new Float32Array(width * columns)
  const b = new Float32Array(rows * width)
  for (const [e, pair] of pairs.entries()) {
    a.set(pair.a, e * rank * columns)
    for (let o = 0; o < rows; o++) for (let k = 0; k < rank; k++) b[o * width + k * pairs.length + e] = pair.b[o * rank + k]!
  }
  return [
    { name: `${module}.lora_A.weight`, shape: [width, columns], values: a },
    { name: `${module}.lora_B.weight`, shape: [rows, width], values: b },
  ]
}

/** The same change, as a pair of the transposed matrix. */
export function transposed({ rank, columns, rows, a, b }: PlainPair): PlainPair {
  const flip = (values: Float32Array, from: number, to: number) =>
    Float32Array.from(values, (_, i) => values[(i % from) * to + Math.floor(i / from)]!)
  // A' is B turned, (rank, rows); B' is A turned, (columns, rank).
  return { rank, columns: rows, rows: columns, a: flip(b, rows, rank), b: flip(a, rank, columns) }
}

/** Widths of a checkpoint's modules, outputs and inputs. */
export function moduleShape({ hidden, intermediate, heads, kvHeads, headDim, experts }: SourceModel, module: string): [number, number] {
  if (/q_proj/.test(module)) return [heads * headDim, hidden]
  if (/[kv]_proj/.test(module)) return [kvHeads * headDim, hidden]
  if (/o_proj/.test(module)) return [hidden, heads * headDim]
  if (/w2/.test(module)) return [hidden, intermediate]
  return /w[13]/.test(module) ? [intermediate, hidden] : [experts, hidden]
}
