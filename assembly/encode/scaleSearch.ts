// The search for the scales of sub-blocks without a min (Q3_K, Q6_K), four sub-blocks at a time, a lane each. The
// oracle is src/format/quants/scaleSearch.ts. Candidates are tried two at a time, which loads the weights once for both
// and hides the latency of the sums. The last is tried twice, which changes nothing.
import { shareOfSquares, weighImportance } from './importance'
import { interleave, inverseOf, nearestQuant, roundSigned, storeHalf } from './rounding'

const LEAST: f32 = 1e-30

// Layout of `room`: 256 signed quants, 16 scales as float32, then as integers, then the shares of four sub-blocks, and
// their weights or quants.
// @ts-ignore: decorator
@inline const SCALES: usize = 256
// @ts-ignore: decorator
@inline const INTEGERS: usize = 320
// @ts-ignore: decorator
@inline const SHARES: usize = 384
/** After the shares of sub-blocks of 16, how much errors count. */
// @ts-ignore: decorator
@inline const WEIGHTS: usize = 256

/**
 * Quantizes 256 float32 at src: writes d as a half to `d`, 16 scales to room + 320 (i32) and the quants to room (i8).
 * importance: 0, or that of the 256 columns as float32; `share` of the mean square goes with each weight's square, or
 * the importance counts alone if that is 0.
 */
// @ts-ignore: decorator
@inline export function quantizeScaled(src: usize, d: usize, room: usize, most: f32, mostScale: f32, coarse: bool, importance: usize, share: f32): void {
  const base: f32 = importance ? shareOfSquares(src, share) : 0
  for (let j: usize = 0; j < 4; j++) {
    const x = room + SHARES
    interleave(src + j * 256, 16, x)
    let scales: v128
    if (importance) {
      if (share == 0) interleave(importance + j * 256, 16, x + WEIGHTS)
      else weighImportance(importance + j * 256, x, 16, base, x + WEIGHTS)
      scales = findWeighedScales(x, most)
    } else scales = coarse ? findCoarseScales(x, most) : findScales(x, most)
    v128.store(room + SCALES + j * 16, scales)
  }
  let largest: f32 = 0
  for (let j: usize = 0; j < 16; j++) {
    const scale = load<f32>(room + j * 4, SCALES)
    if (abs(scale) > abs(largest)) largest = scale
  }
  const stored = f32x4.splat(storeHalf(d, largest / -mostScale))
  const inverse = f32x4.splat(largest == 0 ? 0 : -mostScale / largest)
  const least = f32x4.splat(-most)
  const top = f32x4.splat(most - 1)
  for (let j: usize = 0; j < 16; j += 4) {
    const at = room + j * 4
    const scales = nearestQuant(f32x4.mul(v128.load(at, SCALES), inverse), f32x4.splat(-mostScale), f32x4.splat(mostScale - 1))
    v128.store(at, i32x4.trunc_sat_f32x4_s(scales), INTEGERS)
    v128.store(at, inverseOf(f32x4.mul(stored, scales)), SCALES)
  }
  for (let j: usize = 0; j < 16; j++) {
    v128.store(room + j * 16, roundSigned(src + j * 64, v128.load32_splat(room + j * 4, SCALES), least, top))
  }
}

/**
 * Overwrites four sub-blocks of `size` at x, (size, 4 sub-blocks), with their shares of the value of largest magnitude
 * (the first, if several), and returns these values.
 */
// @ts-ignore: decorator
@inline function toShares(x: usize, size: usize): v128 {
  let largest = f32x4.splat(0)
  for (let p = x; p < x + size * 16; p += 16) {
    const value = v128.load(p)
    largest = v128.bitselect(value, largest, f32x4.gt(f32x4.abs(value), f32x4.abs(largest)))
  }
  const tiny = f32x4.lt(f32x4.abs(largest), f32x4.splat(LEAST))
  const inverse = f32x4.div(f32x4.splat(1), v128.bitselect(f32x4.splat(1), largest, tiny))
  for (let p = x; p < x + size * 16; p += 16) v128.store(p, f32x4.mul(v128.load(p), inverse))
  return largest
}

/** The scales of four sub-blocks, in which weights count with their squares. */
function findScales(x: usize, most: f32): v128 {
  return findScalesBy(x, 16, most, false)
}

/** The scales of four sub-blocks, in which weights count as WEIGHTS says. */
function findWeighedScales(x: usize, most: f32): v128 {
  return findScalesBy(x, 16, most, true)
}

/** The scales of four blocks of 32 at x, in which weights count as is said behind them. */
export function findScalesOf32(x: usize, most: f32): v128 {
  return findScalesBy(x, 32, most, true)
}

