// The search for scales and groups of the IQ2 and IQ3 formats, whose weights are groups out of a grid. The oracle is
// src/format/quants/gridEncoder.ts; the table of a grid is that of GridNeighbors there. A vector holds four weights of
// a group, and sums are made lane by lane.
import { shareOfSquares } from './importance'
import { storeHalf } from './rounding'

// Layout of `room`, in order: float32 magnitudes, negative where a sign was turned, weights and their products, 256 of
// each; fits of up to 16 sub-blocks and their sums; then what a block is packed from.
// @ts-ignore: decorator
@inline const MAGNITUDES: usize = 0
// @ts-ignore: decorator
@inline const WEIGHTS: usize = 1024
// @ts-ignore: decorator
@inline const WEIGHED: usize = 2048
// @ts-ignore: decorator
@inline const FITS: usize = 3072
// @ts-ignore: decorator
@inline const PRODUCTS: usize = 3136
// @ts-ignore: decorator
@inline const SQUARES: usize = 3200
/** 256 / size groups as u16. */
// @ts-ignore: decorator
@inline export const GROUPS: usize = 3264
/** A bit for each weight: 32 bytes. */
// @ts-ignore: decorator
@inline export const SIGNS: usize = 3392
/** A byte for each sub-block, n for 2n + 1. */
// @ts-ignore: decorator
@inline export const SCALES: usize = 3424
/** Groups of a scale that is only tried. */
// @ts-ignore: decorator
@inline const TRIED: usize = 3440
/** The most by which d is made larger at the end. */
// @ts-ignore: decorator
@inline const MOST_GAIN: f64 = 1.0625

/** The sums of the last `chooseGroups`. */
let products: f32 = 0
let squares: f32 = 0

/**
 * Finds what a block of 256 float32 at src is packed from, in `room`, and writes d as a half to `d`. Groups have eight
 * magnitudes. subBlock: weights of one. even: whether the number of minus signs among eight is even. importance: 0, or
 * that of the 256 columns as float32. candidates: for a scale on either side of the first.
 */
export function searchEights(src: usize, d: usize, room: usize, importance: usize, table: usize, subBlock: usize, even: bool, candidates: i32): void {
  weigh(src, room, importance)
  splitSigns(src, room, even)
  const count: usize = 256 / <u32>subBlock
  for (let j: usize = 0; j < count; j++) fitSubBlock(8, room, table, j, subBlock, candidates)
  const scale = bestD(d, room, count)
  if (scale == 0) {
    clear(room)
    return
  }
  let projected: f64 = 0
  for (let j: usize = 0; j < count; j++) {
    chooseGroups(8, room, table, j * subBlock, subBlock, scaleOf(room, j, scale), room + GROUPS + (j * subBlock) / 4)
    projected += <f64>oddScale(room, j) * <f64>products
  }
  storeFullD(d, room, scale, projected)
}

/** The same for groups of four, in sub-blocks of 32. */
export function searchFours(src: usize, d: usize, room: usize, importance: usize, table: usize, even: bool, candidates: i32): void {
  weigh(src, room, importance)
  splitSigns(src, room, even)
  for (let j: usize = 0; j < 8; j++) fitSubBlock(4, room, table, j, 32, candidates)
  const scale = bestD(d, room, 8)
  if (scale == 0) {
    clear(room)
    return
  }
  let projected: f64 = 0
  for (let j: usize = 0; j < 8; j++) {
    chooseGroups(4, room, table, j * 32, 32, scaleOf(room, j, scale), room + GROUPS + j * 16)
    projected += <f64>oddScale(room, j) * <f64>products
  }
  storeFullD(d, room, scale, projected)
}

