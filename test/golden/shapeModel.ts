// The small models of shapes/shapes.json as GGUF files. Their weights come from a rule (see README.md here) instead of
// being stored, so that a test can have any shape in either layout of experts.

import { readFileSync } from 'node:fs'
import type { GgufEntry } from '../../dist/format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../dist/format/gguf/ggmlType.js'
import { GgufWriter } from '../../dist/format/gguf/writer.js'
import { floatToHalf } from '../../dist/format/quants/half.js'
import { architectureMetadata, vocabularyMetadata } from '../format/gguf/mixtralMetadata.js'

export interface Shape {
  readonly name: string
  readonly seed: number
  readonly layers: number
  readonly dim: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly ffn: number
  readonly experts: number
  readonly used: number
  readonly vocab: number
  readonly ropeTheta: number | null
  readonly tied?: boolean // without an output tensor: the embedding serves
  readonly split?: boolean // the old layout, a tensor per expert
  readonly routerF16?: boolean
  readonly tokens: readonly number[]
  readonly routing: readonly (readonly number[])[] // (layers)(tokens * used), best first
  readonly check: { readonly [what: string]: readonly number[] | string }
}

export const shapes: readonly Shape[] = JSON.parse(readFileSync(new URL('shapes/shapes.json', import.meta.url), 'utf8'))

/** The true logits for the shape's tokens: (tokens, vocab). */
export function goldenLogits({ name }: Shape): Float32Array {
  return new Float32Array(new Uint8Array(readFileSync(new URL(`shapes/${name}.logits.f32`, import.meta.url))).buffer)
}

/** What a test may change about how a shape is stored; the values stay. */
export interface ShapeFileOptions {
  readonly split?: boolean
  readonly routerF16?: boolean
  readonly slidingWindow?: number
}

/** Writes a shape as a GGUF file. */
export async function writeShapeModel(shape: Shape, path: string, options: ShapeFileOptions = {}): Promise<void> {
  const tensors = shapeTensors(shape, { split: shape.split ?? false, routerF16: shape.routerF16 ?? false, ...options })
  const plan = tensors.map(({ name, type, dims }) => ({ name, type: ggmlTypeByName(type)!, shape: dims }))
  const writer = await GgufWriter.create(path, { metadata: metadataOf(shape, options), tensors: plan })
  for (const { type, values } of tensors) {
    const data = type === 'F16' ? Uint16Array.from(values(), floatToHalf) : values()
    await writer.write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  }
  await writer.close()
}

/** `count` values of the tensor with this name in the merged layout, from its element `start` on. */
export function shapeValues({ seed }: Shape, name: string, columns: number, count: number, start = 0): Float32Array {
  const isNorm = name.includes('_norm.')
  const scale = name === 'token_embd.weight' ? 1 : gainOf(name) / 2 ** ((31 - Math.clz32(columns)) >> 1)
  const base = fnv1a32(name) + seed
  const values = new Float32Array(count)
  for (let i = 0; i < count; i++) {
    let h = (base + Math.imul(start + i, 0x9e3779b9)) >>> 0
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
    h ^= h >>> 16
    const u = ((h >>> 8) - 2 ** 23) / 2 ** 23
    values[i] = isNorm ? 1 + u / 8 : u * scale
  }
  return values
}

function gainOf(name: string): number {
  return /attn_v|attn_output|ffn_down/.test(name) ? 2 : 4
}

function fnv1a32(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash
}

interface ShapeTensor {
  readonly name: string
  readonly type: 'F32' | 'F16'
  readonly dims: readonly number[] // innermost first
  readonly values: () => Float32Array
}

function shapeTensors(shape: Shape, { split, routerF16 }: { split: boolean; routerF16: boolean }): ShapeTensor[] {
  const { layers, dim, heads, kvHeads, headDim, ffn, experts, vocab, tied } = shape
  const tensors: ShapeTensor[] = []
  const add = (name: string, dims: readonly number[], type: 'F32' | 'F16' = 'F32') => {
    const count = dims.reduce((product, size) => product * size)
    tensors.push({ name, type, dims, values: () => shapeValues(shape, name, dims[0]!, count) })
  }
  const addExperts = (layer: number, matrix: string, columns: number, rows: number) => {
    const merged = `blk.${layer}.${matrix}_exps.weight`
    if (!split) return add(merged, [columns, rows, experts])
    const count = columns * rows
    for (let expert = 0; expert < experts; expert++) {
      const values = () => shapeValues(shape, merged, columns, count, expert * count)
      tensors.push({ name: `blk.${layer}.${matrix}.${expert}.weight`, type: 'F32', dims: [columns, rows], values })
    }
  }

  add('token_embd.weight', [dim, vocab])
  for (let layer = 0; layer < layers; layer++) {
    add(`blk.${layer}.attn_norm.weight`, [dim])
    add(`blk.${layer}.attn_q.weight`, [dim, heads * headDim])
    add(`blk.${layer}.attn_k.weight`, [dim, kvHeads * headDim])
    add(`blk.${layer}.attn_v.weight`, [dim, kvHeads * headDim])
    add(`blk.${layer}.attn_output.weight`, [heads * headDim, dim])
    add(`blk.${layer}.ffn_norm.weight`, [dim])
    add(`blk.${layer}.ffn_gate_inp.weight`, [dim, experts], routerF16 ? 'F16' : 'F32')
    addExperts(layer, 'ffn_gate', dim, ffn)
    addExperts(layer, 'ffn_up', dim, ffn)
    addExperts(layer, 'ffn_down', ffn, dim)
  }
  add('output_norm.weight', [dim])
  if (!tied) add('output.weight', [dim, vocab])
  return tensors
}

function metadataOf(shape: Shape, { slidingWindow }: ShapeFileOptions): GgufEntry[] {
  const { ropeTheta, vocab } = shape
  return [
    ['general.name', 'string', shape.name],
    ...architectureMetadata({ ...shape, hidden: shape.dim, intermediate: shape.ffn }, 512),
    ...(ropeTheta === null ? [] : [['llama.rope.freq_base', 'float32', ropeTheta] satisfies GgufEntry]),
    ...(slidingWindow === undefined ? [] : [['llama.attention.sliding_window', 'uint32', slidingWindow] satisfies GgufEntry]),
    ...vocabularyMetadata(vocab),
  ]
}
