// Work in slices: a long piece of work lets other work of its thread run in between, such as the handler of a signal.

import { setImmediate as nextImmediate } from 'node:timers/promises'
import { abortedError } from './errors.js'

/** Milliseconds of a slice. */
const SLICE = 2

export class TimeSlice {
  #begun = performance.now()

  /** Whether it is time for a pause. */
  get isOver(): boolean {
    return performance.now() - this.#begun > SLICE
  }

  /** Lets other work run, and begins the next slice. Throws `ABORTED` if the signal has fired. */
  async pause(signal?: AbortSignal): Promise<void> {
    await nextImmediate()
    if (signal?.aborted) throw abortedError(signal)
    this.#begun = performance.now()
  }
}

/** Work that yields wherever it may pause: often, and in the middle of nothing. */
export type Steps<T> = Generator<void, T>

/** Does all of the work at once. */
export function atOnce<T>(work: Steps<T>): T {
  for (;;) {
    const next = work.next()
    if (next.done) return next.value
  }
}

/** When the slice of this turn of the event loop is over; undefined before there is work in it. */
let sliceEnd: number | undefined

/** Works that follow one another in a turn share its slice, too: many short ones hold it no longer than a long one. */
function endOfSlice(): number {
  if (sliceEnd === undefined) {
    sliceEnd = performance.now() + SLICE
    setImmediate(() => {
      sliceEnd = undefined
    })
  }
  return sliceEnd
}

/** Works whose slice is over, the one that has waited longest first. */
const waiting: (() => void)[] = []

/** A turn of the event loop has one slice of all works together: many at the same time hold it no longer than one. */
function nextTurn(): void {
  sliceEnd = undefined
  waiting.shift()!()
  if (waiting.length > 0) setImmediate(nextTurn)
}

/** Does the work in slices. Throws `ABORTED` if the signal fires before the work has ended. */
export async function inSlices<T>(work: Steps<T>, signal?: AbortSignal): Promise<T> {
  for (;;) {
    for (const end = endOfSlice(); performance.now() <= end; ) {
      const next = work.next()
      if (next.done) return next.value
    }
    await new Promise<void>((resolve) => {
      if (waiting.push(resolve) === 1) setImmediate(nextTurn)
    })
    if (signal?.aborted) throw abortedError(signal)
  }
}
