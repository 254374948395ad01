// Q6_K (q6_k.ts) times two tokens, as q4_k_x2.ts does it. T: the lanes of sums (sums.ts).
import { expandOf, HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { evenMask, quadBytes, wholeBytes } from '../lanes/quads'
import { addScaled } from '../lanes/scales'
import { add, scaledBy, spreadOf, startOf } from '../lanes/sums'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'
import { joined, LOWER, MIDDLE, UNIT, UPPER } from './q6_k'

/**
 * out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x each of two tokens. Every output is the bits that
 * `matmul_q6_k_x1` gives.
 */
export function matmul_q6_k_x2(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, out0: usize, out1: usize): void {
  if (!ASC_FEATURE_RELAXED_SIMD || wholeBytes(blocks)) strips2<i32>(weights, groups, blocks, x0, x1, out0, out1)
  else strips2<i16>(weights, groups, blocks, x0, x1, out0, out1)
}

function strips2<T>(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, out0: usize, out1: usize): void {
  const six = held(0x3f3f3f3f, blocks)
  const upper = held(UPPER, blocks)
  const middle = held(MIDDLE, blocks)
  const lower = held(LOWER, blocks)
  const ones = held(0x00010001, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const toScales = activationScales(0, blocks)
  const toStarts = activationSums(0, blocks) + 48
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
    let b0 = a0
    let c0 = a0
    let d0 = a0
    let a1 = a0
    let b1 = a0
    let c1 = a0
    let d1 = a0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let i0 = i32x4.splat(0)
      let j0 = i0
      let k0 = i0
      let l0 = i0
      let i1 = i0
      let j1 = i0
      let k1 = i0
      let l1 = i0
      let y = b * 64 * quad
      let start = toStarts + b * SUMS
      for (let pair: usize = 0; pair < 8; pair++) {
        let s0 = startOf<T>(x0 + start, ones)
        let s1 = startOf<T>(x1 + start, ones)
        let t0 = s0
        let p0 = s0
        let r0 = s0
        let t1 = s1
        let p1 = s1
        let r1 = s1
        let q = pair * 192
        for (const stop = q + 128; q < stop; q += 32) {
          const u0 = v128.and(v128.load(u + q, 144), six)
          const u1 = v128.and(v128.load(u + q, 160), six)
          const v0 = v128.and(v128.load(v + q, 144), six)
          const v1 = v128.and(v128.load(v + q, 160), six)
          s0 = add<T>(s0, u0, x0 + y, even)
          t0 = add<T>(t0, u1, x0 + y, even)
          p0 = add<T>(p0, v0, x0 + y, even)
          r0 = add<T>(r0, v1, x0 + y, even)
          s1 = add<T>(s1, u0, x1 + y, even)
          t1 = add<T>(t1, u1, x1 + y, even)
          p1 = add<T>(p1, v0, x1 + y, even)
          r1 = add<T>(r1, v1, x1 + y, even)
          y += quad
        }
        let scales = v128.load8x8_s(u + pair * 16, 16)
        let m = spreadOf<T>(scales, false)
        let n = spreadOf<T>(scales, true)
        i0 = i32x4.add(i0, scaledBy<T>(s0, m))
        j0 = i32x4.add(j0, scaledBy<T>(t0, n))
        i1 = i32x4.add(i1, scaledBy<T>(s1, m))
        j1 = i32x4.add(j1, scaledBy<T>(t1, n))
        scales = v128.load8x8_s(v + pair * 16, 16)
        m = spreadOf<T>(scales, false)
        n = spreadOf<T>(scales, true)
        k0 = i32x4.add(k0, scaledBy<T>(p0, m))
        l0 = i32x4.add(l0, scaledBy<T>(r0, n))
        k1 = i32x4.add(k1, scaledBy<T>(p1, m))
        l1 = i32x4.add(l1, scaledBy<T>(r1, n))
        s0 = startOf<T>(x0 + start + 4, ones)
        s1 = startOf<T>(x1 + start + 4, ones)
        t0 = s0
        p0 = s0
        r0 = s0
        t1 = s1
        p1 = s1
        r1 = s1
        for (const stop = q + 64; q < stop; q += 32) {
          const u0 = v128.and(v128.load(u + q, 144), six)
          const u1 = v128.and(v128.load(u + q, 160), six)
          const v0 = v128.and(v128.load(v + q, 144), six)
          const v1 = v128.and(v128.load(v + q, 160), six)
          s0 = add<T>(s0, u0, x0 + y, even)
          t0 = add<T>(t0, u1, x0 + y, even)
          p0 = add<T>(p0, v0, x0 + y, even)
          r0 = add<T>(r0, v1, x0 + y, even)
          s1 = add<T>(s1, u0, x1 + y, even)
          t1 = add<T>(t1, u1, x1 + y, even)
          p1 = add<T>(p1, v0, x1 + y, even)
          r1 = add<T>(r1, v1, x1 + y, even)
          y += quad
        }
        q -= 192
        for (const stop = q + 192; q < stop; q += 96) {
          const u0 = joined(u + q, false, upper, middle, lower)
          const u1 = joined(u + q, true, upper, middle, lower)
          const v0 = joined(v + q, false, upper, middle, lower)
          const v1 = joined(v + q, true, upper, middle, lower)
          s0 = add<T>(s0, u0, x0 + y, even)
          t0 = add<T>(t0, u1, x0 + y, even)
          p0 = add<T>(p0, v0, x0 + y, even)
          r0 = add<T>(r0, v1, x0 + y, even)
          s1 = add<T>(s1, u0, x1 + y, even)
          t1 = add<T>(t1, u1, x1 + y, even)
          p1 = add<T>(p1, v0, x1 + y, even)
          r1 = add<T>(r1, v1, x1 + y, even)
          y += quad
        }
        scales = v128.load8x8_s(u + pair * 16, 24)
        m = spreadOf<T>(scales, false)
        n = spreadOf<T>(scales, true)
        i0 = i32x4.add(i0, scaledBy<T>(s0, m))
        j0 = i32x4.add(j0, scaledBy<T>(t0, n))
        i1 = i32x4.add(i1, scaledBy<T>(s1, m))
        j1 = i32x4.add(j1, scaledBy<T>(t1, n))
        scales = v128.load8x8_s(v + pair * 16, 24)
        m = spreadOf<T>(scales, false)
        n = spreadOf<T>(scales, true)
        k0 = i32x4.add(k0, scaledBy<T>(p0, m))
        l0 = i32x4.add(l0, scaledBy<T>(r0, n))
        k1 = i32x4.add(k1, scaledBy<T>(p1, m))
        l1 = i32x4.add(l1, scaledBy<T>(r1, n))
        start += 8
      }
      const scale = toScales + b * 4
      let dx = v128.load32_splat(x0 + scale)
      a0 = addScaled(a0, expandOf(v128.load16x4_s(u), mask, e0), dx, i0)
      b0 = addScaled(b0, expandOf(v128.load16x4_s(u, 8), mask, e1), dx, j0)
      c0 = addScaled(c0, expandOf(v128.load16x4_s(v), mask, f0), dx, k0)
      d0 = addScaled(d0, expandOf(v128.load16x4_s(v, 8), mask, f1), dx, l0)
      dx = v128.load32_splat(x1 + scale)
      a1 = addScaled(a1, expandOf(v128.load16x4_s(u), mask, e0), dx, i1)
      b1 = addScaled(b1, expandOf(v128.load16x4_s(u, 8), mask, e1), dx, j1)
      c1 = addScaled(c1, expandOf(v128.load16x4_s(v), mask, f0), dx, k1)
      d1 = addScaled(d1, expandOf(v128.load16x4_s(v, 8), mask, f1), dx, l1)
      u += UNIT
      v += UNIT
    }
    const h = g + far
    const both = g * 2 + 1 < <usize>groups
    const bothFar = h * 2 + 1 < <usize>groups
    storePair(out0 + g * 32, a0, b0, both)
    storePair(out1 + g * 32, a1, b1, both)
    storePair(out0 + h * 32, c0, d0, bothFar)
    storePair(out1 + h * 32, c1, d1, bothFar)
  }
}
