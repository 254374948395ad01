// Experts of which an importance matrix knows too little: few tokens of the text were routed to them. Owns how few, and
// the words for it.

import { quoted } from '../../base/errors.js'
import { parseTensorName } from '../../runtime/weights/roles.js'
import type { Imatrix } from './imatrix.js'

/**
 * Fewer tokens than this say little about an expert's inputs: a mean square of normally distributed ones would be off
 * by a tenth and more, and real ones have larger outliers.
 */
const FEW_TOKENS = 256

export interface RareExpert {
  /** The name of the tensor that holds the expert. */
  readonly name: string
  readonly expert: number
  /** How many tokens reached it. */
  readonly count: number
}

/** How many warnings are worth reading. */
const MOST_LINES = 20

/**
 * The experts that fewer than FEW_TOKENS tokens reached, as their down projection counts them. None if the file has no
 * counts of tokens, as llama.cpp's old form.
 */
export function rareExperts({ entries, contextLength }: Imatrix): RareExpert[] {
  if (contextLength === undefined) return []
  return [...entries]
    .flatMap(([name, { counts }]) => {
      const named = parseTensorName(name)
      if (named?.per !== 'expert' || named.role !== 'ffnDown') return []
      return Array.from(counts, (count, n) => ({ name, expert: named.expert ?? n, count })) // together, or one for each
    })
    .filter(({ count }) => count < FEW_TOKENS)
}

/** A line for each, the fewest tokens first, and one that counts those beyond a screenful. */
export function describeRare(rare: readonly RareExpert[]): string[] {
  const lines = rare
    .toSorted((a, b) => a.count - b.count)
    .slice(0, MOST_LINES)
    .map(
      ({ name, expert, count }) =>
        `expert ${expert} of ${quoted(name)} saw ${count} tokens, expected at least ${FEW_TOKENS}: use more text`,
    )
  const more = rare.length - lines.length
  return more > 0 ? [...lines, `and ${more} more experts`] : lines
}
