// The simulation of a cluster: closed forms of queues, the runtime's own Scheduler, and what must hold whatever comes.

import { describe, expect, test } from 'vitest'
import type { Json } from '../interfaces/server/served.js'

// Plain JavaScript without types, hence no static imports.
const load = (file: string): Promise<Json> => import(new URL(`../../bench/cluster/${file}.mjs`, import.meta.url).href)
const [{ Agenda }, { Chance }, { StepTimes, MEASURED }, { Worker }, { simulate, CHATS }, { simulateBatch }, replay, { POLICIES }] =
  await Promise.all(['agenda', 'chance', 'stepTimes', 'worker', 'simulate', 'batch', 'replay', 'dispatch'].map(load))

const POLICY_NAMES = Object.keys(POLICIES)

/** Mean seconds in one worker of requests that come at random, each of so many tokens and hardly any prompt. */
function meanSeconds({
  rate,
  tokens,
  places,
  times,
}: {
  rate: number
  tokens: (chance: Json) => number
  places: number
  times: Json
}): number {
  const [arrivals, sizes] = [new Chance(3, 1), new Chance(3, 2)]
  let [sum, count, now, arrived] = [0, 0, 0, 0]
  const onDone = ({ at }: { at: number }, time: number) => {
    count++
    sum += time - at
  }
  const worker = new Worker({ times, places, queue: Number.POSITIVE_INFINITY, cacheTokens: 1, onDone })
  const agenda = new Agenda()
  const change = (work: () => void) => {
    work()
    const version = ++worker.version
    if (worker.pause < Number.POSITIVE_INFINITY)
      agenda.add(now + worker.pause, () => version === worker.version && change(() => worker.settle(now)))
  }
  const arrive = () => {
    if (arrived++ < 200_000) agenda.add(now + arrivals.exponential(1 / rate), arrive)
    change(() => worker.add({ at: now, prompt: 1e-9, tokens: 1 + tokens(sizes) }, now))
  }
  arrive()
  while (agenda.size > 0) {
    now = agenda.next
    agenda.take()()
  }
  expect(count).toBe(arrived)
  return sum / count
}

/** Every step takes a second, however many rows it has; or a second for each row. */
const [sameForAll, oneEach] = [new StepTimes([[1, 1], [2, 1]]), new StepTimes([[1, 1], [2, 2]])] // biome-ignore format: pairs

describe('closed forms', () => {
  test('M/M/1 and M/D/1: one place', () => {
    const [rate, mean] = [0.07, 10]
    const load = rate * mean
    const exponential = meanSeconds({ rate, places: 1, times: sameForAll, tokens: (chance) => chance.exponential(mean) })
    expect(exponential / (mean / (1 - load))).toBeCloseTo(1, 1)
    const constant = meanSeconds({ rate, places: 1, times: sameForAll, tokens: () => mean })
    expect(constant / (mean + (load * mean) / (2 * (1 - load)))).toBeCloseTo(1, 1)
  })

  test('M/M/c: eight places whose steps take as long whoever shares them', () => {
    const [rate, mean, places] = [0.7, 10, 8]
    const offered = rate * mean
    const terms = Array.from({ length: places + 1 }, (_, k) =>
      Array.from({ length: k }, (_, i) => offered / (i + 1)).reduce((a, b) => a * b, 1),
    )
    const last = terms[places]! / (1 - offered / places)
    const waits = last / (terms.slice(0, places).reduce((a, b) => a + b, 0) + last) // Erlang's C
    const expected = mean + (waits * mean) / (places - offered)
    const found = meanSeconds({ rate, places, times: sameForAll, tokens: (chance) => chance.exponential(mean) })
    expect(found / expected).toBeCloseTo(1, 1)
  })

  test('M/M/1 with shared rate: a step takes as long as all who share it, and nobody waits', () => {
    const [rate, mean] = [0.06, 10]
    const found = meanSeconds({ rate, places: 1e6, times: oneEach, tokens: (chance) => chance.exponential(mean) })
    expect(found / (mean / (1 - rate * mean))).toBeCloseTo(1, 1)
  })
})

test('a worker is as fast as the Scheduler, step by step', () => {
  for (const turnsPerMinute of [0.4, 0.9, 1.3]) {
    const conversations = replay.conversationsOf({ seed: 5, turnsPerMinute, minutes: 240, chats: CHATS })
    const set = [conversations, StepTimes.ofLayers(32), { places: 8, kvTokens: 8 * 4096 }]
    const [steps, events] = [replay.byScheduler(...set), replay.byWorker(...set)]
    expect(events.whole.count).toBe(steps.whole.count)
    expect(Math.abs(events.whole.mean / steps.whole.mean - 1)).toBeLessThan(0.05)
    expect(Math.abs(events.first.mean / steps.first.mean - 1)).toBeLessThan(0.1)
    expect(Math.abs(events.cachedShare - steps.cachedShare)).toBeLessThan(0.01)
  }
})

