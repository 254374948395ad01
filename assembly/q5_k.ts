// Q5_K: Q4_K with a fifth bit per weight; the oracle is src/quants/q5_k.ts.
//
// A group is 4 rows: a 16-byte header (half.ts), then per 256 columns a unit of 720 bytes (704 in the file): 0..79 as in q4_k.ts, then
//    80   8 sub-blocks x 80 bytes:
//          0  h   16 bytes; byte 4r + c: bit j is the fifth bit of row r, column 4j + c, bit 4 + j that of column 16 + 4j + c
//         16  q   4 vectors of 16 bytes as in q4_k.ts
import { addDot, addScaledHigh, addScaledLow, evenMask, held, quadBytes } from './lanes'
import { HALF_MASK } from './half'
import { SUMS, activationScales, activationSums } from './q8_k'
import { finish, minSum } from './q4_k'
import { repackNibbles, repackScalesAndMins } from './kPacking'
import { stripOf, stripStart } from './strips'

const UNIT: usize = 720
const FIFTH: i32 = 0x10101010

// Columns 4j.. (low) and 16+4j.. (high) of vector j, with their fifth bits.
// @ts-ignore: decorator
@inline function low(w: v128, h: v128, j: i32, nibble: v128, fifth: v128): v128 {
  return v128.or(v128.and(w, nibble), v128.and(i16x8.shl(h, 4 - j), fifth))
}

// @ts-ignore: decorator
@inline function high(w: v128, h: v128, j: i32, nibble: v128, fifth: v128): v128 {
  return v128.or(v128.and(i16x8.shr_u(w, 4), nibble), v128.and(i16x8.shr_u(h, j), fifth))
}

/** Half a sub-block (16 columns): at most 4 * 2 * 31 * 127 = 31496 in an i16 lane. `first` is vector 0 or 2. */
// @ts-ignore: decorator
@inline function halfSubBlock(q: usize, h: v128, x: usize, first: i32, nibble: v128, fifth: v128, even: v128): v128 {
  let w = v128.load(q + <usize>first * 16)
  let s = addDot(i32x4.splat(0), low(w, h, first, nibble, fifth), x, first, even)
  s = addDot(s, high(w, h, first, nibble, fifth), x, first + 4, even)
  w = v128.load(q + <usize>first * 16, 16)
  s = addDot(s, low(w, h, first + 1, nibble, fifth), x, first + 1, even)
  return addDot(s, high(w, h, first + 1, nibble, fifth), x, first + 5, even)
}

