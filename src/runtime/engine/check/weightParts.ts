// Everything of a model that is checked as one: a vector or a matrix in a bank, or a matrix of an expert that comes into a bank when asked for. Main and threads have the same
// list, so that a number says which is meant.

import type { Load, PlacedExpert } from '../../weights/bankFiller.js'
import type { MixtralConfig } from '../../weights/mixtralConfig.js'
import type { TensorSlice } from '../../weights/mixtralTensors.js'
import type { Plan } from '../../weights/plan.js'
import { expertRoles, parseTensorName } from '../../weights/roles.js'

export interface WeightPart {
  readonly slice: TensorSlice
  /** -1: the embedding; the number of layers: the output. */
  readonly layer: number
  readonly expert?: number
  /** Where it is, if it is there from the start. */
  readonly load?: Load
  /** Which of the expert's matrices, if it is not. */
  readonly part?: keyof PlacedExpert
}

/** In the order of the layers; before them the embedding, after them the output. */
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
  if (plan.readers) for (const [slice, place] of experts) parts.push({ slice, ...place })
  return parts.sort((a, b) => a.layer - b.layer)
}

/** Where a tied embedding is loaded twice, it is the output that is packed. */
function layerOf({ slice, packed }: Load, layers: number): number {
  const { role, layer } = parseTensorName(slice.name)!
  return layer ?? (role === 'tokenEmbd' && !packed ? -1 : layers)
}