test('times of steps are those that were measured, and rise with rows', () => {
  const times = StepTimes.ofLayers(4)
  for (const [rows, seconds] of MEASURED) expect(times.of(rows)).toBeCloseTo(seconds, 12)
  for (let rows = 1; rows < 600; rows++) expect(times.of(rows + 1)).toBeGreaterThan(times.of(rows))
  expect(StepTimes.ofLayers(32).of(8)).toBeCloseTo(8 * times.of(8), 12)
})

describe.each(POLICY_NAMES)('%s', (policy) => {
  const small = { workers: 12, policy, seconds: 3600, warmSeconds: 300, turnsPerMinute: 1, seed: 4 }

  test.each(['broken', 'again', 'read'])('loses no request, also where workers fail: %s', (lost) => {
    const { all } = simulate({ ...small, failureSeconds: 900, lost })
    expect(all.failures).toBeGreaterThan(20)
    expect(all.lost).toBeGreaterThan(5)
    expect(all.done + all.refused + all.broken + all.inside).toBe(all.arrived)
    expect(all.inside).toBeGreaterThanOrEqual(all.onWorkers)
    expect(all.broken > 0).toBe(lost === 'broken')
  })

  test('is the same for a seed, and another one for another', () => {
    const [one, same, other] = [4, 4, 5].map((seed) => simulate({ ...small, seed, failureSeconds: 1800 }))
    expect(same).toEqual(one)
    expect(other.whole.mean).not.toBe(one.whole.mean)
  })

  test('refuses what has no place, after all attempts, and counts it', () => {
    const { all } = simulate({ ...small, turnsPerMinute: 20, queue: 2, seconds: 900 })
    expect(all.refused).toBeGreaterThan(0)
    expect(all.retried).toBeGreaterThanOrEqual(all.refused * 5)
    expect(all.done + all.refused + all.inside).toBe(all.arrived)
  })
})

test('policies meet the same conversations', () => {
  const calm = { workers: 8, turnsPerMinute: 0.1, seconds: 7200, warmSeconds: 0 }
  const arrived = POLICY_NAMES.map((policy) => simulate({ ...calm, policy }).all.arrived)
  expect(Math.max(...arrived) - Math.min(...arrived)).toBeLessThan(4) // who is answered sooner asks sooner
})

test('affinity finds beginnings that others compute', () => {
  const cached = POLICY_NAMES.map((policy) => simulate({ workers: 12, policy, seconds: 3600, turnsPerMinute: 0.5 }).cachedShare)
  const [roundRobin, leastLoaded, ...affine] = cached
  expect(Math.min(...affine)).toBeGreaterThan(Math.max(roundRobin, leastLoaded) + 0.1)
})

describe('batches', () => {
  const set = { workers: 40, requests: 40_000, seed: 2 }

  test('end with every chunk done once, however often it was begun', () => {
    const { chunks, done, failures, lostChunks } = simulateBatch({ ...set, failureSeconds: 7200 })
    expect([chunks, done]).toEqual([1250, 1250])
    expect(failures).toBeGreaterThan(50)
    expect(lostChunks).toBeLessThanOrEqual(2 * failures)
    expect(simulateBatch({ ...set, failureSeconds: 7200 })).toEqual(simulateBatch({ ...set, failureSeconds: 7200 }))
  })

  test('lose half of what a worker holds with each failure', () => {
    const one = { ...set, sigma: 0, failureSeconds: 36_000 }
    const { lostSeconds, failures, usefulSeconds, chunks } = simulateBatch({ ...one, requests: 200_000 })
    expect(lostSeconds / failures / (usefulSeconds / chunks)).toBeGreaterThan(0.85) // two chunks, half of each
    expect(lostSeconds / failures / (usefulSeconds / chunks)).toBeLessThan(1.15)
  })

  test('lose more with larger chunks, and less where lines are kept', () => {
    const lost = [8, 32, 128].map((chunk) => simulateBatch({ ...set, chunk, failureSeconds: 36_000 }).lostSeconds)
    expect(lost).toEqual(lost.toSorted((a, b) => a - b))
    expect(simulateBatch({ ...set, keepsLines: true, failureSeconds: 36_000 }).lostSeconds).toBeLessThan(lost[1]! / 2)
  })
})
