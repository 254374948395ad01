// A batch on workers that fail: chunks of requests in a queue, two at one time on each worker, each held by a lock. The
// chunk of a worker that fails comes back when its lock has ended and the queue has looked, and is done anew; in a
// common folder, only the requests under way are. Closed forms are in test/bench/cluster.test.ts.

import { Agenda } from './agenda.mjs'
import { Chance } from './chance.mjs'
import { StepTimes } from './stepTimes.mjs'

/** As `mixtral batch work` has it. */
const CHUNKS_AT_ONCE = 2
/** After which a chunk in a common folder goes to another machine. */
const FOLDER_SECONDS = 60

export const BATCH_DEFAULTS = {
  workers: 100,
  seed: 1,
  requests: 100_000,
  chunk: 32,
  lockSeconds: 30,
  /** Tokens of a request: of its prompt, which chunks share in part, that are computed; and of its answer. */
  prompt: 200,
  answer: 200,
  sigma: 0.5,
  places: 8,
  failureSeconds: 86_400,
  repairSeconds: 300,
  /** Whether lines of a chunk survive the worker that wrote them, as in a folder. */
  keepsLines: false,
}

/** Runs it to its last chunk. Work is in seconds of a whole worker. */
export function simulateBatch(options) {
  const set = { times: StepTimes.ofLayers(32), ...BATCH_DEFAULTS, ...options }
  const { workers, seed, requests, chunk, lockSeconds, places, failureSeconds, repairSeconds, keepsLines } = set
  const [sizes, failing] = [new Chance(seed, 1), new Chance(seed, 2)]
  const agenda = new Agenda()
  const queue = chunksOf(set, sizes)
  const count = queue.length
  const looks = failing.uniform() * lockSeconds // when the queue looks for locks that have ended
  const machines = Array.from({ length: workers }, () => ({ isUp: true, held: [], at: 0, version: 0 }))
  const idle = new Set(machines.keys())
  const told = { done: 0, failures: 0, lostChunks: 0, lostSeconds: 0, usefulSeconds: 0, waitSeconds: 0 }
  let now = 0

  const settle = (machine) => {
    const { held } = machine
    for (const one of held) one.done += (now - machine.at) / held.length
    machine.at = now
    for (const one of held.filter(({ seconds, done }) => done >= seconds - 1e-6)) {
      told.done++
      told.usefulSeconds += one.seconds
    }
    machine.held = held.filter(({ seconds, done }) => done < seconds - 1e-6)
  }
  const plan = (index) => {
    const machine = machines[index]
    const { held } = machine
    while (held.length < CHUNKS_AT_ONCE && queue.length > 0) held.push({ seconds: queue.pop(), done: 0 })
    if (held.length < CHUNKS_AT_ONCE) idle.add(index)
    else idle.delete(index)
    const version = ++machine.version
    if (held.length === 0) return
    const least = Math.min(...held.map(({ seconds, done }) => seconds - done))
    agenda.add(now + least * held.length, () => {
      if (machine.version !== version) return
      settle(machine)
      plan(index)
    })
  }
  const comesBack = (seconds) => {
    queue.push(seconds)
    const [index] = idle
    if (index === undefined) return
    settle(machines[index])
    plan(index)
  }
  const fail = (index) => {
    const machine = machines[index]
    settle(machine)
    machine.isUp = false
    machine.version++
    idle.delete(index)
    told.failures++
    for (const { seconds, done } of machine.held) {
      // of a chunk whose lines are kept, those requests are lost that were under way: half of each, on average
      const underWay = Math.min(done, (seconds * Math.min(1, places / CHUNKS_AT_ONCE / chunk)) / 2)
      const lost = keepsLines ? underWay : done
      told.lostChunks++
      told.lostSeconds += lost
      told.usefulSeconds += done - lost
      const lockEnds = now + lockSeconds * (0.5 + failing.uniform() / 2) // it is renewed at half of its time
      const back = keepsLines ? now + FOLDER_SECONDS : looks + Math.ceil((lockEnds - looks) / lockSeconds) * lockSeconds
      told.waitSeconds += back - now
      agenda.add(back, () => comesBack(seconds - (done - lost)))
    }
    machine.held = []
    agenda.add(now + repairSeconds, () => {
      Object.assign(machine, { isUp: true, at: now })
      plan(index)
      planFailure(index)
    })
  }
  const planFailure = (index) => {
    if (failureSeconds < Infinity) agenda.add(now + failing.exponential(failureSeconds), () => fail(index))
  }

  for (const index of machines.keys()) {
    plan(index)
    planFailure(index)
  }
  while (told.done < count) {
    now = agenda.next
    agenda.take()()
  }
  return { ...told, chunks: count, seconds: now, busyShare: (told.usefulSeconds + told.lostSeconds) / (now * workers), requests }
}

/** Seconds that a whole worker takes for each chunk: prompts in steps of many rows, answers beside each other. */
function chunksOf({ times, requests, chunk, prompt, answer, sigma, places }, chance) {
  const aRow = times.of(256) / 256
  const aToken = times.of(places) / places
  const list = []
  for (let left = requests; left > 0; left -= chunk) {
    let seconds = 0
    for (let i = 0; i < Math.min(chunk, left); i++) seconds += prompt * aRow + chance.logNormal(answer, sigma) * aToken
    list.push(seconds)
  }
  return list
}
