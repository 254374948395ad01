// Finds a Mixtral's matrices among the tensors of a GGUF, in both layouts of experts: one 3-D tensor per layer, or one
// tensor per expert as until April 2024. Owns which sets of tensors are refused; names and shapes are in roles.ts.
// Reads no data.

import { MixtralError, quoted } from '../../base/errors.js'
import type { GgmlType } from '../../format/gguf/ggmlType.js'
import type { Gguf, GgufTensor } from '../../format/gguf/gguf.js'
import { supportedTypeNames } from '../../format/quants/formats.js'
import { expandedPacking } from '../kernels/packing.js'
import type { MixtralConfig } from './mixtralConfig.js'
import {
  type ExpertRole,
  expertMatricesOf,
  expertRoles,
  expertTensorName,
  isVector,
  type LayerRole,
  layerRoles,
  type ModelRole,
  modelRoles,
  type Role,
  recordOf,
  shapeOf,
  tensorName,
} from './roles.js'

/** A matrix in a file, row after row: a whole tensor, or one expert's part of one. A vector is a matrix of one row. */
export interface TensorSlice {
  /** The name of the tensor in the file. The experts of a 3-D tensor share it. */
  readonly name: string
  readonly type: GgmlType
  /** Outputs. */
  readonly rows: number
  /** Inputs, a multiple of the type's block. */
  readonly columns: number
  /** Index into `Gguf.files`. */
  readonly file: number
  /** Place of the first byte, from the start of that file. */
  readonly offset: number
  readonly bytes: number
  /** How it lies in a bank, where that is not its type's usual layout: one of the packings (kernels/packing.ts). */
  readonly packing?: string
}

/** The name of a matrix's packing. */
export function packingOf({ packing, type }: TensorSlice): string {
  return packing ?? type.name
}

// The shapes of all of these are in roles.ts.
export type ExpertTensors = Readonly<Record<ExpertRole, TensorSlice>>

export interface LayerTensors extends Readonly<Record<LayerRole, TensorSlice>> {
  readonly experts: readonly ExpertTensors[]
}

export interface MixtralTensors extends Readonly<Record<ModelRole, TensorSlice>> {
  /** Whether `output` is `tokenEmbd`. */
  readonly tied: boolean
  readonly layers: readonly LayerTensors[]
}

/**
 * Finds every matrix of the model.
 * Throws `MODEL` for a missing or wrongly shaped tensor or a layer of two layouts, and `UNSUPPORTED` for a type without
 * a kernel or a tensor, such as a bias, that would change the result and is not applied.
 */
export function mixtralTensors(config: MixtralConfig, gguf: Gguf): MixtralTensors {
  const finder = new TensorFinder(config, gguf)
  const tied = !finder.has(tensorName('output'))
  const stored = modelRoles.filter((role) => !(tied && role === 'output'))
  const found = recordOf(stored, (role) => finder.matrix(role, tensorName(role)))
  const layers = Array.from({ length: config.layers }, (_, layer) => ({
    ...recordOf(layerRoles, (role) => finder.matrix(role, tensorName(role, layer))),
    experts: findExperts(finder, config.experts, layer),
  }))
  finder.refuseUnapplied()
  return { ...found, output: tied ? found.tokenEmbd : found.output, tied, layers }
}

/** The tensors with the matrices of the first `count` layers in their expanded layouts, if they have one. */
export function expandedTensors(tensors: MixtralTensors, count: number): MixtralTensors {
  const expanded = (slice: TensorSlice): TensorSlice => {
    const packing = expandedPacking(slice.type.name)
    return packing === undefined ? slice : { ...slice, packing }
  }
  // a quantization that is only measured has one expert for all of a layer
  let last: { readonly expert: ExpertTensors; readonly expanded: ExpertTensors } | undefined
  const expandedExpert = (expert: ExpertTensors) => {
    if (last?.expert !== expert) last = { expert, expanded: recordOf(expertRoles, (role) => expanded(expert[role])) }
    return last.expanded
  }
  const layers = tensors.layers.map((layer, n) => {
    if (n >= count) return layer
    const own = recordOf(layerRoles, (role) => (isVector(role) ? layer[role] : expanded(layer[role])))
    return { ...own, experts: layer.experts.map(expandedExpert) }
  })
  return { ...tensors, layers }
}