/** Four times seven signs, and a scale on top: the 32 bits of sub-block j. */
// @ts-ignore: decorator
@inline export function signsAndScale(room: usize, j: usize): u32 {
  const signs = load<u32>(room + j * 4, SIGNS)
  const packed = (signs & 127) | ((signs >> 1) & (127 << 7)) | ((signs >> 2) & (127 << 14)) | ((signs >> 3) & (127 << 21))
  return packed | (<u32>load<u8>(room + j, SCALES) << 28)
}

/** The nibbles of `count` scales, two a byte, low ones first. */
// @ts-ignore: decorator
@inline export function storeNibbleScales(room: usize, count: usize, dst: usize): void {
  for (let k: usize = 0; k < count; k += 2) store<u8>(dst + k / 2, load<u8>(room + k, SCALES) | (load<u8>(room + k, SCALES + 1) << 4))
}

/** Fills WEIGHTS: with importances as in importance.ts, else an error counts with its weight's square. */
function weigh(src: usize, room: usize, importance: usize): void {
  const base = f32x4.splat(importance ? shareOfSquares(src, 2) : 0)
  for (let at: usize = 0; at < 1024; at += 16) {
    const value = v128.load(src + at)
    const square = f32x4.mul(value, value)
    const weight = importance ? f32x4.mul(v128.load(importance + at), f32x4.sqrt(f32x4.add(base, square))) : square
    v128.store(room + at, weight, WEIGHTS)
  }
}

/** Fills SIGNS, MAGNITUDES and WEIGHED. */
function splitSigns(src: usize, room: usize, even: bool): void {
  for (let byte: usize = 0; byte < 32; byte++) {
    const first = v128.load(src + byte * 32)
    const second = v128.load(src + byte * 32, 16)
    const at = room + byte * 32
    v128.store(at, f32x4.abs(first), MAGNITUDES)
    v128.store(at, f32x4.abs(second), MAGNITUDES + 16)
    const zero = f32x4.splat(0)
    let bits = i32x4.bitmask(f32x4.lt(first, zero)) | (i32x4.bitmask(f32x4.lt(second, zero)) << 4)
    if (even && (popcnt(bits) & 1) == 1) {
      let cheapest: usize = 0
      let cost: f64 = Infinity
      for (let k: usize = 0; k < 8; k++) {
        const magnitude: f64 = load<f32>(at + k * 4, MAGNITUDES)
        const turning = <f64>load<f32>(at + k * 4, WEIGHTS) * magnitude * magnitude
        if (turning < cost) {
          cheapest = k
          cost = turning
        }
      }
      bits ^= 1 << <i32>cheapest
      store<f32>(at + cheapest * 4, -load<f32>(at + cheapest * 4, MAGNITUDES), MAGNITUDES)
    }
    store<u8>(room + byte, bits, SIGNS)
    v128.store(at, f32x4.mul(v128.load(at, WEIGHTS), v128.load(at, MAGNITUDES)), WEIGHED)
    v128.store(at, f32x4.mul(v128.load(at, WEIGHTS + 16), v128.load(at, MAGNITUDES + 16)), WEIGHED + 16)
  }
}

/** Finds the best scale of sub-block j for the least magnitude, 0 for zeros, and its sums. */
// @ts-ignore: decorator
@inline function fitSubBlock(size: usize, room: usize, table: usize, j: usize, length: usize, candidates: i32): void {
  const start = j * length
  let tops = f32x4.splat(0)
  for (let at = room + start * 4; at < room + (start + length) * 4; at += 16) tops = f32x4.pmax(tops, v128.load(at, MAGNITUDES))
  const largest = max(max(f32x4.extract_lane(tops, 0), f32x4.extract_lane(tops, 1)), max(f32x4.extract_lane(tops, 2), f32x4.extract_lane(tops, 3)))
  let bestProducts: f32 = 0
  let bestSquares: f32 = 1
  if (<f64>largest > 1e-30) {
    const top: f32 = size == 8 ? 5 : 15
    const step: f32 = size == 8 ? 0.25 : 0.5
    for (let candidate = -candidates; candidate <= candidates + 1; candidate++) {
      // the last: once more, by all that is near the best scale
      const last = candidate > candidates
      if (last && bestProducts == 0) break
      chooseGroups(size, room, table, start, length, last ? bestProducts / bestSquares : largest / (top + <f32>candidate * step), room + TRIED)
      const explained = <f64>products * <f64>products * <f64>bestSquares
      if (!(products > 0 && explained > <f64>bestProducts * <f64>bestProducts * <f64>squares)) continue
      bestProducts = products
      bestSquares = squares
    }
  }
  store<f32>(room + j * 4, bestProducts / bestSquares, FITS)
  store<f32>(room + j * 4, bestProducts, PRODUCTS)
  store<f32>(room + j * 4, bestProducts > 0 ? bestSquares : 0, SQUARES)
}

