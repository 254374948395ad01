// A thread that stands beside the team: it takes no part in stages and barriers, may block for as long as it likes, and is called when there is something to do. Knows
// nothing of what that is.

import { announce, LEAVE, word } from './control.js'
import { asSeatError, type SeatError, type SeatTask } from './seat.js'

/** A sleeping attendant wakes this often, in milliseconds, to see whether the team was stopped. */
const NAP = 100

export class Attendant {
  readonly #words: Int32Array

  constructor(words: Int32Array) {
    this.#words = words
  }

  /** How often attendants have been called. */
  get errands(): number {
    return Atomics.load(this.#words, word.errand)
  }

  /** Whether main has told the threads to leave. */
  get dismissed(): boolean {
    const words = this.#words
    return Atomics.load(words, word.stopped) === 1 || (Atomics.load(words, word.command) !== 0 && Atomics.load(words, word.code) === LEAVE)
  }

  /** Returns when attendants have been called again since there were `known` errands, or after a nap. */
  rest(known: number): void {
    Atomics.wait(this.#words, word.errand, known, NAP)
  }

  /** Calls the other attendants. */
  call(): void {
    announce(this.#words, word.errand)
  }

  /** Tells the threads that something is done. */
  deliver(): void {
    announce(this.#words, word.delivery)
  }
}

/** Runs `work` whenever called, until it says that nothing is left to do, and ends when main says so. Errors end as a seat's do (seat.ts). */
export function attend(task: SeatTask, work: (attendant: Attendant) => void): SeatError | undefined {
  const attendant = new Attendant(task.control)
  try {
    while (!attendant.dismissed) {
      const known = attendant.errands
      work(attendant)
      attendant.rest(known)
    }
  } catch (error) {
    return asSeatError(error)
  }
  return undefined
}
