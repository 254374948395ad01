// How long a step takes, by its rows: a + b rows, by least squares over the last steps. Says how many rows of prompts
// fit beside those that decode. Owns the numbers; the caller has the clock.

/** Steps that count. */
const STEPS = 32
/** Rows of a prompt that join in any case, and of which the number of rows is a multiple. */
const LEAST_ROWS = 16
/** Bounds of the time of a step, in milliseconds, where it is not given. */
const SHORTEST = 250
const LONGEST = 2000

export class StepCost {
  readonly #stepMs: number | undefined
  readonly #rows: number[] = []
  readonly #times: number[] = []
  #next = 0

  /**
   * @param stepMs milliseconds that a step with decoding rows may take. Default: twice the time of LEAST_ROWS rows,
   * which read nearly all experts, within bounds.
   */
  constructor(stepMs: number | undefined) {
    this.#stepMs = stepMs
  }

  /** Takes what a step took, in milliseconds. */
  add(rows: number, ms: number): void {
    this.#rows[this.#next] = rows
    this.#times[this.#next] = ms
    this.#next = (this.#next + 1) % STEPS
  }

  /** Milliseconds that a step may take while a sequence decodes. */
  get stepMs(): number {
    if (this.#stepMs !== undefined) return this.#stepMs
    const { a, b } = this.#fit()
    return Math.min(LONGEST, Math.max(SHORTEST, 2 * (a + b * LEAST_ROWS)))
  }

  /** How many rows of prompts may join `decoding` rows. */
  promptRows(decoding: number): number {
    const { a, b } = this.#fit()
    const fitting = b > 0 ? Math.floor((this.stepMs - a) / b) - decoding : Number.MAX_SAFE_INTEGER
    return Math.max(LEAST_ROWS, fitting - (fitting % LEAST_ROWS))
  }

  /** Milliseconds of a step: `a`, and `b` for each row. Neither is below 0. */
  #fit(): { a: number; b: number } {
    const count = this.#rows.length
    if (!count) return { a: 0, b: 0 }
    const meanRows = this.#rows.reduce((sum, n) => sum + n, 0) / count
    const meanTime = this.#times.reduce((sum, n) => sum + n, 0) / count
    let covariance = 0
    let variance = 0
    for (const [i, rows] of this.#rows.entries()) {
      covariance += (rows - meanRows) * (this.#times[i]! - meanTime)
      variance += (rows - meanRows) ** 2
    }
    // one kind of step tells nothing of the other kinds: half of its time is taken for its rows
    const b = variance > 0 ? Math.min(Math.max(0, covariance / variance), meanTime / meanRows) : meanTime / meanRows / 2
    return { a: meanTime - b * meanRows, b }
  }
}
