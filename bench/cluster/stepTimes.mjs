// How long a step takes by its rows: measured figures of one machine, straight lines between them, and the last line
// beyond. And how many rows of prompts join those that decode, as the runtime's StepCost decides it.

/**
 * Seconds of a step, 4-layer Q4_K_M, Node 24, 2 threads, by rows: bench/RESULTS.md, "Several texts at the same time"
 * (Zen 5, in one process) up to 16; above, prompts of 64 and 256 of "4-layer Q4_K_M" (Zen 4, the slower machine).
 */
export const MEASURED = [
  [1, 1 / 35.0],
  [2, 2 / 31.4],
  [4, 4 / 44.6],
  [8, 8 / 53.6],
  [16, 16 / 60.3],
  [64, 64 / 97.0],
  [256, 256 / 103],
]
/** Layers of the file that was measured, and of Mixtral 8x7B. */
export const MEASURED_LAYERS = 4
export const LAYERS = 32

/** As StepCost has them. */
const LEAST_ROWS = 16
const SHORTEST = 0.25
const LONGEST = 2

export class StepTimes {
  #rows
  #seconds
  /** By a number of decoding rows, how many of prompts join. */
  #joining = []

  /** @param points pairs of rows and seconds, both rising @param factor of all times */
  constructor(points = MEASURED, factor = 1) {
    this.#rows = points.map(([rows]) => rows)
    this.#seconds = points.map(([, seconds]) => seconds * factor)
  }

  /** The measured machine with a model of that many layers: every layer takes as long. */
  static ofLayers(layers, speed = 1) {
    return new StepTimes(MEASURED, layers / MEASURED_LAYERS / speed)
  }

  /** Seconds of a step of that many rows. */
  of(rows) {
    const all = this.#rows
    if (rows <= all[0]) return this.#seconds[0]
    let i = 1
    while (i < all.length - 1 && all[i] < rows) i++
    const slope = (this.#seconds[i] - this.#seconds[i - 1]) / (all[i] - all[i - 1])
    return this.#seconds[i - 1] + slope * (rows - all[i - 1])
  }

  /** Seconds that a step may take while a sequence decodes. */
  get longest() {
    return Math.min(LONGEST, Math.max(SHORTEST, 2 * this.of(LEAST_ROWS)))
  }

  /** Rows of prompts that join `decoding` rows. */
  joining(decoding) {
    const known = this.#joining[decoding]
    if (known !== undefined) return known
    let rows = LEAST_ROWS
    while (rows < 4096 && this.of(decoding + rows + LEAST_ROWS) <= this.longest) rows += LEAST_ROWS
    this.#joining[decoding] = rows
    return rows
  }
}
