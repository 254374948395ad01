// Q5_1: blocks of 32, weight = d * q + m; the oracle is src/quants/q5_1.ts.
//
// A group is laid out as block32.ts says, with d and m, but the quants as in fiveBits.ts.
import { addDot, evenMask, held, inOrder, quadBytes, rowSumsBy } from './lanes'
import { activationScales, activationSums, blockSum } from './q8_1'
import { PAIR_MASK, addScaledMin, repackHalves, bytesOfGroup } from './block32'
import { FIVE, firstHalf, inPlace, joined, lastQuad, repackFiveBits, secondHalf } from './fiveBits'
import { stripOf, stripStart } from './strips'

const BLOCK: usize = 96

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 32) x one token, four strips at a time (strips.ts). */
export function matmul_q5_1_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const five = held(FIVE, blocks)
  const even = evenMask(blocks)
  const mask = held(PAIR_MASK, blocks)
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
      let s0 = rowSumsBy(firstHalf(p0 + 16, y, five, even), ones)
      let s1 = rowSumsBy(firstHalf(p1 + 16, y, five, even), ones)
      let s2 = rowSumsBy(firstHalf(p2 + 16, y, five, even), ones)
      let s3 = rowSumsBy(firstHalf(p3 + 16, y, five, even), ones)
      inOrder(blocks)
      s0 = i32x4.add(s0, rowSumsBy(secondHalf(p0 + 16, y, five, even), ones))
      s1 = i32x4.add(s1, rowSumsBy(secondHalf(p1 + 16, y, five, even), ones))
      s2 = i32x4.add(s2, rowSumsBy(secondHalf(p2 + 16, y, five, even), ones))
      s3 = i32x4.add(s3, rowSumsBy(secondHalf(p3 + 16, y, five, even), ones))
      inOrder(blocks)
      const dx = v128.load32_splat(scales + b * 4)
      const xsum = f32x4.convert_i32x4_s(blockSum(sums + b * 4))
      a0 = addScaledMin(a0, p0, dx, s0, xsum, mask, f0)
      a1 = addScaledMin(a1, p1, dx, s1, xsum, mask, f1)
      a2 = addScaledMin(a2, p2, dx, s2, xsum, mask, f2)
      a3 = addScaledMin(a3, p3, dx, s3, xsum, mask, f3)
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

/** The same for four tokens, two groups at a time as in q4_k.ts. Every output is the bits that `matmul_q5_1_x1` gives. */
export function matmul_q5_1_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const five = held(FIVE, blocks)
  const even = evenMask(blocks)
  const mask = held(PAIR_MASK, blocks)
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
      let q = w + 16
      let s0 = i32x4.splat(0)
      let s1 = s0
      let s2 = s0
      let s3 = s0
      let t0 = s0
      let t1 = s0
      let t2 = s0
      let t3 = s0
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
      const start = toSums + b * 4
      a0 = addScaledMin(a0, w, v128.load32_splat(x0 + scale), i32x4.add(i0, rowSumsBy(s0, ones)), f32x4.convert_i32x4_s(blockSum(x0 + start)), mask, e)
      b0 = addScaledMin(b0, w + toPartner, v128.load32_splat(x0 + scale), i32x4.add(j0, rowSumsBy(t0, ones)), f32x4.convert_i32x4_s(blockSum(x0 + start)), mask, f)
      a1 = addScaledMin(a1, w, v128.load32_splat(x1 + scale), i32x4.add(i1, rowSumsBy(s1, ones)), f32x4.convert_i32x4_s(blockSum(x1 + start)), mask, e)
      b1 = addScaledMin(b1, w + toPartner, v128.load32_splat(x1 + scale), i32x4.add(j1, rowSumsBy(t1, ones)), f32x4.convert_i32x4_s(blockSum(x1 + start)), mask, f)
      a2 = addScaledMin(a2, w, v128.load32_splat(x2 + scale), i32x4.add(i2, rowSumsBy(s2, ones)), f32x4.convert_i32x4_s(blockSum(x2 + start)), mask, e)
      b2 = addScaledMin(b2, w + toPartner, v128.load32_splat(x2 + scale), i32x4.add(j2, rowSumsBy(t2, ones)), f32x4.convert_i32x4_s(blockSum(x2 + start)), mask, f)
      a3 = addScaledMin(a3, w, v128.load32_splat(x3 + scale), i32x4.add(i3, rowSumsBy(s3, ones)), f32x4.convert_i32x4_s(blockSum(x3 + start)), mask, e)
      b3 = addScaledMin(b3, w + toPartner, v128.load32_splat(x3 + scale), i32x4.add(j3, rowSumsBy(t3, ones)), f32x4.convert_i32x4_s(blockSum(x3 + start)), mask, f)
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
