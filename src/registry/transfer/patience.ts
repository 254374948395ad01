// How often and how long to wait for a server that fails: waits double, and what the server asks for goes first. Does not know what is asked for.

import { setTimeout as sleep } from 'node:timers/promises'
import { abortedError } from '../../base/errors.js'
import { ExchangeError } from './exchange.js'

export interface RetryPace {
  /** Failures in a row without a byte in between. */
  readonly attempts: number
  /** The wait after the first failure. */
  readonly delayMs: number
}

/** For answers that somebody waits for. */
const SHORT_PACE: RetryPace = { attempts: 5, delayMs: 200 }
const LONGEST_DELAY_MS = 30_000
/** A server that asks for more patience than this is not waited for. */
const LONGEST_WAIT_MS = 300_000

/** A time in which a server wants to be left alone, by all connections. */
export class Quiet {
  #until = 0

  /** Makes the time last for at least so long. */
  keep(ms: number): void {
    this.#until = Math.max(this.#until, performance.now() + ms)
  }

  /** Waits for its end. Throws `ABORTED` if the signal fires. */
  async over(signal: AbortSignal | undefined): Promise<void> {
    for (let ms = this.#until - performance.now(); ms > 0; ms = this.#until - performance.now()) await pause(ms, signal)
  }
}

/** The failures of one thing that is tried again and again. */
export class Patience {
  readonly #name: string
  readonly #pace: RetryPace
  readonly #quiet: Quiet
  readonly #signal: AbortSignal | undefined
  #failures = 0

  constructor(name: string, pace: RetryPace, quiet: Quiet, signal: AbortSignal | undefined) {
    this.#name = name
    this.#pace = pace
    this.#quiet = quiet
    this.#signal = signal
  }

  /** Something came: failures before it count no more. */
  progressed(): void {
    this.#failures = 0
  }

  /** Waits until it is time to try again. Throws the error, with the name of what failed, if trying again is of no use. */
  async afterFailure(error: unknown): Promise<void> {
    if (!(error instanceof ExchangeError)) throw error
    const { attempts, delayMs } = this.#pace
    const { status, transient, retryAfterMs } = error
    const giveUp = (why: string) => new ExchangeError(`${this.#name}: ${error.message}${why}`, { status }, error)
    if (!transient) throw giveUp('')
    if (++this.#failures >= attempts) throw giveUp(`, ${attempts} times in a row`)
    if (retryAfterMs === undefined) {
      const longest = Math.min(LONGEST_DELAY_MS, delayMs * 2 ** (this.#failures - 1))
      return pause(longest * (0.5 + Math.random() / 2), this.#signal) // unequal, so that connections do not come back all at once
    }
    if (retryAfterMs > LONGEST_WAIT_MS) throw giveUp(`, and asks to wait ${Math.round(retryAfterMs / 1000)} seconds`)
    this.#quiet.keep(retryAfterMs)
    await this.#quiet.over(this.#signal)
  }
}

/** Tries a short request a few times. */
export async function withPatience<T>(name: string, signal: AbortSignal | undefined, attempt: () => Promise<T>): Promise<T> {
  const patience = new Patience(name, SHORT_PACE, new Quiet(), signal)
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      await patience.afterFailure(error)
    }
  }
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, signal ? { signal } : {}).catch(() => {
    throw abortedError(signal)
  })
}
