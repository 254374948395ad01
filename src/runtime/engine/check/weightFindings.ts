// The findings of the check of a matrix: how threads write them down for the main thread, and how they are summed up.
// Owns the offsets of the numbers and the bound of rounding errors. Does not know how rows are checked.

/** Offsets into a thread's row of the findings. */
export const finding = {
  /** Rows that differ from the file, and the first of them. */
  unlike: 0,
  firstUnlike: 1,
  /** Rows whose product differs from the oracle's, and the first of them. */
  off: 2,
  firstOff: 3,
  /** Sums over the rows. */
  errorSquares: 4,
  exactSquares: 5,
  /** The largest error of a row, as a share of what the format allows. */
  worstShare: 6,
} as const

export const FINDINGS = 8

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

/** Sums up the findings of all threads. */
export function gatherFindings(findings: Float64Array): WeightFindings {
  const rows = Array.from({ length: findings.length / FINDINGS }, (_, thread) =>
    findings.subarray(thread * FINDINGS, (thread + 1) * FINDINGS),
  )
  const sum = (at: number) => rows.reduce((total, row) => total + row[at]!, 0)
  const first = (at: number) => rows.reduce((least, row) => Math.min(least, row[at]!), Number.POSITIVE_INFINITY)
  const exact = sum(finding.exactSquares)
  return {
    unlikeFile: sum(finding.unlike),
    firstUnlike: sum(finding.unlike) ? first(finding.firstUnlike) : undefined,
    unlikeOracle: sum(finding.off),
    firstOff: sum(finding.off) ? first(finding.firstOff) : undefined,
    error: exact > 0 ? Math.sqrt(sum(finding.errorSquares) / exact) : 0,
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
