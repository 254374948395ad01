// The runtime's own Scheduler, KV cache, prefix tree and StepCost, step by step, without a model: a step takes what the
// measured times say for its rows. For comparing worker.mjs with it. Owns token ids that make conversations.

import { Request } from '../../dist/runtime/engine/request.js'
import { Scheduler } from '../../dist/runtime/engine/scheduler.js'
import { StepCost } from '../../dist/runtime/engine/stepCost.js'
import { Agenda } from './agenda.mjs'
import { Chance } from './chance.mjs'
import { quantiles } from './simulate.mjs'
import { Worker } from './worker.mjs'

/**
 * Conversations of one application: when each begins, and its turns, each with the tokens of prompt and answer, and the
 * seconds from its answer to the next question.
 */
export function conversationsOf({ seed, turnsPerMinute, minutes, chats }) {
  const chance = new Chance(seed)
  const list = []
  for (let begins = 0; begins < minutes * 60; begins += chance.exponential((chats.turns * 60) / turnsPerMinute)) {
    const session = { conversation: `c${list.length}`, number: list.length, application: 'a', beginning: chats.beginning }
    const turns = []
    let length = chats.beginning
    for (let left = chance.geometric(chats.turns); left > 0; left--) {
      const prompt = length + Math.max(1, Math.round(chance.logNormal(chats.question, chats.sigma)))
      const tokens = Math.max(1, Math.round(chance.logNormal(chats.answer, chats.sigma)))
      length = prompt + tokens
      if (length > chats.most) break
      turns.push({ session, turns, number: turns.length, prompt, tokens, pause: chance.exponential(chats.thinkSeconds) })
    }
    if (turns.length > 0) list.push({ begins, turns })
  }
  return list
}

/** By the Scheduler: when turns had their first tokens and their ends, what was cached, and the steps. */
export function byScheduler(conversations, times, { places, kvTokens }) {
  const scheduler = new Scheduler({ sequences: places, batchSize: 512, kvTokens, pairs: 1e9, expertsPerToken: 2 })
  const cost = new StepCost(undefined)
  const told = new Told()
  const agenda = arrivals(conversations)
  let now = 0
  let steps = 0
  let requests = 0
  for (;;) {
    while (agenda.next <= now) {
      const turn = agenda.take()
      scheduler.add(requestOf({ ...turn, arrives: now }, requests++, (what, request) => tell(what, turn, request)))
    }
    const shares = scheduler.plan((decoding) => cost.promptRows(decoding))
    if (shares.length === 0) {
      if (agenda.size === 0) return { ...told.figures(), steps }
      now = agenda.next
      continue
    }
    const rows = shares.reduce((sum, share) => sum + share.rows, 0)
    const seconds = times.of(rows)
    now += seconds
    steps++
    cost.add(rows, seconds * 1000)
    for (const share of shares) {
      const { request } = share
      request.reused ??= request.done
      scheduler.ran(share)
      if (request.remaining === 0) request.task.take(request)
    }
  }

  function tell(what, turn, { reused, arrived }) {
    if (what === 'first') told.first.push(now - arrived)
    else {
      told.over(turn, reused, now - arrived)
      goOn(agenda, turn, now)
    }
  }
}

/** By worker.mjs. */
export function byWorker(conversations, times, { places, kvTokens }) {
  const told = new Told()
  const agenda = arrivals(conversations)
  const worker = new Worker({
    ...{ times, places, queue: Infinity, cacheTokens: kvTokens },
    onFirst: ({ arrived }, now) => told.first.push(now - arrived),
    onDone: ({ turn, arrived, cached }, now) => {
      told.over(turn, cached, now - arrived)
      goOn(agenda, turn, now)
    },
  })
  let now = 0
  let events = 0
  while (agenda.size > 0) {
    now = agenda.next
    const thing = agenda.take()
    if (thing.version !== undefined && thing.version !== worker.version) continue
    if (thing.version !== undefined) worker.settle(now)
    else worker.add({ ...thing, turn: thing, arrived: now }, now)
    events++
    const version = ++worker.version
    if (worker.pause < Infinity) agenda.add(now + worker.pause, { version })
  }
  return { ...told.figures(), events }
}

function arrivals(conversations) {
  const agenda = new Agenda()
  for (const { begins, turns } of conversations) agenda.add(begins, turns[0])
  return agenda
}

/** The next question comes when the answer has been read. */
function goOn(agenda, { turns, number, pause }, now) {
  if (number + 1 < turns.length) agenda.add(now + pause, turns[number + 1])
}

class Told {
  first = []
  #whole = []
  #cached = 0
  #prompts = 0

  over({ prompt }, cached, seconds) {
    this.#whole.push(seconds)
    this.#cached += cached
    this.#prompts += prompt
  }

  figures() {
    return { first: quantiles(this.first), whole: quantiles(this.#whole), cachedShare: this.#cached / this.#prompts }
  }
}

function requestOf({ session, prompt, tokens, arrives }, number, tell) {
  let written = 0
  const task = {
    ids: Array.from({ length: prompt }, (_, place) => idAt(session, place)),
    from: prompt - 1,
    take(request) {
      if (written++ === 0) tell('first', request)
      if (written < tokens) {
        request.ids.push(idAt(session, request.ids.length))
        request.next = request.ids.length - 1
      } else {
        request.over = true
        tell('over', request)
      }
    },
    ended() {},
  }
  return Object.assign(new Request(task, number, { expertsPerToken: 2 }), { arrived: arrives })
}

/** The token of a conversation at a place: the beginning is everybody's, the rest its own. */
function idAt({ number, beginning }, place) {
  return place < beginning ? place : 10_000 + ((number * 7919 + place) % 1_000_000)
}
