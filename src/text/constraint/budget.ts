// How much work one call may cost, counted in steps and not in seconds: the same input is refused on every machine, or
// on none.

import { MixtralError } from '../../base/errors.js'

/** The share of a step that it takes to look at an item of a list, as at a range, a name or a character. */
export const LOOK = 1 / 64

export class Budget {
  #left: number
  readonly #limit: number
  readonly #what: string

  /** `what` is the subject of the error's sentence, as "the JSON Schema". */
  constructor(limit: number, what: string) {
    this.#left = limit
    this.#limit = limit
    this.#what = what
  }

  /** Steps may be parts of one. Throws a MixtralError `UNSUPPORTED` when they are used up. */
  spend(steps = 1): void {
    this.#left -= steps
    if (this.#left < 0) {
      throw new MixtralError('UNSUPPORTED', `${this.#what} needs more than ${this.#limit} steps, expected a simpler or less ambiguous one`)
    }
  }

  /** Runs what recurses. Where the stack ends, throws a MixtralError `UNSUPPORTED`; else what it throws. */
  within<T>(run: () => T): T {
    try {
      return run()
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause
      throw new MixtralError('UNSUPPORTED', `${this.#what} has too many parts in one another, expected some thousand at most`, { cause })
    }
  }

  /** Begins again, for the next call. */
  renew(): void {
    this.#left = this.#limit
  }
}
