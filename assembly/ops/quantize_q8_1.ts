// Activations for the formats in blocks of 32 with an offset or a min: 8-bit blocks of 32 with their sums. The oracle
// is src/format/quants/activations.ts. Owns the layout of an activation row:
//     0                 quads of quants, blocks * 8 of them (lanes/quads.ts: 4 x i8, or 4 x i16 in the order 0 2 1 3)
//     blocks * 8 quads  d, f32 per block, padded to 16 bytes
//     then per block    2 x i16: the sum over the first two columns of every quad, and that over the last two, as
//                       addDot pairs them; padded to 16 bytes
import { quadBytes } from '../lanes/quads'
import { largestMagnitude, round4, storeQuants } from './activationBlock'

// @ts-ignore: decorator
@inline export function activationScales(x: usize, blocks: i32): usize {
  return x + <usize>blocks * 8 * quadBytes()
}

// @ts-ignore: decorator
@inline export function activationSums(x: usize, blocks: i32): usize {
  return x + <usize>blocks * 8 * quadBytes() + ((<usize>blocks * 4 + 15) & ~15)
}

/**
 * The sum of a block's quants in every lane; `sums`: the block's pair. A splat, so that two groups can share it in one
 * wide vector.
 */
// @ts-ignore: decorator
@inline export function blockSum(sums: usize): v128 {
  return f32x4.splat(<f32>(<i32>load<i16>(sums) + <i32>load<i16>(sums, 2)))
}

/**
 * Quantizes `count` blocks of 32 float32 at src into blocks first .. first + count of the row of `blocks` blocks at
 * dst.
 */
export function quantize_q8_1(src: usize, count: i32, dst: usize, blocks: i32, first: i32): void {
  const scales = activationScales(dst, blocks)
  const sums = activationSums(dst, blocks)
  for (let i = 0; i < count; i++) {
    const b = <usize>(first + i)
    const out = dst + b * 8 * quadBytes()
    const amax = largestMagnitude(src, 128)
    const inverse: f32 = amax > 0 ? <f32>127 / amax : 0
    store<f32>(scales + b * 4, amax > 0 ? <f32>1 / inverse : amax) // otherwise zero or not a number
    const scale = f32x4.splat(inverse)
    let sum = i32x4.splat(0)
    for (let s: usize = 0; s < 2; s++) {
      const p = src + s * 64
      const q0 = round4(p, scale, -127)
      const q1 = round4(p + 16, scale, -127)
      const q2 = round4(p + 32, scale, -127)
      const q3 = round4(p + 48, scale, -127)
      storeQuants(out, s, q0, q1, q2, q3)
      sum = i32x4.add(sum, i32x4.add(i32x4.add(q0, q1), i32x4.add(q2, q3)))
    }
    store<i16>(sums + b * 4, <i16>(i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1)))
    store<i16>(sums + b * 4, <i16>(i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3)), 2)
    src += 128
  }
}
