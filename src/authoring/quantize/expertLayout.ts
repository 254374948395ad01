// The two layouts of experts in a file: one 3-D tensor per layer and matrix, or one tensor per expert as until April
// 2024. Owns how the tensors of one layout become those of the other. The weights keep their order: only names and
// places change.

import { MixtralError, quoted } from '../../base/errors.js'
import type { GgmlType } from '../../format/gguf/ggmlType.js'
import type { Gguf, GgufTensor } from '../../format/gguf/gguf.js'
import { type ExpertRole, expertTensorName, parseTensorName, tensorName } from '../../runtime/weights/roles.js'

export const expertLayouts = ['merged', 'per-expert'] as const
export type ExpertLayout = (typeof expertLayouts)[number]

/** A run of bytes in an input file that becomes a part of a tensor, or all of it. */
export interface TensorSource {
  /** The name of the tensor in the input. */
  readonly name: string
  readonly type: GgmlType
  readonly file: number
  readonly offset: number
  readonly bytes: number
}

/** A tensor to be written. */
export interface LaidOutTensor {
  readonly name: string
  readonly shape: readonly number[]
  /** What it is made of, in order: parts of equal size. */
  readonly sources: readonly TensorSource[]
}

/**
 * All tensors of a file in a layout, in the file's order. A merged tensor takes the place of its first expert.
 * Throws `MODEL` if experts differ in shape.
 */
export function layOutExperts(gguf: Gguf, layout: ExpertLayout): LaidOutTensor[] {
  const done = new Set<string>()
  return [...gguf.tensors.values()].flatMap((tensor) => {
    const named = parseTensorName(tensor.name)
    if (named?.per !== 'expert' || (named.expert === undefined) === (layout === 'merged')) return [whole(tensor)]
    const { role, layer } = named
    if (layout === 'per-expert') return split(tensor, role, layer)
    const name = tensorName(role, layer)
    if (done.has(name)) return []
    done.add(name)
    return [join(gguf, role, layer)]
  })
}

function whole(tensor: GgufTensor): LaidOutTensor {
  return { name: tensor.name, shape: tensor.shape, sources: [tensor] }
}

/** The tensors of one expert each that a merged one becomes. */
function split({ name, type, shape, file, offset, bytes: allBytes }: GgufTensor, role: ExpertRole, layer: number): LaidOutTensor[] {
  const [columns, rows, experts = 1] = shape as [number, number, number?]
  const bytes = allBytes / experts
  return Array.from({ length: experts }, (_, expert) => ({
    name: expertTensorName(role, layer, expert),
    shape: [columns, rows],
    sources: [{ name, type, file, offset: offset + expert * bytes, bytes }],
  }))
}

/** The merged tensor that tensors of one expert each become. */
function join(gguf: Gguf, role: ExpertRole, layer: number): LaidOutTensor {
  const sources: GgufTensor[] = []
  for (;;) {
    const next = gguf.tensors.get(expertTensorName(role, layer, sources.length))
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
  return { name: tensorName(role, layer), shape: [...shape, sources.length], sources }
}
