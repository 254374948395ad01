// Q6_K: 256 weights of a row in 16 sub-blocks of 16, weight = d * scale * (q - 32); the oracle is src/quants/q6_k.ts.
//
// A group is 4 rows: a 16-byte header (half.ts), then per 256 columns a unit of 848 bytes (840 in the file):
//     0   d     4 rows x f16, raised; 8 bytes unused
//    16   scale 16 sub-blocks x 4 rows x i8
//    80   8 pairs of sub-blocks x 96 bytes:
//          0  h   16 bytes for the first sub-block, 16 for the second; byte 4r + c: bits 2j, 2j+1 are bits 4, 5 of row r, column 4j + c
//         32  q   4 vectors of 16 bytes; vector j: low nibbles = columns 4j..4j+3 of 4 rows, high nibbles = columns 16+4j..16+4j+3
// The 32 is taken off where the sum of a sub-block starts, at -32 times the sum of x.
import { addDot, addScaled1High, addScaled1Low, evenMask, held, quadBytes, startFrom, storeTransposed } from './lanes'
import { HALF_MASK, canRaise, expand, isFiniteHalf, raise, storeFactor } from './half'
import { SUMS, activationScales, activationSums } from './q8_k'
import { stripOf, stripStart } from './strips'

const UNIT: usize = 848
const TOP: i32 = 0x30303030

// @ts-ignore: decorator
@inline function top(h: v128, j: i32, mask: v128): v128 {
  return v128.and(j < 2 ? i16x8.shl(h, 4 - 2 * j) : i16x8.shr_u(h, 2 * j - 4), mask)
}

// @ts-ignore: decorator
@inline function low(w: v128, h: v128, j: i32, nibble: v128, mask: v128): v128 {
  return v128.or(v128.and(w, nibble), top(h, j, mask))
}

// @ts-ignore: decorator
@inline function high(w: v128, h: v128, j: i32, nibble: v128, mask: v128): v128 {
  return v128.or(v128.and(i16x8.shr_u(w, 4), nibble), top(h, j, mask))
}

/**
 * One sub-block of q - 32, of four unpacked vectors; `start` is -32 times the sums of x. At most 4 * 2 * 32 * 127 = 32512 in an i16 lane. On the way a lane may wrap
 * around, and it wraps back.
 */
// @ts-ignore: decorator
@inline function subBlock(start: usize, x: usize, a: v128, b: v128, c: v128, d: v128, even: v128): v128 {
  return addDot(addDot(addDot(addDot(startFrom(start), a, x, 0, even), b, x, 1, even), c, x, 2, even), d, x, 3, even)
}

/** Sum of scale * 32 * (sum of x) of two sub-blocks: the scales, interleaved to pairs a row, meet the two sums. */
// @ts-ignore: decorator
@inline export function bias(isum: v128, scales: v128, sums: usize): v128 {
  const odd = v128.shuffle<i64>(scales, scales, 1, 1)
  return i32x4.add(isum, i32x4.dot_i16x8_s(v128.shuffle<i16>(scales, odd, 0, 8, 1, 9, 2, 10, 3, 11), v128.load32_splat(sums)))
}

/** acc + d * dx * isum. */
// @ts-ignore: decorator
@inline function finish(acc: v128, w: usize, dx: v128, isum: v128, mask: v128, factor: v128): v128 {
  return f32x4.add(acc, f32x4.mul(f32x4.mul(expand(w, mask, factor), dx), f32x4.convert_i32x4_s(isum)))
}