// @ts-ignore: decorator
@inline function findScalesBy(x: usize, size: usize, most: f32, weighed: bool): v128 {
  const largest = toShares(x, size)
  const tiny = f32x4.lt(f32x4.abs(largest), f32x4.splat(LEAST))
  const least = f32x4.splat(-most)
  const top = f32x4.splat(most - 1)
  const first = most - <f32>0.9
  let bestProducts = f32x4.splat(0)
  let bestSquares = f32x4.splat(1)
  for (let candidate = 0; candidate < 19; candidate += 2) {
    const m0 = f32x4.splat(-(first + <f32>candidate * <f32>0.1))
    const m1 = f32x4.splat(-(first + <f32>min(candidate + 1, 18) * <f32>0.1))
    let products0 = f32x4.splat(0)
    let squares0 = products0
    let products1 = products0
    let squares1 = products0
    for (let p = x; p < x + size * 16; p += 16) {
      const share = v128.load(p)
      const weight = weighed ? v128.load(p + size * 16) : f32x4.mul(share, share)
      const q0 = nearestQuant(f32x4.mul(m0, share), least, top)
      const w0 = f32x4.mul(weight, q0)
      products0 = f32x4.add(products0, f32x4.mul(w0, share))
      squares0 = f32x4.add(squares0, f32x4.mul(w0, q0))
      const q1 = nearestQuant(f32x4.mul(m1, share), least, top)
      const w1 = f32x4.mul(weight, q1)
      products1 = f32x4.add(products1, f32x4.mul(w1, share))
      squares1 = f32x4.add(squares1, f32x4.mul(w1, q1))
    }
    const better0 = explainsMore(products0, squares0, bestProducts, bestSquares)
    bestProducts = v128.bitselect(products0, bestProducts, better0)
    bestSquares = v128.bitselect(squares0, bestSquares, better0)
    const better1 = explainsMore(products1, squares1, bestProducts, bestSquares)
    bestProducts = v128.bitselect(products1, bestProducts, better1)
    bestSquares = v128.bitselect(squares1, bestSquares, better1)
  }
  return v128.andnot(f32x4.mul(f32x4.div(bestProducts, bestSquares), largest), tiny)
}

// @ts-ignore: decorator
@inline function explainsMore(products: v128, squares: v128, bestProducts: v128, bestSquares: v128): v128 {
  return f32x4.gt(f32x4.mul(f32x4.mul(products, products), bestSquares), f32x4.mul(f32x4.mul(bestProducts, bestProducts), squares))
}

/** The scales of four sub-blocks, by the method for few quants. */
function findCoarseScales(x: usize, most: f32): v128 {
  const quants = x + 256
  const largest = toShares(x, 16)
  const least = f32x4.splat(-most)
  const top = f32x4.splat(most - 1)
  let products = f32x4.splat(0)
  let squares = products
  for (let p: usize = 0; p < 256; p += 16) {
    const share = v128.load(x + p)
    const quant = nearestQuant(f32x4.mul(least, share), least, top)
    const weighted = f32x4.mul(f32x4.mul(share, share), quant)
    products = f32x4.add(products, f32x4.mul(weighted, share))
    squares = f32x4.add(squares, f32x4.mul(weighted, quant))
    v128.store(quants + p, quant)
  }
  const zero = f32x4.splat(0)
  const may = f32x4.lt(largest, zero)
  for (let round = 0; round < 5; round++) {
    let anyMoved = zero
    for (let p: usize = 0; p < 256; p += 16) {
      const share = v128.load(x + p)
      const quant = v128.load(quants + p)
      const weight = f32x4.mul(share, share)
      const weighted = f32x4.mul(weight, quant)
      const otherProducts = f32x4.sub(products, f32x4.mul(weighted, share))
      const otherSquares = f32x4.sub(squares, f32x4.mul(weighted, quant))
      const other = nearestQuant(f32x4.div(f32x4.mul(share, otherSquares), otherProducts), least, top)
      const moved = f32x4.mul(weight, other)
      const newProducts = f32x4.add(otherProducts, f32x4.mul(moved, share))
      const newSquares = f32x4.add(otherSquares, f32x4.mul(moved, other))
      const moves = v128.and(
        v128.and(may, v128.and(f32x4.lt(otherProducts, zero), f32x4.ne(other, quant))),
        explainsMore(newProducts, newSquares, products, squares),
      )
      v128.store(quants + p, v128.bitselect(other, quant, moves))
      products = v128.bitselect(newProducts, products, moves)
      squares = v128.bitselect(newSquares, squares, moves)
      anyMoved = v128.or(anyMoved, moves)
    }
    if (!v128.any_true(anyMoved)) break
  }
  const scale = f32x4.mul(f32x4.div(products, squares), largest)
  return v128.andnot(scale, f32x4.lt(f32x4.abs(largest), f32x4.splat(LEAST)))
}
