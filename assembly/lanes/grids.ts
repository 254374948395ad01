// Weights out of grids: the groups of four or eight magnitudes that an index of the IQ1, IQ2 and IQ3 formats stands
// for, and their signs. The grids lie at the start of every memory, a byte per magnitude, below 64;
// src/runtime/kernels/gridTable.ts writes them there, in this order.
//
// A vector here is 16 columns of one row, as the file has them: no four rows side by side (quads.ts), since a group is
// then one load.
import { held } from './held'

/** 8 * (value + 1), where the grid's values are -1, 0 and 1. */
export const GRID_IQ1: usize = 0
export const GRID_IQ2_S: usize = 0x4000
export const GRID_IQ2_XS: usize = 0x6000
export const GRID_IQ2_XXS: usize = 0x7000
export const GRID_IQ3_S: usize = 0x7800
export const GRID_IQ3_XXS: usize = 0x8000

/** Two groups of eight, at byte offsets a and b of a grid. */
// @ts-ignore: decorator
@inline export function twoGroups(grid: usize, a: usize, b: usize): v128 {
  return v128.load64_lane(grid + b, v128.load64_zero(grid + a), 1)
}

/** Four groups of four, at byte offsets a to d of a grid. */
// @ts-ignore: decorator
@inline export function fourGroups(grid: usize, a: usize, b: usize, c: usize, d: usize): v128 {
  return v128.load32_lane(grid + d, v128.load32_lane(grid + c, v128.load32_lane(grid + b, v128.load32_zero(grid + a), 1), 2), 3)
}

/**
 * A mask of the negative ones among the 16 columns number k of 128. Signs are 16 bytes: bit 7 - k of byte c belongs to
 * column 16k + c. zero: held.
 */
// @ts-ignore: decorator
@inline export function signMask(signs: v128, k: i32, zero: v128): v128 {
  return i8x16.lt_s(k ? i16x8.shl(signs, k) : signs, zero)
}

/**
 * The signs of 128 columns of which each eighth has none: the number of minus signs among eight is even. Bytes 7 and 15
 * may hold anything.
 */
// @ts-ignore: decorator
@inline export function evenSigns(signs: v128): v128 {
  const seven = i64x2.splat(0x00ffffffffffffff)
  const given = v128.and(signs, seven)
  let folded = v128.xor(given, i64x2.shl(given, 32))
  folded = v128.xor(folded, i64x2.shl(folded, 16))
  folded = v128.xor(folded, i64x2.shl(folded, 8))
  return v128.or(given, v128.andnot(folded, seven))
}

/** Bits of each half, as eight bytes of eight bits, exchanged with bytes. */
// @ts-ignore: decorator
@inline function exchanged(v: v128): v128 {
  let t = v128.and(v128.xor(v, i64x2.shr_u(v, 7)), i64x2.splat(0x00aa00aa00aa00aa))
  v = v128.xor(v, v128.xor(t, i64x2.shl(t, 7)))
  t = v128.and(v128.xor(v, i64x2.shr_u(v, 14)), i64x2.splat(0x0000cccc0000cccc))
  v = v128.xor(v, v128.xor(t, i64x2.shl(t, 14)))
  t = v128.and(v128.xor(v, i64x2.shr_u(v, 28)), i64x2.splat(0x00000000f0f0f0f0))
  return v128.xor(v, v128.xor(t, i64x2.shl(t, 28)))
}

/**
 * Signs in the order of `signMask` from the file's: byte g belongs to columns 8g .. 8g + 7, bit c to column c of these.
 */
// @ts-ignore: decorator
@inline export function signsByColumn(bytes: v128): v128 {
  return exchanged(v128.shuffle<i8>(bytes, bytes, 14, 12, 10, 8, 6, 4, 2, 0, 15, 13, 11, 9, 7, 5, 3, 1))
}

