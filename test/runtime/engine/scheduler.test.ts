// The scheduler, with requests and pages that are simulated: every request runs just its own tokens to its end, in
// whatever company, and no page is lost.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Hold } from '../../../dist/runtime/engine/hold.js'
import { Request, type Task } from '../../../dist/runtime/engine/request.js'
import { Scheduler, type SchedulerLimits, type Share } from '../../../dist/runtime/engine/scheduler.js'
import { PAGE_POSITIONS } from '../../../dist/runtime/weights/pages.js'
import { SimulatedPages } from './simulatedPages.js'

const upTo = (count: number, start = 0) => Array.from({ length: count }, (_, i) => start + i)

const simulated = { sequences: 4, batchSize: 64, kvTokens: 20 * PAGE_POSITIONS, pairs: 128, expertsPerToken: 2 }

/** Requests that write as many tokens as they are told; a token follows from the sum of those before it. */
class Simulation {
  readonly scheduler: Scheduler
  readonly pages: SimulatedPages
  readonly steps: Share[][] = []
  readonly #wanted = new Map<Request, number>()
  #count = 0

  constructor(limits: Partial<SchedulerLimits> = {}) {
    this.scheduler = new Scheduler({ ...simulated, ...limits })
    this.pages = new SimulatedPages(this.scheduler.cache)
  }

