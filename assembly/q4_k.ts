// Q4_K: 256 weights of a row in 8 sub-blocks of 32, weight = d * scale * q - dmin * min; the oracle is src/quants/q4_k.ts.
//
// In a bank a group is 4 rows: a 16-byte header (half.ts), then per 256 columns a unit of 592 bytes (576 in the file):
//     0   d     4 rows x f16, raised
//     8   dmin  4 rows x f16, raised
//    16   scale 8 sub-blocks x 4 rows x u8
//    48   min   4 pairs of sub-blocks x 4 rows x (even u8, odd u8)
//    80   q     8 sub-blocks x 4 vectors of 16 bytes; vector j: low nibbles = columns 4j..4j+3 of 4 rows, high nibbles = columns 16+4j..16+4j+3
import { addDot, addScaled1High, addScaled1Low, evenMask, held, quadBytes } from './lanes'
import { HALF_MASK, expand } from './half'
import { activationScales, activationSums } from './q8_k'
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

/** Sum over one sub-block of q * x: at most 8 * 2 * 15 * 127 = 30480 in an i16 lane. */
// @ts-ignore: decorator
@inline function subBlock(q: usize, x: usize, nibble: v128, even: v128): v128 {
  let w = v128.load(q)
  let s = addDot(i32x4.splat(0), low(w, nibble), x, 0, even)
  s = addDot(s, high(w, nibble), x, 4, even)
  w = v128.load(q, 16)
  s = addDot(s, low(w, nibble), x, 1, even)
  s = addDot(s, high(w, nibble), x, 5, even)
  w = v128.load(q, 32)
  s = addDot(s, low(w, nibble), x, 2, even)
  s = addDot(s, high(w, nibble), x, 6, even)
  w = v128.load(q, 48)
  s = addDot(s, low(w, nibble), x, 3, even)
  return addDot(s, high(w, nibble), x, 7, even)
}

