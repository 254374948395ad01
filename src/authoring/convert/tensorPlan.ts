// Which tensors of a checkpoint make which tensors of a GGUF file, and from which parts. Owns the three layouts of
// experts in a checkpoint: one tensor per matrix in either naming, and transformers 5's merged ones. Checks everything,
// reads no data.

import { quoted } from '../../base/errors.js'
import { checkpointError, unsupported } from '../../format/tensors/checkpointError.js'
import type { SourceTensor } from '../../format/tensors/safetensors.js'
import { consolidated, expertMatrices, huggingFace, type SourceNames } from '../../runtime/weights/checkpointNames.js'
import {
  type ExpertRole,
  isQuantized,
  isVector,
  type LayerRole,
  layerRoles,
  type ModelRole,
  shapeOf,
  tensorName,
} from '../../runtime/weights/roles.js'
import type { Checkpoint } from './checkpoint.js'
import { elementTypes, isElementType } from './elementType.js'
import type { HyperParameters } from './hyperParameters.js'

/** Consecutive elements of a tensor of the checkpoint. */
interface Part {
  readonly tensor: SourceTensor
  /** The first element. */
  readonly start: number
  readonly elements: number
}

/** A tensor to be written. */
export interface TargetTensor {
  readonly name: string
  /** Innermost first, as GGUF has it. */
  readonly shape: readonly number[]
  /** Whether it is written as F32 whatever type the matrices get: norms and routers. */
  readonly isF32: boolean
  /** What it is made of, one after the other. */
  readonly parts: readonly Part[]
  /**
   * Rows of a head, if the rows of each head are to be interleaved: transformers rotates halves, (i, i + headDim / 2),
   * GGUF rotates pairs, (2i, 2i + 1).
   */
  readonly interleavedHeadDim?: number
}

/**
 * The tensors of the GGUF file, in its order. Throws `CHECKPOINT` for a missing or wrongly shaped tensor, `UNSUPPORTED`
 * for one of another type than F32, F16 and BF16 or one, such as a bias, that would change the result.
 */
export function planTensors(checkpoint: Checkpoint, parameters: HyperParameters): TargetTensor[] {
  const isHuggingFace = checkpoint.layout === 'huggingface'
  const names = isHuggingFace ? huggingFace : consolidated
  const finder = new SourceFinder(checkpoint)
  const target = (role: ModelRole | LayerRole, source: string, layer?: number): TargetTensor => {
    const { rows, columns } = shapeOf(role, parameters)
    const shape = isVector(role) ? [columns] : [columns, rows]
    const parts = [{ tensor: finder.take(source, shape.toReversed()), start: 0, elements: rows * columns }]
    // Mistral AI's own files have the pairs side by side already.
    const isRotated = isHuggingFace && (role === 'attnQ' || role === 'attnK')
    const rotation = isRotated ? { interleavedHeadDim: parameters.headDim } : {}
    return { name: tensorName(role, layer), shape, isF32: !isQuantized(role), parts, ...rotation }
  }

  const targets = [target('tokenEmbd', names.model.tokenEmbd)]
  for (let layer = 0; layer < parameters.layers; layer++) {
    const from = names.layer(layer)
    for (const role of layerRoles) {
      const sources = names.inLayer[role].map((name) => from + name)
      targets.push(target(role, sources.find((name) => finder.has(name)) ?? sources[0]!, layer))
    }
    targets.push(...expertTargets(finder, parameters, names, layer))
  }
  targets.push(target('outputNorm', names.model.outputNorm))
  if (parameters.tied) finder.skip(names.model.output)
  else targets.push(target('output', names.model.output))
  finder.refuseOthers()
  return targets
}

/** The matrices of all experts of a layer. */
function expertTargets(finder: SourceFinder, parameters: HyperParameters, names: SourceNames, layer: number): TargetTensor[] {
  const { hiddenSize, intermediateSize, experts } = parameters
  const from = names.layer(layer)
  const all = Array.from({ length: experts }, (_, expert) => expert)
  const merged = (role: ExpertRole, parts: readonly Part[]): TargetTensor => {
    const { rows, columns } = shapeOf(role, parameters)
    return { name: tensorName(role, layer), shape: [columns, rows, experts], isF32: !isQuantized(role), parts }
  }
  const gateUp = `${from}mlp.experts.gate_up_proj` // (experts, 2 * intermediateSize, hiddenSize): an expert's gate, then its up
  const down = `${from}mlp.experts.down_proj` // (experts, hiddenSize, intermediateSize)
  const size = hiddenSize * intermediateSize
  if (names === huggingFace && finder.has(gateUp)) {
    const both = finder.take(gateUp, [experts, 2 * intermediateSize, hiddenSize])
    const half = (second: 0 | 1) => all.map((expert) => ({ tensor: both, start: (2 * expert + second) * size, elements: size }))
    const downs = finder.take(down, [experts, hiddenSize, intermediateSize])
    return [
      merged('ffnGate', half(0)),
      merged('ffnDown', [{ tensor: downs, start: 0, elements: experts * size }]),
      merged('ffnUp', half(1)),
    ]
  }
  return (Object.keys(expertMatrices) as ExpertRole[]).map((role) => {
    const { rows, columns } = shapeOf(role, parameters)
    const source = (expert: number) => from + names.expert(expert, expertMatrices[role])
    return merged(
      role,
      all.map((expert) => ({ tensor: finder.take(source(expert), [rows, columns]), start: 0, elements: size })),
    )
  })
}

/** Takes tensors by name and remembers which. */
class SourceFinder {
  readonly #checkpoint: Checkpoint
  readonly #taken = new Set<string>()

  constructor(checkpoint: Checkpoint) {
    this.#checkpoint = checkpoint
  }

  has(name: string): boolean {
    return this.#checkpoint.tensors.has(name)
  }

  /** A tensor that is not needed. */
  skip(name: string): void {
    this.#taken.add(name)
  }

  /** @param shape outermost first */
  take(name: string, shape: readonly number[]): SourceTensor {
    const tensor = this.#checkpoint.tensors.get(name)
    if (!tensor) throw checkpointError(this.#checkpoint.folder, `is missing, expected with shape [${shape}]`, `tensor ${quoted(name)}`)
    const where = `tensor ${quoted(name)}`
    if (!isElementType(tensor.dtype)) {
      throw unsupported(tensor.source.name, `elements of type ${quoted(tensor.dtype)}, expected ${elementTypes.join(', ')}`, where)
    }
    if (tensor.shape.length !== shape.length || tensor.shape.some((size, d) => size !== shape[d])) {
      throw checkpointError(tensor.source.name, `shape [${tensor.shape}], expected [${shape}]`, where)
    }
    this.#taken.add(name)
    return tensor
  }

  /** Refuses tensors that were not taken: without them the result would be another model's. */
  refuseOthers(): void {
    for (const { name, source } of this.#checkpoint.tensors.values()) {
      if (this.#taken.has(name) || name.endsWith('rotary_emb.inv_freq')) continue // which follow from the configuration
      throw unsupported(source.name, 'is not one that a Mixtral has, and would change the result', `tensor ${quoted(name)}`)
    }
  }
}
