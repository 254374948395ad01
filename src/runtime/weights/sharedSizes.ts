// What all layouts of a model share: the kinds of activations that its matrices want, and the sizes of the largest.

import type { ActivationKind } from '../../format/quants/activations.js'
import { activationBlock, expandedPacking, packings } from '../kernels/packing.js'
import type { MixtralTensors, TensorSlice } from './mixtralTensors.js'
import { expertRoles, matricesOf, roles } from './roles.js'
import { EXPERT_ROWS } from './scratch.js'

/** They are found once, since there may be many experts. */
export interface SharedSizes {
  /** The kinds of activations that matrices want. */
  readonly inputKinds: ReadonlySet<ActivationKind>
  readonly expertInputKinds: ReadonlySet<ActivationKind>
  /** The longest row of any matrix in the file. */
  readonly widestRowBytes: number
  /** Bytes of a matrix of an expert in the file. */
  readonly largestExpertMatrix: number
  /** Whether a matrix of a layer has an expanded layout. */
  readonly expands: boolean
}

export function sharedSizes({ tokenEmbd, output, layers }: MixtralTensors, { downFloats }: { readonly downFloats?: boolean }): SharedSizes {
  const inputKinds = new Set<ActivationKind>(['f32']) // the norm writes f32
  const expertInputKinds = new Set<ActivationKind>(downFloats ? ['f32'] : [])
  let widestRowBytes = 0
  let largestExpertMatrix = 0
  let expands = false
  const see = (slice: TensorSlice, kinds: Set<ActivationKind> | undefined, inLayer = true) => {
    expands ||= inLayer && expandedPacking(slice.type.name) !== undefined
    kinds?.add(packings[slice.type.name]!.activation)
    widestRowBytes = Math.max(widestRowBytes, slice.bytes / slice.rows)
  }
  see(tokenEmbd, undefined, false)
  see(output, inputKinds, false)
  for (const layer of layers) {
    for (const slice of matricesOf(layer)) see(slice, inputKinds)
    for (const expert of new Set(layer.experts)) {
      for (const role of expertRoles) {
        see(expert[role], roles[role].columns === 'hidden' ? inputKinds : expertInputKinds)
        largestExpertMatrix = Math.max(largestExpertMatrix, expert[role].bytes)
      }
    }
  }
  for (const k of expertInputKinds) if (EXPERT_ROWS % activationBlock[k]) throw new Error(`blocks of ${k} do not fit ${EXPERT_ROWS} rows`)
  return { inputKinds, expertInputKinds, widestRowBytes, largestExpertMatrix, expands }
}
