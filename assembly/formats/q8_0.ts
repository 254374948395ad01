// Q8_0: blocks of 32, weight = d * q. The oracle is src/format/quants/q8_0.ts, the activations are in quantize_q8_0.ts.
//
// Two groups of 4 rows stand side by side (pairs.ts): a 32-byte header (half.ts), then per block 272 bytes:
//     0   d  8 rows x f16, raised
//    16   q  16 pairs of columns x 8 rows x 2 columns of i8
// Both operands are signed, which the i8 dot product cannot take, so both builds widen to 16 bits: a pair of columns
// with the load, one instruction.
import { expandOf, HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { eightRows, pairOf, rowAt } from '../lanes/rows'
import { addScaled } from '../lanes/scales'
import { packHalves } from './halves_repack'

export const BLOCK: usize = 272

/** Adds two pairs of columns. */
// @ts-ignore: decorator
@inline function addQuad(sum: v128, w0: v128, w1: v128, x: usize): v128 {
  sum = i32x4.add(sum, i32x4.dot_i16x8_s(w0, v128.load32_splat(x)))
  return i32x4.add(sum, i32x4.dot_i16x8_s(w1, v128.load32_splat(x, 4)))
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 32) x one token, in two strips (strips.ts). */
export function matmul_q8_0_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const mask = held(HALF_MASK, blocks)
  const pairBytes = <usize>blocks * BLOCK + 32
  const scales = x + <usize>blocks * 64
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
      let s0 = i32x4.splat(0)
      let s1 = s0
      let t0 = s0
      let t1 = s0
      let q: usize = 0
      for (; q < 256; q += 32) {
        s0 = addQuad(s0, v128.load8x8_s(u + q, 16), v128.load8x8_s(u + q, 32), y)
        s1 = addQuad(s1, v128.load8x8_s(u + q, 24), v128.load8x8_s(u + q, 40), y)
        t0 = addQuad(t0, v128.load8x8_s(v + q, 16), v128.load8x8_s(v + q, 32), y)
        t1 = addQuad(t1, v128.load8x8_s(v + q, 24), v128.load8x8_s(v + q, 40), y)
        y += 8
      }
      const dx = v128.load32_splat(scales + b * 4)
      a0 = addScaled(a0, expandOf(v128.load16x4_s(u), mask, e0), dx, s0)
      a1 = addScaled(a1, expandOf(v128.load16x4_s(u, 8), mask, e1), dx, s1)
      b0 = addScaled(b0, expandOf(v128.load16x4_s(v), mask, f0), dx, t0)
      b1 = addScaled(b1, expandOf(v128.load16x4_s(v, 8), mask, f1), dx, t1)
      u += BLOCK
      v += BLOCK
    }
    storePair(out + g * 32, a0, a1, g * 2 + 1 < <usize>groups)
    storePair(out + (g + far) * 32, b0, b1, (g + far) * 2 + 1 < <usize>groups)
  }
}

/** The same for four tokens. Every output is the bits that `matmul_q8_0_x1` gives. */
export function matmul_q8_0_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const mask = held(HALF_MASK, blocks)
  const toScales = <usize>blocks * 64
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
      let q = w
      let y = b * 64
      let s0 = i32x4.splat(0)
      let s1 = s0
      let s2 = s0
      let s3 = s0
      let t0 = s0
      let t1 = s0
      let t2 = s0
      let t3 = s0
      for (const stop = q + 256; q < stop; q += 32) {
        const u = v128.load8x8_s(q, 16)
        const v = v128.load8x8_s(q, 24)
        const uu = v128.load8x8_s(q, 32)
        const vv = v128.load8x8_s(q, 40)
        s0 = addQuad(s0, u, uu, x0 + y)
        t0 = addQuad(t0, v, vv, x0 + y)
        s1 = addQuad(s1, u, uu, x1 + y)
        t1 = addQuad(t1, v, vv, x1 + y)
        s2 = addQuad(s2, u, uu, x2 + y)
        t2 = addQuad(t2, v, vv, x2 + y)
        s3 = addQuad(s3, u, uu, x3 + y)
        t3 = addQuad(t3, v, vv, x3 + y)
        y += 8
      }
      const scale = toScales + b * 4
      const dx0 = v128.load32_splat(x0 + scale)
      const dx1 = v128.load32_splat(x1 + scale)
      const dx2 = v128.load32_splat(x2 + scale)
      const dx3 = v128.load32_splat(x3 + scale)
      const d = expandOf(v128.load16x4_s(w), mask, e)
      const h = expandOf(v128.load16x4_s(w, 8), mask, f)
      a0 = addScaled(a0, d, dx0, s0)
      b0 = addScaled(b0, h, dx0, t0)
      a1 = addScaled(a1, d, dx1, s1)
      b1 = addScaled(b1, h, dx1, t1)
      a2 = addScaled(a2, d, dx2, s2)
      b2 = addScaled(b2, h, dx2, t2)
      a3 = addScaled(a3, d, dx3, s3)
      b3 = addScaled(b3, h, dx3, t3)
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
 * Packs the quants of `blocks` blocks of up to eight rows, 32 bytes at src and every 34, into 16 vectors at dst and
 * every BLOCK.
 */
