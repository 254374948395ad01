// Q4_K: 256 weights of a row in 8 sub-blocks of 32, weight = d * scale * q - dmin * min. The oracle is
// src/format/quants/q4_k.ts.
//
// In a bank two groups of 4 rows stand side by side (pairs.ts): a 32-byte header (half.ts), then per 256 columns a unit
// of 1184 bytes (2 x 576 in the file):
//     0   d     8 rows x f16, raised
//    16   dmin  8 rows x f16, raised
//    32   scale 8 sub-blocks x 8 rows x u8
//    96   min   4 pairs of sub-blocks x 8 rows x (even u8, odd u8)
//   160   q     8 sub-blocks x 4 x 2 vectors of 16 bytes; vectors j: low nibbles = columns 4j..4j+3 of 4 rows,
//                                                                  high nibbles = columns 16+4j..16+4j+3
import { HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { quadBytes } from '../lanes/quads'
import { fourRows, quadOf, rowAt } from '../lanes/rows'
import { scaled, spread } from '../lanes/scales'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'
import { raiseScales } from './halves_repack'
import { finish, packScalesAndMins } from './scaleMinSuperblock'

export const UNIT: usize = 1184
// relaxed-simd takes nibbles as bytes, simd as 16-bit lanes, the even columns of a quad and then the odd
export const NIBBLE: i32 = ASC_FEATURE_RELAXED_SIMD ? 0x0f0f0f0f : 0x000f000f

/** Sum of a vector's two quads. */
// @ts-ignore: decorator
@inline export function quads(w: v128, x: usize, nibble: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) {
    const low = i16x8.relaxed_dot_i8x16_i7x16_s(v128.load32_splat(x), v128.and(w, nibble))
    return i16x8.add(low, i16x8.relaxed_dot_i8x16_i7x16_s(v128.load32_splat(x, 16), v128.and(i16x8.shr_u(w, 4), nibble)))
  }
  const low = i32x4.add(i32x4.dot_i16x8_s(v128.and(w, nibble), v128.load32_splat(x)), i32x4.dot_i16x8_s(v128.and(i16x8.shr_u(w, 8), nibble), v128.load32_splat(x, 4)))
  const high = i32x4.dot_i16x8_s(v128.and(i16x8.shr_u(w, 4), nibble), v128.load32_splat(x, 32))
  return i32x4.add(i32x4.add(low, high), i32x4.dot_i16x8_s(i16x8.shr_u(w, 12), v128.load32_splat(x, 36)))
}

/** Adds a vector's two quads. A sub-block sums to at most 8 * 2 * 15 * 127 = 30480 in an i16 lane. */
// @ts-ignore: decorator
@inline export function addQuads(sum: v128, w: v128, x: usize, nibble: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) {
    sum = i16x8.add(sum, i16x8.relaxed_dot_i8x16_i7x16_s(v128.load32_splat(x), v128.and(w, nibble)))
    return i16x8.add(sum, i16x8.relaxed_dot_i8x16_i7x16_s(v128.load32_splat(x, 16), v128.and(i16x8.shr_u(w, 4), nibble)))
  }
  sum = i32x4.add(sum, i32x4.dot_i16x8_s(v128.and(w, nibble), v128.load32_splat(x)))
  sum = i32x4.add(sum, i32x4.dot_i16x8_s(v128.and(i16x8.shr_u(w, 8), nibble), v128.load32_splat(x, 4)))
  sum = i32x4.add(sum, i32x4.dot_i16x8_s(v128.and(i16x8.shr_u(w, 4), nibble), v128.load32_splat(x, 32)))
  return i32x4.add(sum, i32x4.dot_i16x8_s(i16x8.shr_u(w, 12), v128.load32_splat(x, 36)))
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token, in two strips (strips.ts). */
export function matmul_q4_k_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const nibble = held(NIBBLE, blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const scales = activationScales(x, blocks)
  const sums = activationSums(x, blocks)
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
      for (let s: usize = 0; s < 8; s++) {
        let q = s * 128
        let s0 = quads(v128.load(u + q, 160), y, nibble)
        let s1 = quads(v128.load(u + q, 176), y, nibble)
        let t0 = quads(v128.load(v + q, 160), y, nibble)
        let t1 = quads(v128.load(v + q, 176), y, nibble)
        for (const stop = q + 96; q < stop; ) {
          q += 32
          y += quad
          s0 = addQuads(s0, v128.load(u + q, 160), y, nibble)
          s1 = addQuads(s1, v128.load(u + q, 176), y, nibble)
          t0 = addQuads(t0, v128.load(v + q, 160), y, nibble)
          t1 = addQuads(t1, v128.load(v + q, 176), y, nibble)
        }
        let m = v128.load8x8_u(u + s * 8, 32)
        i0 = i32x4.add(i0, scaled(s0, spread(m, false)))
        i1 = i32x4.add(i1, scaled(s1, spread(m, true)))
        m = v128.load8x8_u(v + s * 8, 32)
        j0 = i32x4.add(j0, scaled(t0, spread(m, false)))
        j1 = i32x4.add(j1, scaled(t1, spread(m, true)))
        y += 5 * quad
      }
      const dx = v128.load32_splat(scales + b * 4)
      const sum = sums + b * SUMS
      a0 = finish(a0, u, false, dx, i0, sum, mask, e0)
      a1 = finish(a1, u, true, dx, i1, sum, mask, e1)
      b0 = finish(b0, v, false, dx, j0, sum, mask, f0)
      b1 = finish(b1, v, true, dx, j1, sum, mask, f1)
      u += UNIT
      v += UNIT
    }
    storePair(out + g * 32, a0, a1, g * 2 + 1 < <usize>groups)
    storePair(out + (g + far) * 32, b0, b1, (g + far) * 2 + 1 < <usize>groups)
  }
}

