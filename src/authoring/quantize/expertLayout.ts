// The two layouts of experts in a file: one 3-D tensor per layer and matrix, or one tensor per expert as until April 2024. Owns the names of both and how the
// tensors of one become those of the other; the weights keep their order, so that nothing but names and places changes.

import { MixtralError, quoted } from '../../base/errors.js'
import type { GgmlType } from '../../format/gguf/ggmlType.js'
import type { Gguf, GgufTensor } from '../../format/gguf/gguf.js'

export const expertLayouts = ['merged', 'per-expert'] as const
export type ExpertLayout = (typeof expertLayouts)[number]

/** Bytes of an input file that become a part of a tensor, or all of it. */
export interface TensorSource {
  /** Of the tensor in the input. */
  readonly name: string
  readonly type: GgmlType
  readonly file: number
  readonly offset: number
  readonly bytes: number
}

/** A tensor to be written, with what it is made of, in order. */
export interface LaidOutTensor {
  readonly name: string
  readonly shape: readonly number[]
  /** Equal parts. */
  readonly sources: readonly TensorSource[]
}

const merged = /^blk\.(\d+)\.(ffn_(?:gate|up|down))_exps\.weight$/
const single = /^blk\.(\d+)\.(ffn_(?:gate|up|down))\.(\d+)\.weight$/

/** All tensors of a file in a layout, in the file's order; a merged one stands where its first expert stood. Throws `MODEL` if its experts differ in shape. */
export function layOutExperts(gguf: Gguf, layout: ExpertLayout): LaidOutTensor[] {
  const done = new Set<string>()
  return [...gguf.tensors.values()].flatMap((tensor) => {
    if (layout === 'per-expert') return split(tensor)
    const [, layer, part] = single.exec(tensor.name) ?? []
    if (layer === undefined) return [whole(tensor)]
    const name = `blk.${layer}.${part}_exps.weight`
    if (done.has(name)) return []
    done.add(name)
    return [join(gguf, name, `blk.${layer}.${part}`)]
  })
}

function whole(tensor: GgufTensor): LaidOutTensor {
  return { name: tensor.name, shape: tensor.shape, sources: [tensor] }
}

function split(tensor: GgufTensor): LaidOutTensor[] {
  const [, layer, part] = merged.exec(tensor.name) ?? []
  if (layer === undefined) return [whole(tensor)]
  const { name, type, file, offset } = tensor
  const [columns, rows, experts = 1] = tensor.shape as [number, number, number?]
  const bytes = tensor.bytes / experts
  return Array.from({ length: experts }, (_, expert) => ({
    name: `blk.${layer}.${part}.${expert}.weight`,
    shape: [columns, rows],
    sources: [{ name, type, file, offset: offset + expert * bytes, bytes }],
  }))
}

function join(gguf: Gguf, name: string, prefix: string): LaidOutTensor {
  const sources: GgufTensor[] = []
  for (;;) {
    const next = gguf.tensors.get(`${prefix}.${sources.length}.weight`)
    if (!next) break
    sources.push(next)
  }
  const shape = sources[0]?.shape ?? []
  for (const source of sources) {
    if (source.shape.join() === shape.join()) continue
    throw new MixtralError(
      'MODEL',
      `tensor ${quoted(source.name)} has shape [${source.shape}], expected the [${shape}] of the other experts`,
    )
  }
  return { name, shape: [...shape, sources.length], sources }
}
