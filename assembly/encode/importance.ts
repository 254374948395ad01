// How much errors count where an importance matrix says so. The oracle is src/format/quants/importance.ts.
import { interleave } from './rounding'

/** `share` times the mean square of 256 float32 at x, added up in their order. */
// @ts-ignore: decorator
@inline export function shareOfSquares(x: usize, share: f32): f32 {
  let squares: f32 = 0
  for (let i: usize = 0; i < 1024; i += 4) squares += load<f32>(x + i) * load<f32>(x + i)
  return squares * (share / 256)
}

/**
 * Writes importance * sqrt(base + x^2) of four sub-blocks of `size` to `weights`, (size, 4 sub-blocks).
 * @param x the values, (size, 4 sub-blocks)
 */
// @ts-ignore: decorator
@inline export function weighImportance(importance: usize, x: usize, size: usize, base: f32, weights: usize): void {
  interleave(importance, size, weights)
  const start = f32x4.splat(base)
  for (let p: usize = 0; p < size * 16; p += 16) {
    const value = v128.load(x + p)
    v128.store(weights + p, f32x4.mul(v128.load(weights + p), f32x4.sqrt(f32x4.add(start, f32x4.mul(value, value)))))
  }
}
