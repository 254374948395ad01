// Q6_K: 256 weights of a row in 16 sub-blocks of 16, weight = d * scale * (q - 32). The oracle is
// src/format/quants/q6_k.ts, packing is in q6_k_repack.ts.
//
// Two groups of 4 rows stand side by side (pairs.ts): a 32-byte header (half.ts), then per 256 columns a unit of 1680
// bytes (2 x 840):
//     0   d     8 rows x f16, raised
//    16   scale 16 sub-blocks x 8 rows x i8
//   144   q     8 pairs of sub-blocks x 6 x 2 vectors of 16 bytes; byte 4r + c is for row r.
//               Of the pair's eight quads of columns, quad k (columns 4k + c) is in
//                   bits     0-5      6-7
//           vectors 0        quad 0   bits 4, 5 of quad 6
//           vectors 1        quad 1   bits 2, 3 of quad 6
//           vectors 2        quad 2   bits 0, 1 of quad 6
//           vectors 3 to 5   quad 3 to 5, and the same bits of quad 7
//           so that six quads of eight are a mask.
// The 32 is subtracted where the sum of a sub-block starts, at -32 times the sum of x. With that, 16 columns fit 16
// bits: at most 4 * 2 * 32 * 127 = 32512 in an i16 lane. On the way a lane may wrap around, and it wraps back.
import { expandOf, HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { addDot, evenMask, quadBytes, startFrom } from '../lanes/quads'
import { addScaled, scaled, spread } from '../lanes/scales'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'

export const UNIT: usize = 1680
const SIX: i32 = 0x3f3f3f3f
export const UPPER: i32 = 0x30303030
export const MIDDLE: i32 = 0x0c0c0c0c
export const LOWER: i32 = 0x03030303

/**
 * Quad 6 of the pair whose vectors are at q + 144, or quad 7 of those at q + 144 - 96, of the first or second group.
 */
// @ts-ignore: decorator
@inline export function joined(q: usize, second: bool, upper: v128, middle: v128, lower: v128): v128 {
  const a = second ? v128.load(q, 160) : v128.load(q, 144)
  const b = second ? v128.load(q, 192) : v128.load(q, 176)
  const c = second ? v128.load(q, 224) : v128.load(q, 208)
  return v128.or(v128.or(v128.and(i16x8.shr_u(a, 2), upper), v128.and(i16x8.shr_u(b, 4), middle)), v128.and(i16x8.shr_u(c, 6), lower))
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token, in two strips (strips.ts). */
export function matmul_q6_k_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const six = held(SIX, blocks)
  const upper = held(UPPER, blocks)
  const middle = held(MIDDLE, blocks)
  const lower = held(LOWER, blocks)
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
      for (let k: usize = 0; k < 8; k++) {
        let s0 = startFrom(start)
        let s1 = s0
        let t0 = s0
        let t1 = s0
        let q = k * 192
        for (const stop = q + 128; q < stop; q += 32) {
          s0 = addDot(s0, v128.and(v128.load(u + q, 144), six), y, 0, even)
          s1 = addDot(s1, v128.and(v128.load(u + q, 160), six), y, 0, even)
          t0 = addDot(t0, v128.and(v128.load(v + q, 144), six), y, 0, even)
          t1 = addDot(t1, v128.and(v128.load(v + q, 160), six), y, 0, even)
          y += quad
        }
        let m = v128.load8x8_s(u + k * 16, 16)
        i0 = i32x4.add(i0, scaled(s0, spread(m, false)))
        i1 = i32x4.add(i1, scaled(s1, spread(m, true)))
        m = v128.load8x8_s(v + k * 16, 16)
        j0 = i32x4.add(j0, scaled(t0, spread(m, false)))
        j1 = i32x4.add(j1, scaled(t1, spread(m, true)))
        s0 = startFrom(start + 4)
        s1 = s0
        t0 = s0
        t1 = s0
        for (const stop = q + 64; q < stop; q += 32) {
          s0 = addDot(s0, v128.and(v128.load(u + q, 144), six), y, 0, even)
          s1 = addDot(s1, v128.and(v128.load(u + q, 160), six), y, 0, even)
          t0 = addDot(t0, v128.and(v128.load(v + q, 144), six), y, 0, even)
          t1 = addDot(t1, v128.and(v128.load(v + q, 160), six), y, 0, even)
          y += quad
        }
        q -= 192
        for (const stop = q + 192; q < stop; q += 96) {
          s0 = addDot(s0, joined(u + q, false, upper, middle, lower), y, 0, even)
          s1 = addDot(s1, joined(u + q, true, upper, middle, lower), y, 0, even)
          t0 = addDot(t0, joined(v + q, false, upper, middle, lower), y, 0, even)
          t1 = addDot(t1, joined(v + q, true, upper, middle, lower), y, 0, even)
          y += quad
        }
        m = v128.load8x8_s(u + k * 16, 24)
        i0 = i32x4.add(i0, scaled(s0, spread(m, false)))
        i1 = i32x4.add(i1, scaled(s1, spread(m, true)))
        m = v128.load8x8_s(v + k * 16, 24)
        j0 = i32x4.add(j0, scaled(t0, spread(m, false)))
        j1 = i32x4.add(j1, scaled(t1, spread(m, true)))
        start += 8
      }
      const dx = v128.load32_splat(scales + b * 4)
      a0 = addScaled(a0, expandOf(v128.load16x4_s(u), mask, e0), dx, i0)
      a1 = addScaled(a1, expandOf(v128.load16x4_s(u, 8), mask, e1), dx, i1)
      b0 = addScaled(b0, expandOf(v128.load16x4_s(v), mask, f0), dx, j0)
      b1 = addScaled(b1, expandOf(v128.load16x4_s(v, 8), mask, f1), dx, j1)
      u += UNIT
      v += UNIT
    }
    storePair(out + g * 32, a0, a1, g * 2 + 1 < <usize>groups)
    storePair(out + (g + far) * 32, b0, b1, (g + far) * 2 + 1 < <usize>groups)
  }
}

