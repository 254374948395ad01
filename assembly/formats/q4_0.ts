// Q4_0: blocks of 32, weight = d * (q - 8); the oracle is src/format/quants/q4_0.ts.
//
// Two groups stand side by side (pairs.ts), laid out as block32.ts says, with d alone. The 8 is subtracted where the
// sum of a block starts: at -8 times the sum of x.
import { expandOf, HALF_MASK } from '../lanes/half'
import { held, inOrder } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { addDot, addDot16, evenMask, quadBytes, rowSumsBy, startAt } from '../lanes/quads'
import { addScaled } from '../lanes/scales'
import { activationScales, activationSums } from '../ops/quantize_q8_1'
import { addNibbles, high, low, repackNibbles } from './block32'

const BLOCK: usize = 144
const OFFSET: i32 = 0xfff8fff8 // -8 in either half

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 32) x one token, in two strips (strips.ts). */
export function matmul_q4_0_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const offset = held(OFFSET, blocks)
  const mask = held(HALF_MASK, blocks)
  const ones = held(0x00010001, blocks)
  const quad = quadBytes()
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
      const start = startAt(sums + b * 4, offset)
      let s0 = addNibbles(start, v128.load(u, 16), y, nibble, even)
      let s1 = addNibbles(start, v128.load(u, 32), y, nibble, even)
      let t0 = addNibbles(start, v128.load(v, 16), y, nibble, even)
      let t1 = addNibbles(start, v128.load(v, 32), y, nibble, even)
      inOrder(blocks)
      s0 = addNibbles(s0, v128.load(u, 48), y + quad, nibble, even)
      s1 = addNibbles(s1, v128.load(u, 64), y + quad, nibble, even)
      t0 = addNibbles(t0, v128.load(v, 48), y + quad, nibble, even)
      t1 = addNibbles(t1, v128.load(v, 64), y + quad, nibble, even)
      inOrder(blocks)
      s0 = addNibbles(s0, v128.load(u, 80), y + 2 * quad, nibble, even)
      s1 = addNibbles(s1, v128.load(u, 96), y + 2 * quad, nibble, even)
      t0 = addNibbles(t0, v128.load(v, 80), y + 2 * quad, nibble, even)
      t1 = addNibbles(t1, v128.load(v, 96), y + 2 * quad, nibble, even)
      inOrder(blocks)
      s0 = addNibbles(s0, v128.load(u, 112), y + 3 * quad, nibble, even)
      s1 = addNibbles(s1, v128.load(u, 128), y + 3 * quad, nibble, even)
      t0 = addNibbles(t0, v128.load(v, 112), y + 3 * quad, nibble, even)
      t1 = addNibbles(t1, v128.load(v, 128), y + 3 * quad, nibble, even)
      inOrder(blocks)
      const dx = v128.load32_splat(scales + b * 4)
      a0 = addScaled(a0, expandOf(v128.load16x4_s(u), mask, e0), dx, rowSumsBy(s0, ones))
      a1 = addScaled(a1, expandOf(v128.load16x4_s(u, 8), mask, e1), dx, rowSumsBy(s1, ones))
      b0 = addScaled(b0, expandOf(v128.load16x4_s(v), mask, f0), dx, rowSumsBy(t0, ones))
      b1 = addScaled(b1, expandOf(v128.load16x4_s(v, 8), mask, f1), dx, rowSumsBy(t1, ones))
      u += BLOCK
      v += BLOCK
      y += 8 * quad
    }
    storePair(out + g * 32, a0, a1, g * 2 + 1 < <usize>groups)
    storePair(out + (g + far) * 32, b0, b1, (g + far) * 2 + 1 < <usize>groups)
  }
}

/** The same for four tokens. Every output is the bits that `matmul_q4_0_x1` gives. */
export function matmul_q4_0_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const offset = held(OFFSET, blocks)
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
      let q = w + 16
      const start = toSums + b * 4
      let s0 = startAt(x0 + start, offset)
      let s1 = startAt(x1 + start, offset)
      let s2 = startAt(x2 + start, offset)
      let s3 = startAt(x3 + start, offset)
      let t0 = s0
      let t1 = s1
      let t2 = s2
      let t3 = s3
      for (const stop = q + 128; q < stop; q += 32) {
        const u = v128.load(q)
        const v = v128.load(q, 16)
        const ul = low(u, nibble)
        const vl = low(v, nibble)
        s0 = addDot(s0, ul, x0 + y, 0, even)
        t0 = addDot(t0, vl, x0 + y, 0, even)
        s1 = addDot(s1, ul, x1 + y, 0, even)
        t1 = addDot(t1, vl, x1 + y, 0, even)
        s2 = addDot(s2, ul, x2 + y, 0, even)
        t2 = addDot(t2, vl, x2 + y, 0, even)
        s3 = addDot(s3, ul, x3 + y, 0, even)
        t3 = addDot(t3, vl, x3 + y, 0, even)
        const uh = high(u, nibble)
        const vh = high(v, nibble)
        s0 = addDot16(s0, uh, x0 + y, even)
        t0 = addDot16(t0, vh, x0 + y, even)
        s1 = addDot16(s1, uh, x1 + y, even)
        t1 = addDot16(t1, vh, x1 + y, even)
        s2 = addDot16(s2, uh, x2 + y, even)
        t2 = addDot16(t2, vh, x2 + y, even)
        s3 = addDot16(s3, uh, x3 + y, even)
        t3 = addDot16(t3, vh, x3 + y, even)
        y += quad
      }
      y += 4 * quad
      inOrder(blocks)
      const scale = toScales + b * 4
      const d = expandOf(v128.load16x4_s(w), mask, e)
      const h = expandOf(v128.load16x4_s(w, 8), mask, f)
      a0 = addScaled(a0, d, v128.load32_splat(x0 + scale), rowSumsBy(s0, ones))
      b0 = addScaled(b0, h, v128.load32_splat(x0 + scale), rowSumsBy(t0, ones))
      a1 = addScaled(a1, d, v128.load32_splat(x1 + scale), rowSumsBy(s1, ones))
      b1 = addScaled(b1, h, v128.load32_splat(x1 + scale), rowSumsBy(t1, ones))
      a2 = addScaled(a2, d, v128.load32_splat(x2 + scale), rowSumsBy(s2, ones))
      b2 = addScaled(b2, h, v128.load32_splat(x2 + scale), rowSumsBy(t2, ones))
      a3 = addScaled(a3, d, v128.load32_splat(x3 + scale), rowSumsBy(s3, ones))
      b3 = addScaled(b3, h, v128.load32_splat(x3 + scale), rowSumsBy(t3, ones))
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
 * Packs `rows` consecutive rows of a file (18 bytes per 32 weights) into pairs of groups of four; missing rows become
 * zeros. Returns how many scales are not finite.
 */
export function repack_q4_0(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  return repackNibbles(src, rows, blocks, 1, dst)
}
