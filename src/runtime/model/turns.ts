// The angles of rotary position embedding: cos and sin of position * theta^(-2i / dims), in float64 from our own functions, so that every engine has the same bits.

import { cos, pow, sin } from '../../base/elementary.js'

/** The frequencies of the pairs: (ropeDim / 2). */
export function frequencies(ropeDim: number, theta: number): Float64Array {
  return Float64Array.from({ length: ropeDim / 2 }, (_, i) => pow(theta, (-2 * i) / ropeDim))
}

/** Writes cos and sin of one position, side by side: (pairs, 2) from out[at] on. */
export function writeTurns(frequency: Float64Array, position: number, out: Float32Array, at: number): void {
  for (let i = 0; i < frequency.length; i++) {
    const angle = position * frequency[i]!
    out[at + 2 * i] = cos(angle)
    out[at + 2 * i + 1] = sin(angle)
  }
}