/**
 * The same for four tokens: weights are unpacked once for four tokens, a quad of a token is loaded once for eight rows.
 * The innermost loop is short on purpose: engines that reorder loads then find too few of them to run out of registers.
 * Every output is the bits that `matmul_q4_k_x1` gives.
 */
export function matmul_q4_k_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const nibble = held(NIBBLE, blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const toScales = activationScales(0, blocks)
  const toSums = activationSums(0, blocks)
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
      for (let s: usize = 0; s < 8; s++) {
        let q = w + s * 128
        let y = (b * 64 + s * 8) * quad
        let u = v128.load(q, 160)
        let v = v128.load(q, 176)
        let s0 = quads(u, x0 + y, nibble)
        let t0 = quads(v, x0 + y, nibble)
        let s1 = quads(u, x1 + y, nibble)
        let t1 = quads(v, x1 + y, nibble)
        let s2 = quads(u, x2 + y, nibble)
        let t2 = quads(v, x2 + y, nibble)
        let s3 = quads(u, x3 + y, nibble)
        let t3 = quads(v, x3 + y, nibble)
        for (const stop = q + 96; q < stop; ) {
          q += 32
          y += quad
          u = v128.load(q, 160)
          v = v128.load(q, 176)
          s0 = addQuads(s0, u, x0 + y, nibble)
          t0 = addQuads(t0, v, x0 + y, nibble)
          s1 = addQuads(s1, u, x1 + y, nibble)
          t1 = addQuads(t1, v, x1 + y, nibble)
          s2 = addQuads(s2, u, x2 + y, nibble)
          t2 = addQuads(t2, v, x2 + y, nibble)
          s3 = addQuads(s3, u, x3 + y, nibble)
          t3 = addQuads(t3, v, x3 + y, nibble)
        }
        const scales = v128.load8x8_u(w + s * 8, 32)
        const m = spread(scales, false)
        const n = spread(scales, true)
        i0 = i32x4.add(i0, scaled(s0, m))
        j0 = i32x4.add(j0, scaled(t0, n))
        i1 = i32x4.add(i1, scaled(s1, m))
        j1 = i32x4.add(j1, scaled(t1, n))
        i2 = i32x4.add(i2, scaled(s2, m))
        j2 = i32x4.add(j2, scaled(t2, n))
        i3 = i32x4.add(i3, scaled(s3, m))
        j3 = i32x4.add(j3, scaled(t3, n))
      }
      const d = toScales + b * 4
      const m = toSums + b * SUMS
      const dx0 = v128.load32_splat(x0 + d)
      const dx1 = v128.load32_splat(x1 + d)
      const dx2 = v128.load32_splat(x2 + d)
      const dx3 = v128.load32_splat(x3 + d)
      a0 = finish(a0, w, false, dx0, i0, x0 + m, mask, e)
      b0 = finish(b0, w, true, dx0, j0, x0 + m, mask, f)
      a1 = finish(a1, w, false, dx1, i1, x1 + m, mask, e)
      b1 = finish(b1, w, true, dx1, j1, x1 + m, mask, f)
      a2 = finish(a2, w, false, dx2, i2, x2 + m, mask, e)
      b2 = finish(b2, w, true, dx2, j2, x2 + m, mask, f)
      a3 = finish(a3, w, false, dx3, i3, x3 + m, mask, e)
      b3 = finish(b3, w, true, dx3, j3, x3 + m, mask, f)
      w += UNIT
    }
    const both = g + 1 < <usize>groups
    storePair(out0 + g * 16, a0, b0, both)
    storePair(out1 + g * 16, a1, b1, both)
    storePair(out2 + g * 16, a2, b2, both)
    storePair(out3 + g * 16, a3, b3, both)
  }
}

