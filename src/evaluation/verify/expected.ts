// The expected output of a stage, and the error that float32 may make: one bound for every kind of arithmetic in the
// kernels. Knows no names of tensors.

import { exp } from '../../base/elementary.js'
import { summationError } from '../../runtime/engine/check/weightFindings.js'
import { activationBlock, packings } from '../../runtime/kernels/packing.js'
import type { TensorSlice } from '../../runtime/weights/mixtralTensors.js'

/** Half of the distance between 1 and the next float32. */
export const HALF_ULP = 2 ** -24

/**
 * The kernels' tensors of one layer, or of the part before or after the layers, by name without the layer.
 * `Qcur-rotated` and `Kcur-rotated` are the rotated ones.
 */
export type Taps = ReadonlyMap<string, ArrayLike<number>>

/** In `Expected.allowed`: the element is not checked. NaN is no such mark: it comes of values that are not finite. */
export const UNCHECKED = -1

/** The expected value of each element, and its largest allowed error, or `UNCHECKED`. */
export interface Expected {
  readonly values: Float64Array
  readonly allowed: Float64Array
}

/** Expects nothing yet: no element is checked. */
export function expectNothing(elements: number): Expected {
  return { values: new Float64Array(elements), allowed: new Float64Array(elements).fill(UNCHECKED) }
}

/** A row times an input that is rounded already: the value, and the allowed error of summing in float32. */
export function product({ type }: TensorSlice, weights: Float32Array, input: Float32Array): readonly [number, number] {
  let sum = 0
  let magnitude = 0
  for (let c = 0; c < weights.length; c++) {
    const term = weights[c]! * input[c]!
    sum += term
    magnitude += Math.abs(term)
  }
  return [sum, summationError(type.name, weights.length) * magnitude]
}

/**
 * silu(gate) * up, with its allowed error. The slope of silu is at most 1.1, and its exp is accurate to a few
 * roundings.
 */
export function swiglu([gate, gateOff]: readonly [number, number], [up, upOff]: readonly [number, number]): readonly [number, number] {
  const silu = gate / (1 + exp(-gate))
  return [silu * up, 1.1 * gateOff * (Math.abs(up) + upOff) + Math.abs(silu) * upOff + 16 * HALF_ULP * Math.abs(silu * up)]
}

/** Half of the step to which each input of a quantized matrix was rounded. A block's largest value is 127 steps. */
export function halfStepsOf({ type }: TensorSlice, row: Float32Array): Float64Array {
  const block = activationBlock[packings[type.name]!.activation]
  const halfSteps = new Float64Array(row.length)
  for (let start = 0; block > 1 && start < row.length; start += block) {
    const largest = row.subarray(start, start + block).reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    halfSteps.fill((largest / 254) * (1 + 16 * HALF_ULP), start, start + block)
  }
  return halfSteps
}

export function note({ values, allowed }: Expected, at: number, [value, off]: readonly [number, number]): void {
  values[at] = value
  allowed[at] = off
}

export function sumOf(x: ArrayLike<number>, y: ArrayLike<number>): Expected {
  const values = Float64Array.from(x, (value, i) => value + y[i]!)
  return { values, allowed: values.map((value) => HALF_ULP * Math.abs(value)) }
}
