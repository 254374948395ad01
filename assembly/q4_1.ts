// Q4_1: blocks of 32, weight = d * q + m; the oracle is src/quants/q4_1.ts.
//
// A group is laid out as block32.ts says, with d and m.
import { addDot, addDot16, evenMask, held, inOrder, quadBytes, rowSumsBy } from './lanes'
import { activationScales, activationSums, blockSum } from './q8_1'
import { PAIR_MASK, addNibbles, addScaledMin, bytesOfGroup, high, low, nibbleDots, repackHalves, repackNibbles } from './block32'
import { stripOf, stripStart } from './strips'

const BLOCK: usize = 80


/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 32) x one token, four strips at a time (strips.ts). */
export function matmul_q4_1_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const mask = held(PAIR_MASK, blocks)
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
    let p0 = w0 + 16
    let p1 = w1 + 16
    let p2 = w2 + 16
    let p3 = w3 + 16
    let y = x
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let s0 = nibbleDots(v128.load(p0, 16), y, nibble, even)
      let s1 = nibbleDots(v128.load(p1, 16), y, nibble, even)
      let s2 = nibbleDots(v128.load(p2, 16), y, nibble, even)
      let s3 = nibbleDots(v128.load(p3, 16), y, nibble, even)
      inOrder(blocks)
      s0 = addNibbles(s0, v128.load(p0, 32), y + quad, nibble, even)
      s1 = addNibbles(s1, v128.load(p1, 32), y + quad, nibble, even)
      s2 = addNibbles(s2, v128.load(p2, 32), y + quad, nibble, even)
      s3 = addNibbles(s3, v128.load(p3, 32), y + quad, nibble, even)
      inOrder(blocks)
      s0 = addNibbles(s0, v128.load(p0, 48), y + 2 * quad, nibble, even)
      s1 = addNibbles(s1, v128.load(p1, 48), y + 2 * quad, nibble, even)
      s2 = addNibbles(s2, v128.load(p2, 48), y + 2 * quad, nibble, even)
      s3 = addNibbles(s3, v128.load(p3, 48), y + 2 * quad, nibble, even)
      inOrder(blocks)
      s0 = addNibbles(s0, v128.load(p0, 64), y + 3 * quad, nibble, even)
      s1 = addNibbles(s1, v128.load(p1, 64), y + 3 * quad, nibble, even)
      s2 = addNibbles(s2, v128.load(p2, 64), y + 3 * quad, nibble, even)
      s3 = addNibbles(s3, v128.load(p3, 64), y + 3 * quad, nibble, even)
      inOrder(blocks)
      const dx = v128.load32_splat(scales + b * 4)
      const xsum = f32x4.convert_i32x4_s(blockSum(sums + b * 4))
      a0 = addScaledMin(a0, p0, dx, rowSumsBy(s0, ones), xsum, mask, f0)
      a1 = addScaledMin(a1, p1, dx, rowSumsBy(s1, ones), xsum, mask, f1)
      a2 = addScaledMin(a2, p2, dx, rowSumsBy(s2, ones), xsum, mask, f2)
      a3 = addScaledMin(a3, p3, dx, rowSumsBy(s3, ones), xsum, mask, f3)
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

/** The same for four tokens, two groups at a time as in q4_k.ts. Every output is the bits that `matmul_q4_1_x1` gives. */
export function matmul_q4_1_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
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
      let s0 = i32x4.splat(0)
      let s1 = s0
      let s2 = s0
      let s3 = s0
      let t0 = s0
      let t1 = s0
      let t2 = s0
      let t3 = s0
      let q = w + 16
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
      const start = toSums + b * 4
      a0 = addScaledMin(a0, w, v128.load32_splat(x0 + scale), rowSumsBy(s0, ones), f32x4.convert_i32x4_s(blockSum(x0 + start)), mask, e)
      b0 = addScaledMin(b0, w + toPartner, v128.load32_splat(x0 + scale), rowSumsBy(t0, ones), f32x4.convert_i32x4_s(blockSum(x0 + start)), mask, f)
      a1 = addScaledMin(a1, w, v128.load32_splat(x1 + scale), rowSumsBy(s1, ones), f32x4.convert_i32x4_s(blockSum(x1 + start)), mask, e)
      b1 = addScaledMin(b1, w + toPartner, v128.load32_splat(x1 + scale), rowSumsBy(t1, ones), f32x4.convert_i32x4_s(blockSum(x1 + start)), mask, f)
      a2 = addScaledMin(a2, w, v128.load32_splat(x2 + scale), rowSumsBy(s2, ones), f32x4.convert_i32x4_s(blockSum(x2 + start)), mask, e)
      b2 = addScaledMin(b2, w + toPartner, v128.load32_splat(x2 + scale), rowSumsBy(t2, ones), f32x4.convert_i32x4_s(blockSum(x2 + start)), mask, f)
      a3 = addScaledMin(a3, w, v128.load32_splat(x3 + scale), rowSumsBy(s3, ones), f32x4.convert_i32x4_s(blockSum(x3 + start)), mask, e)
      b3 = addScaledMin(b3, w + toPartner, v128.load32_splat(x3 + scale), rowSumsBy(t3, ones), f32x4.convert_i32x4_s(blockSum(x3 + start)), mask, f)
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

/** File blocks of `rows` consecutive rows (20 bytes per 32 weights) to groups of four. Returns how many scales and mins are not finite. */
export function repack_q4_1(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 20
  let bad = 0
  for (let row = 0; row < rows; row += 4) {
    const valid = <usize>min(4, rows - row)
    bad += repackHalves(src, valid, blocks, 20, 2, dst, BLOCK)
    for (let b: usize = 0; b < <usize>blocks; b++) {
      repackNibbles(src + b * 20 + 4, rowBytes, valid, dst + 32 + b * BLOCK)
    }
    dst += bytesOfGroup(blocks, BLOCK)
    src += rowBytes * 4
  }
  return bad
}
