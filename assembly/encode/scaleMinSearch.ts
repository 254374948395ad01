// The search for the scales and mins of sub-blocks (Q2_K, Q4_K, Q5_K), four sub-blocks at a time, a lane each. The
// oracle is src/format/quants/scaleMinSearch.ts.
import { shareOfSquares, weighImportance } from './importance'
import { interleave, inverseOf, nearestQuant, roundUnsigned, storeHalf } from './rounding'

const LEAST: f32 = 1e-30

// Layout of `room`: 256 quants, 16 scales and 16 mins as float32, then both as integers, then the shares, the weights
// and a candidate's quants of four sub-blocks.
// @ts-ignore: decorator
@inline const SCALES: usize = 256
// @ts-ignore: decorator
@inline const MINS: usize = 320
/** 16 scales as i32. */
// @ts-ignore: decorator
@inline export const SCALE_INTEGERS: usize = 384
/** 16 mins as i32. */
// @ts-ignore: decorator
@inline export const MIN_INTEGERS: usize = 448
// @ts-ignore: decorator
@inline const SHARES: usize = 512
// @ts-ignore: decorator
@inline const WEIGHTS: usize = 1024
// @ts-ignore: decorator
@inline const QUANTS: usize = 1536

/**
 * Quantizes 256 float32 at src in sub-blocks of `size`: writes d and dmin as halves to `d` and the two bytes after it,
 * the scales and mins to `room` (i32) and the quants to `room` (u8, from its start). byDeviation, for coarse quants:
 * errors count with the weight's magnitude; otherwise with that plus the root mean square. importance: 0, or that of
 * the 256 columns as float32; then the search is finer, and `share` of the mean square goes with each weight's square.
 */
// @ts-ignore: decorator
@inline export function quantizeScaleMins(
  src: usize,
  d: usize,
  room: usize,
  size: usize,
  most: f32,
  first: f32,
  candidates: i32,
  mostScale: f32,
  byDeviation: bool,
  importance: usize,
  share: f32,
): void {
  const subBlocks: usize = 256 / size
  const base: f32 = importance ? shareOfSquares(src, share) : 0
  for (let j: usize = 0; j < subBlocks; j += 4) {
    interleave(src + j * size * 4, size, room + SHARES)
    const scales = room + SCALES + j * 4
    const mins = room + MINS + j * 4
    if (importance) {
      weighImportance(importance + j * size * 4, room + SHARES, size, base, room + WEIGHTS)
      sumWeights(room, size, room + MIN_INTEGERS + j * 4)
      findScaleMins(room, size, most, most - <f32>0.9, 0.05, 37, false, scales, mins)
    } else {
      weigh(room, size, byDeviation)
      findScaleMins(room, size, most, first, 0.1, candidates, byDeviation, scales, mins)
    }
  }
  let scale: v128
  let min: v128
  if (importance) {
    // the sums of the weights are where the mins' integers come last
    const sums = room + MIN_INTEGERS
    scale = f32x4.splat(makeWeighedIntegers(room + SCALES, sums, room + SCALE_INTEGERS, subBlocks, d, mostScale))
    min = f32x4.splat(makeWeighedIntegers(room + MINS, sums, room + MIN_INTEGERS, subBlocks, d + 2, mostScale))
  } else {
    scale = f32x4.splat(makeIntegers(room + SCALES, room + SCALE_INTEGERS, subBlocks, d, mostScale))
    min = f32x4.splat(makeIntegers(room + MINS, room + MIN_INTEGERS, subBlocks, d + 2, mostScale))
  }
  for (let j: usize = 0; j < subBlocks; j += 4) {
    const at = room + j * 4
    v128.store(at, inverseOf(f32x4.mul(scale, f32x4.convert_i32x4_s(v128.load(at, SCALE_INTEGERS)))), SCALES)
    v128.store(at, f32x4.mul(min, f32x4.convert_i32x4_s(v128.load(at, MIN_INTEGERS))), MINS)
  }
  const top = f32x4.splat(most)
  for (let i: usize = 0; i < 256; i += 16) {
    const at = room + (i / size) * 4
    v128.store(room + i, roundUnsigned(src + i * 4, v128.load32_splat(at, MINS), v128.load32_splat(at, SCALES), top))
  }
}

