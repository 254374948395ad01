// The scales of IQ2_XS and IQ2_S: a nibble n for each 16 columns, low ones first, which stands for 2n + 1.

/** Eight scales in the 4 bytes at p: 8 x i16. */
// @ts-ignore: decorator
@inline export function nibbleScales(p: usize): v128 {
  const bytes = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(p)))
  const low = v128.and(i32x4.shl(bytes, 1), i32x4.splat(0x1e))
  const high = v128.and(i32x4.shl(bytes, 13), i32x4.splat(0x1e0000))
  return v128.or(v128.or(low, high), i32x4.splat(0x00010001))
}
