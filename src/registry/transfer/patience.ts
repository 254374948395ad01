// Retries of a server that fails: how many, and with which delays. Delays double; a delay that the server asks for
// comes first. Does not know what is requested.

import { setTimeout as sleep } from 'node:timers/promises'
import { abortedError } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import { ExchangeError } from './exchange.js'

export interface RetryPace {
  /** Failures in a row, without a byte in between, after which the request fails. */
  readonly attempts: number
  /** The wait after the first failure. */
  readonly delayMs: number
  /** The longest wait that a server may ask for. Default: that of a download. */
  readonly longestWaitMs?: number
  /** A failure later than this after the beginning is the last. Default: there is no such time. */
  readonly totalMs?: number
}

/** For short requests, while a user waits. */
const SHORT_PACE: RetryPace = {
  attempts: 5,
  delayMs: 200,
  longestWaitMs: limits.answerWait.most * 1000,
  totalMs: limits.answerTries.most * 1000,
}
const LONGEST_DELAY_MS = 30_000
const LONGEST_WAIT_MS = limits.downloadWait.most * 1000

/** A time during which no connection sends a request, because the server asked for it. */
export class Quiet {
  #until = 0

  /** Extends the time to at least `ms` from now. */
  keep(ms: number): void {
    this.#until = Math.max(this.#until, performance.now() + ms)
  }

  /** Waits until it is over. Throws `ABORTED` if the signal fires. */
  async over(signal: AbortSignal | undefined): Promise<void> {
    for (let ms = this.#until - performance.now(); ms > 0; ms = this.#until - performance.now()) await pause(ms, signal)
  }
}

/** Counts the failures of one request that is retried. */
export class Patience {
  readonly #name: string
  readonly #pace: RetryPace
  readonly #quiet: Quiet
  readonly #signal: AbortSignal | undefined
  readonly #began = performance.now()
  #failures = 0

  constructor(name: string, pace: RetryPace, quiet: Quiet, signal: AbortSignal | undefined) {
    this.#name = name
    this.#pace = pace
    this.#quiet = quiet
    this.#signal = signal
  }

  /** Bytes came: earlier failures no longer count. */
  progressed(): void {
    this.#failures = 0
  }

  /** Waits until the next attempt is due. Throws the error, with the name of the request, if there is to be none. */
  async afterFailure(error: unknown): Promise<void> {
    if (!(error instanceof ExchangeError)) throw error
    const { attempts, delayMs, longestWaitMs = LONGEST_WAIT_MS, totalMs = Number.POSITIVE_INFINITY } = this.#pace
    const { status, transient, retryAfterMs } = error
    const giveUp = (why: string) => new ExchangeError(`${this.#name}: ${error.message}${why}`, { status }, error)
    if (!transient) throw giveUp('')
    if (++this.#failures >= attempts) throw giveUp(`, ${attempts} times in a row`)
    const seconds = (performance.now() - this.#began) / 1000
    if (seconds * 1000 > totalMs) throw giveUp(`, ${this.#failures} times in ${Math.round(seconds)} seconds`)
    if (retryAfterMs === undefined) {
      const longest = Math.min(LONGEST_DELAY_MS, delayMs * 2 ** (this.#failures - 1))
      return pause(longest * (0.5 + Math.random() / 2), this.#signal) // random, so that not all retry at once
    }
    if (retryAfterMs > longestWaitMs) throw giveUp(`, and asks to wait ${Math.round(retryAfterMs / 1000)} seconds`)
    this.#quiet.keep(retryAfterMs)
    await this.#quiet.over(this.#signal)
  }
}

/** Sends a short request, and retries it a few times. */
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