/** The weight of errors in each value of the four sub-blocks at SHARES. */
// @ts-ignore: decorator
@inline function weigh(room: usize, size: usize, plain: bool): void {
  let base = f32x4.splat(0)
  if (!plain) {
    for (let p = room; p < room + size * 16; p += 16) base = f32x4.add(base, f32x4.mul(v128.load(p, SHARES), v128.load(p, SHARES)))
    base = f32x4.sqrt(f32x4.div(base, f32x4.splat(<f32>size)))
  }
  for (let p = room; p < room + size * 16; p += 16) v128.store(p, f32x4.add(base, f32x4.abs(v128.load(p, SHARES))), WEIGHTS)
}

/** The sums of the weights of four sub-blocks. */
// @ts-ignore: decorator
@inline function sumWeights(room: usize, size: usize, sums: usize): void {
  let sum = f32x4.splat(0)
  for (let p = room; p < room + size * 16; p += 16) sum = f32x4.add(sum, v128.load(p, WEIGHTS))
  v128.store(sums, sum)
}

/** As makeIntegers, by the scale that explains most of the fits, which count with `sums`. */
function makeWeighedIntegers(fits: usize, sums: usize, integers: usize, count: usize, d: usize, most: f32): f32 {
  let largest: f32 = 0
  for (let j: usize = 0; j < count; j++) largest = max(largest, load<f32>(fits + j * 4))
  const none = largest < LEAST
  const inverse: f32 = none ? 0 : <f32>1 / largest
  let bestScale: f32 = 0
  let bestMultiplier: f32 = 0
  let explained: f32 = 0
  for (let candidate = 0; candidate < 17; candidate++) {
    const multiplier: f32 = most * (<f32>0.9 + <f32>candidate * <f32>0.05)
    let products: f32 = 0
    let squares: f32 = 0
    for (let j: usize = 0; j < count; j++) {
      const share = load<f32>(fits + j * 4) * inverse
      const integer = nearest<f32>(max<f32>(0, min<f32>(most, share * multiplier)))
      const weighted = load<f32>(sums + j * 4) * integer
      products += weighted * share
      squares += weighted * integer
    }
    const scale = products / squares
    const gain = scale * products
    if (gain > explained) {
      bestScale = scale
      bestMultiplier = multiplier
      explained = gain
    }
  }
  const stored = storeHalf(d, none ? 0 : bestScale * largest)
  for (let j: usize = 0; j < count; j++) {
    const share = load<f32>(fits + j * 4) * inverse
    store<i32>(integers + j * 4, <i32>nearest<f32>(max<f32>(0, min<f32>(most, share * bestMultiplier))))
  }
  return stored
}

/** Turns `count` float32 into integers from 0 to `most`, by one scale, which is written as a half to d and returned. */
// @ts-ignore: decorator
@inline function makeIntegers(fits: usize, integers: usize, count: usize, d: usize, most: f32): f32 {
  let top: f32 = 0
  for (let j: usize = 0; j < count; j++) top = max(top, load<f32>(fits + j * 4))
  const scale = storeHalf(d, top / most)
  const inverse = f32x4.splat(top > 0 ? most / top : 0)
  for (let j: usize = 0; j < count; j += 4) {
    const quants = nearestQuant(f32x4.mul(v128.load(fits + j * 4), inverse), f32x4.splat(0), f32x4.splat(most))
    v128.store(integers + j * 4, i32x4.trunc_sat_f32x4_s(quants))
  }
  return scale
}

/**
 * Finds scales and mins of the four sub-blocks at SHARES, (size, 4 sub-blocks), and overwrites these with the shares.
 */