/** Four magnitudes to the nearest of the levels 0, 1, ..., top. */
// @ts-ignore: decorator
@inline function levelsOf(magnitudes: v128, inverse: v128, top: v128): v128 {
  return f32x4.floor(f32x4.pmax(f32x4.splat(0), f32x4.pmin(top, f32x4.mul(magnitudes, inverse))))
}

/** The sum of four lanes: of the even ones, and of the odd ones. */
// @ts-ignore: decorator
@inline function sumOf(v: v128): f32 {
  const pairs = f32x4.add(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1))
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1)
}

/**
 * Chooses the groups of the sub-block from weight `start` on for a scale, and leaves the sums of least squares. The
 * table has a word for each key, places of lists and their lengths; the groups' values; and the lists, of places among
 * the values.
 */
// @ts-ignore: decorator
@inline function chooseGroups(size: usize, room: usize, table: usize, start: usize, length: usize, scale: f32, groups: usize): void {
  const values = table + (size == 8 ? 26256 : 16384)
  const top = f32x4.splat(size == 8 ? 2 : 7)
  const inverse = f32x4.splat(<f32>0.5 / scale)
  const scales = f32x4.splat(scale)
  let productSums = f32x4.splat(0)
  let squareSums = productSums
  const end = room + (start + length) * 4
  for (let at = room + start * 4; at < end; at += size * 4) {
    let digits: v128
    if (size == 8) {
      const low = f32x4.mul(levelsOf(v128.load(at, MAGNITUDES), inverse, top), f32x4(1, 3, 9, 27))
      digits = f32x4.add(low, f32x4.mul(levelsOf(v128.load(at, MAGNITUDES + 16), inverse, top), f32x4(81, 243, 729, 2187)))
    } else digits = f32x4.mul(levelsOf(v128.load(at, MAGNITUDES), inverse, top), f32x4(1, 8, 64, 512))
    // whole numbers below 2^23: the low bits of the sum with it
    const key = reinterpret<u32>(sumOf(digits) + 8388608) & 0xffff
    const list = load<u32>(table + (key << 2))
    const weight0 = v128.load(at, WEIGHTS)
    const weighed0 = v128.load(at, WEIGHED)
    const weight1 = size == 8 ? v128.load(at, WEIGHTS + 16) : weight0
    const weighed1 = size == 8 ? v128.load(at, WEIGHED + 16) : weighed0
    let near = table + ((list >> 12) << 1)
    let best: u32 = load<u16>(near)
    const count = list & 4095
    if (count > 1) {
      const slope0 = f32x4.mul(weight0, scales)
      const slope1 = size == 8 ? f32x4.mul(weight1, scales) : slope0
      const twice0 = f32x4.add(weighed0, weighed0)
      const twice1 = size == 8 ? f32x4.add(weighed1, weighed1) : twice0
      let least: f32 = Infinity
      const after = near + (count << 1)
      for (; near < after; near += 2) {
        const place: u32 = load<u16>(near)
        let errors = errorsOf(v128.load(values + place), slope0, twice0)
        if (size == 8) errors = f32x4.add(errors, errorsOf(v128.load(values + place, 16), slope1, twice1))
        const error = sumOf(errors)
        best = error < least ? place : best
        least = error < least ? error : least
      }
    }
    store<u16>(groups, <u16>(best >> (size == 8 ? 5 : 4)))
    groups += 2
    const value0 = v128.load(values + best)
    productSums = f32x4.add(productSums, f32x4.mul(value0, weighed0))
    squareSums = f32x4.add(squareSums, f32x4.mul(f32x4.mul(value0, weight0), value0))
    if (size == 8) {
      const value1 = v128.load(values + best, 16)
      productSums = f32x4.add(productSums, f32x4.mul(value1, weighed1))
      squareSums = f32x4.add(squareSums, f32x4.mul(f32x4.mul(value1, weight1), value1))
    }
  }
  products = sumOf(productSums)
  squares = sumOf(squareSums)
}

