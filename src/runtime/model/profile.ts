// Where the time of steps goes: for every stage of the forward pass, how long the threads worked and how long they then waited for the last of them. Each thread
// writes its own numbers, main reads them between steps. Knows nothing of what a stage does.

/** The stages in their order. */
const stages = ['embed', 'norm', 'qkv', 'rope', 'attention', 'output', 'route', 'gate and up', 'down', 'logits'] as const

export type Stage = (typeof stages)[number]

/** Seconds of one stage, summed over threads and layers. */
export interface StageTime {
  readonly stage: Stage
  readonly working: number
  readonly waiting: number
}

export class Profile {
  /** (threads, stages, 2): milliseconds of working and waiting. */
  readonly #times: Float64Array

  constructor(times: Float64Array) {
    this.#times = times
  }

  static create(threads: number): Float64Array {
    return new Float64Array(new SharedArrayBuffer(threads * stages.length * 2 * 8))
  }

  /** A thread's side: its stage began, had no more work, and ended for all, in milliseconds. */
  add(seat: number, stage: Stage, began: number, worked: number, ended: number): void {
    const at = (seat * stages.length + stages.indexOf(stage)) * 2
    this.#times[at] = this.#times[at]! + worked - began
    this.#times[at + 1] = this.#times[at + 1]! + ended - worked
  }

  /** Main's side, while no step runs: what has been added since the last call. */
  take(): StageTime[] {
    const seats = this.#times.length / stages.length / 2
    const sum = (offset: number) => {
      let milliseconds = 0
      for (let seat = 0; seat < seats; seat++) milliseconds += this.#times[seat * stages.length * 2 + offset]!
      return milliseconds / 1000
    }
    const taken = stages.map((stage, i) => ({ stage, working: sum(2 * i), waiting: sum(2 * i + 1) }))
    this.#times.fill(0)
    return taken
  }
}
