// Products of weights of three bits (threeBits.ts) with four tokens. The two halves of a sub-block are multiplied one
// after the other, so that sums and scales fit the registers.
import { expandOf, HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { evenMask, quadBytes } from '../lanes/quads'
import { addScaled } from '../lanes/scales'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'
import { firstOf, nextScales, oddScales, scalesAt, secondOf } from './expanded'
import { addBytes, addSum, bytesOf, QUARTER, seventh, third, total, UNIT } from './threeBits'

/** `threeBitsX1` for four tokens. Every output is the bits that it gives. */
// @ts-ignore: decorator
@inline export function threeBitsX4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize, two: bool): void {
  const three = held(0x07070707, blocks)
  const bits = held(two ? 0x01010101 : 0x06060606, blocks)
  const factor = held(0x00110011, blocks)
  const one = held(0x00010001, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const toSums = activationSums(0, blocks) + 16
  const toScales = activationScales(0, blocks)
  let w = weights
  for (let g: usize = 0; g < <usize>groups; g += 2) {
    const e = v128.load(w)
    const f = v128.load(w, 16)
    w += 32
    let a0 = f32x4.splat(0)
    let b0 = a0
    let a1 = a0
    let b1 = a0
    let a2 = a0
    let b2 = a0
    let a3 = a0
    let b3 = a0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let i0 = i32x4.splat(0)
      let j0 = i0
      let c0 = i0
      let d0 = i0
      let i1 = i0
      let j1 = i0
      let c1 = i0
      let d1 = i0
      let i2 = i0
      let j2 = i0
      let c2 = i0
      let d2 = i0
      let i3 = i0
      let j3 = i0
      let c3 = i0
      let d3 = i0
      let y = b * 64 * quad
      let sum = toSums + b * SUMS
      let q = w + 16
      for (const last = q + 4 * QUARTER; q < last; ) {
        let k = scalesAt(q, false)
        let l = scalesAt(q, true)
        q += 16
        for (const end = q + 192; q < end; ) {
          const m = oddScales(k, one)
          const n = oddScales(l, one)
          k = nextScales(k)
          l = nextScales(l)
          const pair0 = v128.load32_splat(x0 + sum)
          c0 = i32x4.add(c0, i32x4.dot_i16x8_s(m, pair0))
          d0 = i32x4.add(d0, i32x4.dot_i16x8_s(n, pair0))
          const pair1 = v128.load32_splat(x1 + sum)
          c1 = i32x4.add(c1, i32x4.dot_i16x8_s(m, pair1))
          d1 = i32x4.add(d1, i32x4.dot_i16x8_s(n, pair1))
          const pair2 = v128.load32_splat(x2 + sum)
          c2 = i32x4.add(c2, i32x4.dot_i16x8_s(m, pair2))
          d2 = i32x4.add(d2, i32x4.dot_i16x8_s(n, pair2))
          const pair3 = v128.load32_splat(x3 + sum)
          c3 = i32x4.add(c3, i32x4.dot_i16x8_s(m, pair3))
          d3 = i32x4.add(d3, i32x4.dot_i16x8_s(n, pair3))
          sum += 4
          let mm = firstOf(m)
          let nn = firstOf(n)
          let s0 = i32x4.splat(0)
          let t0 = s0
          let s1 = s0
          let t1 = s0
          let s2 = s0
          let t2 = s0
          let s3 = s0
          let t3 = s0
          for (const stop = q + 96; q < stop; q += 32) {
            const u = bytesOf(v128.and(v128.load(q), three), two, bits, factor)
            const v = bytesOf(v128.and(v128.load(q, 16), three), two, bits, factor)
            s0 = addBytes(s0, u, x0 + y, 0, mm, two, even)
            t0 = addBytes(t0, v, x0 + y, 0, nn, two, even)
            s1 = addBytes(s1, u, x1 + y, 0, mm, two, even)
            t1 = addBytes(t1, v, x1 + y, 0, nn, two, even)
            s2 = addBytes(s2, u, x2 + y, 0, mm, two, even)
            t2 = addBytes(t2, v, x2 + y, 0, nn, two, even)
            s3 = addBytes(s3, u, x3 + y, 0, mm, two, even)
            t3 = addBytes(t3, v, x3 + y, 0, nn, two, even)
            y += quad
          }
          q -= 96
          let u = bytesOf(third(v128.load(q), v128.load(q, 64), three), two, bits, factor)
          let v = bytesOf(third(v128.load(q, 16), v128.load(q, 80), three), two, bits, factor)
          s0 = addBytes(s0, u, x0 + y, 0, mm, two, even)
          t0 = addBytes(t0, v, x0 + y, 0, nn, two, even)
          s1 = addBytes(s1, u, x1 + y, 0, mm, two, even)
          t1 = addBytes(t1, v, x1 + y, 0, nn, two, even)
          s2 = addBytes(s2, u, x2 + y, 0, mm, two, even)
          t2 = addBytes(t2, v, x2 + y, 0, nn, two, even)
          s3 = addBytes(s3, u, x3 + y, 0, mm, two, even)
          t3 = addBytes(t3, v, x3 + y, 0, nn, two, even)
          i0 = addSum(i0, s0, mm, two)
          j0 = addSum(j0, t0, nn, two)
          i1 = addSum(i1, s1, mm, two)
          j1 = addSum(j1, t1, nn, two)
          i2 = addSum(i2, s2, mm, two)
          j2 = addSum(j2, t2, nn, two)
          i3 = addSum(i3, s3, mm, two)
          j3 = addSum(j3, t3, nn, two)
          y -= 3 * quad
          mm = secondOf(m)
          nn = secondOf(n)
          s0 = i32x4.splat(0)
          t0 = s0
          s1 = s0
          t1 = s0
          s2 = s0
          t2 = s0
          s3 = s0
          t3 = s0
          for (const stop = q + 96; q < stop; q += 32) {
            const u = bytesOf(v128.and(i16x8.shr_u(v128.load(q), 3), three), two, bits, factor)
            const v = bytesOf(v128.and(i16x8.shr_u(v128.load(q, 16), 3), three), two, bits, factor)
            s0 = addBytes(s0, u, x0 + y, 4, mm, two, even)
            t0 = addBytes(t0, v, x0 + y, 4, nn, two, even)
            s1 = addBytes(s1, u, x1 + y, 4, mm, two, even)
            t1 = addBytes(t1, v, x1 + y, 4, nn, two, even)
            s2 = addBytes(s2, u, x2 + y, 4, mm, two, even)
            t2 = addBytes(t2, v, x2 + y, 4, nn, two, even)
            s3 = addBytes(s3, u, x3 + y, 4, mm, two, even)
            t3 = addBytes(t3, v, x3 + y, 4, nn, two, even)
            y += quad
          }
          q -= 96
          u = bytesOf(seventh(v128.load(q, 32), v128.load(q, 64), three), two, bits, factor)
          v = bytesOf(seventh(v128.load(q, 48), v128.load(q, 80), three), two, bits, factor)
          s0 = addBytes(s0, u, x0 + y, 4, mm, two, even)
          t0 = addBytes(t0, v, x0 + y, 4, nn, two, even)
          s1 = addBytes(s1, u, x1 + y, 4, mm, two, even)
          t1 = addBytes(t1, v, x1 + y, 4, nn, two, even)
          s2 = addBytes(s2, u, x2 + y, 4, mm, two, even)
          t2 = addBytes(t2, v, x2 + y, 4, nn, two, even)
          s3 = addBytes(s3, u, x3 + y, 4, mm, two, even)
          t3 = addBytes(t3, v, x3 + y, 4, nn, two, even)
          i0 = addSum(i0, s0, mm, two)
          j0 = addSum(j0, t0, nn, two)
          i1 = addSum(i1, s1, mm, two)
          j1 = addSum(j1, t1, nn, two)
          i2 = addSum(i2, s2, mm, two)
          j2 = addSum(j2, t2, nn, two)
          i3 = addSum(i3, s3, mm, two)
          j3 = addSum(j3, t3, nn, two)
          q += 96
          y += 5 * quad
        }
      }
      const scale = toScales + b * 4
      const factor0 = expandOf(v128.load16x4_s(w), mask, e)
      const factor1 = expandOf(v128.load16x4_s(w, 8), mask, f)
      a0 = addScaled(a0, factor0, v128.load32_splat(x0 + scale), total(i0, c0, two))
      b0 = addScaled(b0, factor1, v128.load32_splat(x0 + scale), total(j0, d0, two))
      a1 = addScaled(a1, factor0, v128.load32_splat(x1 + scale), total(i1, c1, two))
      b1 = addScaled(b1, factor1, v128.load32_splat(x1 + scale), total(j1, d1, two))
      a2 = addScaled(a2, factor0, v128.load32_splat(x2 + scale), total(i2, c2, two))
      b2 = addScaled(b2, factor1, v128.load32_splat(x2 + scale), total(j2, d2, two))
      a3 = addScaled(a3, factor0, v128.load32_splat(x3 + scale), total(i3, c3, two))
      b3 = addScaled(b3, factor1, v128.load32_splat(x3 + scale), total(j3, d3, two))
      w += UNIT
    }
    const both = g + 1 < <usize>groups
    storePair(out0 + g * 16, a0, b0, both)
    storePair(out1 + g * 16, a1, b1, both)
    storePair(out2 + g * 16, a2, b2, both)
    storePair(out3 + g * 16, a3, b3, both)
  }
}
