// Times of the stages of a forward pass: how long the threads worked in each, and how long they then waited for the
// last of them. Each thread adds to its own numbers; main reads them between steps. Does not know what a stage does.

import { type Stage, timedStages } from './step.js'

/** Seconds of one stage, summed over threads and layers. */
export interface StageTime {
  readonly stage: Stage
  readonly working: number
  readonly waiting: number
}

const STAGES = timedStages.length

export class Profile {
  /** (threads, stages, 2): milliseconds of working and waiting. */
  readonly #times: Float64Array

  constructor(times: Float64Array) {
    this.#times = times
  }

  static create(threads: number): Float64Array {
    return new Float64Array(new SharedArrayBuffer(threads * STAGES * 2 * 8))
  }

  /** Adds a stage that a thread has ended. In milliseconds: its begin, its last unit's end, the end of its barrier. */
  add(seat: number, stage: Stage, began: number, worked: number, ended: number): void {
    const at = (seat * STAGES + timedStages.indexOf(stage)) * 2
    this.#times[at] = this.#times[at]! + worked - began
    this.#times[at + 1] = this.#times[at + 1]! + ended - worked
  }

  /** The times that were added since the last call. For main, while no step runs. */
  take(): StageTime[] {
    const seats = this.#times.length / STAGES / 2
    const sum = (offset: number) => {
      let milliseconds = 0
      for (let seat = 0; seat < seats; seat++) milliseconds += this.#times[seat * STAGES * 2 + offset]!
      return milliseconds / 1000
    }
    const taken = timedStages.map((stage, i) => ({ stage, working: sum(2 * i), waiting: sum(2 * i + 1) }))
    this.#times.fill(0)
    return taken
  }
}
