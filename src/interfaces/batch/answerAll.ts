// Many requests at once: as many as share the model's steps, and as many more that are ready to follow. Owns how many
// run, what is tried again, and that an error which ends the run ends all of it. Does not know where requests come from
// or where answers go.

import { setTimeout as sleep } from 'node:timers/promises'
import { abortedError, MixtralError, shown } from '../../base/errors.js'
import type { Hold } from '../../runtime/engine/hold.js'
import { answerRequest, isWorthRetrying, type SaltOf } from './answerRequest.js'
import type { BatchModel, KeyedRequest } from './batchModel.js'
import type { BatchAnswer } from './resultLine.js'

/** Requests that wait for a place, for each that has one: the next prompt is there when an answer ends. */
const READY = 2
/** Attempts at a request, and the pause before the second; each further one is four times as long. */
const ATTEMPTS = 3
const PAUSE_MS = 500

/** A request, and the tokens of its answers where they are checked. */
export interface Work {
  readonly asked: KeyedRequest
  readonly expected?: readonly (readonly number[])[]
}

/** How requests run beside others. */
export interface Beside {
  /** While it is closed, none of them takes part in a step. */
  readonly hold?: Hold | undefined
  readonly saltOf?: SaltOf | undefined
}

interface Running<W> extends Beside {
  readonly batch: BatchModel
  readonly signal?: AbortSignal | undefined
  /** How many run at one time. Default: as many as share steps, and as many more. */
  readonly places?: number
  /** Takes a request that the machine could not answer. Without it, that ends the run. */
  readonly fail?: (work: W, error: MixtralError) => Promise<void> | void
}

/**
 * Answers all requests, and hands each answer to `take`, in any order. Throws the first error of `take`, and that of a
 * request which the machine could not answer in three attempts, naming its line; `ABORTED`. The signal that `begin`
 * gets fires when the run ends early.
 */
export async function answerAll<W extends Work>(
  begin: (signal: AbortSignal) => AsyncGenerator<W>,
  { batch, signal, places, fail, hold, saltOf }: Running<W>,
  take: (work: W, answer: BatchAnswer) => Promise<void> | void,
): Promise<void> {
  const failing = new AbortController()
  const ending = signal ? AbortSignal.any([signal, failing.signal]) : failing.signal
  hold?.take(ending)
  const work = begin(ending)
  let first: unknown
  const place = async () => {
    try {
      for (;;) {
        const { done, value } = await work.next()
        if (done) return
        const answer = await answered(value, batch, ending, saltOf).catch((error) => {
          if (!fail || !(error instanceof MixtralError) || ending.aborted || error.code === 'CLOSED') throw error
          return error
        })
        await (answer instanceof MixtralError ? fail!(value, answer) : take(value, answer))
      }
    } catch (error) {
      if (failing.signal.aborted) return
      first = error
      failing.abort()
    }
  }
  const { sequences } = batch.served.model.status()
  await Promise.all(Array.from({ length: places ?? sequences * READY }, place))
  if (failing.signal.aborted) {
    await work.return(undefined)
    throw signal?.aborted ? abortedError(signal) : first
  }
}

async function answered(
  { asked, expected }: Work,
  { served }: BatchModel,
  signal: AbortSignal,
  saltOf: SaltOf | undefined,
): Promise<BatchAnswer> {
  for (let attempt = 1; ; attempt++) {
    if (signal.aborted) throw abortedError(signal)
    try {
      return await answerRequest(asked, served, { signal, saltOf, ...(expected && { expected }) })
    } catch (error) {
      if (!isWorthRetrying(error) || attempt >= ATTEMPTS) throw named(error, asked)
      await sleep(PAUSE_MS * 4 ** (attempt - 1), undefined, { signal }).catch(() => {})
    }
  }
}

/** The error with the request's name; that of an abort as it is. */
function named(error: unknown, { where, customId }: KeyedRequest): unknown {
  if (!(error instanceof MixtralError) || error.code === 'ABORTED' || error.code === 'CLOSED') return error
  return new MixtralError(error.code, `${where}: request ${shown(customId)}: ${error.message}`, { cause: error })
}