function findScaleMins(
  room: usize,
  size: usize,
  most: f32,
  first: f32,
  step: f32,
  candidates: i32,
  byDeviation: bool,
  scales: usize,
  mins: usize,
): void {
  const end = room + size * 16
  let least = f32x4.splat(0)
  let top = v128.load(room, SHARES)
  for (let p = room; p < end; p += 16) {
    least = f32x4.min(least, v128.load(p, SHARES))
    top = f32x4.max(top, v128.load(p, SHARES))
  }
  let range = f32x4.sub(top, least)
  const flat = f32x4.lt(range, f32x4.splat(LEAST))
  range = v128.bitselect(f32x4.splat(1), range, flat)
  const inverse = f32x4.div(f32x4.splat(1), range)
  const zero = f32x4.mul(f32x4.neg(least), inverse)
  let sumW = f32x4.splat(0)
  let sumX = sumW
  for (let p = room; p < end; p += 16) {
    const share = f32x4.mul(f32x4.sub(v128.load(p, SHARES), least), inverse)
    v128.store(p, share, SHARES)
    sumW = f32x4.add(sumW, v128.load(p, WEIGHTS))
    sumX = f32x4.add(sumX, f32x4.mul(v128.load(p, WEIGHTS), share))
  }
  const limit = f32x4.splat(most)
  let bestScale = f32x4.splat(<f32>1 / most)
  let bestStart = f32x4.splat(0)
  for (let p = room; p < end; p += 16) {
    v128.store(p, nearestQuant(f32x4.mul(limit, v128.load(p, SHARES)), f32x4.splat(0), limit), QUANTS)
  }
  let leastError = errorOf(room, end, bestScale, bestStart, byDeviation)
  for (let candidate = 0; candidate < candidates; candidate++) {
    const multiplier = f32x4.div(f32x4.splat(first + <f32>candidate * step), f32x4.sub(f32x4.splat(1), bestStart))
    let sumQ = f32x4.splat(0)
    let sumQQ = sumQ
    let sumQX = sumQ
    for (let p = room; p < end; p += 16) {
      const share = v128.load(p, SHARES)
      const quant = nearestQuant(f32x4.mul(multiplier, f32x4.sub(share, bestStart)), f32x4.splat(0), limit)
      const weighted = f32x4.mul(v128.load(p, WEIGHTS), quant)
      sumQ = f32x4.add(sumQ, weighted)
      sumQQ = f32x4.add(sumQQ, f32x4.mul(weighted, quant))
      sumQX = f32x4.add(sumQX, f32x4.mul(weighted, share))
      v128.store(p, quant, QUANTS)
    }
    const determinant = f32x4.sub(f32x4.mul(sumW, sumQQ), f32x4.mul(sumQ, sumQ))
    let scale = f32x4.div(f32x4.sub(f32x4.mul(sumW, sumQX), f32x4.mul(sumX, sumQ)), determinant)
    let start = f32x4.div(f32x4.sub(f32x4.mul(sumQQ, sumX), f32x4.mul(sumQ, sumQX)), determinant)
    const above = f32x4.gt(start, zero)
    start = v128.bitselect(zero, start, above)
    scale = v128.bitselect(f32x4.div(f32x4.sub(sumQX, f32x4.mul(zero, sumQ)), sumQQ), scale, above)
    const error = errorOf(room, end, scale, start, byDeviation)
    const better = v128.and(f32x4.gt(determinant, f32x4.splat(0)), f32x4.lt(error, leastError))
    bestScale = v128.bitselect(scale, bestScale, better)
    bestStart = v128.bitselect(start, bestStart, better)
    leastError = v128.bitselect(error, leastError, better)
  }
  const min = f32x4.neg(f32x4.add(least, f32x4.mul(bestStart, range)))
  v128.store(scales, v128.andnot(f32x4.mul(bestScale, range), flat))
  v128.store(mins, f32x4.max(f32x4.splat(0), v128.bitselect(f32x4.neg(least), min, flat)))
}

/** The weighted sum of the squared errors of a line at QUANTS, or of their magnitudes. */
// @ts-ignore: decorator
@inline function errorOf(room: usize, end: usize, scale: v128, start: v128, byDeviation: bool): v128 {
  let sum = f32x4.splat(0)
  for (let p = room; p < end; p += 16) {
    const error = f32x4.sub(f32x4.add(f32x4.mul(scale, v128.load(p, QUANTS)), start), v128.load(p, SHARES))
    sum = f32x4.add(sum, f32x4.mul(v128.load(p, WEIGHTS), byDeviation ? f32x4.abs(error) : f32x4.mul(error, error)))
  }
  return sum
}
