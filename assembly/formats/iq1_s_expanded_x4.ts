// IQ1_S, expanded (iq1_s_expanded.ts), times four tokens.
import { expandOf, HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { addDot, evenMask, quadBytes } from '../lanes/quads'
import { addScaled, scaled } from '../lanes/scales'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'
import { firstOf, nextScales, scalesAt, secondOf } from './expanded'
import { HALF, moved, narrowScales, total, UNIT } from './iq1_s_expanded'
import { two } from './ternary'

/** The same for four tokens. Every output is the bits that `matmul_iq1_s_expanded_x1` gives. */
export function matmul_iq1_s_expanded_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const twoBits = held(0x03030303, blocks)
  const one = held(0x00010001, blocks)
  const seven = held(0x00070007, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const toSums = activationSums(0, blocks)
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
      for (const last = q + 2 * HALF; q < last; ) {
        let k = scalesAt(q, false)
        let l = scalesAt(q, true)
        q += 16
        for (const end = q + 256; q < end; ) {
          const m = narrowScales(k, one)
          const n = narrowScales(l, one)
          let s0 = i32x4.splat(0)
          let t0 = s0
          let s1 = s0
          let t1 = s0
          let s2 = s0
          let t2 = s0
          let s3 = s0
          let t3 = s0
          for (const stop = q + 64; q < stop; q += 32) {
            let u = two(v128.load(q), 0, twoBits)
            let v = two(v128.load(q, 16), 0, twoBits)
            s0 = addDot(s0, u, x0 + y, 0, even)
            t0 = addDot(t0, v, x0 + y, 0, even)
            s1 = addDot(s1, u, x1 + y, 0, even)
            t1 = addDot(t1, v, x1 + y, 0, even)
            s2 = addDot(s2, u, x2 + y, 0, even)
            t2 = addDot(t2, v, x2 + y, 0, even)
            s3 = addDot(s3, u, x3 + y, 0, even)
            t3 = addDot(t3, v, x3 + y, 0, even)
            u = two(v128.load(q), 1, twoBits)
            v = two(v128.load(q, 16), 1, twoBits)
            s0 = addDot(s0, u, x0 + y, 1, even)
            t0 = addDot(t0, v, x0 + y, 1, even)
            s1 = addDot(s1, u, x1 + y, 1, even)
            t1 = addDot(t1, v, x1 + y, 1, even)
            s2 = addDot(s2, u, x2 + y, 1, even)
            t2 = addDot(t2, v, x2 + y, 1, even)
            s3 = addDot(s3, u, x3 + y, 1, even)
            t3 = addDot(t3, v, x3 + y, 1, even)
            u = two(v128.load(q), 2, twoBits)
            v = two(v128.load(q, 16), 2, twoBits)
            s0 = addDot(s0, u, x0 + y, 2, even)
            t0 = addDot(t0, v, x0 + y, 2, even)
            s1 = addDot(s1, u, x1 + y, 2, even)
            t1 = addDot(t1, v, x1 + y, 2, even)
            s2 = addDot(s2, u, x2 + y, 2, even)
            t2 = addDot(t2, v, x2 + y, 2, even)
            s3 = addDot(s3, u, x3 + y, 2, even)
            t3 = addDot(t3, v, x3 + y, 2, even)
            u = two(v128.load(q), 3, twoBits)
            v = two(v128.load(q, 16), 3, twoBits)
            s0 = addDot(s0, u, x0 + y, 3, even)
            t0 = addDot(t0, v, x0 + y, 3, even)
            s1 = addDot(s1, u, x1 + y, 3, even)
            t1 = addDot(t1, v, x1 + y, 3, even)
            s2 = addDot(s2, u, x2 + y, 3, even)
            t2 = addDot(t2, v, x2 + y, 3, even)
            s3 = addDot(s3, u, x3 + y, 3, even)
            t3 = addDot(t3, v, x3 + y, 3, even)
            y += 4 * quad
          }
          let mm = firstOf(m)
          let nn = firstOf(n)
          i0 = i32x4.add(i0, scaled(s0, mm))
          j0 = i32x4.add(j0, scaled(t0, nn))
          i1 = i32x4.add(i1, scaled(s1, mm))
          j1 = i32x4.add(j1, scaled(t1, nn))
          i2 = i32x4.add(i2, scaled(s2, mm))
          j2 = i32x4.add(j2, scaled(t2, nn))
          i3 = i32x4.add(i3, scaled(s3, mm))
          j3 = i32x4.add(j3, scaled(t3, nn))
          s0 = i32x4.splat(0)
          t0 = s0
          s1 = s0
          t1 = s0
          s2 = s0
          t2 = s0
          s3 = s0
          t3 = s0
          for (const stop = q + 64; q < stop; q += 32) {
            let u = two(v128.load(q), 0, twoBits)
            let v = two(v128.load(q, 16), 0, twoBits)
            s0 = addDot(s0, u, x0 + y, 0, even)
            t0 = addDot(t0, v, x0 + y, 0, even)
            s1 = addDot(s1, u, x1 + y, 0, even)
            t1 = addDot(t1, v, x1 + y, 0, even)
            s2 = addDot(s2, u, x2 + y, 0, even)
            t2 = addDot(t2, v, x2 + y, 0, even)
            s3 = addDot(s3, u, x3 + y, 0, even)
            t3 = addDot(t3, v, x3 + y, 0, even)
            u = two(v128.load(q), 1, twoBits)
            v = two(v128.load(q, 16), 1, twoBits)
            s0 = addDot(s0, u, x0 + y, 1, even)
            t0 = addDot(t0, v, x0 + y, 1, even)
            s1 = addDot(s1, u, x1 + y, 1, even)
            t1 = addDot(t1, v, x1 + y, 1, even)
            s2 = addDot(s2, u, x2 + y, 1, even)
            t2 = addDot(t2, v, x2 + y, 1, even)
            s3 = addDot(s3, u, x3 + y, 1, even)
            t3 = addDot(t3, v, x3 + y, 1, even)
            u = two(v128.load(q), 2, twoBits)
            v = two(v128.load(q, 16), 2, twoBits)
            s0 = addDot(s0, u, x0 + y, 2, even)
            t0 = addDot(t0, v, x0 + y, 2, even)
            s1 = addDot(s1, u, x1 + y, 2, even)
            t1 = addDot(t1, v, x1 + y, 2, even)
            s2 = addDot(s2, u, x2 + y, 2, even)
            t2 = addDot(t2, v, x2 + y, 2, even)
            s3 = addDot(s3, u, x3 + y, 2, even)
            t3 = addDot(t3, v, x3 + y, 2, even)
            u = two(v128.load(q), 3, twoBits)
            v = two(v128.load(q, 16), 3, twoBits)
            s0 = addDot(s0, u, x0 + y, 3, even)
            t0 = addDot(t0, v, x0 + y, 3, even)
            s1 = addDot(s1, u, x1 + y, 3, even)
            t1 = addDot(t1, v, x1 + y, 3, even)
            s2 = addDot(s2, u, x2 + y, 3, even)
            t2 = addDot(t2, v, x2 + y, 3, even)
            s3 = addDot(s3, u, x3 + y, 3, even)
            t3 = addDot(t3, v, x3 + y, 3, even)
            y += 4 * quad
          }
          mm = secondOf(m)
          nn = secondOf(n)
          i0 = i32x4.add(i0, scaled(s0, mm))
          j0 = i32x4.add(j0, scaled(t0, nn))
          i1 = i32x4.add(i1, scaled(s1, mm))
          j1 = i32x4.add(j1, scaled(t1, nn))
          i2 = i32x4.add(i2, scaled(s2, mm))
          j2 = i32x4.add(j2, scaled(t2, nn))
          i3 = i32x4.add(i3, scaled(s3, mm))
          j3 = i32x4.add(j3, scaled(t3, nn))
          mm = moved(m, k, seven)
          nn = moved(n, l, seven)
          const pair0 = v128.load32_splat(x0 + sum)
          c0 = i32x4.add(c0, i32x4.dot_i16x8_s(mm, pair0))
          d0 = i32x4.add(d0, i32x4.dot_i16x8_s(nn, pair0))
          const pair1 = v128.load32_splat(x1 + sum)
          c1 = i32x4.add(c1, i32x4.dot_i16x8_s(mm, pair1))
          d1 = i32x4.add(d1, i32x4.dot_i16x8_s(nn, pair1))
          const pair2 = v128.load32_splat(x2 + sum)
          c2 = i32x4.add(c2, i32x4.dot_i16x8_s(mm, pair2))
          d2 = i32x4.add(d2, i32x4.dot_i16x8_s(nn, pair2))
          const pair3 = v128.load32_splat(x3 + sum)
          c3 = i32x4.add(c3, i32x4.dot_i16x8_s(mm, pair3))
          d3 = i32x4.add(d3, i32x4.dot_i16x8_s(nn, pair3))
          sum += 4
          k = nextScales(k)
          l = nextScales(l)
        }
      }
      const scale = toScales + b * 4
      const factor0 = expandOf(v128.load16x4_s(w), mask, e)
      const factor1 = expandOf(v128.load16x4_s(w, 8), mask, f)
      a0 = addScaled(a0, factor0, v128.load32_splat(x0 + scale), total(i0, c0))
      b0 = addScaled(b0, factor1, v128.load32_splat(x0 + scale), total(j0, d0))
      a1 = addScaled(a1, factor0, v128.load32_splat(x1 + scale), total(i1, c1))
      b1 = addScaled(b1, factor1, v128.load32_splat(x1 + scale), total(j1, d1))
      a2 = addScaled(a2, factor0, v128.load32_splat(x2 + scale), total(i2, c2))
      b2 = addScaled(b2, factor1, v128.load32_splat(x2 + scale), total(j2, d2))
      a3 = addScaled(a3, factor0, v128.load32_splat(x3 + scale), total(i3, c3))
      b3 = addScaled(b3, factor1, v128.load32_splat(x3 + scale), total(j3, d3))
      w += UNIT
    }
    const both = g + 1 < <usize>groups
    storePair(out0 + g * 16, a0, b0, both)
    storePair(out1 + g * 16, a1, b1, both)
    storePair(out2 + g * 16, a2, b2, both)
    storePair(out3 + g * 16, a3, b3, both)
  }
}
