// One `mixtral serve`: a bounded queue, some answers at one time, and steps that they share. Between two events all
// rates are constant, so nothing is computed step by step: each step gives every decoding answer a token, and prompts
// their rows. bench/cluster/replay.mjs compares it with the runtime's own Scheduler, step by step.

import { PrefixCache } from './prefixCache.mjs'

/** Prompts that share a step, as in the Scheduler. */
const PROMPTS = 4
/** Rows of a step, as the engine's default. */
const BATCH = 512
/** Less than this much of a row or a token is rounding. */
const NOTHING = 1e-6

export class Worker {
  isUp = true
  /** Counts what has been planned: an older plan is void. */
  version = 0
  running = []
  waiting = []
  /** Rows and tokens that were computed. */
  rows = 0
  tokens = 0
  busySeconds = 0
  cache
  #times
  #places
  #most
  #at = 0
  #decoding = 0
  #onFirst
  #onDone

  /** @param onFirst called with a request and the time of its first token @param onDone with one that is over */
  constructor({ times, places, queue, cacheTokens, onFirst, onDone }) {
    this.#times = times
    this.#places = places
    this.#most = places + queue
    this.cache = new PrefixCache(cacheTokens)
    this.#onFirst = onFirst
    this.#onDone = onDone
  }

  get inside() {
    return this.running.length + this.waiting.length
  }

  get isFull() {
    return this.inside >= this.#most
  }

  /**
   * Takes a request, of which `prompt` and `known` tokens are read, if they are not cached, and `tokens` written, the
   * first `silent` of them without a word.
   */
  add(request, now) {
    this.#advance(now)
    this.waiting.push(request)
    this.#admit()
  }

  /** What has happened up to now. */
  settle(now) {
    this.#advance(now)
    this.#admit()
  }

  /** Seconds from the last settling to the next change; infinite where nothing runs. */
  get pause() {
    const { step, share } = this.#rates()
    let least = Infinity
    let prompts = 0
    for (const { left, reads } of this.running) {
      if (reads && ++prompts > PROMPTS) continue
      const steps = reads ? left / share : left
      if (steps < least) least = steps
    }
    return Math.max(0, least * step)
  }

  /** It fails: the requests that it had, each with the tokens that it had written. */
  fail(now) {
    this.#advance(now)
    this.isUp = false
    this.version++
    const lost = [...this.running, ...this.waiting]
    for (const request of lost) {
      request.written = request.reads === false ? request.tokens - request.after - Math.ceil(request.left - NOTHING) : 0
      request.reads = undefined
    }
    this.running = []
    this.waiting = []
    this.#decoding = 0
    this.cache.clear()
    return lost
  }

  repair(now) {
    this.#at = now
    this.isUp = true
  }

  /** Of the state that there is: seconds of a step, and the rows that each prompt gets. */
  #rates() {
    const prompts = Math.min(PROMPTS, this.running.length - this.#decoding)
    if (prompts === 0) return { step: this.#times.of(this.#decoding), share: 0 }
    let left = 0
    let seen = 0
    for (const request of this.running) if (request.reads && seen++ < PROMPTS) left += request.left
    const most = this.#decoding > 0 ? this.#times.joining(this.#decoding) : BATCH
    const rows = Math.max(1, Math.min(most, left))
    return { step: this.#times.of(this.#decoding + rows), share: rows / prompts }
  }

  #advance(now) {
    const seconds = now - this.#at
    this.#at = now
    if (this.running.length === 0 || seconds <= 0) return
    const { step, share } = this.#rates()
    this.busySeconds += seconds
    const steps = seconds / step
    let prompts = 0
    for (const request of this.running) {
      if (request.reads && ++prompts > PROMPTS) continue
      const done = Math.min(request.left, request.reads ? steps * share : steps)
      request.left -= done
      if (request.reads) this.rows += done
      else this.tokens += done
    }
    this.#finish(now)
  }

  #finish(now) {
    const over = []
    for (const request of this.running) {
      if (request.left > NOTHING) continue
      if (request.reads) this.#begin(request, now)
      else if (request.silent > 0) this.#speak(request, now)
      if (request.left <= NOTHING && !(request.silent > 0)) over.push(request)
    }
    if (over.length === 0) return
    this.running = this.running.filter((request) => !over.includes(request))
    this.#decoding -= over.length
    for (const request of over) {
      if (request.session) this.cache.keep(request.session, request.prompt + request.tokens)
      this.#onDone(request, now)
    }
  }

  /** Its prompt has been read, whose last row draws the first token. */
  #begin(request, now) {
    request.reads = false
    if (request.session) this.cache.keep(request.session, request.prompt) // others find it from now on
    this.#decoding++
    this.tokens++
    request.silent = Math.min(request.silent ?? 0, request.tokens - 1)
    request.after = request.silent > 0 ? request.tokens - 1 - request.silent : 0
    request.left = request.silent || request.tokens - 1
    if (request.silent === 0) this.#onFirst?.(request, now)
  }

  /** What the client has already has been written again. */
  #speak(request, now) {
    request.left = request.after
    request.silent = 0
    request.after = 0
    this.#onFirst?.(request, now)
  }

  #admit() {
    while (this.running.length < this.#places && this.waiting.length > 0) {
      const request = this.waiting.shift()
      const cached = request.session ? Math.min(request.prompt - 1, this.cache.find(request.session)) : 0
      request.cached = cached
      request.reads = true
      request.left = request.prompt + (request.known ?? 0) - cached
      this.running.push(request)
    }
  }
}
