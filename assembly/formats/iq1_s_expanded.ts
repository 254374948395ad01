// IQ1_S, expanded: an integer is 8n - 8, with n of two bits, and 1 more or less for all of 32 columns. The oracle is
// src/format/quants/iq1_s.ts, packing is in expanded_repack.ts.
//
// In a bank two groups of 4 rows stand side by side (pairs.ts): a 32-byte header (half.ts), then per 256 columns a unit
// of 560 bytes (8 x 50 in the file):
//     0   d  8 rows x f16, raised
//    16   2 times 128 columns, 272 bytes: scales (expanded.ts), of which the highest bit is 1 for a move down, then q,
//         4 sub-blocks x 2 x 2 vectors of 16 bytes, as in ternary.ts
// What is to be subtracted from 8n, 7 or 9, is subtracted once for each pair of sub-blocks, as scale * 7 * (sum of x).
import { expandOf, HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { evenMask, quadBytes } from '../lanes/quads'
import { addScaled, scaled } from '../lanes/scales'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'
import { firstOf, nextScales, scalesAt, secondOf } from './expanded'
import { addVector } from './ternary'

export const UNIT: usize = 560
export const HALF: usize = 272

/** The next pair of scales, of three bits. */
// @ts-ignore: decorator
@inline export function narrowScales(bytes: v128, one: v128): v128 {
  return v128.or(i16x8.shr_u(i16x8.shl(bytes, 13), 12), one)
}

/** The scales times 7, or 9 where the move is down. */
// @ts-ignore: decorator
@inline export function moved(scales: v128, bytes: v128, seven: v128): v128 {
  return i16x8.mul(scales, i16x8.add(seven, i16x8.shl(i16x8.shr_u(i16x8.shl(bytes, 12), 15), 1)))
}

/** The sum of the integers' products. */
// @ts-ignore: decorator
@inline export function total(isum: v128, sums: v128): v128 {
  return i32x4.sub(i32x4.shl(isum, 3), sums)
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token, in two strips (strips.ts). */
export function matmul_iq1_s_expanded_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const twoBits = held(0x03030303, blocks)
  const one = held(0x00010001, blocks)
  const seven = held(0x00070007, blocks)
  const even = evenMask(blocks)
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
      let c0 = i0
      let c1 = i0
      let d0 = i0
      let d1 = i0
      let y = x + b * 64 * quad
      let sum = sums + b * SUMS
      for (let at: usize = 16; at < UNIT; at += HALF) {
        let k = scalesAt(u + at, false)
        let l = scalesAt(u + at, true)
        let m = scalesAt(v + at, false)
        let n = scalesAt(v + at, true)
        let q = at + 16
        for (const end = at + HALF; q < end; ) {
          let s0 = i32x4.splat(0)
          let s1 = s0
          let t0 = s0
          let t1 = s0
          for (const stop = q + 64; q < stop; q += 32) {
            s0 = addVector(s0, v128.load(u + q), y, twoBits, even)
            s1 = addVector(s1, v128.load(u + q, 16), y, twoBits, even)
            t0 = addVector(t0, v128.load(v + q), y, twoBits, even)
            t1 = addVector(t1, v128.load(v + q, 16), y, twoBits, even)
            y += 4 * quad
          }
          let p0 = i32x4.splat(0)
          let p1 = p0
          let r0 = p0
          let r1 = p0
          for (const stop = q + 64; q < stop; q += 32) {
            p0 = addVector(p0, v128.load(u + q), y, twoBits, even)
            p1 = addVector(p1, v128.load(u + q, 16), y, twoBits, even)
            r0 = addVector(r0, v128.load(v + q), y, twoBits, even)
            r1 = addVector(r1, v128.load(v + q, 16), y, twoBits, even)
            y += 4 * quad
          }
          const pair = v128.load32_splat(sum)
          sum += 4
          const ek = narrowScales(k, one)
          const el = narrowScales(l, one)
          const em = narrowScales(m, one)
          const en = narrowScales(n, one)
          c0 = i32x4.add(c0, i32x4.dot_i16x8_s(moved(ek, k, seven), pair))
          c1 = i32x4.add(c1, i32x4.dot_i16x8_s(moved(el, l, seven), pair))
          d0 = i32x4.add(d0, i32x4.dot_i16x8_s(moved(em, m, seven), pair))
          d1 = i32x4.add(d1, i32x4.dot_i16x8_s(moved(en, n, seven), pair))
          i0 = i32x4.add(i0, i32x4.add(scaled(s0, firstOf(ek)), scaled(p0, secondOf(ek))))
          i1 = i32x4.add(i1, i32x4.add(scaled(s1, firstOf(el)), scaled(p1, secondOf(el))))
          j0 = i32x4.add(j0, i32x4.add(scaled(t0, firstOf(em)), scaled(r0, secondOf(em))))
          j1 = i32x4.add(j1, i32x4.add(scaled(t1, firstOf(en)), scaled(r1, secondOf(en))))
          k = nextScales(k)
          l = nextScales(l)
          m = nextScales(m)
          n = nextScales(n)
        }
      }
      const dx = v128.load32_splat(scales + b * 4)
      a0 = addScaled(a0, expandOf(v128.load16x4_s(u), mask, e0), dx, total(i0, c0))
      a1 = addScaled(a1, expandOf(v128.load16x4_s(u, 8), mask, e1), dx, total(i1, c1))
      b0 = addScaled(b0, expandOf(v128.load16x4_s(v), mask, f0), dx, total(j0, d0))
      b1 = addScaled(b1, expandOf(v128.load16x4_s(v, 8), mask, f1), dx, total(j1, d1))
      u += UNIT
      v += UNIT
    }
    storePair(out + g * 32, a0, a1, g * 2 + 1 < <usize>groups)
    storePair(out + (g + far) * 32, b0, b1, (g + far) * 2 + 1 < <usize>groups)
  }
}
