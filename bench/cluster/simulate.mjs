// A cluster under load: conversations begin, take turns and end; a balancer sends each turn to a worker; workers fail
// and come back. Event driven, in seconds. The same seed gives the same requests and failures to every policy.

import { Agenda } from './agenda.mjs'
import { Chance } from './chance.mjs'
import { POLICIES } from './dispatch.mjs'
import { StepTimes } from './stepTimes.mjs'
import { Worker } from './worker.mjs'

/** What users do. Tokens are whole numbers, at least 1. */
export const CHATS = {
  /** Applications, each with a system message of its own. */
  applications: 200,
  beginning: 400,
  /** Turns of a conversation, and seconds between an answer and the next question. */
  turns: 4,
  thinkSeconds: 60,
  question: 80,
  answer: 160,
  /** Of the logarithm of questions and answers. */
  sigma: 0.7,
  /** A conversation ends before it has more tokens than a context. */
  most: 4096,
}

export const DEFAULTS = {
  workers: 16,
  policy: 'affinity',
  seed: 1,
  seconds: 3600,
  /** Not counted: the cluster fills. */
  warmSeconds: 1200,
  /** Turns a minute of each worker, on average. */
  turnsPerMinute: 1,
  places: 8,
  queue: 64,
  cacheTokens: 8 * 4096,
  /** Workers that a balancer asks for one request, and how long and how often a client that is refused comes again. */
  tries: 3,
  retrySeconds: 2,
  retries: 5,
  /** Mean seconds between two failures of one worker; infinite for none. */
  failureSeconds: Infinity,
  repairSeconds: 300,
  /** Until a client has noticed that its stream is lost. */
  noticeSeconds: 1,
  /** What becomes of a lost stream: `broken`, `again` (written anew, unseen) or `read` (what is known is read). */
  lost: 'again',
  chats: CHATS,
}

/** Runs it, and returns what was counted. */
export function simulate(options) {
  return new Cluster({ times: StepTimes.ofLayers(32), ...DEFAULTS, ...options }).run()
}

class Cluster {
  #set
  #agenda = new Agenda()
  #now = 0
  #workers
  #policy
  #arrivals
  #bodies
  #failing
  #conversations = 0
  #counts = { arrived: 0, done: 0, refused: 0, broken: 0, retried: 0, failures: 0, lost: 0, lostTokens: 0, lostRows: 0 }
  #counted = { done: 0, prompt: 0, cached: 0, tokens: 0, broken: 0, lost: 0, lostTokens: 0, failures: 0, refused: 0, arrived: 0 }
  #first = []
  #whole = []
  #stalls = []
  #busyBefore = 0
  #inside = 0
  #events = 0

  constructor(set) {
    this.#set = set
    const { workers, seed, policy } = set
    this.#arrivals = new Chance(seed, 1)
    this.#bodies = new Chance(seed, 2)
    this.#failing = new Chance(seed, 3)
    const onFirst = (request, now) => this.#begun(request, now)
    const onDone = (request, now) => this.#done(request, now)
    this.#workers = Array.from({ length: workers }, () => new Worker({ ...set, onFirst, onDone }))
    this.#policy = POLICIES[policy](this.#workers)
  }

