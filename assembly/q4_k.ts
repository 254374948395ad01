// Q4_K: 256 weights of a row in 8 sub-blocks of 32, weight = d * scale * q - dmin * min; the oracle is src/quants/q4_k.ts.
//
// In a bank a group is 4 rows: a 16-byte header (half.ts), then per 256 columns a unit of 592 bytes (576 in the file):
//     0   d     4 rows x f16, raised
//     8   dmin  4 rows x f16, raised
//    16   scale 8 sub-blocks x 4 rows x u8
//    48   min   4 pairs of sub-blocks x 4 rows x (even u8, odd u8)
//    80   q     8 sub-blocks x 4 vectors of 16 bytes; vector j: low nibbles = columns 4j..4j+3 of 4 rows, high nibbles = columns 16+4j..16+4j+3
import { addDot, addDot16, addScaled1Low, evenMask, held, quadBytes } from './lanes'
import { HALF_MASK, expand } from './half'
import { SUMS, activationScales, activationSums } from './q8_k'
import { stripOf, stripStart } from './strips'
import { repackScalesAndMins, repackNibbles } from './kPacking'

const UNIT: usize = 592

// @ts-ignore: decorator
@inline function low(w: v128, nibble: v128): v128 {
  return v128.and(w, nibble)
}

// @ts-ignore: decorator
@inline function high(w: v128, nibble: v128): v128 {
  return v128.and(i16x8.shr_u(w, 4), nibble)
}

/** Adds a vector's two quads. A sub-block sums to at most 8 * 2 * 15 * 127 = 30480 in an i16 lane. */
// @ts-ignore: decorator
@inline function addPair(sum: v128, w: v128, x: usize, nibble: v128, even: v128): v128 {
  return addDot16(addDot(sum, low(w, nibble), x, 0, even), high(w, nibble), x, even)
}

/** The scales of sub-block s. */
// @ts-ignore: decorator
@inline export function scalesOf(w: usize, s: usize): v128 {
  return i16x8.extend_low_i8x16_u(v128.load32_zero(w + s * 4, 16))
}

/** Sum over one unit of min * (sum of x over the sub-block). */
// @ts-ignore: decorator
@inline export function minSum(w: usize, sums: usize): v128 {
  let m = i32x4.dot_i16x8_s(v128.load8x8_u(w, 48), v128.load32_splat(sums))
  m = i32x4.add(m, i32x4.dot_i16x8_s(v128.load8x8_u(w, 56), v128.load32_splat(sums, 4)))
  m = i32x4.add(m, i32x4.dot_i16x8_s(v128.load8x8_u(w, 64), v128.load32_splat(sums, 8)))
  return i32x4.add(m, i32x4.dot_i16x8_s(v128.load8x8_u(w, 72), v128.load32_splat(sums, 12)))
}

/** acc + d * dx * isum - dmin * dx * msum, in this order. */
// @ts-ignore: decorator
@inline export function finish(acc: v128, w: usize, dx: v128, isum: v128, msum: v128, mask: v128, factor: v128): v128 {
  acc = f32x4.add(acc, f32x4.mul(f32x4.mul(expand(w, mask, factor), dx), f32x4.convert_i32x4_s(isum)))
  return f32x4.sub(acc, f32x4.mul(f32x4.mul(expand(w + 8, mask, factor), dx), f32x4.convert_i32x4_s(msum)))
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token, four strips at a time (strips.ts). */
export function matmul_q4_k_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const xUnit = quad * 64
  const scales = activationScales(x, blocks)
  const sums = activationSums(x, blocks)
  const groupBytes = <usize>blocks * UNIT + 16
  const strip = stripOf(groups)
  const to1 = stripStart(1, strip, groups)
  const to2 = stripStart(2, strip, groups)
  const to3 = stripStart(3, strip, groups)
  for (let g: usize = 0; g < strip; g++) {
    let w0 = weights + g * groupBytes
    let w1 = w0 + to1 * groupBytes
    let w2 = w0 + to2 * groupBytes
    let w3 = w0 + to3 * groupBytes
    const f0 = v128.load(w0)
    const f1 = v128.load(w1)
    const f2 = v128.load(w2)
    const f3 = v128.load(w3)
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    w0 += 16
    w1 += 16
    w2 += 16
    w3 += 16
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let i0 = i32x4.splat(0)
      let i1 = i0
      let i2 = i0
      let i3 = i0
      let y = x + b * xUnit
      for (let s: usize = 0; s < 8; s++) {
        let s0 = i32x4.splat(0)
        let s1 = s0
        let s2 = s0
        let s3 = s0
        let q = s * 64
        for (const stop = q + 64; q < stop; q += 16) {
          s0 = addPair(s0, v128.load(w0 + q, 80), y, nibble, even)
          s1 = addPair(s1, v128.load(w1 + q, 80), y, nibble, even)
          s2 = addPair(s2, v128.load(w2 + q, 80), y, nibble, even)
          s3 = addPair(s3, v128.load(w3 + q, 80), y, nibble, even)
          y += quad
        }
        i0 = addScaled1Low(i0, s0, scalesOf(w0, s))
        i1 = addScaled1Low(i1, s1, scalesOf(w1, s))
        i2 = addScaled1Low(i2, s2, scalesOf(w2, s))
        i3 = addScaled1Low(i3, s3, scalesOf(w3, s))
        y += 4 * quad
      }
      const dx = v128.load32_splat(scales + b * 4)
      const sum = sums + b * SUMS
      a0 = finish(a0, w0, dx, i0, minSum(w0, sum), mask, f0)
      a1 = finish(a1, w1, dx, i1, minSum(w1, sum), mask, f1)
      a2 = finish(a2, w2, dx, i2, minSum(w2, sum), mask, f2)
      a3 = finish(a3, w3, dx, i3, minSum(w3, sum), mask, f3)
      w0 += UNIT
      w1 += UNIT
      w2 += UNIT
      w3 += UNIT
    }
    v128.store(out + g * 16, a0)
    v128.store(out + (g + to1) * 16, a1)
    v128.store(out + (g + to2) * 16, a2)
    v128.store(out + (g + to3) * 16, a3)
  }
}

