// The angles of rotary position embedding: cos and sin of position * theta^(-2i / dims), in float64 by our own
// functions, so that every engine has the same bits. Does not know where queries and keys lie.

import { cos, pow, sin } from '../../base/elementary.js'

/** The frequencies of the pairs: (ropeDim / 2). */
export function ropeFrequencies(ropeDim: number, theta: number): Float64Array {
  return Float64Array.from({ length: ropeDim / 2 }, (_, i) => pow(theta, (-2 * i) / ropeDim))
}

/** Writes the rope table's row of one position, cos and sin side by side: (pairs, 2) from out[at] on. */
export function writeRopeRow(frequencies: Float64Array, position: number, out: Float32Array, at: number): void {
  for (let i = 0; i < frequencies.length; i++) {
    const angle = position * frequencies[i]!
    out[at + 2 * i] = cos(angle)
    out[at + 2 * i + 1] = sin(angle)
  }
}