// @ts-ignore: decorator
@inline function unitSum(w: usize, x: usize, nibble: v128, fifth: v128, even: v128): v128 {
  const quad = quadBytes()
  let isum = i32x4.splat(0)
  for (let s: usize = 0; s < 8; s += 2) {
    const scales = v128.load8x8_u(w + s * 4, 16)
    let q = w + 96 + s * 80
    let y = x + s * 8 * quad
    let h = v128.load(q - 16)
    isum = addScaledLow(isum, halfSubBlock(q, h, y, 0, nibble, fifth, even), halfSubBlock(q, h, y, 2, nibble, fifth, even), scales)
    q += 80
    y += 8 * quad
    h = v128.load(q - 16)
    isum = addScaledHigh(isum, halfSubBlock(q, h, y, 0, nibble, fifth, even), halfSubBlock(q, h, y, 2, nibble, fifth, even), scales)
  }
  return isum
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token, four strips at a time (strips.ts). */
export function matmul_q5_k_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const fifth = held(FIFTH, blocks)
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
      const sum = sums + b * SUMS
      a0 = finish(a0, w0, dx, unitSum(w0, xb, nibble, fifth, even), minSum(w0, sum), mask, f0)
      a1 = finish(a1, w1, dx, unitSum(w1, xb, nibble, fifth, even), minSum(w1, sum), mask, f1)
      a2 = finish(a2, w2, dx, unitSum(w2, xb, nibble, fifth, even), minSum(w2, sum), mask, f2)
      a3 = finish(a3, w3, dx, unitSum(w3, xb, nibble, fifth, even), minSum(w3, sum), mask, f3)
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

// Half a sub-block for one token, from its four unpacked vectors.
// @ts-ignore: decorator
@inline function dots(x: usize, first: usize, a: v128, b: v128, c: v128, d: v128, even: v128): v128 {
  return addDot(addDot(addDot(addDot(i32x4.splat(0), a, x, first, even), b, x, first + 4, even), c, x, first + 1, even), d, x, first + 5, even)
}

/** The same for four tokens. Every output is the bits that `matmul_q5_k_x1` gives. */
export function matmul_q5_k_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const fifth = held(FIFTH, blocks)
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
        const q = weights + s * 80
        const at = (b * 64 + s * 8) * quad
        const y0 = x0 + at
        const y1 = x1 + at
        const y2 = x2 + at
        const y3 = x3 + at
        const fifths = v128.load(q, 80)
        let w = v128.load(q, 96)
        let v = v128.load(q, 112)
        let l = low(w, fifths, 0, nibble, fifth)
        let h = high(w, fifths, 0, nibble, fifth)
        let m = low(v, fifths, 1, nibble, fifth)
        let i = high(v, fifths, 1, nibble, fifth)
        const s0 = dots(y0, 0, l, h, m, i, even)
        const s1 = dots(y1, 0, l, h, m, i, even)
        const s2 = dots(y2, 0, l, h, m, i, even)
        const s3 = dots(y3, 0, l, h, m, i, even)
        w = v128.load(q, 128)
        v = v128.load(q, 144)
        l = low(w, fifths, 2, nibble, fifth)
        h = high(w, fifths, 2, nibble, fifth)
        m = low(v, fifths, 3, nibble, fifth)
        i = high(v, fifths, 3, nibble, fifth)
        const scales = i16x8.extend_low_i8x16_u(v128.load32_zero(weights + s * 4, 16))
        i0 = addScaledLow(i0, s0, dots(y0, 2, l, h, m, i, even), scales)
        i1 = addScaledLow(i1, s1, dots(y1, 2, l, h, m, i, even), scales)
        i2 = addScaledLow(i2, s2, dots(y2, 2, l, h, m, i, even), scales)
        i3 = addScaledLow(i3, s3, dots(y3, 2, l, h, m, i, even), scales)
      }
      const d = toScales + b * 4
      const m = toSums + b * SUMS
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

// The fifth bits of sub-block s: bit s of the 32 bytes at p, one row, to the row's four bytes.
function fifthBits(p: usize, s: i32): u32 {
  const one = i8x16.splat(1)
  const a = v128.and(i16x8.shr_u(v128.load(p), s), one)
  const b = v128.and(i16x8.shr_u(v128.load(p, 16), s), one)
  const low = i32x4.extract_lane(a, 0) | (i32x4.extract_lane(a, 1) << 1) | (i32x4.extract_lane(a, 2) << 2) | (i32x4.extract_lane(a, 3) << 3)
  const high = i32x4.extract_lane(b, 0) | (i32x4.extract_lane(b, 1) << 1) | (i32x4.extract_lane(b, 2) << 2) | (i32x4.extract_lane(b, 3) << 3)
  return low | (high << 4)
}

/** File blocks of `rows` consecutive rows (176 bytes per 256 weights) to groups of four. Returns how many scales are not finite. */
export function repack_q5_k(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 176
  let bad = 0
  for (let row = 0; row < rows; row += 4) {
    const valid = min(4, rows - row)
    bad += repackScalesAndMins(src, valid, blocks, 176, dst, UNIT)
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const block = src + b * 176
      const unit = dst + 16 + b * UNIT
      repackNibbles(block + 48, rowBytes, valid, unit + 96, 80)
      for (let s = 0; s < 8; s++) {
        for (let r: usize = 0; r < 4; r++) store<u32>(unit + <usize>s * 80 + r * 4, r < <usize>valid ? fifthBits(block + r * rowBytes + 16, s) : 0, 80)
      }
    }
    src += rowBytes * 4
    dst += 16 + <usize>blocks * UNIT
  }
  return bad
}
