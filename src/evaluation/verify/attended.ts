// The expected output of attention from the kernels' own queries, keys and values, and the error that float32 may make.

import { floatToHalf, halfToFloat } from '../../format/quants/half.js'
import type { KvFormat } from '../../runtime/kernels/abi.js'
import type { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import { KV_GROUP } from '../../runtime/weights/pages.js'
import { softmax } from '../reference/matrix.js'
import { type Expected, HALF_ULP, type Taps } from './expected.js'

/** The expected output, from rotated queries and keys, and values, rounded as the KV cache rounds them. */
export function attended(taps: Taps, config: MixtralConfig, kvFormat: KvFormat): Expected {
  const { heads, kvHeads, headDim, slidingWindow } = config
  const q = taps.get('Qcur-rotated')!
  const [k, v] = ['Kcur-rotated', 'Vcur'].map((name) => keptAs(kvFormat, Float64Array.from(taps.get(name)!), headDim)) as [
    Float64Array,
    Float64Array,
  ]
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
      let fromQuery = 0
      for (let i = 0; i < scores.length; i++) {
        let magnitude = 0
        for (let c = 0; c < headDim; c++) {
          const term = (q[at + c]! * k[kvAt(i) + c]!) / Math.sqrt(headDim)
          scores[i]! += term
          magnitude += Math.abs(term)
        }
        largest = Math.max(largest, magnitude)
        if (kvFormat === 'q8') fromQuery = Math.max(fromQuery, queryRounding(q, at, k, kvAt(i), headDim))
      }
      // an error of a score is doubled in its share; then one sum per position
      const off = HALF_ULP * (2 * (headDim + 8) * largest + 4 * scores.length + 16) + 2 * fromQuery
      const shares = softmax(scores)
      if (kvFormat === 'q8') allowWeightRounding(shares, v, kvAt, first, allowed.subarray(at, at + headDim))
      for (const [i, share] of shares.entries()) {
        for (let c = 0; c < headDim; c++) {
          mixed[at + c]! += share * v[kvAt(i) + c]!
          allowed[at + c]! += off * share * Math.abs(v[kvAt(i) + c]!)
        }
      }
    }
  }
  return { values: mixed, allowed }
}

/** Keys or values after they were stored in the KV cache: (tokens, heads, headDim). */
function keptAs(format: KvFormat, values: Float64Array, headDim: number): Float64Array {
  if (format === 'f32') return values
  const half = (value: number) => halfToFloat(floatToHalf(Math.max(-65504, Math.min(65504, value))))
  if (format === 'f16') return values.map(half)
  const kept = values.slice()
  eachGroup(values, headDim, (start, end, largest) => {
    const step = half(Math.fround(largest / 127))
    for (let i = start; i < end; i++) kept[i] = step * Math.max(-127, Math.min(127, nearest(Math.fround(values[i]! / (step || Infinity)))))
  })
  return kept
}

/** What rounding a query to steps of 1/4095 of its group's largest magnitude may change of a score. */
function queryRounding(q: ArrayLike<number>, at: number, k: Float64Array, kAt: number, headDim: number): number {
  let sum = 0
  eachGroup(
    Array.from({ length: headDim }, (_, c) => q[at + c]!),
    headDim,
    (start, end, largest) => {
      for (let c = start; c < end; c++) sum += (largest / 8190) * Math.abs(k[kAt + c]!)
    },
  )
  return sum / Math.sqrt(headDim)
}

/**
 * Adds what rounding weights may change: of each block of 32 positions and group of dimensions, to steps of 1/32767 of
 * the largest weight times the scale of its values.
 */
function allowWeightRounding(
  shares: Float64Array,
  v: Float64Array,
  kvAt: (i: number) => number,
  first: number,
  allowed: Float64Array, // (headDim)
): void {
  for (let start = 0; start < allowed.length; start += KV_GROUP) {
    const tops = new Map<number, number>()
    for (const [i, share] of shares.entries()) {
      const end = kvAt(i) + Math.min(start + KV_GROUP, allowed.length)
      const largest = v.subarray(kvAt(i) + start, end).reduce((most, value) => Math.max(most, Math.abs(value)), 0)
      const block = (first + i) >> 5
      tops.set(block, Math.max(tops.get(block) ?? 0, share * largest))
    }
    const most = (16 / 32767) * [...tops.values()].reduce((sum, top) => sum + top, 0)
    for (let c = start; c < Math.min(start + KV_GROUP, allowed.length); c++) allowed[c]! += most
  }
}

/** Calls for the groups of each head with their largest magnitude, which is NaN where one is. */
function eachGroup(values: ArrayLike<number>, headDim: number, call: (start: number, end: number, largest: number) => void): void {
  for (let head = 0; head < values.length; head += headDim) {
    for (let start = head; start < head + headDim; start += KV_GROUP) {
      const end = Math.min(start + KV_GROUP, head + headDim)
      let largest = 0
      for (let i = start; i < end; i++) largest = Math.max(largest, Math.abs(values[i]!))
      call(start, end, largest)
    }
  }
}

/** The nearest whole number, of two the even one. */
function nearest(value: number): number {
  const down = Math.floor(value)
  const rest = value - down
  if (rest !== 0.5) return Math.round(value)
  return down % 2 === 0 ? down : down + 1
}
