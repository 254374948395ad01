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
/** How much of a step of few rows is forgotten with the next one, and how much the power above counts beside them. */
const FORGOTTEN = 0.02
const CONFIDENCE = 2
/**
 * How much it counts that the power is the same for all numbers of rows. It falls where all experts have been read: of
 * 8 experts with 2 for a row, 4 rows ask for 2.7 times as many as one, 16 for 4 times as many.
 */
const STRAIGHTNESS = 8
/** Bounds of the power: a step with more rows is longer, and not longer than one step for each. */
const LEAST_POWER = 0.1
const MOST_POWER = 1

/** Of steps with few rows, with x and y the logarithms of rows and time: sums of weights, x, y and their products. */
const NO_STEPS = { count: 0, x: 0, xx: 0, xxx: 0, xxxx: 0, y: 0, xy: 0, xxy: 0 }

export class StepCost {
  readonly #stepMs: number | undefined
  readonly #few = { ...NO_STEPS }
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
    if (decodes && rows <= FEW_ROWS && ms > 0) this.#addFew(Math.log(rows), Math.log(ms))
  }

  /** How many times as long a step of `to` rows is as one of `from`, both of them few. */
  growth(from: number, to: number): number {
    const { power, bend } = this.#curve()
    const [x, z] = [Math.log(to / from), Math.log(to) ** 2 - Math.log(from) ** 2]
    return Math.exp(Math.min(MOST_POWER * x, Math.max(LEAST_POWER * x, power * x + bend * z)))
  }

  /** Milliseconds of a step of `rows` rows, which are few; undefined before there was such a step. */
  fewMs(rows: number): number | undefined {
    const { count, x, xx, y } = this.#few
    if (count === 0) return undefined
    const { power, bend } = this.#curve()
    const log = Math.log(rows)
    return Math.exp(y / count + power * (log - x / count) + bend * (log * log - xx / count))
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

  /**
   * The logarithm of a step's time by x, that of its rows, is a + power x + bend x x: least squares over steps of few
   * rows, beside what was expected.
   */
  #curve(): { power: number; bend: number } {
    const { count, x, xx, xxx, xxxx, y, xy, xxy } = this.#few
    if (count === 0) return { power: POWER, bend: 0 }
    const both = xxx - (x * xx) / count
    const [first, second] = [xx - (x * x) / count + CONFIDENCE, xxxx - (xx * xx) / count + STRAIGHTNESS]
    const [firstY, secondY] = [xy - (x * y) / count + CONFIDENCE * POWER, xxy - (xx * y) / count]
    const divisor = first * second - both * both
    return { power: (firstY * second - secondY * both) / divisor, bend: (secondY * first - firstY * both) / divisor }
  }

  #addFew(x: number, y: number): void {
    const few = this.#few
    const sums = { count: 1, x, xx: x ** 2, xxx: x ** 3, xxxx: x ** 4, y, xy: x * y, xxy: x * x * y }
    for (const name of Object.keys(sums) as (keyof typeof sums)[]) few[name] = few[name] * (1 - FORGOTTEN) + sums[name]
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
