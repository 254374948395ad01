// Loops that hold the model while they run, and lend it to others who wait while their reader is away. So a call may be
// awaited inside such a loop. Owns when a turn is lent, and how a loop goes on after it; not what a loop does.

import { setInterval } from 'node:timers'
import type { Turns } from './turns.js'

/** A turn is lent when its reader has been away for this long: not while a reader only takes value after value. */
const PATIENCE_MS = 20

/**
 * Yields what `run` yields, within a turn with pages. Where the turn was lent, `run` begins anew, and what its reader
 * has already is passed over. Throws what `Turns.enterBoth` throws.
 */
export async function* inLentTurns<T>(
  turns: Turns,
  run: () => AsyncGenerator<T>,
  { signal, lends }: { readonly signal: AbortSignal | undefined; readonly lends: boolean },
): AsyncGenerator<T> {
  let given = 0
  for (;;) {
    const leave = await turns.enterBoth(signal)
    const values = run()
    let left: Promise<void> | undefined
    const end = async () => {
      await values.return(undefined)
      leave()
    }
    try {
      for (let at = 0; !left; at++) {
        const { done, value } = await values.next()
        if (done) return
        if (at < given) continue
        given++
        const timer = setInterval(() => {
          if (lends && turns.isWanted) left ??= end()
        }, PATIENCE_MS).unref()
        try {
          yield value
        } finally {
          clearInterval(timer)
        }
      }
    } finally {
      await (left ?? end())
    }
  }
}
