// Drafts in the step loop, with a runner that only pretends to compute: what they change is the number of steps, and
// nothing of what a request gets, whatever goes wrong inside of one.

import { describe, expect, test } from 'vitest'
import { MixtralError } from '../../../dist/base/errors.js'
import { Drafting } from '../../../dist/runtime/engine/drafting.js'
import { type Draft, kvSalt, Request, type Task } from '../../../dist/runtime/engine/request.js'
import { Scheduler, type Share } from '../../../dist/runtime/engine/scheduler.js'
import { StepCost } from '../../../dist/runtime/engine/stepCost.js'
import { PAGE_POSITIONS } from '../../../dist/runtime/weights/pages.js'
import { idle, POISON, start, textAfter, write } from './pretendedLoop.js'

/** Guesses the successors of the last token, the first `right` of them rightly. */
const guessing = (right: number, wrong = 0): Pick<Task, 'draft'> => ({
  draft: (ids, most) => {
    const all = [...textAfter(ids.at(-1)!, right), ...Array<number>(wrong).fill(0)].slice(0, most)
    return { ids: all, chances: all.map(() => 0.9) }
  },
})

const draftsOf = (steps: readonly { readonly tokens: readonly number[] }[]) => steps.map(({ tokens }) => tokens.length - 1)

describe('a draft', () => {
  test.each([
    [1, 0, 20],
    [5, 0, 7],
    [15, 0, 3],
    [3, 4, 10],
    [0, 6, 40],
  ])('with %i right and %i wrong tokens: the same text, in about %i steps', async (right, wrong, steps) => {
    const pretended = start(undefined, 4, { drafts: true })
    expect(await write(pretended, [1, 2], 40, guessing(right, wrong))).toEqual(textAfter(2, 40))
    expect(pretended.steps.length).toBeGreaterThanOrEqual(steps - 1)
    expect(pretended.steps.length).toBeLessThanOrEqual(steps + 2)
    const { draftedTokens, acceptedTokens } = pretended.loop.figures
    expect(draftedTokens).toBe(draftsOf(pretended.steps.slice(1)).reduce((sum, n) => sum + n, 0))
    expect(acceptedTokens).toBe(right === 0 ? 0 : 40 - pretended.steps.length)
    await idle(pretended)
  })

  test('never runs where drafts are off, and is not asked for', async () => {
    const pretended = start(undefined, 4, { drafts: false })
    const draft = () => expect.unreachable()
    expect(await write(pretended, [1, 2], 10, { draft })).toEqual(textAfter(2, 10))
  })

  test('does not run beside a prompt, nor where more than two write', async () => {
    const pretended = start(undefined, 4, { drafts: true, poison: -1 })
    const long = Array.from({ length: 300 }, (_, i) => i % 40)
    const [one, two, three] = await Promise.all([
      write(pretended, [1], 30, guessing(5)),
      write(pretended, [2], 30, guessing(5)),
      write(pretended, long, 30, guessing(5)),
    ])
    expect([one, two, three]).toEqual([textAfter(1, 30), textAfter(2, 30), textAfter(19, 30)])
    for (const { segments, tokens } of pretended.steps) {
      if (segments.length > 2) expect(segments.filter(({ rows }) => rows > 1).length).toBeLessThan(2)
      expect(segments.length <= 2 && segments.every(({ rows }) => rows < 17) ? tokens.length : 0).toBeLessThanOrEqual(32)
    }
    await idle(pretended)
  })

  test('counts its rows as uses, and tells listeners of them, where they came: each once and in order', async () => {
    const uses: number[] = []
    const pretended = start(undefined, 4, { drafts: true, uses })
    const told: [number, number][] = []
    pretended.loop.onRouting(({ position, token }) => told.push([position, token]))
    expect(await write(pretended, [1, 2], 30, guessing(3, 2))).toEqual(textAfter(2, 30))
    const ran = [1, 2, ...textAfter(2, 29)]
    expect(uses).toEqual(ran)
    expect(told).toEqual(ran.map((token, position) => [position, token]))
  })

  test('gives `routed` the rows of what came, before `take`', async () => {
    const places: number[] = []
    const pretended = start(undefined, 4, { drafts: true })
    await write(pretended, [1, 2], 20, { ...guessing(4, 1), routed: (_, place) => places.push(place) })
    expect(places).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
  })

  test('ends where the request ends: the tokens behind are not taken', async () => {
    for (let count = 1; count < 12; count++) {
      const pretended = start(undefined, 4, { drafts: true })
      expect(await write(pretended, [1, 2], count, guessing(8))).toEqual(textAfter(2, count))
      await idle(pretended)
      const again = start(undefined, 4, { drafts: false })
      await write(again, [1, 2], count)
      await idle(again)
      expect(pretended.scheduler.cache.prefixTokens).toBe(again.scheduler.cache.prefixTokens)
    }
  })

  test('leaves rejected tokens nowhere in the cache', async () => {
    const pretended = start(undefined, 4, { drafts: true, poison: -1 })
    const prompt = Array.from({ length: PAGE_POSITIONS - 3 }, (_, i) => i)
    const count = 3 * PAGE_POSITIONS
    expect(await write(pretended, prompt, count, guessing(1, 9))).toEqual(textAfter(prompt.at(-1)!, count))
    await idle(pretended)
    const { cache } = pretended.scheduler
    const all = [...prompt, ...textAfter(prompt.at(-1)!, count)]
    const found = cache.open(all, all.length, kvSalt(2))
    expect(found.ids).toEqual(all.slice(0, -1))
    cache.close(found)
    expect(cache.prefixTokens).toBe(all.length - 1)
  })

  test('whose tokens a `take` gives several at a time is compared with all of them', async () => {
    const pretended = start(undefined, 4, { drafts: true })
    const ids: number[] = []
    await new Promise<void>((resolve, reject) => {
      pretended.loop.submit({
        ids: [1],
        from: 0,
        ...guessing(7),
        job: () => ({ score: 0, top: 0 }),
        take: (_, place) => {
          const more = textAfter(place + 1, 3) // drawn, and two that follow it
          ids.push(...more)
          return ids.length < 30 ? more : []
        },
        ended: (error) => (error ? reject(error) : resolve()),
      })
    })
    expect(ids).toEqual(textAfter(1, 30))
    expect(pretended.steps.length).toBeLessThan(9)
  })
})

