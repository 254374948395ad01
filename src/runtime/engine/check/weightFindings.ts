// The findings of the check of a matrix: how threads write them down for the main thread, and how they are summed up.
// Owns the offsets of the numbers and the bound of rounding errors. Does not know how rows are checked.
//
// Counts and extremes are kept per thread. Sums are kept per unit of rows, and added in the order of the rows: so they
// have the same bits whichever thread took which unit, and with any number of threads.

/** Offsets into a thread's findings. */
export const finding = {
  /** Rows that differ from the file, and the first of them. */
  unlike: 0,
  firstUnlike: 1,
  /** Rows whose product differs from the oracle's, and the first of them. */
  off: 2,
  firstOff: 3,
  /** The largest error of a row, as a share of what the format allows. */
  worstShare: 4,
} as const

const PER_THREAD = 8

/** Offsets into the sums of a unit: over its rows, the squares of the errors and of the exact products. */
export const unitSum = { errorSquares: 0, exactSquares: 1 } as const

const PER_UNIT = 2

/** The findings of a check, in shared memory. */
export interface FindingsMemory {
  /** (threads, PER_THREAD) */
  readonly ofThreads: Float64Array
  /** (units of the largest part, PER_UNIT) */
  readonly ofUnits: Float64Array
}

export function createFindings(threads: number, units: number): FindingsMemory {
  const shared = (length: number) => new Float64Array(new SharedArrayBuffer(length * 8))
  return { ofThreads: shared(threads * PER_THREAD), ofUnits: shared(units * PER_UNIT) }
}

/** The findings of one thread, emptied. */
export function findingsOfThread({ ofThreads }: FindingsMemory, thread: number): Float64Array {
  const found = ofThreads.subarray(thread * PER_THREAD, (thread + 1) * PER_THREAD).fill(0)
  found[finding.firstUnlike] = Number.POSITIVE_INFINITY
  found[finding.firstOff] = Number.POSITIVE_INFINITY
  return found
}

/** The sums of one unit, emptied. */
export function sumsOfUnit({ ofUnits }: FindingsMemory, unit: number): Float64Array {
  return ofUnits.subarray(unit * PER_UNIT, (unit + 1) * PER_UNIT).fill(0)
}

export interface WeightFindings {
  /**
   * Rows in memory that differ from the file, counted in groups of four or eight if they are packed, and the first of
   * them.
   */
  readonly unlikeFile: number
  readonly firstUnlike: number | undefined
  /** Rows whose product has other bits than the oracle's, and the first of them. */
  readonly unlikeOracle: number
  readonly firstOff: number | undefined
  /**
   * RMS of the difference from the product of exact weights and activations, relative to that product's RMS. 0 if
   * nothing is multiplied.
   */
  readonly error: number
  /** The largest error of a row, as a share of what the format allows: above 1 is a fault. */
  readonly worstShare: number
}

/** Sums up the findings of all threads, about a part of `units` units. */
export function gatherFindings({ ofThreads, ofUnits }: FindingsMemory, units: number): WeightFindings {
  const rows = Array.from({ length: ofThreads.length / PER_THREAD }, (_, thread) =>
    ofThreads.subarray(thread * PER_THREAD, (thread + 1) * PER_THREAD),
  )
  const sum = (at: number) => rows.reduce((total, row) => total + row[at]!, 0)
  const sumOfUnits = (at: number) => {
    let total = 0
    for (let unit = 0; unit < units; unit++) total += ofUnits[unit * PER_UNIT + at]!
    return total
  }
  const first = (at: number) => rows.reduce((least, row) => Math.min(least, row[at]!), Number.POSITIVE_INFINITY)
  const exact = sumOfUnits(unitSum.exactSquares)
  return {
    unlikeFile: sum(finding.unlike),
    firstUnlike: sum(finding.unlike) ? first(finding.firstUnlike) : undefined,
    unlikeOracle: sum(finding.off),
    firstOff: sum(finding.off) ? first(finding.firstOff) : undefined,
    error: exact > 0 ? Math.sqrt(sumOfUnits(unitSum.errorSquares) / exact) : 0,
    worstShare: rows.reduce((worst, row) => Math.max(worst, row[finding.worstShare]!), 0),
  }
}

/** Half the distance between 1 and the next float32. */
const HALF_ULP = 2 ** -24

/**
 * The largest error of a product over `columns` columns from summing in float32, as a share of the sum of its terms'
 * magnitudes. Floats: one rounding per term and per sum, at worst all in one direction. Blocks of integers are exact
 * inside; then there are some roundings per block of 32, on scales times sums that may be larger than the products of
 * the weights, since a weight is a difference of them.
 */
export function summationError(type: string, columns: number): number {
  const isFloat = type === 'F32' || type === 'F16' || type === 'BF16'
  return HALF_ULP * (isFloat ? columns + 8 : 16 * (columns / 32 + 8))
}
