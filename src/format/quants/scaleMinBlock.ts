// The scale and the min of a block of 32 without a superblock (Q4_1, Q5_1).

import { importanceWeights } from './importance.js'
import { findScaleMin, type ScaleMin, weighedSearch } from './scaleMinSearch.js'

const { fround } = Math

/**
 * The scale and the min of 32 values as scale * quant - min, quants from 0 to `most`. Without importances, the least
 * value becomes 0 and the largest `most`; with them, both are searched.
 */
export function scaleMinOf(x: Float32Array, importance: Float32Array | undefined, most: number): ScaleMin {
  if (importance) return findScaleMin(x, importanceWeights(x, importance, 1), weighedSearch(most))
  const least = Math.min(...x)
  return { scale: fround(Math.max(...x) - least) / most, min: -least }
}
