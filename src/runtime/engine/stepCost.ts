// How long a step takes, by its rows: a + b rows, by least squares over the last steps; and where there are few, a
// power of them. Says how many rows of prompts and of drafts fit beside those that decode. Owns the numbers; the caller
// has the clock.

/** Steps that count. */
const STEPS = 32
/** Rows of a prompt that join in any case, and of which the number of rows is a multiple. */
const LEAST_ROWS = 16
/** Bounds of the time of a step, in milliseconds, where it is not given. */
const SHORTEST = 250
const LONGEST = 2000

/** Rows of a step that has few. */
const FEW_ROWS = 16
/**
 * The power of its rows by which a step of few grows, before anything is known: each row brings experts of its own, and
 * shares some. Two rows of a Mixtral in memory take 1.68 times as long as one, eight 4.76 times.
 */
const POWER = 0.75
/** Numbers of rows, powers of two, whose steps are told apart: how long they take is no power of them with a disk. */
const KNOTS = Math.log2(FEW_ROWS) + 1
/** How much of a step of few rows is forgotten with the next one, and how much the power above counts beside them. */
const FORGOTTEN = 0.02
const CONFIDENCE = 0.5
/** Bounds of the power: a step with more rows is longer, and not longer than one step for each. */
const LEAST_POWER = 0.1
const MOST_POWER = 1

export class StepCost {
  readonly #stepMs: number | undefined
  /** Of steps with few rows, by the nearest knots: weights, and sums of how far the logarithm of the time is off. */
  readonly #weights = new Float64Array(KNOTS)
  readonly #sums = new Float64Array(KNOTS)
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

  /** Takes what a step took, in milliseconds. `decodes`: all of its rows are next tokens, or drafts of them. */
  add(rows: number, ms: number, decodes = false): void {
    this.#rows[this.#next] = rows
    this.#times[this.#next] = ms
    this.#next = (this.#next + 1) % STEPS
    if (decodes && rows <= FEW_ROWS && ms > 0) this.#addFew(rows, ms)
  }

  /** How many times as long a step of `to` rows is as one of `from`, both of them few. */
  growth(from: number, to: number): number {
    const x = Math.log(to / from)
    const log = POWER * x + this.#off(to) - this.#off(from)
    return Math.exp(Math.min(MOST_POWER * x, Math.max(LEAST_POWER * x, log)))
  }

  /** Milliseconds of a step of `rows` rows, which are few; undefined before there was such a step. */
  fewMs(rows: number): number | undefined {
    return this.#weights.some((weight) => weight > 0) ? rows ** POWER * Math.exp(this.#off(rows)) : undefined
  }

  /**
   * How many rows of drafts may join `decoding` rows. Where nobody has given `stepMs`, as many as are few: it is more
   * than they take, or rows of prompts join in any case.
   */
  draftRows(decoding: number): number {
    const stepMs = this.#stepMs ?? Number.POSITIVE_INFINITY
    const ms = stepMs < Number.POSITIVE_INFINITY ? this.fewMs(decoding) : 0
    let rows = ms === undefined ? 0 : FEW_ROWS
    while (rows > decoding && ms! * this.growth(decoding, rows) > stepMs) rows--
    return Math.max(0, rows - decoding)
  }

  /** By how much the logarithm of the time of some rows is off that of their power. Little is known: the mean. */
  #off(rows: number): number {
    const weight = this.#weights.reduce((sum, one) => sum + one, 0)
    const mean = weight > 0 ? this.#sums.reduce((sum, one) => sum + one, 0) / weight : 0
    const at = (knot: number) => (this.#sums[knot]! + CONFIDENCE * mean) / (this.#weights[knot]! + CONFIDENCE)
    return eachKnot(rows).reduce((sum, [knot, share]) => sum + share * at(knot), 0)
  }

  #addFew(rows: number, ms: number): void {
    for (const list of [this.#weights, this.#sums]) for (let i = 0; i < KNOTS; i++) list[i]! *= 1 - FORGOTTEN
    for (const [knot, share] of eachKnot(rows)) {
      this.#weights[knot]! += share
      this.#sums[knot]! += share * (Math.log(ms) - POWER * Math.log(rows))
    }
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

/** The knots next to a number of rows, and how much it belongs to each. */
function eachKnot(rows: number): [knot: number, share: number][] {
  const at = Math.min(KNOTS - 1, Math.log2(rows))
  const below = Math.min(KNOTS - 2, Math.floor(at))
  return [
    [below, below + 1 - at],
    [below + 1, at - below],
  ]
}
