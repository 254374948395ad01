// What the parts of a layer are given, and how they report their intermediate results. They know nothing of other
// layers.

import type { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import type { LayerTensors, TensorSlice } from '../../runtime/weights/mixtralTensors.js'

/**
 * A function that gets the intermediate results under llama.cpp's names, such as `ffn_moe_logits-3` in layer 3. The
 * shape has the tokens first and the innermost dimension last. `Qcur` and `Kcur` come twice: (tokens, width) before the
 * rotation, (tokens, heads, headDim) after it.
 */
export type Tap = (name: string, values: Float64Array, shape: readonly number[]) => void

export interface Layer {
  readonly config: MixtralConfig
  readonly tensors: LayerTensors
  /** (n, columns) -> (n, rows). Called once a tensor, so that one matrix at a time need be in memory. */
  readonly multiply: (x: Float64Array, slice: TensorSlice) => Float64Array
  readonly show: ReturnType<typeof showTo>
}

/** A function that shows `values`, (tokens, ...dims), to the tap if there is one, and returns them. */
export function showTo(tap: Tap | undefined, suffix: string) {
  return (name: string, values: Float64Array, ...dims: number[]) => {
    tap?.(name + suffix, values, [values.length / dims.reduce((product, dim) => product * dim), ...dims])
    return values
  }
}
