// Activations for Q8_0: 8-bit blocks of 32. The oracle is src/format/quants/activations.ts.
// Owns the layout of an activation row:
//     0            blocks * 32 x i16
//     blocks * 64  d, f32 per block, padded to 16 bytes
import { largestMagnitude } from './activationBlock'

/**
 * Quantizes `count` blocks of 32 float32 at src into blocks first .. first + count of the row of `blocks` blocks at
 * dst.
 */
export function quantize_q8_0(src: usize, count: i32, dst: usize, blocks: i32, first: i32): void {
  const scales = dst + <usize>blocks * 64
  for (let i = 0; i < count; i++) {
    const b = <usize>(first + i)
    const amax = largestMagnitude(src, 128)
    const d = amax / <f32>127
    store<f32>(scales + b * 4, d)
    const inverse = f32x4.splat(d == 0 ? 0 : <f32>1 / d)
    for (let c: usize = 0; c < 128; c += 32) {
      const q0 = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(src + c), inverse)))
      const q1 = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(src + c, 16), inverse)))
      const q = i16x8.max_s(i16x8.min_s(i16x8.narrow_i32x4_s(q0, q1), i16x8.splat(127)), i16x8.splat(-128))
      v128.store(dst + b * 64 + c / 2, q)
    }
    src += 128
  }
}
