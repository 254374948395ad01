// Q5_1: blocks of 32, weight = d * q + m; the oracle is src/quants/q5_1.ts.
//
// A group is laid out as block32.ts says, with d and m, but the quants as in fiveBits.ts.
import { evenMask, held, quadBytes, rowSums } from './lanes'
import { HALF_MASK } from './half'
import { activationScales, activationSums, blockSum } from './q8_1'
import { addScaledMin, repackHalves, bytesOfGroup } from './block32'
import { FIVE, SIXTH, THREE, UPPER, fourDots, repackFiveBits, scattered, split } from './fiveBits'
import { stripOf, stripStart } from './strips'

const BLOCK: usize = 96
// Half a block at a time: a whole one would not fit 16 bits.
// @ts-ignore: decorator
@inline function block(q: usize, x: usize, five: v128, three: v128, upper: v128, sixth: v128, even: v128): v128 {
  const a = v128.load(q)
  const b = v128.load(q, 16)
  const c = v128.load(q, 32)
  const d = v128.load(q, 48)
  const e = v128.load(q, 64)
  const s = fourDots(i32x4.splat(0), x, 0, v128.and(a, five), v128.and(b, five), v128.and(c, five), v128.and(d, five), even)
  const t = fourDots(i32x4.splat(0), x, 4, v128.and(e, five), split(a, b, three, upper), split(c, d, three, upper), scattered(e, b, d, three, sixth), even)
  return i32x4.add(rowSums(s), rowSums(t))
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 32) x one token, four strips at a time (strips.ts). */
export function matmul_q5_1_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const five = held(FIVE, blocks)
  const three = held(THREE, blocks)
  const upper = held(UPPER, blocks)
  const sixth = held(SIXTH, blocks)
  const even = evenMask(blocks)
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
      const q = d + 16
      const dx = v128.load32_splat(scales + b * 4)
      const xsum = blockSum(sums + b * 4)
      a0 = addScaledMin(a0, w0 + d, dx, block(w0 + q, xb, five, three, upper, sixth, even), xsum, mask, f0)
      a1 = addScaledMin(a1, w1 + d, dx, block(w1 + q, xb, five, three, upper, sixth, even), xsum, mask, f1)
      a2 = addScaledMin(a2, w2 + d, dx, block(w2 + q, xb, five, three, upper, sixth, even), xsum, mask, f2)
      a3 = addScaledMin(a3, w3 + d, dx, block(w3 + q, xb, five, three, upper, sixth, even), xsum, mask, f3)
    }
    v128.store(out + g * 16, a0)
    v128.store(out + (g + to1) * 16, a1)
    v128.store(out + (g + to2) * 16, a2)
    v128.store(out + (g + to3) * 16, a3)
  }
}

/** The same for four tokens: a block is unpacked once for all. Every output is the bits that `matmul_q5_1_x1` gives. */
export function matmul_q5_1_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const five = held(FIVE, blocks)
  const three = held(THREE, blocks)
  const upper = held(UPPER, blocks)
  const sixth = held(SIXTH, blocks)
  const even = evenMask(blocks)
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
      const q = weights + 32 + b * BLOCK
      const at = b * xBlock
      const y0 = x0 + at
      const y1 = x1 + at
      const y2 = x2 + at
      const y3 = x3 + at
      const v0 = v128.load(q)
      const v1 = v128.load(q, 16)
      const v2 = v128.load(q, 32)
      const v3 = v128.load(q, 48)
      const v4 = v128.load(q, 64)
      let c = v128.and(v0, five)
      let e = v128.and(v1, five)
      let f = v128.and(v2, five)
      let h = v128.and(v3, five)
      const s0 = fourDots(i32x4.splat(0), y0, 0, c, e, f, h, even)
      const s1 = fourDots(i32x4.splat(0), y1, 0, c, e, f, h, even)
      const s2 = fourDots(i32x4.splat(0), y2, 0, c, e, f, h, even)
      const s3 = fourDots(i32x4.splat(0), y3, 0, c, e, f, h, even)
      c = v128.and(v4, five)
      e = split(v0, v1, three, upper)
      f = split(v2, v3, three, upper)
      h = scattered(v4, v1, v3, three, sixth)
      const t0 = fourDots(i32x4.splat(0), y0, 4, c, e, f, h, even)
      const t1 = fourDots(i32x4.splat(0), y1, 4, c, e, f, h, even)
      const t2 = fourDots(i32x4.splat(0), y2, 4, c, e, f, h, even)
      const t3 = fourDots(i32x4.splat(0), y3, 4, c, e, f, h, even)
      const d = weights + 16 + b * BLOCK
      const scale = toScales + b * 4
      const m = toSums + b * 4
      a0 = addScaledMin(a0, d, v128.load32_splat(x0 + scale), i32x4.add(rowSums(s0), rowSums(t0)), blockSum(x0 + m), mask, factor)
      a1 = addScaledMin(a1, d, v128.load32_splat(x1 + scale), i32x4.add(rowSums(s1), rowSums(t1)), blockSum(x1 + m), mask, factor)
      a2 = addScaledMin(a2, d, v128.load32_splat(x2 + scale), i32x4.add(rowSums(s2), rowSums(t2)), blockSum(x2 + m), mask, factor)
      a3 = addScaledMin(a3, d, v128.load32_splat(x3 + scale), i32x4.add(rowSums(s3), rowSums(t3)), blockSum(x3 + m), mask, factor)
    }
    weights += groupBytes
    v128.store(out0 + g * 16, a0)
    v128.store(out1 + g * 16, a1)
    v128.store(out2 + g * 16, a2)
    v128.store(out3 + g * 16, a3)
  }
}

/** File blocks of `rows` consecutive rows (24 bytes per 32 weights) to groups of four. Returns how many scales and mins are not finite. */
export function repack_q5_1(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 24
  let bad = 0
  for (let row = 0; row < rows; row += 4) {
    const valid = <usize>min(4, rows - row)
    bad += repackHalves(src, valid, blocks, 24, 2, dst, BLOCK)
    for (let b: usize = 0; b < <usize>blocks; b++) {
      repackFiveBits(src + b * 24 + 4, rowBytes, valid, dst + 32 + b * BLOCK)
    }
    dst += bytesOfGroup(blocks, BLOCK)
    src += rowBytes * 4
  }
  return bad
}
