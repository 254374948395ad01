// float16 to float32 and back, four at a time, exact and without tables (a kernel owns no static data).
//
// Block scales of a row group are stored "raised", times 2^10. That makes every float16 below 64 a normal number,
// subnormal ones too, because a subnormal operand costs some CPUs over a hundred cycles. A group that holds a scale of
// 64 or more is stored unchanged. The group's 16-byte header holds, four times, the float32 factor that undoes both the
// raise and the exponent bias, so the inner loop is a shift, a mask and a product.

import { held } from './held'

const LOWERED: f32 = 5.0706024e30 // 2^102: undoes the bias (2^112) and the raise (2^10)
const PLAIN: f32 = 5.192296858534828e33 // 2^112

/** The mask `expand` needs, to be held in a register across a loop. */
export const HALF_MASK: i32 = 0x8fffe000

/** 4 raised halves at `ptr` to float32. `mask` is HALF_MASK held, `factor` the group's header. */
// @ts-ignore: decorator
@inline export function expand(ptr: usize, mask: v128, factor: v128): v128 {
  return expandOf(v128.load16x4_s(ptr), mask, factor)
}

/** The same for halves that are loaded, one in each lane. */
// @ts-ignore: decorator
@inline export function expandOf(halves: v128, mask: v128, factor: v128): v128 {
  return f32x4.mul(v128.and(i32x4.shl(halves, 13), mask), factor)
}

/** 2^112 in every lane, held: what `expand` needs for halves that are not raised. */
// @ts-ignore: decorator
@inline export function plainFactor(positive: i32): v128 {
  return held(0x77800000, positive)
}

/** Largest magnitude that can be raised: a half's bits below 0x5400 are below 64. */
// @ts-ignore: decorator
@inline export function canRaise(half: u32): bool {
  return (half & 0x7fff) < 0x5400
}

// @ts-ignore: decorator
@inline export function isFiniteHalf(half: u32): bool {
  return (half & 0x7c00) != 0x7c00
}

/** half * 2^10, exact for every half below 64. */
export function raise(half: u32): u32 {
  const sign = half & 0x8000
  const mantissa = half & 0x3ff
  const exponent = (half >> 10) & 31
  if (exponent) return half + (10 << 10)
  if (!mantissa) return half
  const shift = clz<u32>(mantissa) - 21
  return sign | ((11 - shift) << 10) | ((mantissa << shift) & 0x3ff)
}

/** Writes a row group's header. */
export function storeFactor(dst: usize, raised: bool): void {
  v128.store(dst, f32x4.splat(raised ? LOWERED : PLAIN))
}

/**
 * 4 halves at `ptr` to float32, any half (infinities become NaN), at a steady speed: subnormals go through an integer
 * conversion.
 */
// @ts-ignore: decorator
@inline export function fromHalf(ptr: usize): v128 {
  const bits = v128.load16x4_u(ptr)
  const magnitude = v128.and(bits, i32x4.splat(0x7fff))
  const normal = i32x4.add(i32x4.shl(magnitude, 13), i32x4.splat(112 << 23))
  const subnormal = f32x4.mul(f32x4.convert_i32x4_s(magnitude), f32x4.splat(5.960464477539063e-8)) // 2^-24
  const value = v128.or(v128.bitselect(subnormal, normal, i32x4.lt_s(magnitude, i32x4.splat(0x400))), i32x4.gt_s(magnitude, i32x4.splat(0x7bff)))
  return v128.or(value, i32x4.shl(v128.and(bits, i32x4.splat(0x8000)), 16))
}

/**
 * 4 float32 to halves in the low 16 bits of each lane, to nearest, ties to even. Magnitudes above 65504 become 65504,
 * NaN stays NaN.
 */
// @ts-ignore: decorator
@inline export function toHalf(value: v128): v128 {
  const sign = v128.and(i32x4.shr_u(value, 16), i32x4.splat(0x8000))
  const magnitude = f32x4.pmin(f32x4.abs(value), f32x4.splat(65504))
  const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1))
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(magnitude, odd), i32x4.splat(0xfff - (112 << 23))), 13)
  // adding 0.5 rounds at 2^-24, the step of the subnormals
  const subnormal = i32x4.sub(f32x4.add(magnitude, f32x4.splat(0.5)), i32x4.splat(0x3f000000))
  const half = v128.bitselect(subnormal, normal, f32x4.lt(magnitude, f32x4.splat(6.103515625e-5)))
  return v128.or(sign, v128.bitselect(i32x4.splat(0x7fff), half, f32x4.ne(value, value)))
}

/** One half at `ptr` to float32, any half (infinities become NaN). */
// @ts-ignore: decorator
@inline export function fromHalf1(ptr: usize): f32 {
  const bits = <u32>load<u16>(ptr)
  const magnitude = bits & 0x7fff
  if (magnitude > 0x7bff) return NaN
  const value = magnitude < 0x400 ? <f32>magnitude * 5.960464477539063e-8 : reinterpret<f32>((magnitude << 13) + (112 << 23))
  return bits & 0x8000 ? -value : value
}
