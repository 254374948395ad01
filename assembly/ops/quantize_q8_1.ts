// Activations for the formats in blocks of 32 with an offset or a min: 8-bit blocks of 32 with their sums (the oracle is src/format/quants/activations.ts).
// Owns the layout of an activation row:
//     0                 quads of quants, blocks * 8 of them (lanes/quads.ts: 4 x i8, or 4 x i16 in the order 0 2 1 3)
//     blocks * 8 quads  d, f32 per block, padded to 16 bytes
//     then per block    2 x i16: the sum over the first two columns of every quad, and that over the last two, as addDot pairs them; padded to 16 bytes
import { quadBytes } from '../lanes/quads'

// @ts-ignore: decorator
@inline export function activationScales(x: usize, blocks: i32): usize {
  return x + <usize>blocks * 8 * quadBytes()
}

// @ts-ignore: decorator
@inline export function activationSums(x: usize, blocks: i32): usize {
  return x + <usize>blocks * 8 * quadBytes() + ((<usize>blocks * 4 + 15) & ~15)
}

/** The sum of a block's quants in every lane; `sums`: the block's pair. A splat, so that two groups can share it in one wide vector. */
// @ts-ignore: decorator
@inline export function blockSum(sums: usize): v128 {
  return f32x4.splat(<f32>(<i32>load<i16>(sums) + <i32>load<i16>(sums, 2)))
}

/** Four columns to integers: nearest even, NaN to 0. What a reciprocal beyond float32 makes of them saturates to -127 or 127. */
// @ts-ignore: decorator
@inline function round4(p: usize, scale: v128): v128 {
  return i32x4.max_s(i32x4.min_s(i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(p), scale))), i32x4.splat(127)), i32x4.splat(-127))
}

/** Quantises `count` blocks of 32 float32 at src into blocks first .. first + count of the activation row of `blocks` blocks at dst. */
export function quantize_q8_1(src: usize, count: i32, dst: usize, blocks: i32, first: i32): void {
  const scales = activationScales(dst, blocks)
  const sums = activationSums(dst, blocks)
  for (let i = 0; i < count; i++) {
    const b = <usize>(first + i)
    const out = dst + b * 8 * quadBytes()
    let top = f32x4.splat(0)
    for (let c: usize = 0; c < 128; c += 16) top = f32x4.max(top, f32x4.abs(v128.load(src + c)))
    const amax = max(max(f32x4.extract_lane(top, 0), f32x4.extract_lane(top, 1)), max(f32x4.extract_lane(top, 2), f32x4.extract_lane(top, 3)))
    const inverse: f32 = amax > 0 ? <f32>127 / amax : 0
    store<f32>(scales + b * 4, amax > 0 ? <f32>1 / inverse : amax) // otherwise zero or not a number
    const scale = f32x4.splat(inverse)
    let sum = i32x4.splat(0)
    for (let s: usize = 0; s < 2; s++) {
      const p = src + s * 64
      const q0 = round4(p, scale)
      const q1 = round4(p + 16, scale)
      const q2 = round4(p + 32, scale)
      const q3 = round4(p + 48, scale)
      const a = i16x8.narrow_i32x4_s(q0, q1)
      const c = i16x8.narrow_i32x4_s(q2, q3)
      if (ASC_FEATURE_RELAXED_SIMD) {
        v128.store(out + s * 16, i8x16.narrow_i16x8_s(a, c))
      } else {
        v128.store(out + s * 32, v128.shuffle<i16>(a, a, 0, 2, 1, 3, 4, 6, 5, 7))
        v128.store(out + s * 32, v128.shuffle<i16>(c, c, 0, 2, 1, 3, 4, 6, 5, 7), 16)
      }
      sum = i32x4.add(sum, i32x4.add(i32x4.add(q0, q1), i32x4.add(q2, q3)))
    }
    store<i16>(sums + b * 4, <i16>(i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1)))
    store<i16>(sums + b * 4, <i16>(i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3)), 2)
    src += 128
  }
}
