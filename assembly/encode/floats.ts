// Weights before they are encoded: a check that all of them fit, and F16 and BF16 widened to float32.
import { fromHalf } from '../lanes/half'

/** How many of `count` float32, a multiple of 4, are not numbers of at most `most` in magnitude. */
export function count_beyond(src: usize, count: i32, most: f32): i32 {
  const limit = f32x4.splat(most)
  let within = i32x4.splat(0)
  for (let i: usize = 0; i < <usize>count; i += 4) within = i32x4.add(within, f32x4.le(f32x4.abs(v128.load(src + i * 4)), limit)) // true is -1
  return count + i32x4.extract_lane(within, 0) + i32x4.extract_lane(within, 1) + i32x4.extract_lane(within, 2) + i32x4.extract_lane(within, 3)
}

/** `count` halves, a multiple of 4, to float32. Infinities become NaN. */
export function decode_f16(src: usize, count: i32, dst: usize): void {
  for (let i: usize = 0; i < <usize>count; i += 4) v128.store(dst + i * 4, fromHalf(src + i * 2))
}

/** `count` bfloat16, a multiple of 4, to float32. */
export function decode_bf16(src: usize, count: i32, dst: usize): void {
  for (let i: usize = 0; i < <usize>count; i += 4) v128.store(dst + i * 4, i32x4.shl(v128.load16x4_u(src + i * 2), 16))
}
