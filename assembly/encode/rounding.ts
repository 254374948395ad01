// Rounding that the encoders share, and four sub-blocks side by side: a lane is a sub-block, so that sums run in the
// order of its weights. The oracles are in src/format/quants/.
import { fromHalf, toHalf } from '../lanes/half'
import { quadOf } from '../lanes/rows'

/** Stands four sub-blocks of `size` float32 side by side: (size, 4 sub-blocks). */
// @ts-ignore: decorator
@inline export function interleave(src: usize, size: usize, dst: usize): void {
  interleaveFrom(src, src + size * 4, src + size * 8, src + size * 12, size, dst)
}

/** The same for sub-blocks at four addresses. */
// @ts-ignore: decorator
@inline export function interleaveFrom(first: usize, second: usize, third: usize, fourth: usize, size: usize, dst: usize): void {
  for (let i: usize = 0; i < size * 4; i += 16) {
    const a = v128.load(first + i)
    const b = v128.load(second + i)
    const c = v128.load(third + i)
    const d = v128.load(fourth + i)
    v128.store(dst + i * 4, quadOf(0, a, b, c, d))
    v128.store(dst + i * 4, quadOf(1, a, b, c, d), 16)
    v128.store(dst + i * 4, quadOf(2, a, b, c, d), 32)
    v128.store(dst + i * 4, quadOf(3, a, b, c, d), 48)
  }
}

/** 16 float32 to unsigned bytes: (x + start) * inverse, to the nearest integer from 0 to `most`. */
// @ts-ignore: decorator
@inline export function roundUnsigned(x: usize, start: v128, inverse: v128, most: v128): v128 {
  const a = unsigned4(x, start, inverse, most)
  const b = unsigned4(x + 16, start, inverse, most)
  const c = unsigned4(x + 32, start, inverse, most)
  const d = unsigned4(x + 48, start, inverse, most)
  return i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d))
}

// @ts-ignore: decorator
@inline function unsigned4(x: usize, start: v128, inverse: v128, most: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(nearestQuant(f32x4.mul(f32x4.add(v128.load(x), start), inverse), f32x4.splat(0), most))
}

/** 16 float32 to signed bytes: x * inverse, to the nearest integer from `least` to `most`. */
// @ts-ignore: decorator
@inline export function roundSigned(x: usize, inverse: v128, least: v128, most: v128): v128 {
  const a = signed4(x, inverse, least, most)
  const b = signed4(x + 16, inverse, least, most)
  const c = signed4(x + 32, inverse, least, most)
  const d = signed4(x + 48, inverse, least, most)
  return i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d))
}

// @ts-ignore: decorator
@inline function signed4(x: usize, inverse: v128, least: v128, most: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(nearestQuant(f32x4.mul(v128.load(x), inverse), least, most))
}

// @ts-ignore: decorator
@inline export function nearestQuant(x: v128, least: v128, most: v128): v128 {
  return f32x4.nearest(f32x4.pmax(least, f32x4.pmin(most, x)))
}

/** 1 / scale, or 0 where a scale is 0. */
// @ts-ignore: decorator
@inline export function inverseOf(scale: v128): v128 {
  return v128.andnot(f32x4.div(f32x4.splat(1), scale), f32x4.eq(scale, f32x4.splat(0)))
}

/** Writes `value` as a half and returns what was written. Reads 8 bytes there. */
// @ts-ignore: decorator
@inline export function storeHalf(dst: usize, value: f32): f32 {
  store<u16>(dst, <u16>i32x4.extract_lane(toHalf(f32x4.splat(value)), 0))
  return f32x4.extract_lane(fromHalf(dst), 0)
}

/** The value of largest magnitude among `count` float32: the first, if several. */
// @ts-ignore: decorator
@inline export function largestOf(x: usize, count: usize): f32 {
  let high = v128.load(x)
  let low = high
  for (let i: usize = 4; i < count; i += 4) {
    high = f32x4.max(high, v128.load(x + i * 4))
    low = f32x4.min(low, v128.load(x + i * 4))
  }
  const top = max(max(f32x4.extract_lane(high, 0), f32x4.extract_lane(high, 1)), max(f32x4.extract_lane(high, 2), f32x4.extract_lane(high, 3)))
  const bottom = min(min(f32x4.extract_lane(low, 0), f32x4.extract_lane(low, 1)), min(f32x4.extract_lane(low, 2), f32x4.extract_lane(low, 3)))
  if (top > -bottom) return top
  if (top < -bottom) return bottom
  if (top == 0) return 0
  let at = x // both ends are equally far, and the first counts
  while (load<f32>(at) != top && load<f32>(at) != bottom) at += 4
  return load<f32>(at)
}
