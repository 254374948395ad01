// Q4_0: blocks of 32, weight = d * (q - 8); the oracle is src/quants/q4_0.ts.
//
// A group is laid out as block32.ts says, with d alone. The 8 is taken off where the sum of a block starts: at -8 times the sum of x.
import { addDot, addDot16, evenMask, held, inOrder, quadBytes, rowSumsBy, startAt } from './lanes'
import { HALF_MASK, expand } from './half'
import { activationScales, activationSums } from './q8_1'
import { addNibbles, addScaled, high, low, repackHalves, repackNibbles, bytesOfGroup } from './block32'
import { stripOf, stripStart } from './strips'

const BLOCK: usize = 72
const OFFSET: i32 = 0xfff8fff8 // -8 in either half

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 32) x one token, four strips at a time (strips.ts). */
export function matmul_q4_0_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const offset = held(OFFSET, blocks)
  const mask = held(HALF_MASK, blocks)
  const ones = held(0x00010001, blocks)
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
      a0 = addScaled(a0, expand(w0 + d, mask, f0), dx, rowSumsBy(s0, ones))
      a1 = addScaled(a1, expand(w1 + d, mask, f1), dx, rowSumsBy(s1, ones))
      a2 = addScaled(a2, expand(w2 + d, mask, f2), dx, rowSumsBy(s2, ones))
      a3 = addScaled(a3, expand(w3 + d, mask, f3), dx, rowSumsBy(s3, ones))
    }
    v128.store(out + g * 16, a0)
    v128.store(out + (g + to1) * 16, a1)
    v128.store(out + (g + to2) * 16, a2)
    v128.store(out + (g + to3) * 16, a3)
  }
}

/** The same for four tokens, two groups at a time as in q4_k.ts. Every output is the bits that `matmul_q4_0_x1` gives. */
export function matmul_q4_0_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const offset = held(OFFSET, blocks)
  const mask = held(HALF_MASK, blocks)
  const ones = held(0x00010001, blocks)
  const quad = quadBytes()
  const toScales = activationScales(0, blocks)
  const toSums = activationSums(0, blocks)
  const groupBytes = bytesOfGroup(blocks, BLOCK)
  for (let g: usize = 0; g < <usize>groups; g += 2) {
    // of an odd number, the last group is its own partner
    const partner: usize = g + 1 < <usize>groups ? 1 : 0
    const toPartner = partner * groupBytes
    let w = weights + g * groupBytes
    const e = v128.load(w)
    const f = v128.load(w + toPartner)
    w += 16
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
      const start = toSums + b * 4
      let s0 = startAt(x0 + start, offset)
      let s1 = startAt(x1 + start, offset)
      let s2 = startAt(x2 + start, offset)
      let s3 = startAt(x3 + start, offset)
      let t0 = s0
      let t1 = s1
      let t2 = s2
      let t3 = s3
      let q = w + 8
      for (const stop = q + 64; q < stop; q += 16) {
        const u = v128.load(q)
        const v = v128.load(q + toPartner)
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
      const d = expand(w, mask, e)
      const c = expand(w + toPartner, mask, f)
      a0 = addScaled(a0, d, v128.load32_splat(x0 + scale), rowSumsBy(s0, ones))
      b0 = addScaled(b0, c, v128.load32_splat(x0 + scale), rowSumsBy(t0, ones))
      a1 = addScaled(a1, d, v128.load32_splat(x1 + scale), rowSumsBy(s1, ones))
      b1 = addScaled(b1, c, v128.load32_splat(x1 + scale), rowSumsBy(t1, ones))
      a2 = addScaled(a2, d, v128.load32_splat(x2 + scale), rowSumsBy(s2, ones))
      b2 = addScaled(b2, c, v128.load32_splat(x2 + scale), rowSumsBy(t2, ones))
      a3 = addScaled(a3, d, v128.load32_splat(x3 + scale), rowSumsBy(s3, ones))
      b3 = addScaled(b3, c, v128.load32_splat(x3 + scale), rowSumsBy(t3, ones))
      w += BLOCK
    }
    const to = (g + partner) * 16
    v128.store(out0 + g * 16, a0)
    v128.store(out1 + g * 16, a1)
    v128.store(out2 + g * 16, a2)
    v128.store(out3 + g * 16, a3)
    v128.store(out0 + to, b0)
    v128.store(out1 + to, b1)
    v128.store(out2 + to, b2)
    v128.store(out3 + to, b3)
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
