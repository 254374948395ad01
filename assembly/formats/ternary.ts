// TQ2_0 and TQ1_0: 256 weights of a row, weight = d * (q - 1) with q of two bits. The oracles are src/format/quants/
// tq2_0.ts and tq1_0.ts. TQ1_0's five weights in a byte are unpacked to TQ2_0's layout when they are loaded, 22 % more
// bytes: no kernel for base 3.
//
// In a bank eight rows stand together: a 32-byte header (half.ts), then per 256 columns a unit of 528 bytes:
//     0   d  8 rows x f16, raised
//    16   q  8 rows x 64 bytes, one after the other, as TQ2_0's file has them: byte h * 32 + l holds, from bit 0 up,
//            columns h * 128 + l, + 32, + 64 and + 96
// A vector is 16 columns of one row. The 1 is subtracted at the end, as the sum of x.
import { evens, laneSums, odds, products } from '../lanes/grids'
import { expandOf, HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { plus, quadBytes, rowSumsBy } from '../lanes/quads'
import { rowAt } from '../lanes/rows'
import { addScaled } from '../lanes/scales'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'
import { packHalves } from './halves_repack'

const UNIT: usize = 528

/** Plane k of a vector: its two bits 2k and 2k + 1 of each byte. */
// @ts-ignore: decorator
@inline function plane(v: v128, k: i32, two: v128): v128 {
  return v128.and(k ? i16x8.shr_u(v, 2 * k) : v, two)
}

/** Adds 64 columns, those of 16 bytes: their planes meet x 32 columns apart. */
// @ts-ignore: decorator
@inline function addBytes(sum: v128, v: v128, x: usize, two: v128): v128 {
  const far = quadBytes() * 8
  const s = plus(products(plane(v, 0, two), evens(x), odds(x)), products(plane(v, 1, two), evens(x + far), odds(x + far)))
  return plus(sum, plus(s, plus(products(plane(v, 2, two), evens(x + far * 2), odds(x + far * 2)), products(plane(v, 3, two), evens(x + far * 3), odds(x + far * 3)))))
}

/**
 * A row's 256 columns times one token, in four lanes. relaxed-simd sums at most 16 * 2 * 3 * 127 = 12192 in 16 bits.
 */
// @ts-ignore: decorator
@inline function row(p: usize, x: usize, two: v128, ones: v128): v128 {
  const half = quadBytes() * 4
  let sum = addBytes(i32x4.splat(0), v128.load(p), x, two)
  sum = addBytes(sum, v128.load(p, 16), x + half, two)
  sum = addBytes(sum, v128.load(p, 32), x + half * 8, two)
  return rowSumsBy(addBytes(sum, v128.load(p, 48), x + half * 9, two), ones)
}

/** The sum of 256 columns of x, from its 8 sums of 32. */
// @ts-ignore: decorator
@inline function sumOf(sums: usize, ones: v128): v128 {
  const s = i32x4.dot_i16x8_s(v128.load(sums), ones)
  const t = i32x4.add(s, v128.shuffle<i32>(s, s, 2, 3, 0, 1))
  return i32x4.add(t, v128.shuffle<i32>(t, t, 1, 0, 3, 2))
}

/** Four rows' products with one token, a lane a row. */
// @ts-ignore: decorator
@inline function fourRows(p: usize, x: usize, xSum: v128, two: v128, ones: v128): v128 {
  const s = laneSums(row(p, x, two, ones), row(p + 64, x, two, ones), row(p + 128, x, two, ones), row(p + 192, x, two, ones))
  return i32x4.sub(s, xSum)
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token. */
export function ternaryX1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const two = held(0x03030303, blocks)
  const ones = held(0x00010001, blocks)
  const mask = held(HALF_MASK, blocks)
  const xUnit = quadBytes() * 64
  const scales = activationScales(x, blocks)
  const sums = activationSums(x, blocks)
  let w = weights
  for (let g: usize = 0; g < <usize>groups; g += 2) {
    const e = v128.load(w)
    const f = v128.load(w, 16)
    w += 32
    let a = f32x4.splat(0)
    let c = a
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const y = x + b * xUnit
      const dx = v128.load32_splat(scales + b * 4)
      const xSum = sumOf(sums + b * SUMS, ones)
      a = addScaled(a, expandOf(v128.load16x4_s(w), mask, e), dx, fourRows(w + 16, y, xSum, two, ones))
      c = addScaled(c, expandOf(v128.load16x4_s(w, 8), mask, f), dx, fourRows(w + 272, y, xSum, two, ones))
      w += UNIT
    }
    storePair(out + g * 16, a, c, g + 1 < <usize>groups)
  }
}

