// Work in slices: a long piece of work lets other work of its thread run in between.

import { setImmediate } from 'node:timers/promises'

/** Milliseconds of a slice. */
const SLICE = 2

export class TimeSlice {
  #begun = performance.now()

  /** Whether it is time for a pause. */
  get isOver(): boolean {
    return performance.now() - this.#begun > SLICE
  }

  /** Lets other work run, and begins the next slice. */
  async pause(): Promise<void> {
    await setImmediate()
    this.#begun = performance.now()
  }
}