/** Bytes negated where the mask is set. */
// @ts-ignore: decorator
@inline export function negated(bytes: v128, mask: v128): v128 {
  return i8x16.sub(v128.xor(bytes, mask), mask)
}

/** 16 columns of activations: relaxed-simd all of them, simd the even ones (quads.ts). */
// @ts-ignore: decorator
@inline export function evens(x: usize): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? v128.load(x) : v128.shuffle<i32>(v128.load(x), v128.load(x, 16), 0, 2, 4, 6)
}

/** The odd ones of 16 columns of activations, for simd. */
// @ts-ignore: decorator
@inline export function odds(x: usize): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? i32x4.splat(0) : v128.shuffle<i32>(v128.load(x), v128.load(x, 16), 1, 3, 5, 7)
}

/** Signed bytes times 16 columns, summed in four lanes. For simd. */
// @ts-ignore: decorator
@inline function wideProducts(signed: v128, even: v128, odd: v128): v128 {
  return i32x4.add(i32x4.dot_i16x8_s(i16x8.shr_s(i16x8.shl(signed, 8), 8), even), i32x4.dot_i16x8_s(i16x8.shr_s(signed, 8), odd))
}

/**
 * 16 magnitudes, negated where the mask is set, times 16 columns (`evens`, `odds`). relaxed-simd: 8 x i16, at most 2 *
 * 62 * 127 = 15748 each; it negates the activations, since the magnitudes must stay unsigned. simd: 4 x i32.
 */
// @ts-ignore: decorator
@inline export function signedProducts(magnitudes: v128, mask: v128, even: v128, odd: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.relaxed_dot_i8x16_i7x16_s(negated(even, mask), magnitudes)
  return wideProducts(negated(magnitudes, mask), even, odd)
}

/** 16 bytes, below 128 (simd: signed), times 16 columns: 8 x i16, or in simd 4 x i32. */
// @ts-ignore: decorator
@inline export function products(bytes: v128, even: v128, odd: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.relaxed_dot_i8x16_i7x16_s(even, bytes)
  return wideProducts(bytes, even, odd)
}

/**
 * Scale j of four, in the form that `scaled` (scales.ts) takes: 4 x i32, each with the scale in either half, which simd
 * sees as 4 x i32 of the low half.
 */
// @ts-ignore: decorator
@inline export function scaleOf(scales: v128, j: i32): v128 {
  const v = ASC_FEATURE_RELAXED_SIMD ? scales : i32x4.shr_s(scales, 16)
  if (j == 0) return v128.shuffle<i32>(v, v, 0, 0, 0, 0)
  if (j == 1) return v128.shuffle<i32>(v, v, 1, 1, 1, 1)
  if (j == 2) return v128.shuffle<i32>(v, v, 2, 2, 2, 2)
  return v128.shuffle<i32>(v, v, 3, 3, 3, 3)
}

/** Of 8 x i16 the even ones, each in both halves of a lane. */
// @ts-ignore: decorator
@inline export function evenScales(scales: v128): v128 {
  return v128.or(v128.and(scales, i32x4.splat(0xffff)), i32x4.shl(scales, 16))
}

/** The odd ones. */
// @ts-ignore: decorator
@inline export function oddScales(scales: v128): v128 {
  return v128.or(v128.andnot(scales, i32x4.splat(0xffff)), i32x4.shr_u(scales, 16))
}

/**
 * The sums of the lanes of four vectors, a lane each. V8 has the even and the odd lanes of two vectors in 256 bits, too
 * (pairs.ts).
 */
// @ts-ignore: decorator
@inline export function laneSums(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 2, 4, 6), v128.shuffle<i32>(a, b, 1, 3, 5, 7))
  const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 2, 4, 6), v128.shuffle<i32>(c, d, 1, 3, 5, 7))
  return i32x4.add(v128.shuffle<i32>(ab, cd, 0, 2, 4, 6), v128.shuffle<i32>(ab, cd, 1, 3, 5, 7))
}
