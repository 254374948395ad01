// Products of weights with quads of activations: the instructions in which the two builds differ most. Some formats
// have variants of their own (q4_k.ts, iq4.ts, iq4_nl.ts, iq4_xs.ts).
//
// Weights stand four rows side by side: a v128 is 4 rows x 4 columns of bytes, and one i32 lane is one row, so that no
// horizontal sum is ever needed:
//     byte   0 1 2 3 | 4 5 6 7 | 8 9 10 11 | 12 13 14 15
//     row      0     |    1    |     2     |      3          columns 4q .. 4q+3 of each
// Activations come as quads of four columns. relaxed-simd: a quad is 4 x i8, splat to all rows. simd: a quad is 4 x i16
// in the order 0 2 1 3, so that the even and the odd bytes of the weights, widened in place, each meet a splat pair.
// Both are exact integer sums: the two builds agree in every bit.
import { held } from './held'

/** Bytes of one activation quad (4 columns) of a K-quant's activations. */
// @ts-ignore: decorator
@inline export function quadBytes(): usize {
  return ASC_FEATURE_RELAXED_SIMD ? 4 : 8
}

/** The mask with which the simd build takes the even bytes, held; relaxed-simd does not use it. */
// @ts-ignore: decorator
@inline export function evenMask(positive: i32): v128 {
  return held(0x00ff00ff, positive)
}

/**
 * Adds 4 rows x 4 columns of unsigned 7-bit `bytes` times quad `quad` at x. relaxed-simd: 8 x i16, two lanes a row.
 * simd: 4 x i32, a lane a row.
 */
// @ts-ignore: decorator
@inline export function addDot(sum: v128, bytes: v128, x: usize, quad: usize, even: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.add(sum, i16x8.relaxed_dot_i8x16_i7x16_s(v128.load32_splat(x + quad * 4), bytes))
  sum = i32x4.add(sum, i32x4.dot_i16x8_s(v128.and(bytes, even), v128.load32_splat(x + quad * 8)))
  return i32x4.add(sum, i32x4.dot_i16x8_s(i16x8.shr_u(bytes, 8), v128.load32_splat(x + quad * 8 + 4)))
}

/**
 * Whether the relaxed 8-bit dot product takes its second operand as unsigned bytes and sums four products in 32 bits
 * without saturation, as AVX-VNNI does in one instruction. Only then may the bytes of `addWhole` have 8 bits.
 * `positive` keeps the optimizer from answering at compile time.
 */
// @ts-ignore: decorator
@inline export function wholeBytes(positive: i32): bool {
  if (!ASC_FEATURE_RELAXED_SIMD) return true
  return i32x4.extract_lane(i32x4.relaxed_dot_i8x16_i7x16_add_s(held(0x81818181, positive), held(-1, positive), i32x4.splat(0)), 0) == 4 * -127 * 255
}

/**
 * Adds 4 rows x 4 columns of unsigned 8-bit `bytes` times quad `quad` at x, to 4 x i32, a lane a row. Only if
 * `wholeBytes`.
 */
// @ts-ignore: decorator
@inline export function addWhole(sum: v128, bytes: v128, x: usize, quad: usize, even: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? i32x4.relaxed_dot_i8x16_i7x16_add_s(v128.load32_splat(x + quad * 4), bytes, sum) : addDot(sum, bytes, x, quad, even)
}

/** `addWhole` with the quad 16 columns after the one at x. */
// @ts-ignore: decorator
@inline export function addWhole16(sum: v128, bytes: v128, x: usize, even: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? i32x4.relaxed_dot_i8x16_i7x16_add_s(v128.load32_splat(x, 16), bytes, sum) : addDot16(sum, bytes, x, even)
}

/** `addDot` with a sum of nothing. */
// @ts-ignore: decorator
@inline export function dot(bytes: v128, x: usize, quad: usize, even: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.relaxed_dot_i8x16_i7x16_s(v128.load32_splat(x + quad * 4), bytes)
  const low = i32x4.dot_i16x8_s(v128.and(bytes, even), v128.load32_splat(x + quad * 8))
  return i32x4.add(low, i32x4.dot_i16x8_s(i16x8.shr_u(bytes, 8), v128.load32_splat(x + quad * 8 + 4)))
}

/** `addDot` of the quad 16 columns after the one at x. */
// @ts-ignore: decorator
@inline export function addDot16(sum: v128, bytes: v128, x: usize, even: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.add(sum, i16x8.relaxed_dot_i8x16_i7x16_s(v128.load32_splat(x, 16), bytes))
  sum = i32x4.add(sum, i32x4.dot_i16x8_s(v128.and(bytes, even), v128.load32_splat(x, 32)))
  return i32x4.add(sum, i32x4.dot_i16x8_s(i16x8.shr_u(bytes, 8), v128.load32_splat(x, 36)))
}

/**
 * The start of a sum in which each weight counts `offset` more (held, in both halves of each lane): offset times the
 * sums of x at `sums` (quantize_q8_1.ts).
 */
// @ts-ignore: decorator
@inline export function startAt(sums: usize, offset: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.mul(v128.load32_splat(sums), offset)
  return i32x4.dot_i16x8_s(v128.load32_splat(sums), offset)
}

/** The start of a sum that the activations hold ready: the pair at `sums` (quantize_q8_k.ts). */
// @ts-ignore: decorator
@inline export function startFrom(sums: usize): v128 {
  const pair = v128.load32_splat(sums)
  return ASC_FEATURE_RELAXED_SIMD ? pair : i32x4.extadd_pairwise_i16x8_s(pair)
}

/** The sum of two sums of `addDot`. */
// @ts-ignore: decorator
@inline export function plus(s: v128, t: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? i16x8.add(s, t) : i32x4.add(s, t)
}

/**
 * The result of `addDot`, a lane a row. `ones` has 1 in either half of each lane, held: the engine's own constant takes
 * two instructions.
 */
// @ts-ignore: decorator
@inline export function rowSumsBy(sum: v128, ones: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? i32x4.dot_i16x8_s(sum, ones) : sum
}

/** The sum of `dot` over four vectors, the quads of 16 columns at x. */
// @ts-ignore: decorator
@inline export function dots(x: usize, a: v128, b: v128, c: v128, d: v128, even: v128): v128 {
  return addDot(addDot(addDot(addDot(i32x4.splat(0), a, x, 0, even), b, x, 1, even), c, x, 2, even), d, x, 3, even)
}