/** The same for four tokens, a row after the other. Every output is the bits that `ternaryX1` gives. */
export function ternaryX4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const two = held(0x03030303, blocks)
  const ones = held(0x00010001, blocks)
  const mask = held(HALF_MASK, blocks)
  const half = quadBytes() * 4
  const far = quadBytes() * 8
  const toScales = activationScales(0, blocks)
  const toSums = activationSums(0, blocks)
  const pairBytes = <usize>blocks * UNIT + 32
  for (let r: usize = 0; r < <usize>groups * 4; r++) {
    const pair = weights + (r >> 3) * pairBytes
    const factor = v128.load(pair + (r & 4) * 4)
    let w = pair + 32
    let acc = f32x4.splat(0) // a lane a token
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const p = w + 16 + (r & 7) * 64
      let s0 = i32x4.splat(0)
      let s1 = s0
      let s2 = s0
      let s3 = s0
      for (let i: usize = 0; i < 4; i++) {
        let y = b * 64 * quadBytes() + (i & 1) * half + (i >> 1) * half * 8
        const v = v128.load(p + i * 16)
        for (let k = 0; k < 8; k += 2) {
          const q = v128.and(i16x8.shr_u(v, k), two)
          s0 = plus(s0, products(q, evens(x0 + y), odds(x0 + y)))
          s1 = plus(s1, products(q, evens(x1 + y), odds(x1 + y)))
          s2 = plus(s2, products(q, evens(x2 + y), odds(x2 + y)))
          s3 = plus(s3, products(q, evens(x3 + y), odds(x3 + y)))
          y += far
        }
      }
      const sum = toSums + b * SUMS
      const isum = laneSums(rowSumsBy(s0, ones), rowSumsBy(s1, ones), rowSumsBy(s2, ones), rowSumsBy(s3, ones))
      const xSum = laneSums(
        i32x4.dot_i16x8_s(v128.load(x0 + sum), ones),
        i32x4.dot_i16x8_s(v128.load(x1 + sum), ones),
        i32x4.dot_i16x8_s(v128.load(x2 + sum), ones),
        i32x4.dot_i16x8_s(v128.load(x3 + sum), ones),
      )
      const d = expandOf(i32x4.splat(load<i16>(w + (r & 7) * 2)), mask, factor)
      const scale = toScales + b * 4
      const dx = v128.load32_lane(x3 + scale, v128.load32_lane(x2 + scale, v128.load32_lane(x1 + scale, v128.load32_zero(x0 + scale), 1), 2), 3)
      acc = addScaled(acc, d, dx, i32x4.sub(isum, xSum))
      w += UNIT
    }
    v128.store32_lane(out0 + r * 4, acc, 0)
    v128.store32_lane(out1 + r * 4, acc, 1)
    v128.store32_lane(out2 + r * 4, acc, 2)
    v128.store32_lane(out3 + r * 4, acc, 3)
  }
}

/** Where row r of block b has its quants. */
// @ts-ignore: decorator
@inline function quantsAt(dst: usize, b: usize, r: usize): usize {
  return dst + 48 + b * UNIT + r * 64
}

/** The bytes of a pair of groups. */
// @ts-ignore: decorator
@inline function pairBytesOf(blocks: i32): usize {
  return <usize>blocks * UNIT + 32
}

/** Packs `rows` rows of TQ2_0 (66 bytes per 256 weights). Returns how many scales are not finite. */
export function repackTwoBits(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 66
  let bad = 0
  for (; rows > 0; rows -= 8) {
    for (let b: usize = 0; b < <usize>blocks; b++) {
      for (let r = 0; r < 8; r++) {
        const from = rowAt(src + b * 66, rowBytes, r, rows)
        const to = quantsAt(dst, b, r)
        const kept = i32x4.splat(r < rows ? -1 : 0)
        for (let i: usize = 0; i < 64; i += 16) v128.store(to + i, v128.and(v128.load(from + i), kept))
      }
    }
    bad += packHalves(src + 64, rowBytes, rows, blocks, 66, 1, dst, UNIT)
    src += rowBytes * 8
    dst += pairBytesOf(blocks)
  }
  return bad
}

/** The digits of eight bytes after n others: lanes of 16 bits, each a byte times 3^n. */
// @ts-ignore: decorator
@inline function digits(bytes: v128): v128 {
  return i16x8.shr_u(i16x8.mul(v128.and(bytes, i16x8.splat(0xff)), i16x8.splat(3)), 8)
}

/** The digits of `count` bytes, 8 times a number or 4, whose first digits belong to columns from `column` on. */
function unpackDigits(src: usize, count: i32, perByte: i32, column: i32, dst: usize): void {
  for (let at = 0; at < count; at += 8) {
    let bytes = i16x8.extend_low_i8x16_u(v128.load64_zero(src + at))
    for (let n = 0; n < perByte; n++) {
      const c = column + n * count + at
      const to = dst + <usize>((c >> 7) * 32 + (c & 31))
      const shifted = i16x8.shl(digits(bytes), 2 * ((c >> 5) & 3))
      const planes = i8x16.narrow_i16x8_u(shifted, shifted)
      if (count == 4) v128.store32_lane(to, v128.or(planes, v128.load32_zero(to)), 0)
      else v128.store64_lane(to, v128.or(planes, v128.load64_zero(to)), 0)
      bytes = i16x8.mul(bytes, i16x8.splat(3))
    }
  }
}

/** Packs `rows` rows of TQ1_0 (54 bytes per 256 weights). Returns how many scales are not finite. */
export function repackDigits(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 54
  let bad = 0
  for (; rows > 0; rows -= 8) {
    for (let b: usize = 0; b < <usize>blocks; b++) {
      memory.fill(quantsAt(dst, b, 0), 0, 512)
      for (let r = 0; r < min(rows, 8); r++) {
        const from = src + <usize>r * rowBytes + b * 54
        const to = quantsAt(dst, b, r)
        unpackDigits(from, 32, 5, 0, to)
        unpackDigits(from + 32, 16, 5, 160, to)
        unpackDigits(from + 48, 4, 4, 240, to)
      }
    }
    bad += packHalves(src + 52, rowBytes, rows, blocks, 54, 1, dst, UNIT)
    src += rowBytes * 8
    dst += pairBytesOf(blocks)
  }
  return bad
}
