// What the check of a matrix finds: how threads write it down for the main thread, and what it says. Owns the numbers of the words and the bounds.

/** Offsets into a thread's row of the findings. */
export const finding = {
  /** Rows that are not those of the file, and the first of them. */
  unlike: 0,
  firstUnlike: 1,
  /** Rows whose product is not the oracle's, and the first of them. */
  off: 2,
  firstOff: 3,
  /** Sums over the rows. */
  errorSquares: 4,
  exactSquares: 5,
  /** Of what the format allows. */
  worstShare: 6,
} as const

export const FINDINGS = 8

export interface WeightFindings {
  /** Rows in memory that are not those of the file (in groups of four or eight where they are packed), and the first of them. */
  readonly unlikeFile: number
  readonly firstUnlike: number | undefined
  /** Rows whose product has other bits than the oracle's, and the first of them. */
  readonly unlikeOracle: number
  readonly firstOff: number | undefined
  /** RMS of the difference from the product of exact weights and activations, relative to that product's RMS. 0 for what is not multiplied. */
  readonly error: number
  /** The row that comes nearest to what it may be off by, as a share of that: above 1 is a fault. */
  readonly worstShare: number
}

/** All threads' findings as one. */
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

/** Half of the distance between 1 and the next float32. */
const HALF_ULP = 2 ** -24

/**
 * What summing in float32 may lose of a product over so many columns, as a share of the sum of its terms' magnitudes. Floats: one rounding per term and per sum, at worst
 * all in one direction. Blocks of integers are exact inside; then come some roundings per block of 32, on scales times sums that may be larger than the weights' own
 * products, since a weight is a difference of them.
 */
export function summationError(type: string, columns: number): number {
  const isFloat = type === 'F32' || type === 'F16' || type === 'BF16'
  return HALF_ULP * (isFloat ? columns + 8 : 16 * (columns / 32 + 8))
}
