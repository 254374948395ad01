// One kv head's cache in a test bank, filled by the bank's store_kv_f16 or another; attention over it by the kernel and
// in float64.

import { floatToHalf, halfToFloat } from '../../../dist/format/quants/half.js'
import type { KvFormat } from '../../../dist/runtime/kernels/abi.js'
import { kvHeadBytes } from '../../../dist/runtime/weights/pages.js'
import { storedBytes } from './kvBytesOracle.js'
import type { RandomValues } from './randomValues.js'
import type { Region, TestBank } from './testBank.js'

export interface Shape {
  /** Query heads of the one kv head. */
  readonly heads: number
  readonly headDim: number
  /** Position of the first token. */
  readonly position: number
  readonly tokens: number
  /** Positions a token sees, itself included; 0 is all. */
  readonly window: number
}

/** Positions in the cache up to the last token. */
export const positionsOf = ({ position, tokens }: Shape) => position + tokens

/** Rows of q are longer than the heads of one kv head. */
export const qFloats = ({ heads, headDim }: Shape) => heads * headDim + 4

export interface Inputs {
  readonly q: Float32Array // (tokens, qFloats)
  readonly keys: Float32Array // (positions, headDim)
  readonly values: Float32Array // (positions, headDim)
}

/** Cached numbers of up to 2^power, and queries so small or large that scores are the same for every power. */
export function randomInputs(shape: Shape, random: RandomValues, power = 1): Inputs {
  const cached = positionsOf(shape) * shape.headDim
  const size = 2 ** power
  return {
    q: random.floats(shape.tokens * qFloats(shape), 4 / size),
    keys: random.floats(cached, size),
    values: random.floats(cached, size),
  }
}

export interface Cache {
  readonly format: KvFormat
  readonly keys: Region
  readonly values: Region
  /** The place of each block of positions: not their order. */
  readonly table: Region
}

/** Pages in another order than their blocks'. */
function shuffled(blocks: number): Int32Array {
  const pages = Int32Array.from({ length: blocks }, (_, block) => (block % 2 ? block - 1 : block + 1))
  if (blocks % 2) pages[blocks - 1] = blocks - 1
  return pages
}

/** The pages of blocks that lie in their order. */
export const ascending = (blocks: number) => Int32Array.from({ length: blocks }, (_, block) => block)

/** A cache of whole blocks that holds `garbage` in every byte that `positions` of `inputs` do not overwrite. */
export function placeCache(
  bank: TestBank,
  { keys, values }: Inputs,
  headDim: number,
  positions: Iterable<number>,
  garbage = 0xff,
  pagesOf = shuffled,
  format: KvFormat = 'f16',
): Cache {
  const blocks = Math.ceil(keys.length / headDim / 32)
  const bytes = kvHeadBytes(blocks, headDim, format)
  const pages = pagesOf(blocks)
  const cache = {
    format,
    keys: bank.place(new Uint8Array(bytes).fill(garbage)),
    values: bank.place(new Uint8Array(bytes).fill(garbage)),
    table: bank.place(pages),
  }
  const [key, value] = [bank.place(keys), bank.place(values)]
  bank.call([cache.keys, cache.values], (kernels) => {
    for (const position of positions) {
      const row = position * headDim * 4
      kernels[`store_kv_${format}`](
        key.ptr + row,
        value.ptr + row,
        headDim,
        cache.keys.ptr,
        cache.values.ptr,
        pages[position >> 5]! * 32 + (position & 31),
      )
    }
  })
  return cache
}

/** (tokens, heads, headDim), from ranges of `range` positions, each into a part of its own and then merged. */
export function attend(bank: TestBank, shape: Shape, q: Float32Array, cache: Cache, range = 64, wide: 0 | 1 = 0): Float32Array {
  const { heads, headDim, position, tokens, window } = shape
  const query = bank.place(q)
  const rows = tokens * heads
  const [part, next] = [0, 0].map(() => bank.reserve(rows * (headDim + 4) * 4)) as [Region, Region]
  const ofQueries = cache.format === 'q8' ? 16 + rows * Math.ceil((headDim * 2 + Math.ceil(headDim / 32) * 4) / 16) * 16 : 0
  const room = bank.reserve(headDim * 132 + (rows + 1) * 132 + 16 + ofQueries)
  const out = bank.reserve(rows * headDim * 4)
  for (let first = 0; first < positionsOf(shape); first += range) {
    const target = first ? next : part
    bank.call([room, target], (kernels) =>
      kernels[`attention_${cache.format}`](
        query.ptr,
        qFloats(shape),
        target.ptr,
        tokens,
        heads,
        headDim,
        cache.keys.ptr,
        cache.values.ptr,
        cache.table.ptr,
        position,
        window,
        first,
        first + range,
        room.ptr,
        wide,
      ),
    )
    if (first) bank.call([part], ({ merge_attention }) => merge_attention(part.ptr, next.ptr, rows, headDim))
  }
  bank.call([out], ({ finish_attention }) => finish_attention(part.ptr, rows, headDim, out.ptr))
  return bank.floats(out)
}

