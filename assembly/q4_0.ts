// Q4_0: blocks of 32, weight = d * (q - 8); the oracle is src/quants/q4_0.ts.
//
// A group is laid out as block32.ts says, with d alone. The 8 is taken off where the sum of a block starts: at -8 times the sum of x.
import { evenMask, held, quadBytes, rowSums, startAt } from './lanes'
import { HALF_MASK, expand } from './half'
import { activationScales, activationSums } from './q8_1'
import { addNibbles, addPair, addScaled, high, low, repackHalves, repackNibbles, bytesOfGroup } from './block32'
import { stripOf, stripStart } from './strips'

const BLOCK: usize = 72
const OFFSET: i32 = 0xfff8fff8 // -8 in either half

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 32) x one token, four strips at a time (strips.ts). */
export function matmul_q4_0_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const offset = held(OFFSET, blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const xBlock = quad * 8
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
      let s0 = startAt(sums + b * 4, offset)
      let s1 = s0
      let s2 = s0
      let s3 = s0
      let y = x + b * xBlock
      let q = b * BLOCK + 24
      for (const stop = q + 64; q < stop; q += 16) {
        s0 = addNibbles(s0, v128.load(w0 + q), y, nibble, even)
        s1 = addNibbles(s1, v128.load(w1 + q), y, nibble, even)
        s2 = addNibbles(s2, v128.load(w2 + q), y, nibble, even)
        s3 = addNibbles(s3, v128.load(w3 + q), y, nibble, even)
        y += quad
      }
      const d = b * BLOCK + 16
      const dx = v128.load32_splat(scales + b * 4)
      a0 = addScaled(a0, expand(w0 + d, mask, f0), dx, rowSums(s0))
      a1 = addScaled(a1, expand(w1 + d, mask, f1), dx, rowSums(s1))
      a2 = addScaled(a2, expand(w2 + d, mask, f2), dx, rowSums(s2))
      a3 = addScaled(a3, expand(w3 + d, mask, f3), dx, rowSums(s3))
    }
    v128.store(out + g * 16, a0)
    v128.store(out + (g + to1) * 16, a1)
    v128.store(out + (g + to2) * 16, a2)
    v128.store(out + (g + to3) * 16, a3)
  }
}

/** The same for four tokens: a block is unpacked once for all. Every output is the bits that `matmul_q4_0_x1` gives. */
export function matmul_q4_0_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
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
      let w = v128.load(q)
      let l = low(w, nibble)
      let h = high(w, nibble)
      let s0 = addPair(startAt(x0 + m, offset), l, h, y0, 0, even)
      let s1 = addPair(startAt(x1 + m, offset), l, h, y1, 0, even)
      let s2 = addPair(startAt(x2 + m, offset), l, h, y2, 0, even)
      let s3 = addPair(startAt(x3 + m, offset), l, h, y3, 0, even)
      w = v128.load(q, 16)
      l = low(w, nibble)
      h = high(w, nibble)
      s0 = addPair(s0, l, h, y0, 1, even)
      s1 = addPair(s1, l, h, y1, 1, even)
      s2 = addPair(s2, l, h, y2, 1, even)
      s3 = addPair(s3, l, h, y3, 1, even)
      w = v128.load(q, 32)
      l = low(w, nibble)
      h = high(w, nibble)
      s0 = addPair(s0, l, h, y0, 2, even)
      s1 = addPair(s1, l, h, y1, 2, even)
      s2 = addPair(s2, l, h, y2, 2, even)
      s3 = addPair(s3, l, h, y3, 2, even)
      w = v128.load(q, 48)
      l = low(w, nibble)
      h = high(w, nibble)
      s0 = addPair(s0, l, h, y0, 3, even)
      s1 = addPair(s1, l, h, y1, 3, even)
      s2 = addPair(s2, l, h, y2, 3, even)
      s3 = addPair(s3, l, h, y3, 3, even)
      const d = expand(weights + 16 + b * BLOCK, mask, factor)
      const scale = toScales + b * 4
      a0 = addScaled(a0, d, v128.load32_splat(x0 + scale), rowSums(s0))
      a1 = addScaled(a1, d, v128.load32_splat(x1 + scale), rowSums(s1))
      a2 = addScaled(a2, d, v128.load32_splat(x2 + scale), rowSums(s2))
      a3 = addScaled(a3, d, v128.load32_splat(x3 + scale), rowSums(s3))
    }
    weights += groupBytes
    v128.store(out0 + g * 16, a0)
    v128.store(out1 + g * 16, a1)
    v128.store(out2 + g * 16, a2)
    v128.store(out3 + g * 16, a3)
  }
}

/** File blocks of `rows` consecutive rows (18 bytes per 32 weights) to groups of four. Returns how many scales are not finite. */
export function repack_q4_0(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 18
  let bad = 0
  for (let row = 0; row < rows; row += 4) {
    const valid = <usize>min(4, rows - row)
    bad += repackHalves(src, valid, blocks, 18, 1, dst, BLOCK)
    for (let b: usize = 0; b < <usize>blocks; b++) {
      repackNibbles(src + b * 18 + 2, rowBytes, valid, dst + 24 + b * BLOCK)
    }
    dst += bytesOfGroup(blocks, BLOCK)
    src += rowBytes * 4
  }
  return bad
}
