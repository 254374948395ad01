// The parts of a model that are checked one at a time: a vector or a matrix in a bank, or a matrix of a streamed
// expert; and their units, which threads claim. Main and threads make the same list, so a number identifies a part.
// Does not know how a part is checked.

import { ROWS_TOGETHER } from '../../kernels/packing.js'
import type { Load, PlacedExpert } from '../../weights/bankLayout.js'
import type { MixtralConfig } from '../../weights/mixtralConfig.js'
import type { TensorSlice } from '../../weights/mixtralTensors.js'
import type { Plan } from '../../weights/plan.js'
import { expertRoles, parseTensorName } from '../../weights/roles.js'

export interface WeightPart {
  readonly slice: TensorSlice
  /** -1: the embedding; the number of layers: the output. */
  readonly layer: number
  readonly expert?: number
  /** Its address, if it is loaded at the start. */
  readonly load?: Load
  /** Which of the expert's matrices it is, if the expert is streamed. */
  readonly part?: keyof PlacedExpert
}

/** Bytes of the file that are checked as one unit. */
const UNIT_BYTES = 256 * 1024

/** Rows of a part that are checked as one unit. */
export function rowsOfUnit({ bytes, rows }: TensorSlice): number {
  return Math.max(ROWS_TOGETHER, Math.floor(UNIT_BYTES / (bytes / rows) / ROWS_TOGETHER) * ROWS_TOGETHER)
}

/** Number of units of a part. */
export function unitsOf(slice: TensorSlice): number {
  return Math.ceil(slice.rows / rowsOfUnit(slice))
}

/** The parts in the order of the layers; before them the embedding, after them the output. */
export function weightParts(plan: Plan, config: MixtralConfig): WeightPart[] {
  const experts = new Map<TensorSlice, { readonly layer: number; readonly expert: number; readonly part: keyof PlacedExpert }>()
  for (const [layer, placed] of plan.layers.entries()) {
    for (const [expert, tensors] of placed.experts.entries()) {
      for (const part of expertRoles) experts.set(tensors[part], { layer, expert, part })
    }
  }
  const parts = plan.loads.map((load): WeightPart => {
    const { slice } = load
    const { layer, expert } = experts.get(slice) ?? {}
    return expert === undefined ? { slice, load, layer: layerOf(load, config.layers) } : { slice, load, layer: layer!, expert }
  })
  if (plan.streaming) for (const [slice, place] of experts) parts.push({ slice, ...place })
  return parts.sort((a, b) => a.layer - b.layer)
}

/** The layer of a tensor. A tied embedding is loaded twice: the packed load is the output. */
function layerOf({ slice, packed }: Load, layers: number): number {
  const { role, layer } = parseTensorName(slice.name)!
  return layer ?? (role === 'tokenEmbd' && !packed ? -1 : layers)
}