/**
 * The same in float64 on keys and values rounded to halves, or to bytes, and the largest distance that float32 may have
 * from it, and for bytes the rounding of queries and weights: both (tokens, heads, headDim).
 */
export function expectedAttention(
  shape: Shape,
  inputs: Inputs,
  format: 'f16' | 'q8' = 'f16',
): { values: Float64Array; tolerances: Float64Array } {
  const { heads, headDim, position, tokens, window } = shape
  const toHalves = (x: Float32Array) => Float64Array.from(x, (value) => halfToFloat(floatToHalf(value)))
  const kept = (x: Float32Array) => (format === 'q8' ? storedBytes(x, headDim).values : toHalves(x))
  const [keys, cached] = [kept(inputs.keys), kept(inputs.values)]
  const largest = cached.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const values = new Float64Array(tokens * heads * headDim)
  const tolerances = new Float64Array(values.length)
  for (let t = 0; t < tokens; t++) {
    const last = position + t
    const first = window === 0 ? 0 : Math.max(0, last + 1 - window)
    for (let h = 0; h < heads; h++) {
      const q = t * qFloats(shape) + h * headDim
      const scores = new Float64Array(last - first + 1)
      let magnitude = 0
      let rounding = 0 // of a score, from rounding the query to steps of 1/4095 of its group's largest
      const steps = Float64Array.from({ length: headDim }, (_, d) => largestOf(inputs.q, q + d - (d % 32), q + headDim) / 4095)
      for (let i = 0; i < scores.length; i++) {
        let sum = 0
        let ofSteps = 0
        for (let d = 0; d < headDim; d++) {
          const product = (inputs.q[q + d]! * keys[(first + i) * headDim + d]!) / Math.sqrt(headDim)
          scores[i]! += product
          sum += Math.abs(product)
          ofSteps += (steps[d]! / 2) * Math.abs(keys[(first + i) * headDim + d]!)
        }
        magnitude = Math.max(magnitude, sum)
        if (format === 'q8') rounding = Math.max(rounding, ofSteps / Math.sqrt(headDim))
      }
      const top = Math.max(...scores)
      const powers = scores.map((score) => Math.exp(score - top))
      const total = powers.reduce((sum, power) => sum + power, 0)
      const at = (t * heads + h) * headDim
      // from rounding weights to steps of 1/32767 of the largest of their block
      const tops = new Map<number, number>()
      for (const [i, power] of powers.entries()) tops.set((first + i) >> 5, Math.max(tops.get((first + i) >> 5) ?? 0, power / total))
      const ofWeights = format === 'q8' ? (16 / 32767) * [...tops.values()].reduce((sum, top) => sum + top, 0) : 0
      for (const [i, power] of powers.entries()) {
        for (let d = 0; d < headDim; d++) values[at + d]! += (power / total) * cached[(first + i) * headDim + d]!
      }
      // A score is off by a rounding for each of its products, sums and scalings; a power by that, the rounding of its
      // argument and 2 ulp of exp; sums by a rounding per position and per block. Powers are above and below the line.
      const roundings = (headDim + 6) * magnitude + scores.length + scores.length / 32 + 12
      tolerances.fill((2 * (roundings * 2 ** -24 + rounding) + ofWeights) * largest, at, at + headDim)
    }
  }
  return { values, tolerances }
}

/** The largest magnitude of at most 32 numbers from `start` on. */
function largestOf(x: Float32Array, start: number, end: number): number {
  return x.subarray(start, Math.min(start + 32, end)).reduce((most, value) => Math.max(most, Math.abs(value)), 0)
}
