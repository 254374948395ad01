// Units of several parts under one numbering: units 0 .. counts[0] - 1 are part 0's, the next counts[1] part 1's, and
// so on. Owns that numbering. Does not know what a part or a unit is.

/** Where a unit lies. */
export interface UnitPlace {
  readonly part: number
  /** Its number within the part. */
  readonly unit: number
}

/**
 * Returns a function from a unit's number to its place, undefined past the last unit. Numbers must not fall from call
 * to call, as those of `claim` do not within a stage: the search goes on from the last place.
 */
export function unitFinder(counts: readonly number[]): (number: number) => UnitPlace | undefined {
  let part = 0
  let first = 0 // number of the part's first unit
  return (number) => {
    while (part < counts.length && number >= first + counts[part]!) first += counts[part++]!
    return part < counts.length ? { part, unit: number - first } : undefined
  }
}
