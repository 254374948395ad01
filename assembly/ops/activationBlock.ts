// Steps of quantizing a block of activations that all kinds share: its largest magnitude, rounding, storing quads.

/** The largest magnitude of the float32 in `bytes` bytes at src; NaN if there is one. */
// @ts-ignore: decorator
@inline export function largestMagnitude(src: usize, bytes: usize): f32 {
  let top = f32x4.splat(0)
  for (let c: usize = 0; c < bytes; c += 16) top = f32x4.max(top, f32x4.abs(v128.load(src + c)))
  return max(max(f32x4.extract_lane(top, 0), f32x4.extract_lane(top, 1)), max(f32x4.extract_lane(top, 2), f32x4.extract_lane(top, 3)))
}

/** Four columns to integers from `least` to 127: nearest even, NaN to 0. Results beyond float32 saturate. */
// @ts-ignore: decorator
@inline export function round4(p: usize, scale: v128, least: i32): v128 {
  return i32x4.max_s(i32x4.min_s(i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(p), scale))), i32x4.splat(127)), i32x4.splat(least))
}

/** Stores 16 columns as quads 4s to 4s + 3 of the row or block at `out` (lanes/quads.ts). */
// @ts-ignore: decorator
@inline export function storeQuants(out: usize, s: usize, q0: v128, q1: v128, q2: v128, q3: v128): void {
  const a = i16x8.narrow_i32x4_s(q0, q1)
  const c = i16x8.narrow_i32x4_s(q2, q3)
  if (ASC_FEATURE_RELAXED_SIMD) {
    v128.store(out + s * 16, i8x16.narrow_i16x8_s(a, c))
  } else {
    v128.store(out + s * 32, v128.shuffle<i16>(a, a, 0, 2, 1, 3, 4, 6, 5, 7))
    v128.store(out + s * 32, v128.shuffle<i16>(c, c, 0, 2, 1, 3, 4, 6, 5, 7), 16)
  }
}
