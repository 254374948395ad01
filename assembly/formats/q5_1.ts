// Q5_1: blocks of 32, weight = d * q + m; the oracle is src/format/quants/q5_1.ts.
//
// Two groups stand side by side (pairs.ts), as block32.ts says, with d and m, but the quants as in fiveBits.ts.
import { expandOf, HALF_MASK } from '../lanes/half'
import { held, inOrder } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { addDot, evenMask, quadBytes, rowSumsBy } from '../lanes/quads'
import { addScaledMin } from '../lanes/scales'
import { activationScales, activationSums, blockSum } from '../ops/quantize_q8_1'
import { firstHalf, FIVE, inPlace, joined, lastQuad, repackFiveBits, secondHalf } from './fiveBits'

const BLOCK: usize = 192

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 32) x one token, in two strips (strips.ts). */
export function matmul_q5_1_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const five = held(FIVE, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const ones = held(0x00010001, blocks)
  const xBlock = quadBytes() * 8
  const scales = activationScales(x, blocks)
  const sums = activationSums(x, blocks)
  const pairBytes = <usize>blocks * BLOCK + 32
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
      let s0 = rowSumsBy(firstHalf(u + 32, false, y, five, even), ones)
      let s1 = rowSumsBy(firstHalf(u + 32, true, y, five, even), ones)
      let t0 = rowSumsBy(firstHalf(v + 32, false, y, five, even), ones)
      let t1 = rowSumsBy(firstHalf(v + 32, true, y, five, even), ones)
      inOrder(blocks)
      s0 = i32x4.add(s0, rowSumsBy(secondHalf(u + 32, false, y, five, even), ones))
      s1 = i32x4.add(s1, rowSumsBy(secondHalf(u + 32, true, y, five, even), ones))
      t0 = i32x4.add(t0, rowSumsBy(secondHalf(v + 32, false, y, five, even), ones))
      t1 = i32x4.add(t1, rowSumsBy(secondHalf(v + 32, true, y, five, even), ones))
      inOrder(blocks)
      const dx = v128.load32_splat(scales + b * 4)
      const xsum = blockSum(sums + b * 4)
      a0 = addScaledMin(a0, expandOf(v128.load16x4_s(u), mask, e0), expandOf(v128.load16x4_s(u, 16), mask, e0), dx, s0, xsum)
      a1 = addScaledMin(a1, expandOf(v128.load16x4_s(u, 8), mask, e1), expandOf(v128.load16x4_s(u, 24), mask, e1), dx, s1, xsum)
      b0 = addScaledMin(b0, expandOf(v128.load16x4_s(v), mask, f0), expandOf(v128.load16x4_s(v, 16), mask, f0), dx, t0, xsum)
      b1 = addScaledMin(b1, expandOf(v128.load16x4_s(v, 8), mask, f1), expandOf(v128.load16x4_s(v, 24), mask, f1), dx, t1, xsum)
      u += BLOCK
      v += BLOCK
      y += xBlock
    }
    storePair(out + g * 32, a0, a1, g * 2 + 1 < <usize>groups)
    storePair(out + (g + far) * 32, b0, b1, (g + far) * 2 + 1 < <usize>groups)
  }
}

/** The same for four tokens. Every output is the bits that `matmul_q5_1_x1` gives. */
export function matmul_q5_1_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const five = held(FIVE, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const ones = held(0x00010001, blocks)
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
      let q = w + 32
      const start = toSums + b * 4
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
      const i0 = rowSumsBy(s0, ones)
      const j0 = rowSumsBy(t0, ones)
      const i1 = rowSumsBy(s1, ones)
      const j1 = rowSumsBy(t1, ones)
      const i2 = rowSumsBy(s2, ones)
      const j2 = rowSumsBy(t2, ones)
      const i3 = rowSumsBy(s3, ones)
      const j3 = rowSumsBy(t3, ones)
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
      const scale = toScales + b * 4
      const d = expandOf(v128.load16x4_s(w), mask, e)
      const h = expandOf(v128.load16x4_s(w, 8), mask, f)
      const m = expandOf(v128.load16x4_s(w, 16), mask, e)
      const n = expandOf(v128.load16x4_s(w, 24), mask, f)
      a0 = addScaledMin(a0, d, m, v128.load32_splat(x0 + scale), i32x4.add(i0, rowSumsBy(s0, ones)), blockSum(x0 + start))
      b0 = addScaledMin(b0, h, n, v128.load32_splat(x0 + scale), i32x4.add(j0, rowSumsBy(t0, ones)), blockSum(x0 + start))
      a1 = addScaledMin(a1, d, m, v128.load32_splat(x1 + scale), i32x4.add(i1, rowSumsBy(s1, ones)), blockSum(x1 + start))
      b1 = addScaledMin(b1, h, n, v128.load32_splat(x1 + scale), i32x4.add(j1, rowSumsBy(t1, ones)), blockSum(x1 + start))
      a2 = addScaledMin(a2, d, m, v128.load32_splat(x2 + scale), i32x4.add(i2, rowSumsBy(s2, ones)), blockSum(x2 + start))
      b2 = addScaledMin(b2, h, n, v128.load32_splat(x2 + scale), i32x4.add(j2, rowSumsBy(t2, ones)), blockSum(x2 + start))
      a3 = addScaledMin(a3, d, m, v128.load32_splat(x3 + scale), i32x4.add(i3, rowSumsBy(s3, ones)), blockSum(x3 + start))
      b3 = addScaledMin(b3, h, n, v128.load32_splat(x3 + scale), i32x4.add(j3, rowSumsBy(t3, ones)), blockSum(x3 + start))
      w += BLOCK
    }
    const both = g + 1 < <usize>groups
    storePair(out0 + g * 16, a0, b0, both)
    storePair(out1 + g * 16, a1, b1, both)
    storePair(out2 + g * 16, a2, b2, both)
    storePair(out3 + g * 16, a3, b3, both)
  }
}

/**
 * Packs `rows` consecutive rows of a file (24 bytes per 32 weights) into pairs of groups of four; missing rows become
 * zeros. Returns how many scales and mins are not finite.
 */
export function repack_q5_1(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  return repackFiveBits(src, rows, blocks, 2, dst)
}
