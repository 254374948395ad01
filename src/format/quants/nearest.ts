// Rounding to integers, with the same bits as the kernels' instructions. Knows nothing of blocks.

/**
 * To the nearest integer, ties to even, for |x| up to 2^22: beyond 1.5 * 2^23 float32 has no fraction bits left. NaN
 * and infinity pass.
 */
export function nearest(x: number): number {
  return Math.fround(x + 12582912) - 12582912
}

/** The quant of a value that is already divided by its scale: the nearest integer from `least` to `most`. */
export function nearestQuant(x: number, least: number, most: number): number {
  return nearest(Math.max(least, Math.min(most, x)))
}

/**
 * The factor that replaces division by a scale as it is stored, a half; 0 for a scale of 0, which makes all quants 0.
 */
export function inverseOf(scale: number): number {
  return scale === 0 ? 0 : Math.fround(1 / scale)
}
