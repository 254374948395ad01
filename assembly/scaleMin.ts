// What Q4_K and Q5_K share: the end of a unit. In both, a unit of two groups (pairs.ts) opens with d and dmin (8 rows x f16 each, raised), then 8 sub-blocks x 8 rows of scales, then at byte
// 96 the mins: 4 pairs of sub-blocks x 8 rows x (even, odd).
import { expandOf } from './half'

/** Sum over one unit of min * (sum of x over the sub-block), of its first or second group. */
// @ts-ignore: decorator
@inline function minSum(w: usize, second: bool, sums: usize): v128 {
  let m = i32x4.dot_i16x8_s(second ? v128.load8x8_u(w, 104) : v128.load8x8_u(w, 96), v128.load32_splat(sums))
  m = i32x4.add(m, i32x4.dot_i16x8_s(second ? v128.load8x8_u(w, 120) : v128.load8x8_u(w, 112), v128.load32_splat(sums, 4)))
  m = i32x4.add(m, i32x4.dot_i16x8_s(second ? v128.load8x8_u(w, 136) : v128.load8x8_u(w, 128), v128.load32_splat(sums, 8)))
  return i32x4.add(m, i32x4.dot_i16x8_s(second ? v128.load8x8_u(w, 152) : v128.load8x8_u(w, 144), v128.load32_splat(sums, 12)))
}

/** acc + d * dx * isum - dmin * dx * msum, in this order. */
// @ts-ignore: decorator
@inline export function finish(acc: v128, w: usize, second: bool, dx: v128, isum: v128, sums: usize, mask: v128, factor: v128): v128 {
  const d = expandOf(second ? v128.load16x4_s(w, 8) : v128.load16x4_s(w), mask, factor)
  const dmin = expandOf(second ? v128.load16x4_s(w, 24) : v128.load16x4_s(w, 16), mask, factor)
  acc = f32x4.add(acc, f32x4.mul(f32x4.mul(d, dx), f32x4.convert_i32x4_s(isum)))
  return f32x4.sub(acc, f32x4.mul(f32x4.mul(dmin, dx), f32x4.convert_i32x4_s(minSum(w, second, sums))))
}