/** Sum over one unit of scale * q * x, 4 rows. */
// @ts-ignore: decorator
@inline function unitSum(w: usize, x: usize, nibble: v128, even: v128): v128 {
  const quad = quadBytes()
  let isum = i32x4.splat(0)
  for (let s: usize = 0; s < 8; s += 2) {
    const scales = v128.load8x8_u(w + s * 4, 16)
    isum = addScaled1Low(isum, subBlock(w + 80 + s * 64, x + s * 8 * quad, nibble, even), scales)
    isum = addScaled1High(isum, subBlock(w + 144 + s * 64, x + 8 * quad + s * 8 * quad, nibble, even), scales)
  }
  return isum
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
  const xUnit = quadBytes() * 64
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
      const xb = x + b * xUnit
      const dx = v128.load32_splat(scales + b * 4)
      const sum = sums + b * 48
      a0 = finish(a0, w0, dx, unitSum(w0, xb, nibble, even), minSum(w0, sum), mask, f0)
      a1 = finish(a1, w1, dx, unitSum(w1, xb, nibble, even), minSum(w1, sum), mask, f1)
      a2 = finish(a2, w2, dx, unitSum(w2, xb, nibble, even), minSum(w2, sum), mask, f2)
      a3 = finish(a3, w3, dx, unitSum(w3, xb, nibble, even), minSum(w3, sum), mask, f3)
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

/** The same for four tokens: a sub-block is unpacked once for all. Every output is the bits that `matmul_q4_k_x1` gives. */
export function matmul_q4_k_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const toScales = activationScales(0, blocks)
  const toSums = activationSums(0, blocks)
  for (let g: usize = 0; g < <usize>groups; g++) {
    const factor = v128.load(weights)
    weights += 16
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let i0 = i32x4.splat(0)
      let i1 = i0
      let i2 = i0
      let i3 = i0
      for (let s: usize = 0; s < 8; s++) {
        const q = weights + s * 64
        const at = (b * 64 + s * 8) * quad
        const y0 = x0 + at
        const y1 = x1 + at
        const y2 = x2 + at
        const y3 = x3 + at
        let w = v128.load(q, 80)
        let l = low(w, nibble)
        let h = high(w, nibble)
        let s0 = addDot(addDot(i32x4.splat(0), l, y0, 0, even), h, y0, 4, even)
        let s1 = addDot(addDot(i32x4.splat(0), l, y1, 0, even), h, y1, 4, even)
        let s2 = addDot(addDot(i32x4.splat(0), l, y2, 0, even), h, y2, 4, even)
        let s3 = addDot(addDot(i32x4.splat(0), l, y3, 0, even), h, y3, 4, even)
        w = v128.load(q, 96)
        l = low(w, nibble)
        h = high(w, nibble)
        s0 = addDot(addDot(s0, l, y0, 1, even), h, y0, 5, even)
        s1 = addDot(addDot(s1, l, y1, 1, even), h, y1, 5, even)
        s2 = addDot(addDot(s2, l, y2, 1, even), h, y2, 5, even)
        s3 = addDot(addDot(s3, l, y3, 1, even), h, y3, 5, even)
        w = v128.load(q, 112)
        l = low(w, nibble)
        h = high(w, nibble)
        s0 = addDot(addDot(s0, l, y0, 2, even), h, y0, 6, even)
        s1 = addDot(addDot(s1, l, y1, 2, even), h, y1, 6, even)
        s2 = addDot(addDot(s2, l, y2, 2, even), h, y2, 6, even)
        s3 = addDot(addDot(s3, l, y3, 2, even), h, y3, 6, even)
        w = v128.load(q, 128)
        l = low(w, nibble)
        h = high(w, nibble)
        s0 = addDot(addDot(s0, l, y0, 3, even), h, y0, 7, even)
        s1 = addDot(addDot(s1, l, y1, 3, even), h, y1, 7, even)
        s2 = addDot(addDot(s2, l, y2, 3, even), h, y2, 7, even)
        s3 = addDot(addDot(s3, l, y3, 3, even), h, y3, 7, even)
        const scales = i16x8.extend_low_i8x16_u(v128.load32_zero(weights + s * 4, 16))
        i0 = addScaled1Low(i0, s0, scales)
        i1 = addScaled1Low(i1, s1, scales)
        i2 = addScaled1Low(i2, s2, scales)
        i3 = addScaled1Low(i3, s3, scales)
      }
      const d = toScales + b * 4
      const m = toSums + b * 48
      a0 = finish(a0, weights, v128.load32_splat(x0 + d), i0, minSum(weights, x0 + m), mask, factor)
      a1 = finish(a1, weights, v128.load32_splat(x1 + d), i1, minSum(weights, x1 + m), mask, factor)
      a2 = finish(a2, weights, v128.load32_splat(x2 + d), i2, minSum(weights, x2 + m), mask, factor)
      a3 = finish(a3, weights, v128.load32_splat(x3 + d), i3, minSum(weights, x3 + m), mask, factor)
      weights += UNIT
    }
    v128.store(out0 + g * 16, a0)
    v128.store(out1 + g * 16, a1)
    v128.store(out2 + g * 16, a2)
    v128.store(out3 + g * 16, a3)
  }
}

/** File blocks of `rows` consecutive rows (144 bytes per 256 weights) to groups of four; missing rows of the last group become zeros. Returns how many scales are not finite. */
export function repack_q4_k(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 144
  let bad = 0
  for (let row = 0; row < rows; row += 4) {
    const valid = min(4, rows - row)
    bad += repackScalesAndMins(src, valid, blocks, 144, dst, UNIT)
    for (let b: usize = 0; b < <usize>blocks; b++) repackNibbles(src + b * 144 + 16, rowBytes, valid, dst + 16 + b * UNIT + 80, 64)
    src += rowBytes * 4
    dst += 16 + <usize>blocks * UNIT
  }
  return bad
}