/**
 * Packs the 128 bytes of nibbles of one block of each of four rows, from row `first` on, into 8 x 4 vectors at dst, 32
 * bytes apart.
 */
function packNibbles(src: usize, rowBytes: usize, first: i32, rows: i32, dst: usize): void {
  const p0 = rowAt(src, rowBytes, first, rows)
  const p1 = rowAt(src, rowBytes, first + 1, rows)
  const p2 = rowAt(src, rowBytes, first + 2, rows)
  const p3 = rowAt(src, rowBytes, first + 3, rows)
  const mask = fourRows(rows - first)
  const low = v128.and(held(0x0f0f0f0f, rows), mask)
  const high = v128.and(held(<i32>0xf0f0f0f0, rows), mask)
  for (let c: usize = 0; c < 128; c += 32) {
    const a0 = v128.load(p0 + c)
    const a1 = v128.load(p1 + c)
    const a2 = v128.load(p2 + c)
    const a3 = v128.load(p3 + c)
    const b0 = v128.load(p0 + c, 16)
    const b1 = v128.load(p1 + c, 16)
    const b2 = v128.load(p2 + c, 16)
    const b3 = v128.load(p3 + c, 16)
    storeNibbles(dst, quadOf(0, a0, a1, a2, a3), quadOf(0, b0, b1, b2, b3), low, high)
    storeNibbles(dst + 32, quadOf(1, a0, a1, a2, a3), quadOf(1, b0, b1, b2, b3), low, high)
    storeNibbles(dst + 64, quadOf(2, a0, a1, a2, a3), quadOf(2, b0, b1, b2, b3), low, high)
    storeNibbles(dst + 96, quadOf(3, a0, a1, a2, a3), quadOf(3, b0, b1, b2, b3), low, high)
    dst += 256
  }
}

// From a quad of columns 4j.. (a) and one of columns 16 + 4j.. (b) of two sub-blocks, those of the even and of the odd
// one.
// @ts-ignore: decorator
@inline function storeNibbles(dst: usize, a: v128, b: v128, low: v128, high: v128): void {
  v128.store(dst, v128.or(v128.and(a, low), v128.and(i16x8.shl(b, 4), high)))
  v128.store(dst, v128.or(v128.and(i16x8.shr_u(a, 4), low), v128.and(b, high)), 128)
}

/**
 * Packs `rows` consecutive rows of a file (144 bytes per 256 weights) into pairs of groups of four; missing rows become
 * zeros. Returns how many scales are not finite.
 */
export function repack_q4_k(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 144
  let bad = 0
  for (; rows > 0; rows -= 8) {
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const from = src + b * 144
      const unit = dst + 32 + b * UNIT
      packScalesAndMins(from, rowBytes, rows, unit)
      packNibbles(from + 16, rowBytes, 0, rows, unit + 160)
      packNibbles(from + 16, rowBytes, 4, rows, unit + 176)
    }
    bad += raiseScales(dst, 32, blocks, UNIT, 2)
    src += rowBytes * 8
    dst += <usize>blocks * UNIT + 32
  }
  return bad
}