  run() {
    const { seconds, warmSeconds, failureSeconds } = this.#set
    const end = warmSeconds + seconds
    this.#agenda.add(this.#arrivals.exponential(this.#gap), () => this.#newConversation(end))
    if (failureSeconds < Infinity) for (const index of this.#workers.keys()) this.#planFailure(index)
    this.#agenda.add(warmSeconds, () => {
      this.#busyBefore = this.#busy(warmSeconds)
    })
    while (this.#agenda.next <= end) {
      this.#now = this.#agenda.next
      this.#events++
      this.#agenda.take()()
    }
    return this.#results(this.#busy(end) - this.#busyBefore)
  }

  get #gap() {
    const { workers, turnsPerMinute, chats } = this.#set
    return (chats.turns * 60) / (turnsPerMinute * workers)
  }

  get #isWarm() {
    return this.#now >= this.#set.warmSeconds
  }

  #newConversation(end) {
    const { chats } = this.#set
    this.#agenda.add(this.#now + this.#arrivals.exponential(this.#gap), () => this.#newConversation(end))
    const session = {
      conversation: `c${this.#conversations++}`,
      application: `a${this.#bodies.below(chats.applications)}`,
      beginning: chats.beginning,
      length: chats.beginning,
      turns: this.#bodies.geometric(chats.turns),
      // one stream of chance for each: what policies do to the order of turns must not change their texts
      chance: new Chance(this.#set.seed, 1000 + this.#conversations),
    }
    this.#turn(session)
  }

  #turn(session) {
    const { question, answer, sigma, most } = this.#set.chats
    session.turns--
    const tokens = (mean) => Math.max(1, Math.round(sigma > 0 ? session.chance.logNormal(mean, sigma) : mean))
    const prompt = session.length + tokens(question)
    const total = tokens(answer)
    if (prompt + total > most) return
    session.length = prompt + total
    this.#counts.arrived++
    this.#inside++
    if (this.#isWarm) this.#counted.arrived++
    this.#send({ session, prompt, tokens: total, total, had: 0, arrived: this.#now, attempts: 0 })
  }

  #send(request) {
    const { tries, retrySeconds, retries } = this.#set
    let asked = 0
    for (const index of this.#policy.candidates(request)) {
      const worker = this.#workers[index]
      if (asked++ >= tries) break
      if (worker.isFull) continue
      request.worker = index
      request.attempts = 0
      worker.add(request, this.#now)
      this.#plan(index)
      return
    }
    if (request.attempts++ >= retries) {
      this.#counts.refused++
      this.#inside--
      if (this.#isWarm) this.#counted.refused++
      return
    }
    this.#counts.retried++
    this.#agenda.add(this.#now + retrySeconds, () => this.#send(request))
  }

  /** The next change of a worker, in place of the one that was planned before. */
  #plan(index) {
    const worker = this.#workers[index]
    this.#policy.changed(index)
    const version = ++worker.version
    const { pause } = worker
    if (pause === Infinity) return
    this.#agenda.add(this.#now + pause, () => {
      if (worker.version !== version) return
      worker.settle(this.#now)
      this.#plan(index)
    })
  }

  #begun(request, now) {
    if (this.#isWarm && request.had > 0) this.#stalls.push(now - request.lostAt)
    if (request.had > 0 || request.firstAt !== undefined) return
    request.firstAt = now
    if (this.#isWarm) this.#first.push(now - request.arrived)
  }

  #done(request, now) {
    const { session, prompt, cached } = request
    this.#counts.done++
    this.#inside--
    if (this.#isWarm) {
      this.#whole.push(now - request.arrived)
      this.#counted.done++
      this.#counted.prompt += prompt
      this.#counted.cached += cached
      this.#counted.tokens += request.total
    }
    if (session.turns <= 0) return
    this.#agenda.add(now + session.chance.exponential(this.#set.chats.thinkSeconds), () => this.#turn(session))
  }

  #planFailure(index) {
    this.#agenda.add(this.#now + this.#failing.exponential(this.#set.failureSeconds), () => this.#fail(index))
  }

  #fail(index) {
    const { repairSeconds, noticeSeconds, lost: how } = this.#set
    const worker = this.#workers[index]
    const lost = worker.fail(this.#now)
    this.#policy.changed(index, false, true)
    this.#counts.failures++
    if (this.#isWarm) this.#counted.failures++
    for (const request of lost) {
      const known = request.total - request.tokens
      const had = Math.max(request.had, request.written > 0 ? known + request.written : 0)
      this.#counts.lost++
      this.#counts.lostTokens += request.written
      if (this.#isWarm) {
        this.#counted.lost++
        this.#counted.lostTokens += request.written
      }
      if (how === 'broken' && had > 0) {
        this.#counts.broken++
        this.#inside--
        if (this.#isWarm) this.#counted.broken++
        continue
      }
      Object.assign(request, { had, lostAt: this.#now })
      if (how === 'read') Object.assign(request, { known: had, tokens: request.total - had })
      else request.silent = had
      this.#agenda.add(this.#now + noticeSeconds, () => this.#send(request))
    }
    this.#agenda.add(this.#now + repairSeconds, () => {
      worker.repair(this.#now)
      this.#policy.changed(index, true, false)
      this.#planFailure(index)
    })
  }

  #busy(now) {
    let sum = 0
    for (const [index, worker] of this.#workers.entries()) {
      if (!worker.isUp) {
        sum += worker.busySeconds
        continue
      }
      worker.settle(now)
      this.#plan(index)
      sum += worker.busySeconds
    }
    return sum
  }

  #results(busy) {
    const { workers, seconds } = this.#set
    const { done, prompt, cached, tokens, ...others } = this.#counted
    return {
      all: { ...this.#counts, inside: this.#inside, onWorkers: this.#workers.reduce((sum, { inside }) => sum + inside, 0) },
      ...others,
      done,
      tokensPerSecond: tokens / seconds,
      busyShare: busy / (workers * seconds),
      cachedShare: prompt > 0 ? cached / prompt : 0,
      firstToken: quantiles(this.#first),
      whole: quantiles(this.#whole),
      stall: quantiles(this.#stalls),
      events: this.#events,
    }
  }
}

export function quantiles(list) {
  const sorted = Float64Array.from(list).sort()
  const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0
  const mean = sorted.reduce((sum, value) => sum + value, 0) / Math.max(1, sorted.length)
  return { count: sorted.length, mean, p50: at(0.5), p95: at(0.95), p99: at(0.99), most: at(1) }
}