/** Every vector and matrix in the order of a pass. A tied embedding is in it twice. */
export function slicesOf({ tokenEmbd, layers, outputNorm, output }: MixtralTensors): TensorSlice[] {
  const ofLayers = layers.flatMap((layer) => [...layerRoles.map((role) => layer[role]), ...layer.experts.flatMap(expertMatricesOf)])
  return [tokenEmbd, ...ofLayers, outputNorm, output]
}

function findExperts(finder: TensorFinder, experts: number, layer: number): ExpertTensors[] {
  const merged = expertRoles.map((role) => tensorName(role, layer))
  const all = Array.from({ length: experts }, (_, expert) => expert)
  const single = expertRoles.flatMap((role) => all.map((expert) => expertTensorName(role, layer, expert)))
  const aMerged = merged.find((name) => finder.has(name))
  const aSingle = single.find((name) => finder.has(name))
  if (aMerged && aSingle) {
    finder.refuse('MODEL', `tensors ${aMerged} and ${aSingle}: experts merged and apart, expected one layout in a layer`)
  }
  if (!aMerged && !aSingle) finder.refuse('MODEL', `tensors ${merged[0]} and ${single[0]} are missing, expected one of them`)

  const found = recordOf(expertRoles, (role) =>
    aMerged
      ? finder.slices(role, tensorName(role, layer), experts)
      : all.map((expert) => finder.matrix(role, expertTensorName(role, layer, expert))),
  )
  return all.map((expert) => recordOf(expertRoles, (role) => found[role][expert]!))
}

/** Takes tensors by name, and remembers which were taken. */
class TensorFinder {
  readonly #config: MixtralConfig
  readonly #gguf: Gguf
  readonly #taken = new Set<string>()

  constructor(config: MixtralConfig, gguf: Gguf) {
    this.#config = config
    this.#gguf = gguf
  }

  has(name: string): boolean {
    return this.#gguf.tensors.has(name)
  }

  refuse(code: 'MODEL' | 'UNSUPPORTED', problem: string, tensor?: GgufTensor): never {
    throw new MixtralError(code, `${this.#gguf.files[tensor?.file ?? 0]!.path}: ${problem}`)
  }

  matrix(role: Role, name: string): TensorSlice {
    const { rows, columns } = shapeOf(role, this.#config)
    const { type, file, offset, bytes } = this.#take(name, [columns, rows], isVector(role) ? ['F32'] : supportedTypeNames)
    return { name, type, rows, columns, file, offset, bytes }
  }

  /** The matrices that make up a 3-D tensor, one after the other. */
  slices(role: Role, name: string, count: number): TensorSlice[] {
    const { rows, columns } = shapeOf(role, this.#config)
    const { type, file, offset, bytes } = this.#take(name, [columns, rows, count], supportedTypeNames)
    const each = bytes / count
    return Array.from({ length: count }, (_, n) => ({ name, type, rows, columns, file, offset: offset + n * each, bytes: each }))
  }

  /**
   * Refuses tensors of the text model that were not taken: biases, rotary factors, shared experts, further layers.
   * Without them the result would be another model's. Tensors under other names, such as a vision tower's, do no harm.
   */
  refuseUnapplied(): void {
    for (const tensor of this.#gguf.tensors.values()) {
      const { name } = tensor
      if (this.#taken.has(name) || !/^(token|position|rope|output|blk)[._]/.test(name)) continue
      // Some converters kept the frequencies of plain rotary embedding.
      if (/^blk\.\d+\.(attn_rot_embd|attn\.rotary_emb\.inv_freq)/.test(name)) continue
      this.refuse('UNSUPPORTED', `tensor ${quoted(name)} would change the result and is not one that a Mixtral here applies`, tensor)
    }
  }

  #take(name: string, shape: readonly number[], types: readonly string[]): GgufTensor {
    const tensor = this.#gguf.tensors.get(name)
    if (!tensor) return this.refuse('MODEL', `tensor ${name} is missing, expected with shape [${shape}]`)
    if (!types.includes(tensor.type.name)) {
      this.refuse('UNSUPPORTED', `tensor ${name} is of type ${tensor.type.name}, supported here: ${types.join(', ')}`, tensor)
    }
    if (!sameShape(tensor.shape, shape)) {
      this.refuse('MODEL', `tensor ${name} has shape [${tensor.shape}], expected [${shape}], columns first`, tensor)
    }
    this.#taken.add(name)
    return tensor
  }
}

/** Whether two shapes are equal. Dimensions of 1 at the end do not count: ggml does not store them. */
function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return Array.from({ length: Math.max(a.length, b.length) }).every((_, d) => (a[d] ?? 1) === (b[d] ?? 1))
}
