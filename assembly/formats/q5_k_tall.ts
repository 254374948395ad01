// Q5_K (q5_k.ts) times four tokens in tall tiles, as q4_k_tall.ts does it. T: the lanes of sums (sums.ts).
import { HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { evenMask, quadBytes, wholeBytes } from '../lanes/quads'
import { add, scaledBy, spreadOf } from '../lanes/sums'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'
import { FIVE, inPlace, joined, lastQuad } from './fiveBits'
import { UNIT } from './q5_k'
import { finishWith } from './scaleMinSuperblock'

/** What `matmul_q5_k_x4` does, with the same bits. */
export function matmul_q5_k_x4_tall(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  if (!ASC_FEATURE_RELAXED_SIMD || wholeBytes(blocks)) strips4<i32>(weights, groups, blocks, x0, x1, x2, x3, out0, out1, out2, out3)
  else strips4<i16>(weights, groups, blocks, x0, x1, x2, x3, out0, out1, out2, out3)
}

function strips4<T>(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const five = held(FIVE, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const toScales = activationScales(0, blocks)
  const toSums = activationSums(0, blocks)
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
    let a2 = a0
    let b2 = a0
    let c2 = a0
    let d2 = a0
    let a3 = a0
    let b3 = a0
    let c3 = a0
    let d3 = a0
    let y: usize = 0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let i0 = i32x4.splat(0)
      let j0 = i0
      let k0 = i0
      let l0 = i0
      let i1 = i0
      let j1 = i0
      let k1 = i0
      let l1 = i0
      let i2 = i0
      let j2 = i0
      let k2 = i0
      let l2 = i0
      let i3 = i0
      let j3 = i0
      let k3 = i0
      let l3 = i0
      for (let s: usize = 0; s < 8; s++) {
        let s0 = i32x4.splat(0)
        let t0 = s0
        let p0 = s0
        let r0 = s0
        let s1 = s0
        let t1 = s0
        let p1 = s0
        let r1 = s0
        let s2 = s0
        let t2 = s0
        let p2 = s0
        let r2 = s0
        let s3 = s0
        let t3 = s0
        let p3 = s0
        let r3 = s0
        let q = s * 160 + 160
        for (const stop = q + 128; q < stop; q += 32) {
          const u0 = inPlace(u + q, false, five)
          const u1 = inPlace(u + q, true, five)
          const v0 = inPlace(v + q, false, five)
          const v1 = inPlace(v + q, true, five)
          s0 = add<T>(s0, u0, x0 + y, even)
          t0 = add<T>(t0, u1, x0 + y, even)
          p0 = add<T>(p0, v0, x0 + y, even)
          r0 = add<T>(r0, v1, x0 + y, even)
          s1 = add<T>(s1, u0, x1 + y, even)
          t1 = add<T>(t1, u1, x1 + y, even)
          p1 = add<T>(p1, v0, x1 + y, even)
          r1 = add<T>(r1, v1, x1 + y, even)
          s2 = add<T>(s2, u0, x2 + y, even)
          t2 = add<T>(t2, u1, x2 + y, even)
          p2 = add<T>(p2, v0, x2 + y, even)
          r2 = add<T>(r2, v1, x2 + y, even)
          s3 = add<T>(s3, u0, x3 + y, even)
          t3 = add<T>(t3, u1, x3 + y, even)
          p3 = add<T>(p3, v0, x3 + y, even)
          r3 = add<T>(r3, v1, x3 + y, even)
          y += quad
        }
        // 16 bits hold the sum of half a sub-block, 32 that of all of it
        if (sizeof<T>() == 2) {
          let scales = v128.load8x8_u(u + s * 8, 32)
          let m = spreadOf<T>(scales, false)
          let n = spreadOf<T>(scales, true)
          i0 = i32x4.add(i0, scaledBy<T>(s0, m))
          j0 = i32x4.add(j0, scaledBy<T>(t0, n))
          i1 = i32x4.add(i1, scaledBy<T>(s1, m))
          j1 = i32x4.add(j1, scaledBy<T>(t1, n))
          i2 = i32x4.add(i2, scaledBy<T>(s2, m))
          j2 = i32x4.add(j2, scaledBy<T>(t2, n))
          i3 = i32x4.add(i3, scaledBy<T>(s3, m))
          j3 = i32x4.add(j3, scaledBy<T>(t3, n))
          scales = v128.load8x8_u(v + s * 8, 32)
          m = spreadOf<T>(scales, false)
          n = spreadOf<T>(scales, true)
          k0 = i32x4.add(k0, scaledBy<T>(p0, m))
          l0 = i32x4.add(l0, scaledBy<T>(r0, n))
          k1 = i32x4.add(k1, scaledBy<T>(p1, m))
          l1 = i32x4.add(l1, scaledBy<T>(r1, n))
          k2 = i32x4.add(k2, scaledBy<T>(p2, m))
          l2 = i32x4.add(l2, scaledBy<T>(r2, n))
          k3 = i32x4.add(k3, scaledBy<T>(p3, m))
          l3 = i32x4.add(l3, scaledBy<T>(r3, n))
          s0 = i32x4.splat(0)
          t0 = s0
          p0 = s0
          r0 = s0
          s1 = s0
          t1 = s0
          p1 = s0
          r1 = s0
          s2 = s0
          t2 = s0
          p2 = s0
          r2 = s0
          s3 = s0
          t3 = s0
          p3 = s0
          r3 = s0
        }
        let u0 = inPlace(u + q, false, five)
        let u1 = inPlace(u + q, true, five)
        let v0 = inPlace(v + q, false, five)
        let v1 = inPlace(v + q, true, five)
        s0 = add<T>(s0, u0, x0 + y, even)
        t0 = add<T>(t0, u1, x0 + y, even)
        p0 = add<T>(p0, v0, x0 + y, even)
        r0 = add<T>(r0, v1, x0 + y, even)
        s1 = add<T>(s1, u0, x1 + y, even)
        t1 = add<T>(t1, u1, x1 + y, even)
        p1 = add<T>(p1, v0, x1 + y, even)
        r1 = add<T>(r1, v1, x1 + y, even)
        s2 = add<T>(s2, u0, x2 + y, even)
        t2 = add<T>(t2, u1, x2 + y, even)
        p2 = add<T>(p2, v0, x2 + y, even)
        r2 = add<T>(r2, v1, x2 + y, even)
        s3 = add<T>(s3, u0, x3 + y, even)
        t3 = add<T>(t3, u1, x3 + y, even)
        p3 = add<T>(p3, v0, x3 + y, even)
        r3 = add<T>(r3, v1, x3 + y, even)
        y += quad
        q -= 128
        for (const stop = q + 128; q < stop; q += 64) {
          const u0 = joined(u + q, false, five)
          const u1 = joined(u + q, true, five)
          const v0 = joined(v + q, false, five)
          const v1 = joined(v + q, true, five)
          s0 = add<T>(s0, u0, x0 + y, even)
          t0 = add<T>(t0, u1, x0 + y, even)
          p0 = add<T>(p0, v0, x0 + y, even)
          r0 = add<T>(r0, v1, x0 + y, even)
          s1 = add<T>(s1, u0, x1 + y, even)
          t1 = add<T>(t1, u1, x1 + y, even)
          p1 = add<T>(p1, v0, x1 + y, even)
          r1 = add<T>(r1, v1, x1 + y, even)
          s2 = add<T>(s2, u0, x2 + y, even)
          t2 = add<T>(t2, u1, x2 + y, even)
          p2 = add<T>(p2, v0, x2 + y, even)
          r2 = add<T>(r2, v1, x2 + y, even)
          s3 = add<T>(s3, u0, x3 + y, even)
          t3 = add<T>(t3, u1, x3 + y, even)
          p3 = add<T>(p3, v0, x3 + y, even)
          r3 = add<T>(r3, v1, x3 + y, even)
          y += quad
        }
        u0 = lastQuad(u + q - 128, false, five)
        u1 = lastQuad(u + q - 128, true, five)
        v0 = lastQuad(v + q - 128, false, five)
        v1 = lastQuad(v + q - 128, true, five)
        s0 = add<T>(s0, u0, x0 + y, even)
        t0 = add<T>(t0, u1, x0 + y, even)
        p0 = add<T>(p0, v0, x0 + y, even)
        r0 = add<T>(r0, v1, x0 + y, even)
        s1 = add<T>(s1, u0, x1 + y, even)
        t1 = add<T>(t1, u1, x1 + y, even)
        p1 = add<T>(p1, v0, x1 + y, even)
        r1 = add<T>(r1, v1, x1 + y, even)
        s2 = add<T>(s2, u0, x2 + y, even)
        t2 = add<T>(t2, u1, x2 + y, even)
        p2 = add<T>(p2, v0, x2 + y, even)
        r2 = add<T>(r2, v1, x2 + y, even)
        s3 = add<T>(s3, u0, x3 + y, even)
        t3 = add<T>(t3, u1, x3 + y, even)
        p3 = add<T>(p3, v0, x3 + y, even)
        r3 = add<T>(r3, v1, x3 + y, even)
        y += quad
        let scales = v128.load8x8_u(u + s * 8, 32)
        let m = spreadOf<T>(scales, false)
        let n = spreadOf<T>(scales, true)
        i0 = i32x4.add(i0, scaledBy<T>(s0, m))
        j0 = i32x4.add(j0, scaledBy<T>(t0, n))
        i1 = i32x4.add(i1, scaledBy<T>(s1, m))
        j1 = i32x4.add(j1, scaledBy<T>(t1, n))
        i2 = i32x4.add(i2, scaledBy<T>(s2, m))
        j2 = i32x4.add(j2, scaledBy<T>(t2, n))
        i3 = i32x4.add(i3, scaledBy<T>(s3, m))
        j3 = i32x4.add(j3, scaledBy<T>(t3, n))
        scales = v128.load8x8_u(v + s * 8, 32)
        m = spreadOf<T>(scales, false)
        n = spreadOf<T>(scales, true)
        k0 = i32x4.add(k0, scaledBy<T>(p0, m))
        l0 = i32x4.add(l0, scaledBy<T>(r0, n))
        k1 = i32x4.add(k1, scaledBy<T>(p1, m))
        l1 = i32x4.add(l1, scaledBy<T>(r1, n))
        k2 = i32x4.add(k2, scaledBy<T>(p2, m))
        l2 = i32x4.add(l2, scaledBy<T>(r2, n))
        k3 = i32x4.add(k3, scaledBy<T>(p3, m))
        l3 = i32x4.add(l3, scaledBy<T>(r3, n))
      }
      const d = toScales + b * 4
      const m = toSums + b * SUMS
      let dx = v128.load32_splat(x0 + d)
      let m0 = v128.load32_splat(x0 + m)
      let m1 = v128.load32_splat(x0 + m, 4)
      let m2 = v128.load32_splat(x0 + m, 8)
      let m3 = v128.load32_splat(x0 + m, 12)
      a0 = finishWith(a0, u, false, dx, i0, m0, m1, m2, m3, mask, e0)
      b0 = finishWith(b0, u, true, dx, j0, m0, m1, m2, m3, mask, e1)
      c0 = finishWith(c0, v, false, dx, k0, m0, m1, m2, m3, mask, f0)
      d0 = finishWith(d0, v, true, dx, l0, m0, m1, m2, m3, mask, f1)
      dx = v128.load32_splat(x1 + d)
      m0 = v128.load32_splat(x1 + m)
      m1 = v128.load32_splat(x1 + m, 4)
      m2 = v128.load32_splat(x1 + m, 8)
      m3 = v128.load32_splat(x1 + m, 12)
      a1 = finishWith(a1, u, false, dx, i1, m0, m1, m2, m3, mask, e0)
      b1 = finishWith(b1, u, true, dx, j1, m0, m1, m2, m3, mask, e1)
      c1 = finishWith(c1, v, false, dx, k1, m0, m1, m2, m3, mask, f0)
      d1 = finishWith(d1, v, true, dx, l1, m0, m1, m2, m3, mask, f1)
      dx = v128.load32_splat(x2 + d)
      m0 = v128.load32_splat(x2 + m)
      m1 = v128.load32_splat(x2 + m, 4)
      m2 = v128.load32_splat(x2 + m, 8)
      m3 = v128.load32_splat(x2 + m, 12)
      a2 = finishWith(a2, u, false, dx, i2, m0, m1, m2, m3, mask, e0)
      b2 = finishWith(b2, u, true, dx, j2, m0, m1, m2, m3, mask, e1)
      c2 = finishWith(c2, v, false, dx, k2, m0, m1, m2, m3, mask, f0)
      d2 = finishWith(d2, v, true, dx, l2, m0, m1, m2, m3, mask, f1)
      dx = v128.load32_splat(x3 + d)
      m0 = v128.load32_splat(x3 + m)
      m1 = v128.load32_splat(x3 + m, 4)
      m2 = v128.load32_splat(x3 + m, 8)
      m3 = v128.load32_splat(x3 + m, 12)
      a3 = finishWith(a3, u, false, dx, i3, m0, m1, m2, m3, mask, e0)
      b3 = finishWith(b3, u, true, dx, j3, m0, m1, m2, m3, mask, e1)
      c3 = finishWith(c3, v, false, dx, k3, m0, m1, m2, m3, mask, f0)
      d3 = finishWith(d3, v, true, dx, l3, m0, m1, m2, m3, mask, f1)
      u += UNIT
      v += UNIT
    }
    const h = g + far
    const both = g * 2 + 1 < <usize>groups
    const bothFar = h * 2 + 1 < <usize>groups
    storePair(out0 + g * 32, a0, b0, both)
    storePair(out1 + g * 32, a1, b1, both)
    storePair(out2 + g * 32, a2, b2, both)
    storePair(out3 + g * 32, a3, b3, both)
    storePair(out0 + h * 32, c0, d0, bothFar)
    storePair(out1 + h * 32, c1, d1, bothFar)
    storePair(out2 + h * 32, c2, d2, bothFar)
    storePair(out3 + h * 32, c3, d3, bothFar)
  }
}
