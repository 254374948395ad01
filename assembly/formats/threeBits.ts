// Products of weights of three bits with a scale for each 16 columns: IQ2_XXS, IQ2_XS, IQ2_S and IQ1_M, expanded. The
// oracles are in src/format/quants/, packing is in expanded_repack.ts. A code n of 0 to 5 stands for an integer, of
// which a byte is made, as many or half as many more than the least:
//     n           0    1    2    3    4    5
//     IQ2       -43  -25   -8    8   25   43      17 n + (bit 0 of n xor bit 1 of n) - 43
//     IQ1_M      -9   -7   -1    1    7    9      2 (n + (n without bit 0)) - 9
// What the least is, is subtracted once for 32 columns, as scale * least * (sum of x). Bytes of IQ2 are up to 86: two
// products fill 16 bits, so they are scaled at once. Those of IQ1_M are summed first.
//
// In a bank two groups of 4 rows stand side by side (pairs.ts): a 32-byte header (half.ts), then per 256 columns a unit
// of 848 bytes:
//     0   d  8 rows x f16, raised
//    16   4 times 64 columns, 208 bytes: scales (expanded.ts), then q, 2 sub-blocks of 32 x 3 x 2 vectors of 16 bytes;
//         byte 4r + c is for row r. Of the eight quads of columns, quad k (columns 4k + c) is in
//             bits    0-2      3-5      6-7
//         vector 0    quad 0   quad 4   low bits of quad 3
//         vector 1    quad 1   quad 5   low bits of quad 7
//         vector 2    quad 2   quad 6   bit 6: high bit of quad 3, bit 7: high bit of quad 7
//         Quad 3 is vector 0 from bit 6 on, exclusive or vector 2 from bit 4 on; quad 7 is vector 1 from bit 6 on,
//         exclusive or vector 2 from bit 5 on: what else gets there is known at load time, and allowed for.
import { expandOf, HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { addDot, dot, evenMask, quadBytes } from '../lanes/quads'
import { addScaled, scaled } from '../lanes/scales'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'
import { firstOf, nextScales, oddScales, scalesAt, secondOf } from './expanded'

export const UNIT: usize = 848
export const QUARTER: usize = 208

/** Quad 3 of eight. */
// @ts-ignore: decorator
@inline export function third(v: v128, w: v128, three: v128): v128 {
  return v128.and(v128.xor(i16x8.shr_u(v, 6), i16x8.shr_u(w, 4)), three)
}

/** Quad 7. */
// @ts-ignore: decorator
@inline export function seventh(v: v128, w: v128, three: v128): v128 {
  return v128.and(v128.xor(i16x8.shr_u(v, 6), i16x8.shr_u(w, 5)), three)
}

/** Codes to bytes. two: whether of IQ2. bits: 1 in each byte, in IQ1_M 6, held. factor: 17 in each half, held. */
// @ts-ignore: decorator
@inline export function bytesOf(n: v128, two: bool, bits: v128, factor: v128): v128 {
  if (!two) return i8x16.add(n, v128.and(n, bits))
  return i8x16.add(i16x8.mul(n, factor), v128.and(v128.xor(n, i16x8.shr_u(n, 1)), bits))
}

/** Adds 4 rows x 4 columns of bytes times quad `quad` at x: IQ2's in relaxed-simd scaled, all others not. */
// @ts-ignore: decorator
@inline export function addBytes(sum: v128, bytes: v128, x: usize, quad: usize, scale: v128, two: bool, even: v128): v128 {
  if (two && ASC_FEATURE_RELAXED_SIMD) return i32x4.add(sum, scaled(dot(bytes, x, quad, even), scale))
  return addDot(sum, bytes, x, quad, even)
}

/** Adds a sum of `addBytes`, scaled. */
// @ts-ignore: decorator
@inline export function addSum(isum: v128, sum: v128, scale: v128, two: bool): v128 {
  return i32x4.add(isum, two && ASC_FEATURE_RELAXED_SIMD ? sum : scaled(sum, scale))
}

/** The sum of the integers' products, from those of bytes and of ones, both times scales. */
// @ts-ignore: decorator
@inline export function total(isum: v128, ones: v128, two: bool): v128 {
  if (!two) return i32x4.sub(i32x4.shl(isum, 1), i32x4.add(i32x4.shl(ones, 3), ones))
  const ones43 = i32x4.add(i32x4.add(i32x4.shl(ones, 5), i32x4.shl(ones, 3)), i32x4.add(i32x4.shl(ones, 1), ones))
  return i32x4.sub(isum, ones43)
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token, in two strips (strips.ts). */
// @ts-ignore: decorator
@inline export function threeBitsX1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize, two: bool): void {
  const three = held(0x07070707, blocks)
  const bits = held(two ? 0x01010101 : 0x06060606, blocks)
  const factor = held(0x00110011, blocks)
  const one = held(0x00010001, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const scales = activationScales(x, blocks)
  const sums = activationSums(x, blocks) + 16
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
      let c0 = i0
      let c1 = i0
      let d0 = i0
      let d1 = i0
      let y = x + b * 64 * quad
      let sum = sums + b * SUMS
      for (let at: usize = 16; at < UNIT; at += QUARTER) {
        let k = scalesAt(u + at, false)
        let l = scalesAt(u + at, true)
        let m = scalesAt(v + at, false)
        let n = scalesAt(v + at, true)
        let q = at + 16
        for (const end = at + QUARTER; q < end; ) {
          const pair = v128.load32_splat(sum)
          sum += 4
          const ek = oddScales(k, one)
          const el = oddScales(l, one)
          const em = oddScales(m, one)
          const en = oddScales(n, one)
          c0 = i32x4.add(c0, i32x4.dot_i16x8_s(ek, pair))
          c1 = i32x4.add(c1, i32x4.dot_i16x8_s(el, pair))
          d0 = i32x4.add(d0, i32x4.dot_i16x8_s(em, pair))
          d1 = i32x4.add(d1, i32x4.dot_i16x8_s(en, pair))
          const fk = firstOf(ek)
          const gk = secondOf(ek)
          const fl = firstOf(el)
          const gl = secondOf(el)
          const fm = firstOf(em)
          const gm = secondOf(em)
          const fn = firstOf(en)
          const gn = secondOf(en)
          let s0 = i32x4.splat(0)
          let s1 = s0
          let t0 = s0
          let t1 = s0
          let p0 = s0
          let p1 = s0
          let r0 = s0
          let r1 = s0
          for (const stop = q + 96; q < stop; q += 32) {
            s0 = addBytes(s0, bytesOf(v128.and(v128.load(u + q), three), two, bits, factor), y, 0, fk, two, even)
            s1 = addBytes(s1, bytesOf(v128.and(v128.load(u + q, 16), three), two, bits, factor), y, 0, fl, two, even)
            t0 = addBytes(t0, bytesOf(v128.and(v128.load(v + q), three), two, bits, factor), y, 0, fm, two, even)
            t1 = addBytes(t1, bytesOf(v128.and(v128.load(v + q, 16), three), two, bits, factor), y, 0, fn, two, even)
            p0 = addBytes(p0, bytesOf(v128.and(i16x8.shr_u(v128.load(u + q), 3), three), two, bits, factor), y, 4, gk, two, even)
            p1 = addBytes(p1, bytesOf(v128.and(i16x8.shr_u(v128.load(u + q, 16), 3), three), two, bits, factor), y, 4, gl, two, even)
            r0 = addBytes(r0, bytesOf(v128.and(i16x8.shr_u(v128.load(v + q), 3), three), two, bits, factor), y, 4, gm, two, even)
            r1 = addBytes(r1, bytesOf(v128.and(i16x8.shr_u(v128.load(v + q, 16), 3), three), two, bits, factor), y, 4, gn, two, even)
            y += quad
          }
          q -= 96
          s0 = addBytes(s0, bytesOf(third(v128.load(u + q), v128.load(u + q, 64), three), two, bits, factor), y, 0, fk, two, even)
          s1 = addBytes(s1, bytesOf(third(v128.load(u + q, 16), v128.load(u + q, 80), three), two, bits, factor), y, 0, fl, two, even)
          t0 = addBytes(t0, bytesOf(third(v128.load(v + q), v128.load(v + q, 64), three), two, bits, factor), y, 0, fm, two, even)
          t1 = addBytes(t1, bytesOf(third(v128.load(v + q, 16), v128.load(v + q, 80), three), two, bits, factor), y, 0, fn, two, even)
          p0 = addBytes(p0, bytesOf(seventh(v128.load(u + q, 32), v128.load(u + q, 64), three), two, bits, factor), y, 4, gk, two, even)
          p1 = addBytes(p1, bytesOf(seventh(v128.load(u + q, 48), v128.load(u + q, 80), three), two, bits, factor), y, 4, gl, two, even)
          r0 = addBytes(r0, bytesOf(seventh(v128.load(v + q, 32), v128.load(v + q, 64), three), two, bits, factor), y, 4, gm, two, even)
          r1 = addBytes(r1, bytesOf(seventh(v128.load(v + q, 48), v128.load(v + q, 80), three), two, bits, factor), y, 4, gn, two, even)
          q += 96
          y += 5 * quad
          i0 = addSum(addSum(i0, s0, fk, two), p0, gk, two)
          i1 = addSum(addSum(i1, s1, fl, two), p1, gl, two)
          j0 = addSum(addSum(j0, t0, fm, two), r0, gm, two)
          j1 = addSum(addSum(j1, t1, fn, two), r1, gn, two)
          k = nextScales(k)
          l = nextScales(l)
          m = nextScales(m)
          n = nextScales(n)
        }
      }
      const dx = v128.load32_splat(scales + b * 4)
      a0 = addScaled(a0, expandOf(v128.load16x4_s(u), mask, e0), dx, total(i0, c0, two))
      a1 = addScaled(a1, expandOf(v128.load16x4_s(u, 8), mask, e1), dx, total(i1, c1, two))
      b0 = addScaled(b0, expandOf(v128.load16x4_s(v), mask, f0), dx, total(j0, d0, two))
      b1 = addScaled(b1, expandOf(v128.load16x4_s(v, 8), mask, f1), dx, total(j1, d1, two))
      u += UNIT
      v += UNIT
    }
    storePair(out + g * 32, a0, a1, g * 2 + 1 < <usize>groups)
    storePair(out + (g + far) * 32, b0, b1, (g + far) * 2 + 1 < <usize>groups)
  }
}
