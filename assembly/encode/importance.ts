// How much errors count where an importance matrix says so. The oracle is src/format/quants/importance.ts.
import { interleave, interleaveFrom } from './rounding'

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
  weighBy(x, size, f32x4.splat(base), weights)
}

/** The same where importances already stand in `weights`, with a base for each sub-block. */
// @ts-ignore: decorator
@inline export function weighBy(x: usize, size: usize, base: v128, weights: usize): void {
  for (let p: usize = 0; p < size * 16; p += 16) {
    const value = v128.load(x + p)
    v128.store(weights + p, f32x4.mul(v128.load(weights + p), f32x4.sqrt(f32x4.add(base, f32x4.mul(value, value)))))
  }
}

/**
 * Stands the next four blocks of 32 side by side at x, (32, 4 blocks), and behind them, with importances, how much
 * their errors count; `share` of the mean square goes with each weight's square. Blocks that are missing at the end
 * are the last one again.
 */
// @ts-ignore: decorator
@inline export function placeFour(src: usize, count: usize, importance: usize, share: f32, x: usize): void {
  const second = min<usize>(1, count - 1) * 128
  const third = min<usize>(2, count - 1) * 128
  const fourth = min<usize>(3, count - 1) * 128
  interleaveFrom(src, src + second, src + third, src + fourth, 32, x)
  if (!importance) return
  interleaveFrom(importance, importance + second, importance + third, importance + fourth, 32, x + 512)
  let squares = f32x4.splat(0)
  for (let p = x; p < x + 512; p += 16) squares = f32x4.add(squares, f32x4.mul(v128.load(p), v128.load(p)))
  weighBy(x, 32, f32x4.mul(squares, f32x4.splat(share / 32)), x + 512)
}
