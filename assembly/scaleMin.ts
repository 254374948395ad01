// What Q2_K and Q5_K share where their rows stand in single groups: the sums of a block's scales and mins. A unit opens with d and dmin (4 rows x f16 each, raised), then
// 8 sub-blocks x 4 rows of scales, then 4 pairs of sub-blocks x 4 rows of mins.
import { expand } from './half'

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