function packPairs(src: usize, rowBytes: usize, rows: i32, blocks: i32, dst: usize): void {
  const p0 = rowAt(src, rowBytes, 0, rows)
  const p1 = rowAt(src, rowBytes, 1, rows)
  const p2 = rowAt(src, rowBytes, 2, rows)
  const p3 = rowAt(src, rowBytes, 3, rows)
  const p4 = rowAt(src, rowBytes, 4, rows)
  const p5 = rowAt(src, rowBytes, 5, rows)
  const p6 = rowAt(src, rowBytes, 6, rows)
  const p7 = rowAt(src, rowBytes, 7, rows)
  const mask = eightRows(rows)
  const end = <usize>blocks * 34
  for (let b: usize = 0; b < end; b += 34) {
    for (let h: usize = 0; h < 32; h += 16) {
      const at = b + h
      const r0 = v128.load(p0 + at)
      const r1 = v128.load(p1 + at)
      const r2 = v128.load(p2 + at)
      const r3 = v128.load(p3 + at)
      const r4 = v128.load(p4 + at)
      const r5 = v128.load(p5 + at)
      const r6 = v128.load(p6 + at)
      const r7 = v128.load(p7 + at)
      const to = dst + h * 8
      v128.store(to, v128.and(pairOf(0, r0, r1, r2, r3, r4, r5, r6, r7), mask))
      v128.store(to, v128.and(pairOf(1, r0, r1, r2, r3, r4, r5, r6, r7), mask), 16)
      v128.store(to, v128.and(pairOf(2, r0, r1, r2, r3, r4, r5, r6, r7), mask), 32)
      v128.store(to, v128.and(pairOf(3, r0, r1, r2, r3, r4, r5, r6, r7), mask), 48)
      v128.store(to, v128.and(pairOf(4, r0, r1, r2, r3, r4, r5, r6, r7), mask), 64)
      v128.store(to, v128.and(pairOf(5, r0, r1, r2, r3, r4, r5, r6, r7), mask), 80)
      v128.store(to, v128.and(pairOf(6, r0, r1, r2, r3, r4, r5, r6, r7), mask), 96)
      v128.store(to, v128.and(pairOf(7, r0, r1, r2, r3, r4, r5, r6, r7), mask), 112)
    }
    dst += BLOCK
  }
}

/**
 * Packs `rows` consecutive rows of a file (34 bytes per 32 weights) into pairs of groups of four; missing rows become
 * zeros. Returns how many scales are not finite.
 */
export function repack_q8_0(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 34
  let bad = 0
  for (; rows > 0; rows -= 8) {
    memory.fill(dst, 0, 32 + <usize>blocks * BLOCK) // into the cache, without reading it first
    packPairs(src + 2, rowBytes, rows, blocks, dst + 48)
    bad += packHalves(src, rowBytes, rows, blocks, 34, 1, dst, BLOCK)
    src += rowBytes * 8
    dst += <usize>blocks * BLOCK + 32
  }
  return bad
}