  add(prompt: readonly number[], tokens: number, task: Partial<Task> = {}): Request {
    const request = new Request({ ids: prompt, from: prompt.length - 1, ended: () => {}, ...task }, this.#count++, simulated)
    this.#wanted.set(request, prompt.length + tokens)
    this.scheduler.add(request)
    return request
  }

  /** A step that fails before anything is copied or written. */
  failedStep(): void {
    for (const share of this.scheduler.plan(() => 16)) this.scheduler.failed(share)
  }

  /** One step. Whether there was anything to do. */
  step(promptRows = 16): boolean {
    const shares = this.scheduler.plan(() => promptRows)
    this.steps.push(shares)
    for (const share of shares) this.pages.copy(share.copies)
    for (const share of shares) {
      const { request, sequence, rows } = share
      this.pages.check(sequence)
      expect(sequence.ids).toEqual(request.ids.slice(0, sequence.ids.length))
      this.pages.write(sequence, request.ids.slice(sequence.ids.length, sequence.ids.length + rows))
      this.scheduler.ran(share)
      if (request.done < request.ids.length) continue
      request.next = request.ids.length
      if (request.ids.length < this.#wanted.get(request)!) request.ids.push(nextToken(request.ids))
      else request.over = true
    }
    return shares.length > 0
  }

  run(): void {
    for (let i = 0; this.step(); i++) if (i > 5000) throw new Error('it never ends')
  }
}

const nextToken = (ids: readonly number[]) => ids.reduce((sum, id) => (sum * 31 + id) % 1000, 7)

function written(prompt: readonly number[], tokens: number): number[] {
  const ids = [...prompt]
  for (let i = 0; i < tokens; i++) ids.push(nextToken(ids))
  return ids
}

test('every decoding request has a row in every step, and prompts share the rest', () => {
  const simulation = new Simulation()
  const decoding = simulation.add([1, 2], 50)
  simulation.step()
  const prompt = simulation.add(upTo(100, 500), 1)
  simulation.step(16)
  expect(simulation.steps.at(-1)!.map(({ request, rows }) => [request, rows])).toEqual([
    [decoding, 1],
    [prompt, 16],
  ])
})

test('prompts have all rows of a step while nobody decodes', () => {
  const simulation = new Simulation()
  simulation.add(upTo(100), 1)
  simulation.step(16)
  expect(simulation.steps.at(-1)!.map(({ rows }) => rows)).toEqual([64])
})

test('a step that failed leaves nothing in the cache, also where it was to copy a page', () => {
  const simulation = new Simulation()
  simulation.add(upTo(40), 50)
  simulation.step()
  const other = simulation.add([...upTo(36), 900, 901], 5)
  simulation.failedStep() // it was to copy the page that it shares with the first
  other.over = true
  simulation.step()
  const next = simulation.add([...upTo(36), 900, 902], 5)
  simulation.run()
  expect(next.ids).toEqual(written([...upTo(36), 900, 902], 5))
})

test('a long prompt does not hold up short ones', () => {
  const simulation = new Simulation({ batchSize: 32 })
  const long = simulation.add(upTo(500), 1)
  simulation.step(32)
  const short = [1, 2, 3].map((n) => simulation.add(upTo(20, 1000 * n), 1))
  for (let i = 0; i < 8 && short.some(({ over }) => !over); i++) simulation.step(32)
  expect(short.map(({ over }) => over)).toEqual([true, true, true])
  expect(long.over).toBe(false)
  simulation.run()
  expect(long.over).toBe(true)
})

test('no more run than there are places for, first come, first served', () => {
  const simulation = new Simulation({ sequences: 2 })
  const requests = [1, 2, 3, 4].map((n) => simulation.add([n], 5))
  const ended: Request[] = []
  while (simulation.step()) {
    expect(simulation.steps.at(-1)!.length).toBeLessThanOrEqual(2)
    for (const request of requests) if (request.over && !ended.includes(request)) ended.push(request)
  }
  expect(ended).toEqual(requests)
})

test('a prompt that several have in common is run once', () => {
  const simulation = new Simulation({ kvTokens: 40 * PAGE_POSITIONS })
  const prompt = upTo(100)
  const requests = [1, 2, 3, 4].map((n) => simulation.add([...prompt, 900 + n], 3))
  simulation.run()
  const rows = simulation.steps.flat().reduce((sum, share) => sum + share.rows, 0)
  expect(rows).toBeLessThanOrEqual(100 + 4 * 4)
  for (const [i, request] of requests.entries()) expect(request.ids).toEqual(written([...prompt, 901 + i], 3))
})

test('equal prompts are run once, but for their last token', () => {
  const simulation = new Simulation()
  for (let i = 0; i < 4; i++) simulation.add(upTo(75), 1)
  simulation.run()
  expect(simulation.steps.flat().reduce((sum, share) => sum + share.rows, 0)).toBe(75 + 3 + 4)
})

test('without pages the youngest stops and goes on later; the oldest never stops', () => {
  const simulation = new Simulation({ kvTokens: 6 * PAGE_POSITIONS })
  const requests = [1, 2, 3].map((n) => simulation.add(upTo(40, 1000 * n), 100))
  let stopped = false
  for (;;) {
    const oldest = requests.find(({ over }) => !over)
    if (!simulation.step()) break
    stopped ||= simulation.scheduler.suspended > 0
    expect(oldest!.over || oldest!.sequence).toBeTruthy()
  }
  expect(stopped).toBe(true)
  for (const [i, { ids }] of requests.entries()) expect(ids).toEqual(written(upTo(40, 1000 * (i + 1)), 100))
})

describe('a request that is paused', () => {
  test('gets no rows, and takes no place from others', () => {
    const simulation = new Simulation({ sequences: 1 })
    let ready = true
    const paused = simulation.add([1, 2, 3], 10, { ready: () => ready })
    simulation.step()
    ready = false
    const other = simulation.add([4, 5], 3)
    simulation.run()
    expect(other.over).toBe(true)
    expect(paused.over).toBe(false)
    ready = true
    simulation.run()
    expect(paused.ids).toEqual(written([1, 2, 3], 10))
  })

  test('gives its pages to one that needs them', () => {
    const simulation = new Simulation({ kvTokens: 4 * PAGE_POSITIONS })
    let ready = true
    const paused = simulation.add(upTo(60), 10, { ready: () => ready })
    simulation.step(64)
    ready = false
    const other = simulation.add(upTo(100, 500), 10)
    simulation.run()
    expect(other.over).toBe(true)
    ready = true
    simulation.run()
    expect(paused.ids).toEqual(written(upTo(60), 10))
  })
})

test('a young prompt whose turn it is, and for which there is no page, does not hold up those that have theirs', () => {
  const simulation = new Simulation({ sequences: 8, batchSize: 16, kvTokens: 3 * PAGE_POSITIONS })
  const requests = upTo(6).map((i) => simulation.add(upTo(21, 100 * i), 11))
  simulation.run()
  for (const [i, { ids }] of requests.entries()) expect(ids).toEqual(written(upTo(21, 100 * i), 11))
})

const action = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('add' as const),
      stem: fc.nat(2),
      prompt: fc.integer({ min: 1, max: 120 }),
      tokens: fc.integer({ min: 1, max: 40 }),
      salt: fc.nat(1),
      expertsPerToken: fc.constantFrom(2, 2, 2, 1, 5, 8),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('step' as const),
      promptRows: fc.integer({ min: 1, max: 70 }),
      times: fc.integer({ min: 1, max: 12 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('abort' as const), which: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pause' as const), which: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('goOn' as const), which: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const) }) },
)

/** The i-th token of one of three texts, which have beginnings in common. */
const token = (stem: number, at: number) => (at < 33 + 17 * stem ? at % 7 : 100 * stem + (at % 5))

test('in any company every request gets its own tokens, and all pages come back', () => {
  fc.assert(
    fc.property(
      fc.record({
        sequences: fc.integer({ min: 1, max: 5 }),
        batchSize: fc.integer({ min: 5, max: 64 }),
        pages: fc.integer({ min: 5, max: 16 }),
      }),
      fc.array(action, { maxLength: 60 }),
      ({ pages, ...limits }, actions) => {
        const pairs = Math.max(limits.batchSize * 2, limits.sequences * 8)
        const simulation = new Simulation({ ...limits, pairs, kvTokens: pages * PAGE_POSITIONS })
        const paused = new Set<number>()
        const requests: { request: Request; expected: number[] }[] = []
        for (const act of actions) {
          if (act.do === 'add') {
            const prompt = upTo(act.prompt).map((at) => token(act.stem, at))
            const number = requests.length
            const { expertsPerToken } = act
            const salt = String(act.salt)
            const request = simulation.add(prompt, act.tokens, { ready: () => !paused.has(number), salt, expertsPerToken })
            requests.push({ request, expected: written(prompt, act.tokens) })
          } else if (act.do === 'step') for (let i = 0; i < act.times; i++) simulation.step(act.promptRows)
          else if (act.do === 'clear') simulation.scheduler.cache.clear()
          else if (act.do === 'fail') simulation.failedStep()
          else if (!requests.length) continue
          else {
            const which = act.which % requests.length
            if (act.do === 'abort') requests[which]!.request.over = true
            else if (act.do === 'pause') paused.add(which)
            else paused.delete(which)
          }
        }
        const aborted = new Set(requests.filter(({ request, expected }) => request.over && request.ids.length < expected.length))
        paused.clear()
        simulation.run()
        for (const each of requests) {
          expect(each.request.over).toBe(true)
          if (!aborted.has(each)) expect(each.request.ids).toEqual(each.expected)
        }
        for (const shares of simulation.steps) {
          expect(shares.reduce((sum, { rows, request }) => sum + rows * request.used, 0)).toBeLessThanOrEqual(pairs)
        }
        simulation.step() // gives back what has just ended
        expect(simulation.scheduler.running + simulation.scheduler.suspended + simulation.scheduler.waiting).toBe(0)
        expect(simulation.scheduler.cache.available).toBe(pages)
        expect(simulation.scheduler.cache.sequences).toBe(0)
      },
    ),
    { numRuns: 300 },
  )
})

test('prompts that may be held back have short steps, so that who comes need not wait long', () => {
  const simulation = new Simulation()
  const hold = new Hold()
  simulation.add(upTo(60), 1).hold = hold
  simulation.step(16)
  expect(simulation.steps[0]!.map(({ rows }) => rows)).toEqual([16])
  hold.close()
  expect(simulation.step(16)).toBe(false)
  simulation.add(upTo(60, 100), 1)
  simulation.step(16)
  expect(simulation.steps.at(-1)!.map(({ rows }) => rows)).toEqual([60])
  hold.open()
  simulation.run()
})

test('one that waits, and is held back, lets others in', () => {
  const simulation = new Simulation({ sequences: 1 })
  const hold = new Hold()
  hold.close()
  const held = simulation.add(upTo(5), 3)
  held.hold = hold
  const other = simulation.add(upTo(5, 50), 3)
  simulation.run()
  expect([held.over, other.over]).toEqual([false, true])
  hold.open()
  simulation.run()
  expect(held.ids).toEqual(written(upTo(5), 3))
})
