// Activations for the K-quants: 8-bit blocks of 256 as ggml's q8_K. The oracle is src/format/quants/activations.ts.
// Owns the layout of an activation row:
//     0                  quads of quants, blocks * 64 of them (lanes/quads.ts: 4 x i8, or 4 x i16 in the order 0 2 1 3)
//     blocks * 64 quads  d, f32 per block, padded to 16 bytes
//     then per block     8 x i16 sums of 32, 16 x i16 sums of 16, and for each 16 columns 2 x i16: -32 times the sum
//                        over the first two columns of its quads, and that over the last two, as addDot pairs them
//                        (112 bytes)
import { quadBytes } from '../lanes/quads'
import { largestMagnitude, round4, storeQuants } from './activationBlock'

// @ts-ignore: decorator
@inline export function activationScales(x: usize, blocks: i32): usize {
  return x + <usize>blocks * 64 * quadBytes()
}

/** Bytes of a block's sums. */
export const SUMS: usize = 112

/** Per block: 8 sums of 32 columns at 0, 16 sums of 16 columns at 16, 16 pairs at 48. */
// @ts-ignore: decorator
@inline export function activationSums(x: usize, blocks: i32): usize {
  return x + <usize>blocks * 64 * quadBytes() + ((<usize>blocks * 4 + 15) & ~15)
}

/**
 * Quantizes `count` blocks of 256 float32 at src into blocks first .. first + count of the row of `blocks` blocks at
 * dst.
 */
export function quantize_q8_k(src: usize, count: i32, dst: usize, blocks: i32, first: i32): void {
  for (let i = 0; i < count; i++) {
    const b = <usize>(first + i)
    const out = dst + b * 64 * quadBytes()
    const sums = activationSums(dst, blocks) + b * SUMS
    const amax = largestMagnitude(src, 1024)
    // zeros, or not finite: then the scale is not a number, and every product with the block shows it
    if (!(amax > 0 && amax < Infinity)) {
      store<f32>(activationScales(dst, blocks) + b * 4, amax * 0)
      memory.fill(out, 0, 64 * quadBytes())
      memory.fill(sums, 0, SUMS)
      src += 1024
      continue
    }
    // the first column of the largest magnitude gives the sign, as in ggml: it becomes -127
    let at: usize = 0
    const wanted = f32x4.splat(amax)
    while (!v128.any_true(f32x4.eq(f32x4.abs(v128.load(src + at)), wanted))) at += 16
    while (abs(load<f32>(src + at)) != amax) at += 4
    const inverse = <f32>-127 / load<f32>(src + at)
    store<f32>(activationScales(dst, blocks) + b * 4, <f32>1 / inverse)
    const scale = f32x4.splat(inverse)
    for (let s: usize = 0; s < 16; s++) {
      const p = src + s * 64
      const q0 = round4(p, scale, -128)
      const q1 = round4(p + 16, scale, -128)
      const q2 = round4(p + 32, scale, -128)
      const q3 = round4(p + 48, scale, -128)
      storeQuants(out, s, q0, q1, q2, q3)
      const sum = i32x4.add(i32x4.add(q0, q1), i32x4.add(q2, q3))
      const first = i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1)
      const last = i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3)
      store<i16>(sums + s * 2, <i16>(first + last), 16)
      store<i16>(sums + s * 4, <i16>(first * -32), 48)
      store<i16>(sums + s * 4, <i16>(last * -32), 50)
    }
    for (let s: usize = 0; s < 8; s++) store<i16>(sums + s * 2, load<i16>(sums + s * 4, 16) + load<i16>(sums + s * 4, 18))
    src += 1024
  }
}