// @ts-ignore: decorator
@inline function unit(acc: v128, w: usize, x: usize, dx: v128, starts: usize, nibble: v128, topMask: v128, even: v128, mask: v128, factor: v128): v128 {
  const quad = quadBytes()
  let isum = i32x4.splat(0)
  for (let k: usize = 0; k < 8; k++) {
    const q = w + k * 96
    const y = x + k * 8 * quad
    const start = starts + k * 8
    const h = v128.load(q, 80)
    const i = v128.load(q, 96)
    const a = v128.load(q, 112)
    const b = v128.load(q, 128)
    const c = v128.load(q, 144)
    const d = v128.load(q, 160)
    const scales = v128.load8x8_s(w + k * 8, 16)
    const s = subBlock(start, y, low(a, h, 0, nibble, topMask), low(b, h, 1, nibble, topMask), low(c, h, 2, nibble, topMask), low(d, h, 3, nibble, topMask), even)
    isum = addScaled1Low(isum, s, scales)
    const t = subBlock(start + 4, y + 4 * quad, high(a, i, 0, nibble, topMask), high(b, i, 1, nibble, topMask), high(c, i, 2, nibble, topMask), high(d, i, 3, nibble, topMask), even)
    isum = addScaled1High(isum, t, scales)
  }
  return finish(acc, w, dx, isum, mask, factor)
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token, four strips at a time (strips.ts). */
export function matmul_q6_k_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const topMask = held(TOP, blocks)
  const mask = held(HALF_MASK, blocks)
  const xUnit = quadBytes() * 64
  const scales = activationScales(x, blocks)
  const starts = activationSums(x, blocks) + 48
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
      const start = starts + b * SUMS
      a0 = unit(a0, w0, xb, dx, start, nibble, topMask, even, mask, f0)
      a1 = unit(a1, w1, xb, dx, start, nibble, topMask, even, mask, f1)
      a2 = unit(a2, w2, xb, dx, start, nibble, topMask, even, mask, f2)
      a3 = unit(a3, w3, xb, dx, start, nibble, topMask, even, mask, f3)
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

/** The same for four tokens. Every output is the bits that `matmul_q6_k_x1` gives. */
export function matmul_q6_k_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const topMask = held(TOP, blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const toScales = activationScales(0, blocks)
  const toStarts = activationSums(0, blocks) + 48
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
      for (let k: usize = 0; k < 8; k++) {
        const q = weights + k * 96
        let at = (b * 64 + k * 8) * quad
        let start = toStarts + b * SUMS + k * 8
        const scales = v128.load8x8_s(weights + k * 8, 16)
        let h = v128.load(q, 80)
        const p = v128.load(q, 112)
        const r = v128.load(q, 128)
        const s = v128.load(q, 144)
        const t = v128.load(q, 160)
        let a = low(p, h, 0, nibble, topMask)
        let c = low(r, h, 1, nibble, topMask)
        let d = low(s, h, 2, nibble, topMask)
        let e = low(t, h, 3, nibble, topMask)
        i0 = addScaled1Low(i0, subBlock(x0 + start, x0 + at, a, c, d, e, even), scales)
        i1 = addScaled1Low(i1, subBlock(x1 + start, x1 + at, a, c, d, e, even), scales)
        i2 = addScaled1Low(i2, subBlock(x2 + start, x2 + at, a, c, d, e, even), scales)
        i3 = addScaled1Low(i3, subBlock(x3 + start, x3 + at, a, c, d, e, even), scales)
        h = v128.load(q, 96)
        a = high(p, h, 0, nibble, topMask)
        c = high(r, h, 1, nibble, topMask)
        d = high(s, h, 2, nibble, topMask)
        e = high(t, h, 3, nibble, topMask)
        at += 4 * quad
        start += 4
        i0 = addScaled1High(i0, subBlock(x0 + start, x0 + at, a, c, d, e, even), scales)
        i1 = addScaled1High(i1, subBlock(x1 + start, x1 + at, a, c, d, e, even), scales)
        i2 = addScaled1High(i2, subBlock(x2 + start, x2 + at, a, c, d, e, even), scales)
        i3 = addScaled1High(i3, subBlock(x3 + start, x3 + at, a, c, d, e, even), scales)
      }
      const d = toScales + b * 4
      a0 = finish(a0, weights, v128.load32_splat(x0 + d), i0, mask, factor)
      a1 = finish(a1, weights, v128.load32_splat(x1 + d), i1, mask, factor)
      a2 = finish(a2, weights, v128.load32_splat(x2 + d), i2, mask, factor)
      a3 = finish(a3, weights, v128.load32_splat(x3 + d), i3, mask, factor)
      weights += UNIT
    }
    v128.store(out0 + g * 16, a0)
    v128.store(out1 + g * 16, a1)
    v128.store(out2 + g * 16, a2)
    v128.store(out3 + g * 16, a3)
  }
}

// In the file: ql 128 bytes, qh 64, scales 16 x i8, d. Columns 32k .. 32k+31 are nibbles (low for k % 4 < 2) of ql from (k >> 2) * 64 + (k & 1) * 32, and bits 2 * (k & 3) of qh
// from (k >> 2) * 32.
// @ts-ignore: decorator
@inline function nibbles(block: usize, k: i32, real: bool): v128 {
  if (!real) return i32x4.splat(0)
  const p = block + <usize>((k >> 2) * 64 + (k & 1) * 32)
  const mask = i8x16.splat(15)
  const shift = (k & 2) << 1
  const a = v128.and(i16x8.shr_u(v128.load(p), shift), mask)
  const b = v128.and(i16x8.shr_u(v128.load(p, 16), shift), mask)
  return v128.or(a, i16x8.shl(b, 4))
}

function topBits(qh: usize, k: i32): u32 {
  const v = v128.and(i16x8.shr_u(v128.load(qh), (k & 3) * 2), i8x16.splat(3))
  return i32x4.extract_lane(v, 0) | (i32x4.extract_lane(v, 1) << 2) | (i32x4.extract_lane(v, 2) << 4) | (i32x4.extract_lane(v, 3) << 6)
}

/** File blocks of `rows` consecutive rows (210 bytes per 256 weights) to groups of four. Returns how many scales are not finite. */
export function repack_q6_k(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 210
  let bad = 0
  for (let row = 0; row < rows; row += 4) {
    const valid = <usize>min(4, rows - row)
    let raised = true
    for (let r: usize = 0; r < valid; r++) {
      for (let b: usize = 0; b < <usize>blocks; b++) {
        const d = <u32>load<u16>(src + r * rowBytes + b * 210, 208)
        if (!isFiniteHalf(d)) bad++
        if (!canRaise(d)) raised = false
      }
    }
    storeFactor(dst, raised)
    dst += 16
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const block = src + b * 210
      for (let r: usize = 0; r < 4; r++) {
        const real = r < valid
        const mine = block + r * rowBytes
        const d = real ? <u32>load<u16>(mine, 208) : 0
        store<u16>(dst + r * 2, raised ? raise(d) : d)
        for (let s: usize = 0; s < 16; s++) store<u8>(dst + s * 4 + r, real ? load<u8>(mine + s, 192) : 0, 16)
        for (let k = 0; k < 8; k++) {
          const qh = mine + 128 + <usize>(k >> 2) * 32
          store<u32>(dst + <usize>k * 96 + r * 4, real ? topBits(qh, k) : 0, 80)
          store<u32>(dst + <usize>k * 96 + r * 4, real ? topBits(qh + 16, k) : 0, 96)
        }
      }
      for (let k = 0; k < 8; k++) {
        storeTransposed(dst + 112 + <usize>k * 96, nibbles(block, k, true), nibbles(block + rowBytes, k, valid > 1), nibbles(block + 2 * rowBytes, k, valid > 2), nibbles(block + 3 * rowBytes, k, valid > 3))
      }
      store<u64>(dst, 0, 8)
      dst += UNIT
    }
    src += rowBytes * 4
  }
  return bad
}
