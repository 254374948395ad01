// How much work one call may cost, counted in steps and not in seconds: the same input is refused on every machine, or
// on none.

import { MixtralError } from '../../base/errors.js'

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

  /** Throws a MixtralError `UNSUPPORTED` when the steps are used up. */
  spend(steps = 1): void {
    this.#left -= steps
    if (this.#left < 0) {
      throw new MixtralError('UNSUPPORTED', `${this.#what} needs more than ${this.#limit} steps, expected a simpler or less ambiguous one`)
    }
  }

  /** Begins again, for the next call. */
  renew(): void {
    this.#left = this.#limit
  }
}
