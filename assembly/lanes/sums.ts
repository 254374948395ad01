// Sums of products with unsigned bytes of at most 7 bits, as two kinds of processor make them fastest. T names the
// lanes, in relaxed-simd:
//     i16   the 8-bit product of pairs, and an addition. A sum is two lanes a row, and must fit 16 bits.
//     i32   one product of fours that adds, where `wholeBytes` says that the processor has it (AVX-VNNI). A lane a row.
// simd has i32 alone, in products of 16 bits.
import { addDot, addDot16, addWhole, addWhole16, startFrom } from './quads'
import { scaled, spread } from './scales'

/** Adds 4 rows x 4 columns of `bytes` times the quad at x. */
// @ts-ignore: decorator
@inline export function add<T>(sum: v128, bytes: v128, x: usize, even: v128): v128 {
  return sizeof<T>() == 2 ? addDot(sum, bytes, x, 0, even) : addWhole(sum, bytes, x, 0, even)
}

/** The same with the quad 16 columns after the one at x. */
// @ts-ignore: decorator
@inline export function add16<T>(sum: v128, bytes: v128, x: usize, even: v128): v128 {
  return sizeof<T>() == 2 ? addDot16(sum, bytes, x, even) : addWhole16(sum, bytes, x, even)
}

/** The start of a sum that the activations hold ready (`startFrom`). `ones`: 1 in either half of each lane, held. */
// @ts-ignore: decorator
@inline export function startOf<T>(sums: usize, ones: v128): v128 {
  return sizeof<T>() == 2 ? startFrom(sums) : i32x4.dot_i16x8_s(v128.load32_splat(sums), ones)
}

/** The scales of the first or the second group, out of 8 rows' i16 scales, in the form that `scaledBy` takes. */
// @ts-ignore: decorator
@inline export function spreadOf<T>(scales: v128, second: bool): v128 {
  if (sizeof<T>() == 2) return spread(scales, second)
  return second ? i32x4.extend_high_i16x8_s(scales) : i32x4.extend_low_i16x8_s(scales)
}

/** A sub-block's sum times its scale, a lane a row. */
// @ts-ignore: decorator
@inline export function scaledBy<T>(sum: v128, scale: v128): v128 {
  return sizeof<T>() == 2 ? scaled(sum, scale) : i32x4.mul(sum, scale)
}
