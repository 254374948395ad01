// The expected output of attention from the kernels' own queries, keys and values, and the error that float32 may make.

import { floatToHalf, halfToFloat } from '../../format/quants/half.js'
import type { KvFormat } from '../../runtime/kernels/abi.js'
import type { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import { softmax } from '../reference/matrix.js'
import { type Expected, HALF_ULP, type Taps } from './expected.js'

/** The expected output, from rotated queries and keys, and values, rounded as the KV cache rounds them. */
export function attended(taps: Taps, config: MixtralConfig, kvFormat: KvFormat): Expected {
  const { heads, kvHeads, headDim, slidingWindow } = config
  const kept = (value: number) => keptAs(kvFormat, value)
  const q = taps.get('Qcur-rotated')!
  const k = Float64Array.from(taps.get('Kcur-rotated')!, kept)
  const v = Float64Array.from(taps.get('Vcur')!, kept)
  const tokens = q.length / (heads * headDim)
  const mixed = new Float64Array(q.length)
  const allowed = new Float64Array(q.length)
  for (let token = 0; token < tokens; token++) {
    const first = Math.max(0, token + 1 - (slidingWindow ?? tokens))
    for (let head = 0; head < heads; head++) {
      const at = (token * heads + head) * headDim
      const kvAt = (i: number) => ((first + i) * kvHeads + Math.floor((head * kvHeads) / heads)) * headDim
      const scores = new Float64Array(token + 1 - first)
      let largest = 0
      for (let i = 0; i < scores.length; i++) {
        let magnitude = 0
        for (let c = 0; c < headDim; c++) {
          const term = (q[at + c]! * k[kvAt(i) + c]!) / Math.sqrt(headDim)
          scores[i]! += term
          magnitude += Math.abs(term)
        }
        largest = Math.max(largest, magnitude)
      }
      // an error of a score is doubled in its share; then one sum per position
      const off = HALF_ULP * (2 * (headDim + 8) * largest + 4 * scores.length + 16)
      for (const [i, share] of softmax(scores).entries()) {
        for (let c = 0; c < headDim; c++) {
          mixed[at + c]! += share * v[kvAt(i) + c]!
          allowed[at + c]! += off * share * Math.abs(v[kvAt(i) + c]!)
        }
      }
    }
  }
  return { values: mixed, allowed }
}

/** A key or value after it was stored in the KV cache. */
function keptAs(format: KvFormat, value: number): number {
  return format === 'f32' ? value : halfToFloat(floatToHalf(Math.max(-65504, Math.min(65504, value))))
}