/** Errors of four values, without what all groups have in common, over the scale. */
// @ts-ignore: decorator
@inline function errorsOf(value: v128, slope: v128, twice: v128): v128 {
  return f32x4.mul(value, f32x4.sub(f32x4.mul(slope, value), twice))
}

/** Writes the half d for which the integer scales come nearest to the fits, and returns it. Fills SCALES. */
function bestD(d: usize, room: usize, count: usize): f32 {
  let largest: f32 = 0
  for (let j: usize = 0; j < count; j++) largest = max(largest, load<f32>(room + j * 4, FITS))
  let best: f32 = 0
  let least: f64 = 0
  for (let candidate = 0; candidate < 11; candidate++) {
    const tried = storeHalf(d, <f32>((<f64>largest / 31) * (0.9 + <f64>candidate * 0.02)))
    if (!(tried > 0)) continue
    let error: f64 = 0
    for (let j: usize = 0; j < count; j++) {
      const scale = <f64>(2 * scaleInteger(room, j, tried) + 1) * <f64>tried
      error += scale * (scale * <f64>load<f32>(room + j * 4, SQUARES) - 2 * <f64>load<f32>(room + j * 4, PRODUCTS))
    }
    if (error < least) {
      best = tried
      least = error
    }
  }
  storeHalf(d, best)
  if (best > 0) for (let j: usize = 0; j < count; j++) store<u8>(room + j, <u8>scaleInteger(room, j, best), SCALES)
  return best
}

/** n for which 2n + 1 times d is nearest to sub-block j's fit, from 0 to 15. */
// @ts-ignore: decorator
@inline function scaleInteger(room: usize, j: usize, d: f32): i32 {
  return <i32>min<f64>(15, Math.floor(<f64>load<f32>(room + j * 4, FITS) / (2 * <f64>d)))
}

// @ts-ignore: decorator
@inline function oddScale(room: usize, j: usize): f32 {
  return 2 * <f32>load<u8>(room + j, SCALES) + 1
}

// @ts-ignore: decorator
@inline function scaleOf(room: usize, j: usize, d: f32): f32 {
  return oddScale(room, j) * d
}

/** Writes the half d with which weights are as long as the original ones (`fullD` of the oracle). */
function storeFullD(to: usize, room: usize, d: f32, projected: f64): void {
  let sums = f32x4.splat(0)
  for (let at = room; at < room + 1024; at += 16) sums = f32x4.add(sums, f32x4.mul(v128.load(at, MAGNITUDES), v128.load(at, WEIGHED)))
  const full = storeHalf(to, <f32>min<f64>(<f64>sumOf(sums) / projected, <f64>d * MOST_GAIN))
  if (!(projected > 0 && full > d && full <= 65504)) storeHalf(to, d)
}

/** A block of zeros has no scales, and first groups. */
function clear(room: usize): void {
  for (let at = room; at < room + 128; at += 16) v128.store(at, i32x4.splat(0), GROUPS)
  v128.store(room, i32x4.splat(0), SCALES)
}