/**
 * The same for four tokens, two groups at a time: weights are unpacked once for four tokens, a quad of a token is loaded once for eight rows. The innermost loop is
 * short on purpose: engines that reorder loads find too few of them to run out of registers. Every output is the bits that `matmul_q4_k_x1` gives.
 */
export function matmul_q4_k_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const toScales = activationScales(0, blocks)
  const toSums = activationSums(0, blocks)
  const groupBytes = <usize>blocks * UNIT + 16
  for (let g: usize = 0; g < <usize>groups; g += 2) {
    // of an odd number, the last group is its own partner
    const partner: usize = g + 1 < <usize>groups ? 1 : 0
    const toPartner = partner * groupBytes
    let w = weights + g * groupBytes
    const f = v128.load(w)
    const e = v128.load(w + toPartner)
    w += 16
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    let b0 = a0
    let b1 = a0
    let b2 = a0
    let b3 = a0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let i0 = i32x4.splat(0)
      let i1 = i0
      let i2 = i0
      let i3 = i0
      let j0 = i0
      let j1 = i0
      let j2 = i0
      let j3 = i0
      for (let s: usize = 0; s < 8; s++) {
        let s0 = i32x4.splat(0)
        let s1 = s0
        let s2 = s0
        let s3 = s0
        let t0 = s0
        let t1 = s0
        let t2 = s0
        let t3 = s0
        let q = w + s * 64
        const stop = q + 64
        let y = (b * 64 + s * 8) * quad
        for (; q < stop; q += 16) {
          const u = v128.load(q, 80)
          const v = v128.load(q + toPartner, 80)
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
        let scales = scalesOf(w, s)
        i0 = addScaled1Low(i0, s0, scales)
        i1 = addScaled1Low(i1, s1, scales)
        i2 = addScaled1Low(i2, s2, scales)
        i3 = addScaled1Low(i3, s3, scales)
        scales = scalesOf(w + toPartner, s)
        j0 = addScaled1Low(j0, t0, scales)
        j1 = addScaled1Low(j1, t1, scales)
        j2 = addScaled1Low(j2, t2, scales)
        j3 = addScaled1Low(j3, t3, scales)
      }
      const d = toScales + b * 4
      const m = toSums + b * SUMS
      const dx0 = v128.load32_splat(x0 + d)
      const dx1 = v128.load32_splat(x1 + d)
      const dx2 = v128.load32_splat(x2 + d)
      const dx3 = v128.load32_splat(x3 + d)
      a0 = finish(a0, w, dx0, i0, minSum(w, x0 + m), mask, f)
      a1 = finish(a1, w, dx1, i1, minSum(w, x1 + m), mask, f)
      a2 = finish(a2, w, dx2, i2, minSum(w, x2 + m), mask, f)
      a3 = finish(a3, w, dx3, i3, minSum(w, x3 + m), mask, f)
      const v = w + toPartner
      b0 = finish(b0, v, dx0, j0, minSum(v, x0 + m), mask, e)
      b1 = finish(b1, v, dx1, j1, minSum(v, x1 + m), mask, e)
      b2 = finish(b2, v, dx2, j2, minSum(v, x2 + m), mask, e)
      b3 = finish(b3, v, dx3, j3, minSum(v, x3 + m), mask, e)
      w += UNIT
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

/** File blocks of `rows` consecutive rows (144 bytes per 256 weights) to groups of four; missing rows of the last group become zeros. Returns how many scales are not finite. */
export function repack_q4_k(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 144
  let bad = 0
  for (let row = 0; row < rows; row += 4) {
    const valid = min(4, rows - row)
    bad += repackScalesAndMins(src, valid, blocks, 144, dst, UNIT)
    for (let b: usize = 0; b < <usize>blocks; b++) repackNibbles(src + b * 144 + 16, rowBytes, valid, dst + 16 + b * UNIT + 80)
    src += rowBytes * 4
    dst += 16 + <usize>blocks * UNIT
  }
  return bad
}
