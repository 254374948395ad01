// Turns of the event loop, which all answers of a process share: who has much to write lets others work in between,
// such as /health and the clients of other answers. An answer whose pieces are all there would never leave the loop.
// And how long an answer waits for something before it gives a sign of life.

import { setImmediate as nextTurn } from 'node:timers/promises'

/** Milliseconds that answers may take of one turn. */
const MOST = 4

let begun: number | undefined

/** Whether answers have taken their part of this turn. */
export function isTurnOver(): boolean {
  if (begun === undefined) {
    begun = performance.now()
    setImmediate(() => {
      begun = undefined
    })
  }
  return performance.now() - begun > MOST
}

/** Resolves at once if this turn has time left, else in a turn that has. */
export async function ownTurn(): Promise<void> {
  while (isTurnOver()) await nextTurn()
}

/** What a promise gives, or undefined if that takes longer. */
export async function within<T>(promise: Promise<T>, seconds: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, seconds * 1000, undefined)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
