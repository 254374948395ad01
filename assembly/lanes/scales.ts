// Scaling of the sums that quads.ts makes: integer scales of sub-blocks first, then the float32 scales of a block.

/**
 * isum + s * scale for the even (low) sub-block of `scales`: 8 x i16, rows 0..3 of an even sub-block, then rows 0..3 of
 * the odd one.
 */
// @ts-ignore: decorator
@inline export function addScaled1Low(isum: v128, s: v128, scales: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.add(isum, i32x4.dot_i16x8_s(s, v128.shuffle<i16>(scales, scales, 0, 0, 1, 1, 2, 2, 3, 3)))
  return i32x4.add(isum, i32x4.mul(s, i32x4.extend_low_i16x8_s(scales)))
}

/** The same for the odd (high) sub-block. */
// @ts-ignore: decorator
@inline export function addScaled1High(isum: v128, s: v128, scales: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.add(isum, i32x4.dot_i16x8_s(s, v128.shuffle<i16>(scales, scales, 4, 4, 5, 5, 6, 6, 7, 7)))
  return i32x4.add(isum, i32x4.mul(s, i32x4.extend_high_i16x8_s(scales)))
}

/**
 * The scales of the first or the second group, out of 8 rows' i16 scales of a sub-block, in the form that `scaled`
 * takes.
 */
// @ts-ignore: decorator
@inline export function spread(scales: v128, second: bool): v128 {
  if (!ASC_FEATURE_RELAXED_SIMD) return second ? i32x4.extend_high_i16x8_s(scales) : i32x4.extend_low_i16x8_s(scales)
  const wide = second ? i32x4.extend_high_i16x8_u(scales) : i32x4.extend_low_i16x8_u(scales)
  return v128.or(wide, i32x4.shl(wide, 16))
}

/** A sub-block's sum times its scale (`spread`), a lane a row. */
// @ts-ignore: decorator
@inline export function scaled(sum: v128, scale: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? i32x4.dot_i16x8_s(sum, scale) : i32x4.mul(sum, scale)
}

/** isum + scale * (sum of x) of two sub-blocks: the scales, interleaved to pairs a row, meet the two sums. */
// @ts-ignore: decorator
@inline export function addWeighted(isum: v128, scales: v128, sums: usize): v128 {
  const odd = v128.shuffle<i64>(scales, scales, 1, 1)
  return i32x4.add(isum, i32x4.dot_i16x8_s(v128.shuffle<i16>(scales, odd, 0, 8, 1, 9, 2, 10, 3, 11), v128.load32_splat(sums)))
}

/** acc + d * dx * isum. */
// @ts-ignore: decorator
@inline export function addScaled(acc: v128, d: v128, dx: v128, isum: v128): v128 {
  return f32x4.add(acc, f32x4.mul(f32x4.mul(d, dx), f32x4.convert_i32x4_s(isum)))
}

/** acc - d * dx * isum. */
// @ts-ignore: decorator
@inline export function subtractScaled(acc: v128, d: v128, dx: v128, isum: v128): v128 {
  return f32x4.sub(acc, f32x4.mul(f32x4.mul(d, dx), f32x4.convert_i32x4_s(isum)))
}

/** acc + d * dx * isum + m * dx * xsum, in this order. */
// @ts-ignore: decorator
@inline export function addScaledMin(acc: v128, d: v128, m: v128, dx: v128, isum: v128, xsum: v128): v128 {
  return f32x4.add(addScaled(acc, d, dx, isum), f32x4.mul(f32x4.mul(m, dx), xsum))
}
