// Q5_0: blocks of 32, weight = d * (q - 16); the oracle is src/quants/q5_0.ts.
//
// A group is laid out as block32.ts says, with d alone, but the quants as in fiveBits.ts. The 16 is taken off where the sum of a block starts: at -16 times the
// sum of x. With that, 32 columns fit 16 bits: at most 8 * 2 * 16 * 127 = 32512 in an i16 lane. On the way a lane may wrap around, and it wraps back.
import { evenMask, held, quadBytes, rowSums, startAt } from './lanes'
import { HALF_MASK, expand } from './half'
import { activationScales, activationSums } from './q8_1'
import { addScaled, repackHalves, bytesOfGroup } from './block32'
import { FIVE, SIXTH, THREE, UPPER, fourDots, repackFiveBits, scattered, split } from './fiveBits'
import { stripOf, stripStart } from './strips'

const BLOCK: usize = 88
const OFFSET: i32 = 0xfff0fff0 // -16 in either half

// @ts-ignore: decorator
@inline function block(start: v128, q: usize, x: usize, five: v128, three: v128, upper: v128, sixth: v128, even: v128): v128 {
  const a = v128.load(q)
  const b = v128.load(q, 16)
  const c = v128.load(q, 32)
  const d = v128.load(q, 48)
  const e = v128.load(q, 64)
  const s = fourDots(start, x, 0, v128.and(a, five), v128.and(b, five), v128.and(c, five), v128.and(d, five), even)
  return rowSums(fourDots(s, x, 4, v128.and(e, five), split(a, b, three, upper), split(c, d, three, upper), scattered(e, b, d, three, sixth), even))
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 32) x one token, four strips at a time (strips.ts). */
export function matmul_q5_0_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const five = held(FIVE, blocks)
  const three = held(THREE, blocks)
  const upper = held(UPPER, blocks)
  const sixth = held(SIXTH, blocks)
  const even = evenMask(blocks)
  const offset = held(OFFSET, blocks)
  const mask = held(HALF_MASK, blocks)
  const xBlock = quadBytes() * 8
  const scales = activationScales(x, blocks)
  const sums = activationSums(x, blocks)
  const groupBytes = bytesOfGroup(blocks, BLOCK)
  const strip = stripOf(groups)
  const to1 = stripStart(1, strip, groups)
  const to2 = stripStart(2, strip, groups)
  const to3 = stripStart(3, strip, groups)
  for (let g: usize = 0; g < strip; g++) {
    const w0 = weights + g * groupBytes
    const w1 = w0 + to1 * groupBytes
    const w2 = w0 + to2 * groupBytes
    const w3 = w0 + to3 * groupBytes
    const f0 = v128.load(w0)
    const f1 = v128.load(w1)
    const f2 = v128.load(w2)
    const f3 = v128.load(w3)
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const xb = x + b * xBlock
      const d = b * BLOCK + 16
      const q = d + 8
      const dx = v128.load32_splat(scales + b * 4)
      const start = startAt(sums + b * 4, offset)
      a0 = addScaled(a0, expand(w0 + d, mask, f0), dx, block(start, w0 + q, xb, five, three, upper, sixth, even))
      a1 = addScaled(a1, expand(w1 + d, mask, f1), dx, block(start, w1 + q, xb, five, three, upper, sixth, even))
      a2 = addScaled(a2, expand(w2 + d, mask, f2), dx, block(start, w2 + q, xb, five, three, upper, sixth, even))
      a3 = addScaled(a3, expand(w3 + d, mask, f3), dx, block(start, w3 + q, xb, five, three, upper, sixth, even))
    }
    v128.store(out + g * 16, a0)
    v128.store(out + (g + to1) * 16, a1)
    v128.store(out + (g + to2) * 16, a2)
    v128.store(out + (g + to3) * 16, a3)
  }
}

/** The same for four tokens: a block is unpacked once for all. Every output is the bits that `matmul_q5_0_x1` gives. */
export function matmul_q5_0_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const five = held(FIVE, blocks)
  const three = held(THREE, blocks)
  const upper = held(UPPER, blocks)
  const sixth = held(SIXTH, blocks)
  const even = evenMask(blocks)
  const offset = held(OFFSET, blocks)
  const mask = held(HALF_MASK, blocks)
  const xBlock = quadBytes() * 8
  const toScales = activationScales(0, blocks)
  const toSums = activationSums(0, blocks)
  const groupBytes = bytesOfGroup(blocks, BLOCK)
  for (let g: usize = 0; g < <usize>groups; g++) {
    const factor = v128.load(weights)
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const q = weights + 24 + b * BLOCK
      const at = b * xBlock
      const y0 = x0 + at
      const y1 = x1 + at
      const y2 = x2 + at
      const y3 = x3 + at
      const m = toSums + b * 4
      const v0 = v128.load(q)
      const v1 = v128.load(q, 16)
      const v2 = v128.load(q, 32)
      const v3 = v128.load(q, 48)
      const v4 = v128.load(q, 64)
      let c = v128.and(v0, five)
      let e = v128.and(v1, five)
      let f = v128.and(v2, five)
      let h = v128.and(v3, five)
      const s0 = fourDots(startAt(x0 + m, offset), y0, 0, c, e, f, h, even)
      const s1 = fourDots(startAt(x1 + m, offset), y1, 0, c, e, f, h, even)
      const s2 = fourDots(startAt(x2 + m, offset), y2, 0, c, e, f, h, even)
      const s3 = fourDots(startAt(x3 + m, offset), y3, 0, c, e, f, h, even)
      c = v128.and(v4, five)
      e = split(v0, v1, three, upper)
      f = split(v2, v3, three, upper)
      h = scattered(v4, v1, v3, three, sixth)
      const t0 = fourDots(s0, y0, 4, c, e, f, h, even)
      const t1 = fourDots(s1, y1, 4, c, e, f, h, even)
      const t2 = fourDots(s2, y2, 4, c, e, f, h, even)
      const t3 = fourDots(s3, y3, 4, c, e, f, h, even)
      const d = expand(weights + 16 + b * BLOCK, mask, factor)
      const scale = toScales + b * 4
      a0 = addScaled(a0, d, v128.load32_splat(x0 + scale), rowSums(t0))
      a1 = addScaled(a1, d, v128.load32_splat(x1 + scale), rowSums(t1))
      a2 = addScaled(a2, d, v128.load32_splat(x2 + scale), rowSums(t2))
      a3 = addScaled(a3, d, v128.load32_splat(x3 + scale), rowSums(t3))
    }
    weights += groupBytes
    v128.store(out0 + g * 16, a0)
    v128.store(out1 + g * 16, a1)
    v128.store(out2 + g * 16, a2)
    v128.store(out3 + g * 16, a3)
  }
}

/** File blocks of `rows` consecutive rows (22 bytes per 32 weights) to groups of four. Returns how many scales are not finite. */
export function repack_q5_0(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 22
  let bad = 0
  for (let row = 0; row < rows; row += 4) {
    const valid = <usize>min(4, rows - row)
    bad += repackHalves(src, valid, blocks, 22, 1, dst, BLOCK)
    for (let b: usize = 0; b < <usize>blocks; b++) {
      repackFiveBits(src + b * 22 + 2, rowBytes, valid, dst + 24 + b * BLOCK)
    }
    dst += bytesOfGroup(blocks, BLOCK)
    src += rowBytes * 4
  }
  return bad
}
