// The first 160 bytes of a unit of Q4_K and Q5_K, two groups side by side (pairs.ts): repacked at load time, and
// applied to the sums of a unit's products.
//     0   d and dmin, 8 rows x f16 each, raised
//    32   8 sub-blocks x 8 rows of scales
//    96   4 pairs of sub-blocks x 8 rows x (even, odd) of mins
// In the file both blocks open with d, dmin and twelve bytes of packed 6-bit scales and mins. The twelve bytes a, b, c,
// four each: scales 0..3 are the low 6 bits of a, mins 0..3 of b; scales 4..7 are the low, mins 4..7 the high nibbles
// of c, with the high two bits of a and of b above them.
import { expandOf } from '../lanes/half'
import { fourRows, quadOf, rowAt, storeScales } from '../lanes/rows'
import { addScaled, subtractScaled } from '../lanes/scales'

/** Sum over one unit of min * (sum of x over the sub-block), of its first or second group. m0 to m3: pairs of sums. */
// @ts-ignore: decorator
@inline function minSum(w: usize, second: bool, m0: v128, m1: v128, m2: v128, m3: v128): v128 {
  let m = i32x4.dot_i16x8_s(second ? v128.load8x8_u(w, 104) : v128.load8x8_u(w, 96), m0)
  m = i32x4.add(m, i32x4.dot_i16x8_s(second ? v128.load8x8_u(w, 120) : v128.load8x8_u(w, 112), m1))
  m = i32x4.add(m, i32x4.dot_i16x8_s(second ? v128.load8x8_u(w, 136) : v128.load8x8_u(w, 128), m2))
  return i32x4.add(m, i32x4.dot_i16x8_s(second ? v128.load8x8_u(w, 152) : v128.load8x8_u(w, 144), m3))
}

/** acc + d * dx * isum - dmin * dx * msum, in this order. */
// @ts-ignore: decorator
@inline export function finish(acc: v128, w: usize, second: bool, dx: v128, isum: v128, sums: usize, mask: v128, factor: v128): v128 {
  return finishWith(acc, w, second, dx, isum, v128.load32_splat(sums), v128.load32_splat(sums, 4), v128.load32_splat(sums, 8), v128.load32_splat(sums, 12), mask, factor)
}

/**
 * The same with the pairs of sums loaded. Two strips must share them: V8 makes no 256-bit operation of neighbors that
 * have one operand in common with other neighbors, and one not.
 */
// @ts-ignore: decorator
@inline export function finishWith(acc: v128, w: usize, second: bool, dx: v128, isum: v128, m0: v128, m1: v128, m2: v128, m3: v128, mask: v128, factor: v128): v128 {
  const d = expandOf(second ? v128.load16x4_s(w, 8) : v128.load16x4_s(w), mask, factor)
  const dmin = expandOf(second ? v128.load16x4_s(w, 24) : v128.load16x4_s(w, 16), mask, factor)
  return subtractScaled(addScaled(acc, d, dx, isum), dmin, dx, minSum(w, second, m0, m1, m2, m3))
}

// Stores two groups' 4 rows of pairs: 8 rows of first, then 8 rows of second pairs.
// @ts-ignore: decorator
@inline function storePairs(dst: usize, g: v128, h: v128): void {
  v128.store(dst, v128.shuffle<i16>(g, h, 0, 2, 4, 6, 8, 10, 12, 14))
  v128.store(dst, v128.shuffle<i16>(g, h, 1, 3, 5, 7, 9, 11, 13, 15), 16)
}

// The low four bits of c, and above them the high two of each byte of v.
// @ts-ignore: decorator
@inline function split(c: v128, v: v128): v128 {
  return v128.or(v128.and(c, i8x16.splat(0x0f)), v128.and(i16x8.shr_u(v, 2), i8x16.splat(0x30)))
}

/** Packs the blocks at src of up to eight rows into the first 160 bytes of a unit, d and dmin as in the file. */
export function packScalesAndMins(src: usize, rowBytes: usize, rows: i32, dst: usize): void {
  const r0 = v128.load(rowAt(src, rowBytes, 0, rows))
  const r1 = v128.load(rowAt(src, rowBytes, 1, rows))
  const r2 = v128.load(rowAt(src, rowBytes, 2, rows))
  const r3 = v128.load(rowAt(src, rowBytes, 3, rows))
  const r4 = v128.load(rowAt(src, rowBytes, 4, rows))
  const r5 = v128.load(rowAt(src, rowBytes, 5, rows))
  const r6 = v128.load(rowAt(src, rowBytes, 6, rows))
  const r7 = v128.load(rowAt(src, rowBytes, 7, rows))
  const first = fourRows(rows)
  const second = fourRows(rows - 4)
  storePairs(dst, v128.and(quadOf(0, r0, r1, r2, r3), first), v128.and(quadOf(0, r4, r5, r6, r7), second))
  const a = v128.and(quadOf(1, r0, r1, r2, r3), first)
  const b = v128.and(quadOf(2, r0, r1, r2, r3), first)
  const c = v128.and(quadOf(3, r0, r1, r2, r3), first)
  const d = v128.and(quadOf(1, r4, r5, r6, r7), second)
  const e = v128.and(quadOf(2, r4, r5, r6, r7), second)
  const f = v128.and(quadOf(3, r4, r5, r6, r7), second)
  const six = i8x16.splat(0x3f)
  storeScales(dst + 32, v128.and(a, six), v128.and(d, six))
  storeScales(dst + 64, split(c, a), split(f, d))
  storePairs(dst + 96, v128.and(b, six), v128.and(e, six))
  storePairs(dst + 128, split(i16x8.shr_u(c, 4), b), split(i16x8.shr_u(f, 4), e))
}
