// How the rows of matrices that are multiplied in one stage are cut into units for the threads: large ones first, so
// that claims cost little and strips of memory are long, then smaller and smaller ones, so that threads end together.
// Cut once, by the numbers of rows and threads, and kept: a stage allocates nothing. Does not know who multiplies what.

/** A product of fewer tokens takes mostly the time to read the weights. */
export const FEW_TOKENS = 8
/** Columns of rows of which few stay in the core's cache. */
const LONG_ROWS = 8192
/** Groups of four rows of a unit: at most for any number of tokens, for few, and for one. */
const UNIT_GROUPS = [16, 32, 64] as const
/** Whole groups for a unit's four strips. */
const STRIPS = 4
/** The least of the most groups that a unit has: a row takes longer in short calls. */
const LEAST_SHARE = 1 / 8

/** The most groups of a unit. columns: of the longest rows. */
export function mostGroups(tokens: number, columns: number): number {
  return UNIT_GROUPS[tokens === 1 ? 2 : tokens < FEW_TOKENS && columns <= LONG_ROWS ? 1 : 0]
}

/**
 * Units as triples: number of the matrix, first group, groups. groups: of each matrix. A unit has half of what is left
 * for each seat, at most `most`.
 */
export function cutRows(groups: readonly number[], most: number, seats: number): Int32Array {
  const units: number[] = []
  const least = Math.max(STRIPS, most * LEAST_SHARE)
  let left = groups.reduce((sum, count) => sum + count, 0)
  for (const [matrix, count] of groups.entries()) {
    for (let first = 0; first < count; ) {
      const share = seats === 1 ? most : Math.ceil(left / (2 * seats) / STRIPS) * STRIPS
      const size = Math.min(Math.max(share, least), most, count - first)
      units.push(matrix, first, size)
      first += size
      left -= size
    }
  }
  return Int32Array.from(units)
}

interface Cut {
  readonly groups: readonly number[]
  readonly most: number
  readonly units: Int32Array
}

/** The cuts that a thread has needed so far: few, since matrices have few shapes. */
export class RowUnits {
  readonly #cuts: Cut[] = []
  readonly #seats: number

  constructor(seats: number) {
    this.#seats = seats
  }

  /** The units of matrices of these groups, as `cutRows` makes them. */
  of(matrices: readonly { readonly groups: number }[], most: number): Int32Array {
    for (const cut of this.#cuts) if (cut.most === most && isOf(cut, matrices)) return cut.units
    const groups = matrices.map((matrix) => matrix.groups)
    const units = cutRows(groups, most, this.#seats)
    this.#cuts.push({ groups, most, units })
    return units
  }
}

function isOf({ groups }: Cut, matrices: readonly { readonly groups: number }[]): boolean {
  if (groups.length !== matrices.length) return false
  for (let i = 0; i < groups.length; i++) if (groups[i] !== matrices[i]!.groups) return false
  return true
}