describe('inside of a draft', () => {
  test('a poisoned row ends the request only if its token came', async () => {
    const pretended = start(undefined, 4, { drafts: true })
    const draft: Task['draft'] = (ids) => ({ ids: [ids.at(-1)! + 1, POISON, POISON], chances: [1, 1, 1] })
    expect(await write(pretended, [1], 20, { draft })).toEqual(textAfter(1, 20))
    const bad = write(pretended, [POISON - 5], 20, guessing(9))
    await expect(bad).rejects.toMatchObject({ code: 'MODEL', message: expect.stringContaining('token 7 is NaN') })
    await idle(pretended)
  })

  test('an abort ends the request, and its pages come back', async () => {
    const abort = new AbortController()
    const pretended = start(
      () => {
        if (pretended.steps.length === 3) abort.abort()
      },
      4,
      { drafts: true, poison: -1 },
    )
    await expect(write(pretended, [1], 60, guessing(6), abort.signal)).rejects.toMatchObject({ code: 'ABORTED' })
    await idle(pretended)
  })

  test('an abort by what it is told ends it there', async () => {
    const abort = new AbortController()
    const pretended = start(undefined, 4, { drafts: true, poison: -1 })
    const taken: number[] = []
    const routed: Task['routed'] = (_, place) => {
      taken.push(place)
      if (place === 4) abort.abort()
    }
    const call = write(pretended, [1], 60, { ...guessing(9), routed }, abort.signal)
    await expect(call).rejects.toMatchObject({ code: 'ABORTED' })
    expect(taken.at(-1)).toBe(4)
    await idle(pretended)
  })

  test.each([1, 2])('a failure that rows cause which did not come ends nobody, %i at a time', async (calls) => {
    const pretended = start(
      ({ tokens }) => {
        if (tokens.includes(49)) throw new MixtralError('IO', 'cannot read an expert')
      },
      4,
      { drafts: true },
    )
    const draft: Task['draft'] = () => ({ ids: [49, 49], chances: [1, 1] })
    const texts = await Promise.all([1, 3].slice(0, calls).map((n) => write(pretended, [n], 20, { draft })))
    expect(texts).toEqual([1, 3].slice(0, calls).map((n) => textAfter(n, 20)))
    await idle(pretended)
  })

  test('an error of the drafts themselves ends the drafts, and no request', async () => {
    const pretended = start(undefined, 4, { drafts: true })
    let asked = 0
    const draft = () => {
      asked++
      throw new TypeError('of the draft')
    }
    expect(await write(pretended, [5], 12, { draft })).toEqual(textAfter(5, 12))
    expect(asked).toBe(1)
    await idle(pretended)
  })

  test('an error of the jobs ahead leaves them to their turns', async () => {
    const pretended = start(undefined, 4, { drafts: true })
    const jobsAhead = () => {
      throw new TypeError('of the jobs')
    }
    expect(await write(pretended, [5], 20, { ...guessing(6), jobsAhead })).toEqual(textAfter(5, 20))
    expect(pretended.loop.figures.acceptedTokens).toBeGreaterThan(10)
    await idle(pretended)
  })

  test('a failure makes drafts rare, and the more failures, the rarer', async () => {
    let failed = 0
    const pretended = start(
      ({ tokens }) => {
        if (!tokens.includes(49)) return
        failed++
        throw new MixtralError('IO', 'cannot read an expert')
      },
      4,
      { drafts: true, poison: -1 },
    )
    const draft: Task['draft'] = () => ({ ids: [49, 49], chances: [1, 1] })
    const loops = 300
    const task = { draft, take: counting(loops) as NonNullable<Task['take']> }
    await write(pretended, [0], loops, task)
    expect(failed).toBeGreaterThan(3)
    expect(failed).toBeLessThan(9) // after 0, 4, 8, 16, 32, 64 and 128 steps
    await idle(pretended)
  })

  test('a want of pages makes it shorter, and suspends nobody', async () => {
    const pretended = start(undefined, 4, { drafts: true, poison: -1, pages: 4 })
    const { scheduler } = pretended
    let suspended = 0
    const watch = { ...guessing(12), routed: () => (suspended = Math.max(suspended, scheduler.suspended)) }
    const texts = await Promise.all([write(pretended, [1], 60, watch), write(pretended, [2], 60, watch)])
    expect(texts).toEqual([textAfter(1, 60), textAfter(2, 60)])
    expect(suspended).toBe(0)
    await idle(pretended)
  })

  test.each([
    [0, 4, 3, 0],
    [0, 4, 10, 0],
    [1, 3, 10, 0],
    [3, 3, 10, 1],
  ])('has free pages alone: of %i, it takes what is there, and evicts none', (free, onPage, wanted, taken) => {
    const limits = { sequences: 2, batchSize: 64, kvTokens: (2 + 6) * PAGE_POSITIONS, pairs: 128, expertsPerToken: 2 }
    const scheduler = new Scheduler(limits)
    const { cache } = scheduler
    const idleIds = Array.from({ length: (6 - free) * PAGE_POSITIONS }, (_, i) => 1000 + i)
    const old = cache.open(idleIds, 0)
    cache.extend(old, idleIds.length)
    cache.commit(old, idleIds)
    cache.close(old)
    const ids = (first: number) => Array.from({ length: PAGE_POSITIONS - onPage }, (_, i) => first + i)
    for (const number of [0, 1]) {
      const draft = (): Draft => ({ ids: Array<number>(wanted).fill(7), chances: Array<number>(wanted).fill(1) })
      const task = { ids: ids(100 * number), from: PAGE_POSITIONS - onPage - 1, ...(number === 0 && { draft }), ended: () => {} }
      scheduler.add(new Request(task, number, limits))
    }
    for (const share of scheduler.plan(() => 64)) scheduler.ran(share)
    for (const { ids } of scheduler.requests) ids.push(5)
    const before = [cache.free, cache.prefixTokens]
    const [share] = new Drafting(scheduler, new StepCost(undefined), true).extend(scheduler.plan(() => 64))
    expect(before).toEqual([free, idleIds.length])
    expect([cache.free, cache.prefixTokens]).toEqual([free - taken, idleIds.length])
    const room = onPage - 1 + (taken > 0 ? PAGE_POSITIONS : 0)
    expect(share!.draft.length).toBe(Math.min(wanted, 7, room))
    scheduler.ran(share!)
    scheduler.accepted(share!, 0)
    expect(cache.free).toBe(free)
  })

  test('a batch of one or two rows leaves room for what fits', async () => {
    for (const batchSize of [1, 2, 3]) {
      const limits = { sequences: 1, batchSize, kvTokens: 4 * PAGE_POSITIONS, pairs: 8, expertsPerToken: 2 }
      const [share] = drafted(new Scheduler(limits), new StepCost(undefined), true, [9, 9, 9, 9])
      expect(share!.rows).toBe(Math.min(batchSize, 4))
    }
  })
})

