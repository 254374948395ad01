// Q5_K: Q4_K with a fifth bit per weight. The oracle is src/format/quants/q5_k.ts, packing is in q5_k_repack.ts.
//
// Two groups of 4 rows stand side by side (pairs.ts): a 32-byte header (half.ts), then per 256 columns a unit of 1440
// bytes (2 x 704 in the file):
//     0   d, dmin, scales and mins, as in q4_k.ts
//   160   8 sub-blocks x 160 bytes as in fiveBits.ts
import { HALF_MASK } from '../lanes/half'
import { held, inOrder } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { addDot, evenMask, quadBytes } from '../lanes/quads'
import { scaled, spread } from '../lanes/scales'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'
import { firstHalf, FIVE, inPlace, joined, lastQuad, secondHalf } from './fiveBits'
import { finish } from './scaleMinSuperblock'

export const UNIT: usize = 1440

/** isum + (s + t) * scale. */
// @ts-ignore: decorator
@inline function addHalves(isum: v128, s: v128, t: v128, scale: v128): v128 {
  return i32x4.add(i32x4.add(isum, scaled(s, scale)), scaled(t, scale))
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token, in two strips (strips.ts). */
export function matmul_q5_k_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const five = held(FIVE, blocks)
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
    let y = x
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let i0 = i32x4.splat(0)
      let i1 = i0
      let j0 = i0
      let j1 = i0
      for (let k: usize = 0; k < 8; k++) {
        const q = k * 160 + 160
        const s0 = firstHalf(u + q, false, y, five, even)
        const s1 = firstHalf(u + q, true, y, five, even)
        const t0 = firstHalf(v + q, false, y, five, even)
        const t1 = firstHalf(v + q, true, y, five, even)
        inOrder(blocks)
        let m = v128.load8x8_u(u + k * 8, 32)
        i0 = addHalves(i0, s0, secondHalf(u + q, false, y, five, even), spread(m, false))
        i1 = addHalves(i1, s1, secondHalf(u + q, true, y, five, even), spread(m, true))
        m = v128.load8x8_u(v + k * 8, 32)
        j0 = addHalves(j0, t0, secondHalf(v + q, false, y, five, even), spread(m, false))
        j1 = addHalves(j1, t1, secondHalf(v + q, true, y, five, even), spread(m, true))
        y += 8 * quad
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

/** The same for four tokens. Every output is the bits that `matmul_q5_k_x1` gives. */
export function matmul_q5_k_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const five = held(FIVE, blocks)
  const even = evenMask(blocks)
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
    let y: usize = 0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let i0 = i32x4.splat(0)
      let i1 = i0
      let i2 = i0
      let i3 = i0
      let j0 = i0
      let j1 = i0
      let j2 = i0
      let j3 = i0
      for (let k: usize = 0; k < 8; k++) {
        let q = w + k * 160 + 160
        let s0 = i32x4.splat(0)
        let s1 = s0
        let s2 = s0
        let s3 = s0
        let t0 = s0
        let t1 = s0
        let t2 = s0
        let t3 = s0
        for (const stop = q + 128; q < stop; q += 32) {
          const u = inPlace(q, false, five)
          const v = inPlace(q, true, five)
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
        let scales = v128.load8x8_u(w + k * 8, 32)
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
        s0 = i32x4.splat(0)
        s1 = s0
        s2 = s0
        s3 = s0
        t0 = s0
        t1 = s0
        t2 = s0
        t3 = s0
        let u = inPlace(q, false, five)
        let v = inPlace(q, true, five)
        s0 = addDot(s0, u, x0 + y, 0, even)
        t0 = addDot(t0, v, x0 + y, 0, even)
        s1 = addDot(s1, u, x1 + y, 0, even)
        t1 = addDot(t1, v, x1 + y, 0, even)
        s2 = addDot(s2, u, x2 + y, 0, even)
        t2 = addDot(t2, v, x2 + y, 0, even)
        s3 = addDot(s3, u, x3 + y, 0, even)
        t3 = addDot(t3, v, x3 + y, 0, even)
        y += quad
        q -= 128
        for (const stop = q + 128; q < stop; q += 64) {
          const u = joined(q, false, five)
          const v = joined(q, true, five)
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
        u = lastQuad(q - 128, false, five)
        v = lastQuad(q - 128, true, five)
        s0 = addDot(s0, u, x0 + y, 0, even)
        t0 = addDot(t0, v, x0 + y, 0, even)
        s1 = addDot(s1, u, x1 + y, 0, even)
        t1 = addDot(t1, v, x1 + y, 0, even)
        s2 = addDot(s2, u, x2 + y, 0, even)
        t2 = addDot(t2, v, x2 + y, 0, even)
        s3 = addDot(s3, u, x3 + y, 0, even)
        t3 = addDot(t3, v, x3 + y, 0, even)
        y += quad
        scales = v128.load8x8_u(w + k * 8, 32)
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
      }
      const d = toScales + b * 4
      const c = toSums + b * SUMS
      a0 = finish(a0, w, false, v128.load32_splat(x0 + d), i0, x0 + c, mask, e)
      b0 = finish(b0, w, true, v128.load32_splat(x0 + d), j0, x0 + c, mask, f)
      a1 = finish(a1, w, false, v128.load32_splat(x1 + d), i1, x1 + c, mask, e)
      b1 = finish(b1, w, true, v128.load32_splat(x1 + d), j1, x1 + c, mask, f)
      a2 = finish(a2, w, false, v128.load32_splat(x2 + d), i2, x2 + c, mask, e)
      b2 = finish(b2, w, true, v128.load32_splat(x2 + d), j2, x2 + c, mask, f)
      a3 = finish(a3, w, false, v128.load32_splat(x3 + d), i3, x3 + c, mask, e)
      b3 = finish(b3, w, true, v128.load32_splat(x3 + d), j3, x3 + c, mask, f)
      w += UNIT
    }
    const both = g + 1 < <usize>groups
    storePair(out0 + g * 16, a0, b0, both)
    storePair(out1 + g * 16, a1, b1, both)
    storePair(out2 + g * 16, a2, b2, both)
    storePair(out3 + g * 16, a3, b3, both)
  }
}
