// How often a part repeats, from the digits of a grammar or a pattern. Owns the largest count; does not know how either
// spells a repeat.

import type { TextCursor } from './textCursor.js'

/** The length of a text longer than any context. */
const MOST_REPEATS = 1_000_000

export type RepeatBounds = readonly [min: number, max: number]

/**
 * The bounds that two numbers spell; without a second one there is no upper bound.
 * @param cursor stands behind them, for the place in errors
 */
export function repeatBounds(cursor: TextCursor, min: string, max: string): RepeatBounds {
  const bounds: RepeatBounds = [Number(min), max === '' ? Infinity : Number(max)]
  if (bounds[0] > bounds[1]) throw cursor.malformed(`a repeat from ${bounds[0]} to ${bounds[1]}`)
  if (bounds.some((count) => count !== Infinity && count > MOST_REPEATS)) throw cursor.unsupported(`a repeat of more than ${MOST_REPEATS}`)
  return bounds
}
