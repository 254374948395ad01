// Q5_0: blocks of 32, weight = d * (q - 16); the oracle is src/quants/q5_0.ts.
//
// A group is laid out as block32.ts says, with d alone, but the quants as in fiveBits.ts. The 16 is taken off where the sum of a block starts: at -16 times the
// sum of x. With that, 32 columns fit 16 bits: at most 8 * 2 * 16 * 127 = 32512 in an i16 lane. On the way a lane may wrap around, and it wraps back.
import { addDot, evenMask, held, inOrder, plus, quadBytes, rowSumsBy, startAt } from './lanes'
import { HALF_MASK, expand } from './half'
import { activationScales, activationSums } from './q8_1'
import { addScaled, repackHalves, bytesOfGroup } from './block32'
import { FIVE, firstHalf, inPlace, joined, lastQuad, repackFiveBits, secondHalf } from './fiveBits'
import { stripOf, stripStart } from './strips'

const BLOCK: usize = 88
const OFFSET: i32 = 0xfff0fff0 // -16 in either half

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 32) x one token, four strips at a time (strips.ts). */
export function matmul_q5_0_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const five = held(FIVE, blocks)
  const even = evenMask(blocks)
  const offset = held(OFFSET, blocks)
  const mask = held(HALF_MASK, blocks)
  const ones = held(0x00010001, blocks)
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
    let p0 = w0 + 16
    let p1 = w1 + 16
    let p2 = w2 + 16
    let p3 = w3 + 16
    let y = x
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const start = startAt(sums + b * 4, offset)
      let s0 = plus(start, firstHalf(p0 + 8, y, five, even))
      let s1 = plus(start, firstHalf(p1 + 8, y, five, even))
      let s2 = plus(start, firstHalf(p2 + 8, y, five, even))
      let s3 = plus(start, firstHalf(p3 + 8, y, five, even))
      inOrder(blocks)
      s0 = plus(s0, secondHalf(p0 + 8, y, five, even))
      s1 = plus(s1, secondHalf(p1 + 8, y, five, even))
      s2 = plus(s2, secondHalf(p2 + 8, y, five, even))
      s3 = plus(s3, secondHalf(p3 + 8, y, five, even))
      inOrder(blocks)
      const dx = v128.load32_splat(scales + b * 4)
      a0 = addScaled(a0, expand(p0, mask, f0), dx, rowSumsBy(s0, ones))
      a1 = addScaled(a1, expand(p1, mask, f1), dx, rowSumsBy(s1, ones))
      a2 = addScaled(a2, expand(p2, mask, f2), dx, rowSumsBy(s2, ones))
      a3 = addScaled(a3, expand(p3, mask, f3), dx, rowSumsBy(s3, ones))
      p0 += BLOCK
      p1 += BLOCK
      p2 += BLOCK
      p3 += BLOCK
      y += xBlock
    }
    v128.store(out + g * 16, a0)
    v128.store(out + (g + to1) * 16, a1)
    v128.store(out + (g + to2) * 16, a2)
    v128.store(out + (g + to3) * 16, a3)
  }
}

/** The same for four tokens, two groups at a time as in q4_k.ts. Every output is the bits that `matmul_q5_0_x1` gives. */
export function matmul_q5_0_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const five = held(FIVE, blocks)
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
        const u = inPlace(q, five)
        const v = inPlace(q + toPartner, five)
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
      let u = inPlace(q, five)
      let v = inPlace(q + toPartner, five)
      s0 = addDot(s0, u, x0 + y, 0, even)
      t0 = addDot(t0, v, x0 + y, 0, even)
      s1 = addDot(s1, u, x1 + y, 0, even)
      t1 = addDot(t1, v, x1 + y, 0, even)
      s2 = addDot(s2, u, x2 + y, 0, even)
      t2 = addDot(t2, v, x2 + y, 0, even)
      s3 = addDot(s3, u, x3 + y, 0, even)
      t3 = addDot(t3, v, x3 + y, 0, even)
      y += quad
      q -= 64
      for (const stop = q + 64; q < stop; q += 32) {
        const u = joined(q, five)
        const v = joined(q + toPartner, five)
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
      u = lastQuad(q - 64, five)
      v = lastQuad(q - 64 + toPartner, five)
      s0 = addDot(s0, u, x0 + y, 0, even)
      t0 = addDot(t0, v, x0 + y, 0, even)
      s1 = addDot(s1, u, x1 + y, 0, even)
      t1 = addDot(t1, v, x1 + y, 0, even)
      s2 = addDot(s2, u, x2 + y, 0, even)
      t2 = addDot(t2, v, x2 + y, 0, even)
      s3 = addDot(s3, u, x3 + y, 0, even)
      t3 = addDot(t3, v, x3 + y, 0, even)
      y += quad
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