/** The shares of requests that decode, one for each list of chances, all of whose drafts are of zeros. */
function drafted(scheduler: Scheduler, cost: StepCost, setting: boolean | undefined, ...chances: number[][]): readonly Share[] {
  for (const [i, list] of chances.entries()) {
    const draft = (_: unknown, most: number): Draft => ({ ids: list.map(() => 0).slice(0, most), chances: list.slice(0, most) })
    scheduler.add(new Request({ ids: [i + 1], from: 0, draft, ended: () => {} }, i, scheduler.limits))
  }
  return new Drafting(scheduler, cost, setting).extend(scheduler.plan(() => 16))
}

/** Takes what is chosen, but never 48, whose successor lets steps fail. */
function counting(count: number): Task['take'] {
  let left = count
  return (choice) => (--left > 0 ? [choice.id === 48 ? 0 : choice.id] : [])
}

describe('where nothing is said, a draft', () => {
  const scheduler = () => new Scheduler({ sequences: 4, batchSize: 64, kvTokens: 20 * PAGE_POSITIONS, pairs: 128, expertsPerToken: 2 })
  const lengths = (cost: StepCost, ...chances: number[][]) =>
    drafted(scheduler(), cost, undefined, ...chances).map(({ draft }) => draft.length)
  const chance = (value: number, count = 20) => Array<number>(count).fill(value)
  /** Steps of few rows whose time grows by this power of their rows. */
  const costOf = (power: number) => {
    const cost = new StepCost(undefined)
    for (let i = 0; i < 200; i++) cost.add(1 + (i % 9), 100 * (1 + (i % 9)) ** power, true)
    return cost
  }

  test('is as long as its tokens are likely', () => {
    const cost = new StepCost(undefined)
    expect(lengths(cost, chance(0.3))).toEqual([0])
    const [some] = lengths(cost, chance(0.85)) as [number]
    const [more] = lengths(cost, chance(0.95)) as [number]
    expect(some).toBeGreaterThan(0)
    expect(more).toBeGreaterThan(some)
    expect(lengths(cost, chance(1))).toEqual([15])
  })

  test('runs where rows are cheap, and not where each costs a step', () => {
    expect(lengths(costOf(1), chance(0.97))).toEqual([0])
    expect(lengths(costOf(0.3), chance(0.5))[0]).toBeGreaterThan(0)
  })

  test('does not run for one request at the cost of another', () => {
    const cost = new StepCost(undefined)
    expect(lengths(cost, chance(1), [])).toEqual([0, 0])
    const [first, second] = lengths(cost, chance(1), chance(1)) as [number, number]
    expect(first + second).toBe(14)
    expect(Math.abs(first - second)).toBeLessThan(14)
  })

  test('keeps a step within `stepMs` where that is given, also with drafts wherever there are some', () => {
    const taking = (ms: number, stepMs: number) => {
      const cost = new StepCost(stepMs)
      for (let i = 0; i < 50; i++) cost.add(1, ms, true)
      return cost
    }
    expect(lengths(taking(20, 100), chance(1))).toEqual([7])
    expect(lengths(taking(60, 100), chance(1))).toEqual([0])
    expect(lengths(new StepCost(100), chance(1))).toEqual([0]) // what a step takes is not known
    const [share] = drafted(scheduler(), taking(20, 100), true, chance(1))
    expect(share!.draft).toHaveLength(7)
  })

  test.each([
    ['asked for at each step where that is cheap', 0.5, chance(0.3), 600, 600, 0],
    ['rarely where it takes long and brings nothing', 20, chance(0.3), 20, 45, 0],
    ['at each step where it brings more than it takes', 20, chance(0.95), 600, 600, 590],
    ['rarely where it takes more than it brings', 500, chance(0.95), 5, 20, 5],
  ])('is %s', (_, makingMs, chances, least, most, drafts) => {
    const { asked, ran } = asks(makingMs, chances)
    expect(asked).toBeGreaterThanOrEqual(least)
    expect(asked).toBeLessThanOrEqual(most)
    expect(ran).toBeGreaterThanOrEqual(drafts)
    if (drafts === 0) expect(ran).toBe(0)
  })

  /** How often a request is asked for drafts in 600 steps, of 100 ms for one row, and how many run. */
  function asks(makingMs: number, chances: readonly number[]) {
    const all = scheduler()
    const cost = new StepCost(undefined)
    let now = 0
    let asked = 0
    let ran = 0
    const drafting = new Drafting(all, cost, undefined, () => now)
    const draft = (_: unknown, most: number): Draft => {
      asked++
      now += makingMs
      return { ids: chances.map(() => 0).slice(0, most), chances: chances.slice(0, most) }
    }
    const request = new Request({ ids: [1], from: 0, draft, ended: () => {} }, 0, all.limits)
    all.add(request)
    for (let i = 0; i < 600; i++) {
      const [share] = drafting.extend(all.plan(() => 16)) as [Share]
      all.ran(share)
      if (share.draft.length > 0) {
        ran++
        drafting.ran(share, 0)
      }
      cost.add(share.rows, 100 * share.rows ** 0.75, true)
      request.ids.push(1)
    }
    return { asked, ran }
  }
})
