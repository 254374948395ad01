// IQ3_XXS, expanded: an integer is twice 4n - 30, with a nibble n, and 2 more or less at the ends. The oracle is
// src/format/quants/iq3_xxs.ts, packing is in expanded_repack.ts, the layout that of iq3_s_expanded.ts.
//
// Half an integer, plus 31, is a byte: 4n, 1 more for n > 0, and 1 more for n = 15. The 31 is subtracted where a sum
// starts. With that, 16 columns fit 16 bits: at most 4 * 2 * 31 * 127 = 31496 in a lane. On the way it may wrap around,
// and it wraps back.
import { expandOf, HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { addDot, addDot16, evenMask, quadBytes } from '../lanes/quads'
import { addScaled, scaled } from '../lanes/scales'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'
import { firstOf, nextScales, oddScales, scalesAt, secondOf } from './expanded'
import { HALF, UNIT } from './iq3_s_expanded'

/** 4n to half an integer plus 31. */
// @ts-ignore: decorator
@inline function halves(fours: v128, one: v128, below: v128): v128 {
  return i8x16.add(i8x16.add(fours, i8x16.min_u(fours, one)), i8x16.sub_sat_u(fours, below))
}

/** Of low nibbles. */
// @ts-ignore: decorator
@inline export function low(w: v128, four: v128, one: v128, below: v128): v128 {
  return halves(v128.and(i16x8.shl(w, 2), four), one, below)
}

/** Of high nibbles. */
// @ts-ignore: decorator
@inline export function high(w: v128, four: v128, one: v128, below: v128): v128 {
  return halves(v128.and(i16x8.shr_u(w, 2), four), one, below)
}

/** The start of a sum over 16 columns: -31 times the sum of x. The pair at `starts` holds -32 times it. */
// @ts-ignore: decorator
@inline export function startOf(starts: usize): v128 {
  const pair = v128.load32_splat(starts)
  const start = i16x8.sub(pair, i16x8.shr_s(pair, 5))
  return ASC_FEATURE_RELAXED_SIMD ? start : i32x4.extadd_pairwise_i16x8_s(start)
}

/** The scaled sum of a sub-block's two halves. */
// @ts-ignore: decorator
@inline export function addBoth(isum: v128, first: v128, second: v128, scale: v128): v128 {
  return i32x4.add(isum, i32x4.add(scaled(first, scale), scaled(second, scale)))
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token, in two strips (strips.ts). */
export function matmul_iq3_xxs_expanded_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const four = held(0x3c3c3c3c, blocks)
  const ones = held(0x01010101, blocks)
  const below = held(0x3b3b3b3b, blocks)
  const one = held(0x00010001, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const scales = activationScales(x, blocks)
  const starts = activationSums(x, blocks) + 48
  const pairBytes = <usize>blocks * UNIT + 32
  const pairs = (<usize>groups + 1) >> 1
  const strip = (pairs + 1) >> 1
  const far = pairs - strip
  for (let g: usize = 0; g < strip; g++) {
    let u = weights + g * pairBytes
    let v = u + far * pairBytes
    const e0 = v128.load(u)
    const e1 = v128.load(u, 16)
    const f0 = v128.load(v)
    const f1 = v128.load(v, 16)
    u += 32
    v += 32
    let a0 = f32x4.splat(0)
    let a1 = a0
    let b0 = a0
    let b1 = a0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let i0 = i32x4.splat(0)
      let i1 = i0
      let j0 = i0
      let j1 = i0
      let y = x + b * 64 * quad
      let start = starts + b * SUMS
      for (let at: usize = 16; at < UNIT; at += HALF) {
        let k = scalesAt(u + at, false)
        let l = scalesAt(u + at, true)
        let m = scalesAt(v + at, false)
        let n = scalesAt(v + at, true)
        let q = at + 16
        for (const end = at + HALF; q < end; ) {
          let s0 = startOf(start)
          let s1 = s0
          let t0 = s0
          let t1 = s0
          let p0 = startOf(start + 4)
          let p1 = p0
          let r0 = p0
          let r1 = p0
          start += 8
          for (const stop = q + 128; q < stop; q += 32) {
            s0 = addDot(s0, low(v128.load(u + q), four, ones, below), y, 0, even)
            s1 = addDot(s1, low(v128.load(u + q, 16), four, ones, below), y, 0, even)
            t0 = addDot(t0, low(v128.load(v + q), four, ones, below), y, 0, even)
            t1 = addDot(t1, low(v128.load(v + q, 16), four, ones, below), y, 0, even)
            p0 = addDot16(p0, high(v128.load(u + q), four, ones, below), y, even)
            p1 = addDot16(p1, high(v128.load(u + q, 16), four, ones, below), y, even)
            r0 = addDot16(r0, high(v128.load(v + q), four, ones, below), y, even)
            r1 = addDot16(r1, high(v128.load(v + q, 16), four, ones, below), y, even)
            y += quad
          }
          y += 4 * quad
          i0 = addBoth(i0, s0, p0, firstOf(oddScales(k, one)))
          i1 = addBoth(i1, s1, p1, firstOf(oddScales(l, one)))
          j0 = addBoth(j0, t0, r0, firstOf(oddScales(m, one)))
          j1 = addBoth(j1, t1, r1, firstOf(oddScales(n, one)))
          s0 = startOf(start)
          s1 = s0
          t0 = s0
          t1 = s0
          p0 = startOf(start + 4)
          p1 = p0
          r0 = p0
          r1 = p0
          start += 8
          for (const stop = q + 128; q < stop; q += 32) {
            s0 = addDot(s0, low(v128.load(u + q), four, ones, below), y, 0, even)
            s1 = addDot(s1, low(v128.load(u + q, 16), four, ones, below), y, 0, even)
            t0 = addDot(t0, low(v128.load(v + q), four, ones, below), y, 0, even)
            t1 = addDot(t1, low(v128.load(v + q, 16), four, ones, below), y, 0, even)
            p0 = addDot16(p0, high(v128.load(u + q), four, ones, below), y, even)
            p1 = addDot16(p1, high(v128.load(u + q, 16), four, ones, below), y, even)
            r0 = addDot16(r0, high(v128.load(v + q), four, ones, below), y, even)
            r1 = addDot16(r1, high(v128.load(v + q, 16), four, ones, below), y, even)
            y += quad
          }
          y += 4 * quad
          i0 = addBoth(i0, s0, p0, secondOf(oddScales(k, one)))
          i1 = addBoth(i1, s1, p1, secondOf(oddScales(l, one)))
          j0 = addBoth(j0, t0, r0, secondOf(oddScales(m, one)))
          j1 = addBoth(j1, t1, r1, secondOf(oddScales(n, one)))
          k = nextScales(k)
          l = nextScales(l)
          m = nextScales(m)
          n = nextScales(n)
        }
      }
      const dx = v128.load32_splat(scales + b * 4)
      a0 = addScaled(a0, expandOf(v128.load16x4_s(u), mask, e0), dx, i32x4.shl(i0, 1))
      a1 = addScaled(a1, expandOf(v128.load16x4_s(u, 8), mask, e1), dx, i32x4.shl(i1, 1))
      b0 = addScaled(b0, expandOf(v128.load16x4_s(v), mask, f0), dx, i32x4.shl(j0, 1))
      b1 = addScaled(b1, expandOf(v128.load16x4_s(v, 8), mask, f1), dx, i32x4.shl(j1, 1))
      u += UNIT
      v += UNIT
    }
    storePair(out + g * 32, a0, a1, g * 2 + 1 < <usize>groups)
    storePair(out + (g + far) * 32, b0, b1, (g + far) * 2 + 1 < <usize>groups)
  }
}
