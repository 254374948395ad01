// What a cache of 8 bits keeps of keys or values, in plain arithmetic: for each position and 32 dimensions a scale, the
// float16 next to 1/127 of the largest magnitude, and whole multiples of it.

import { floatToHalf, halfToFloat } from '../../../dist/format/quants/half.js'

export interface StoredBytes {
  /** (positions, headDim) i8 */
  readonly bytes: Int8Array
  /** (positions, groups): float16 */
  readonly scales: Uint16Array
  /** (positions, headDim): what they stand for, exact. */
  readonly values: Float64Array
}

/** x: (positions, headDim) */
export function storedBytes(x: Float32Array, headDim: number): StoredBytes {
  const groups = Math.ceil(headDim / 32)
  const positions = x.length / headDim
  const stored = { bytes: new Int8Array(x.length), scales: new Uint16Array(positions * groups), values: new Float64Array(x.length) }
  for (let position = 0; position < positions; position++) {
    for (let g = 0; g < groups; g++) {
      const start = position * headDim + g * 32
      const end = Math.min(start + 32, (position + 1) * headDim)
      const largest = x.subarray(start, end).reduce((most, value) => Math.max(most, Math.abs(value)), 0)
      const half = Number.isNaN(largest) ? 0x7fff : floatToHalf(Math.min(65504, Math.fround(largest / 127)))
      const scale = halfToFloat(half)
      stored.scales[position * groups + g] = half
      for (let i = start; i < end; i++) {
        const steps = scale > 0 ? toEven(Math.fround(x[i]! / scale)) : 0
        stored.bytes[i] = Math.max(-127, Math.min(127, steps))
        stored.values[i] = stored.bytes[i]! * scale
      }
    }
  }
  return stored
}

/** The nearest whole number, of two the even one. */
function toEven(value: number): number {
  const nearest = Math.round(value)
  return Math.abs(value % 1) === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest
}
