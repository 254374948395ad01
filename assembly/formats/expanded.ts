// What the expanded layouts of the IQ1, IQ2 and IQ3 formats share: their scales. In these layouts weights are codes of
// two to four bits, from which products are made without the grids, faster than by indices (gridRows.ts), for up to
// twice the memory.
//
// A scale is a nibble n, for 2n + 1. Four scales of eight rows are 16 bytes: of row r, byte 2r holds the first in its
// low and the third in its high nibble, byte 2r + 1 the second and the fourth. No function here has a literal vector:
// V8 makes them anew at every use.

/** The bytes of the four scales of the first or the second group at p, a pair of bytes a row: 8 x i16. */
// @ts-ignore: decorator
@inline export function scalesAt(p: usize, second: bool): v128 {
  return second ? v128.load8x8_u(p, 8) : v128.load8x8_u(p)
}

/** The bytes with their second pair of scales as the first. */
// @ts-ignore: decorator
@inline export function nextScales(bytes: v128): v128 {
  return i16x8.shr_u(bytes, 4)
}

/** The first pair of scales of each row: 8 x i16. one: 1 in each, held. */
// @ts-ignore: decorator
@inline export function oddScales(bytes: v128, one: v128): v128 {
  return v128.or(i16x8.shr_u(i16x8.shl(bytes, 12), 11), one)
}

/** The first of each pair of scales, in the form that `scaled` (scales.ts) takes. */
// @ts-ignore: decorator
@inline export function firstOf(pairs: v128): v128 {
  const high = i32x4.shl(pairs, 16)
  const low = i32x4.shr_u(high, 16)
  return ASC_FEATURE_RELAXED_SIMD ? v128.or(low, high) : low
}

/** The second. */
// @ts-ignore: decorator
@inline export function secondOf(pairs: v128): v128 {
  const low = i32x4.shr_u(pairs, 16)
  return ASC_FEATURE_RELAXED_SIMD ? v128.or(low, i32x4.shl(low, 16)) : low
}
