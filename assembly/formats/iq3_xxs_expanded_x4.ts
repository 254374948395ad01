// IQ3_XXS, expanded (iq3_xxs_expanded.ts), times four tokens.
import { expandOf, HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { addDot, addDot16, evenMask, quadBytes } from '../lanes/quads'
import { addScaled } from '../lanes/scales'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'
import { firstOf, nextScales, oddScales, scalesAt, secondOf } from './expanded'
import { HALF, UNIT } from './iq3_s_expanded'
import { addBoth, high, low, startOf } from './iq3_xxs_expanded'

/** The same for four tokens. Every output is the bits that `matmul_iq3_xxs_expanded_x1` gives. */
export function matmul_iq3_xxs_expanded_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const four = held(0x3c3c3c3c, blocks)
  const ones = held(0x01010101, blocks)
  const below = held(0x3b3b3b3b, blocks)
  const one = held(0x00010001, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const toStarts = activationSums(0, blocks) + 48
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
      let i1 = i0
      let j1 = i0
      let i2 = i0
      let j2 = i0
      let i3 = i0
      let j3 = i0
      let y = b * 64 * quad
      let start = toStarts + b * SUMS
      let q = w + 16
      for (const last = q + 2 * HALF; q < last; ) {
        let k = scalesAt(q, false)
        let l = scalesAt(q, true)
        q += 16
        for (const end = q + 512; q < end; ) {
          let s0 = startOf(x0 + start)
          let t0 = s0
          let p0 = startOf(x0 + start + 4)
          let r0 = p0
          let s1 = startOf(x1 + start)
          let t1 = s1
          let p1 = startOf(x1 + start + 4)
          let r1 = p1
          let s2 = startOf(x2 + start)
          let t2 = s2
          let p2 = startOf(x2 + start + 4)
          let r2 = p2
          let s3 = startOf(x3 + start)
          let t3 = s3
          let p3 = startOf(x3 + start + 4)
          let r3 = p3
          start += 8
          for (const stop = q + 128; q < stop; q += 32) {
            let u = low(v128.load(q), four, ones, below)
            let v = low(v128.load(q, 16), four, ones, below)
            s0 = addDot(s0, u, x0 + y, 0, even)
            t0 = addDot(t0, v, x0 + y, 0, even)
            s1 = addDot(s1, u, x1 + y, 0, even)
            t1 = addDot(t1, v, x1 + y, 0, even)
            s2 = addDot(s2, u, x2 + y, 0, even)
            t2 = addDot(t2, v, x2 + y, 0, even)
            s3 = addDot(s3, u, x3 + y, 0, even)
            t3 = addDot(t3, v, x3 + y, 0, even)
            u = high(v128.load(q), four, ones, below)
            v = high(v128.load(q, 16), four, ones, below)
            p0 = addDot16(p0, u, x0 + y, even)
            r0 = addDot16(r0, v, x0 + y, even)
            p1 = addDot16(p1, u, x1 + y, even)
            r1 = addDot16(r1, v, x1 + y, even)
            p2 = addDot16(p2, u, x2 + y, even)
            r2 = addDot16(r2, v, x2 + y, even)
            p3 = addDot16(p3, u, x3 + y, even)
            r3 = addDot16(r3, v, x3 + y, even)
            y += quad
          }
          y += 4 * quad
          let m = firstOf(oddScales(k, one))
          let n = firstOf(oddScales(l, one))
          i0 = addBoth(i0, s0, p0, m)
          j0 = addBoth(j0, t0, r0, n)
          i1 = addBoth(i1, s1, p1, m)
          j1 = addBoth(j1, t1, r1, n)
          i2 = addBoth(i2, s2, p2, m)
          j2 = addBoth(j2, t2, r2, n)
          i3 = addBoth(i3, s3, p3, m)
          j3 = addBoth(j3, t3, r3, n)
          s0 = startOf(x0 + start)
          t0 = s0
          p0 = startOf(x0 + start + 4)
          r0 = p0
          s1 = startOf(x1 + start)
          t1 = s1
          p1 = startOf(x1 + start + 4)
          r1 = p1
          s2 = startOf(x2 + start)
          t2 = s2
          p2 = startOf(x2 + start + 4)
          r2 = p2
          s3 = startOf(x3 + start)
          t3 = s3
          p3 = startOf(x3 + start + 4)
          r3 = p3
          start += 8
          for (const stop = q + 128; q < stop; q += 32) {
            let u = low(v128.load(q), four, ones, below)
            let v = low(v128.load(q, 16), four, ones, below)
            s0 = addDot(s0, u, x0 + y, 0, even)
            t0 = addDot(t0, v, x0 + y, 0, even)
            s1 = addDot(s1, u, x1 + y, 0, even)
            t1 = addDot(t1, v, x1 + y, 0, even)
            s2 = addDot(s2, u, x2 + y, 0, even)
            t2 = addDot(t2, v, x2 + y, 0, even)
            s3 = addDot(s3, u, x3 + y, 0, even)
            t3 = addDot(t3, v, x3 + y, 0, even)
            u = high(v128.load(q), four, ones, below)
            v = high(v128.load(q, 16), four, ones, below)
            p0 = addDot16(p0, u, x0 + y, even)
            r0 = addDot16(r0, v, x0 + y, even)
            p1 = addDot16(p1, u, x1 + y, even)
            r1 = addDot16(r1, v, x1 + y, even)
            p2 = addDot16(p2, u, x2 + y, even)
            r2 = addDot16(r2, v, x2 + y, even)
            p3 = addDot16(p3, u, x3 + y, even)
            r3 = addDot16(r3, v, x3 + y, even)
            y += quad
          }
          y += 4 * quad
          m = secondOf(oddScales(k, one))
          n = secondOf(oddScales(l, one))
          i0 = addBoth(i0, s0, p0, m)
          j0 = addBoth(j0, t0, r0, n)
          i1 = addBoth(i1, s1, p1, m)
          j1 = addBoth(j1, t1, r1, n)
          i2 = addBoth(i2, s2, p2, m)
          j2 = addBoth(j2, t2, r2, n)
          i3 = addBoth(i3, s3, p3, m)
          j3 = addBoth(j3, t3, r3, n)
          k = nextScales(k)
          l = nextScales(l)
        }
      }
      const scale = toScales + b * 4
      const factor0 = expandOf(v128.load16x4_s(w), mask, e)
      const factor1 = expandOf(v128.load16x4_s(w, 8), mask, f)
      a0 = addScaled(a0, factor0, v128.load32_splat(x0 + scale), i32x4.shl(i0, 1))
      b0 = addScaled(b0, factor1, v128.load32_splat(x0 + scale), i32x4.shl(j0, 1))
      a1 = addScaled(a1, factor0, v128.load32_splat(x1 + scale), i32x4.shl(i1, 1))
      b1 = addScaled(b1, factor1, v128.load32_splat(x1 + scale), i32x4.shl(j1, 1))
      a2 = addScaled(a2, factor0, v128.load32_splat(x2 + scale), i32x4.shl(i2, 1))
      b2 = addScaled(b2, factor1, v128.load32_splat(x2 + scale), i32x4.shl(j2, 1))
      a3 = addScaled(a3, factor0, v128.load32_splat(x3 + scale), i32x4.shl(i3, 1))
      b3 = addScaled(b3, factor1, v128.load32_splat(x3 + scale), i32x4.shl(j3, 1))
      w += UNIT
    }
    const both = g + 1 < <usize>groups
    storePair(out0 + g * 16, a0, b0, both)
    storePair(out1 + g * 16, a1, b1, both)
    storePair(out2 + g * 16, a2, b2, both)
    storePair(out3 + g * 16, a3, b3, both)
  }
}