/** The same for four tokens. Every output is the bits that `matmul_q6_k_x1` gives. */
export function matmul_q6_k_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const six = held(SIX, blocks)
  const upper = held(UPPER, blocks)
  const middle = held(MIDDLE, blocks)
  const lower = held(LOWER, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const toScales = activationScales(0, blocks)
  const toStarts = activationSums(0, blocks) + 48
  let w = weights
  for (let g: usize = 0; g < <usize>groups; g += 2) {
    const e = v128.load(w)
    const f = v128.load(w, 16)
    w += 32
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    let b0 = a0
    let b1 = a0
    let b2 = a0
    let b3 = a0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let i0 = i32x4.splat(0)
      let i1 = i0
      let i2 = i0
      let i3 = i0
      let j0 = i0
      let j1 = i0
      let j2 = i0
      let j3 = i0
      let y = b * 64 * quad
      let start = toStarts + b * SUMS
      for (let k: usize = 0; k < 8; k++) {
        let s0 = startFrom(x0 + start)
        let s1 = startFrom(x1 + start)
        let s2 = startFrom(x2 + start)
        let s3 = startFrom(x3 + start)
        let t0 = s0
        let t1 = s1
        let t2 = s2
        let t3 = s3
        let q = w + k * 192
        for (const stop = q + 128; q < stop; q += 32) {
          const u = v128.and(v128.load(q, 144), six)
          const v = v128.and(v128.load(q, 160), six)
          s0 = addDot(s0, u, x0 + y, 0, even)
          t0 = addDot(t0, v, x0 + y, 0, even)
          s1 = addDot(s1, u, x1 + y, 0, even)
          t1 = addDot(t1, v, x1 + y, 0, even)
          s2 = addDot(s2, u, x2 + y, 0, even)
          t2 = addDot(t2, v, x2 + y, 0, even)
          s3 = addDot(s3, u, x3 + y, 0, even)
          t3 = addDot(t3, v, x3 + y, 0, even)
          y += quad
        }
        let scales = v128.load8x8_s(w + k * 16, 16)
        let m = spread(scales, false)
        let n = spread(scales, true)
        i0 = i32x4.add(i0, scaled(s0, m))
        j0 = i32x4.add(j0, scaled(t0, n))
        i1 = i32x4.add(i1, scaled(s1, m))
        j1 = i32x4.add(j1, scaled(t1, n))
        i2 = i32x4.add(i2, scaled(s2, m))
        j2 = i32x4.add(j2, scaled(t2, n))
        i3 = i32x4.add(i3, scaled(s3, m))
        j3 = i32x4.add(j3, scaled(t3, n))
        s0 = startFrom(x0 + start + 4)
        s1 = startFrom(x1 + start + 4)
        s2 = startFrom(x2 + start + 4)
        s3 = startFrom(x3 + start + 4)
        t0 = s0
        t1 = s1
        t2 = s2
        t3 = s3
        for (const stop = q + 64; q < stop; q += 32) {
          const u = v128.and(v128.load(q, 144), six)
          const v = v128.and(v128.load(q, 160), six)
          s0 = addDot(s0, u, x0 + y, 0, even)
          t0 = addDot(t0, v, x0 + y, 0, even)
          s1 = addDot(s1, u, x1 + y, 0, even)
          t1 = addDot(t1, v, x1 + y, 0, even)
          s2 = addDot(s2, u, x2 + y, 0, even)
          t2 = addDot(t2, v, x2 + y, 0, even)
          s3 = addDot(s3, u, x3 + y, 0, even)
          t3 = addDot(t3, v, x3 + y, 0, even)
          y += quad
        }
        q -= 192
        for (const stop = q + 192; q < stop; q += 96) {
          const u = joined(q, false, upper, middle, lower)
          const v = joined(q, true, upper, middle, lower)
          s0 = addDot(s0, u, x0 + y, 0, even)
          t0 = addDot(t0, v, x0 + y, 0, even)
          s1 = addDot(s1, u, x1 + y, 0, even)
          t1 = addDot(t1, v, x1 + y, 0, even)
          s2 = addDot(s2, u, x2 + y, 0, even)
          t2 = addDot(t2, v, x2 + y, 0, even)
          s3 = addDot(s3, u, x3 + y, 0, even)
          t3 = addDot(t3, v, x3 + y, 0, even)
          y += quad
        }
        scales = v128.load8x8_s(w + k * 16, 24)
        m = spread(scales, false)
        n = spread(scales, true)
        i0 = i32x4.add(i0, scaled(s0, m))
        j0 = i32x4.add(j0, scaled(t0, n))
        i1 = i32x4.add(i1, scaled(s1, m))
        j1 = i32x4.add(j1, scaled(t1, n))
        i2 = i32x4.add(i2, scaled(s2, m))
        j2 = i32x4.add(j2, scaled(t2, n))
        i3 = i32x4.add(i3, scaled(s3, m))
        j3 = i32x4.add(j3, scaled(t3, n))
        start += 8
      }
      const d = v128.load16x4_s(w)
      const h = v128.load16x4_s(w, 8)
      const scale = toScales + b * 4
      a0 = addScaled(a0, expandOf(d, mask, e), v128.load32_splat(x0 + scale), i0)
      b0 = addScaled(b0, expandOf(h, mask, f), v128.load32_splat(x0 + scale), j0)
      a1 = addScaled(a1, expandOf(d, mask, e), v128.load32_splat(x1 + scale), i1)
      b1 = addScaled(b1, expandOf(h, mask, f), v128.load32_splat(x1 + scale), j1)
      a2 = addScaled(a2, expandOf(d, mask, e), v128.load32_splat(x2 + scale), i2)
      b2 = addScaled(b2, expandOf(h, mask, f), v128.load32_splat(x2 + scale), j2)
      a3 = addScaled(a3, expandOf(d, mask, e), v128.load32_splat(x3 + scale), i3)
      b3 = addScaled(b3, expandOf(h, mask, f), v128.load32_splat(x3 + scale), j3)
      w += UNIT
    }
    const both = g + 1 < <usize>groups
    storePair(out0 + g * 16, a0, b0, both)
    storePair(out1 + g * 16, a1, b1, both)
    storePair(out2 + g * 16, a2, b2, both)
    storePair(out3 + g * 16, a3, b3, both)
  }
}
