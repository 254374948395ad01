// The step loop with a runner that only pretends to compute: whatever goes wrong with one request, or while it runs,
// the others get what they would get alone.

import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { MixtralError } from '../../../dist/base/errors.js'
import { Hold } from '../../../dist/runtime/engine/hold.js'
import type { Task } from '../../../dist/runtime/engine/request.js'
import { PAGE_POSITIONS } from '../../../dist/runtime/weights/pages.js'
import { idle, POISON, start, textAfter, VOCABULARY, write } from './pretendedLoop.js'

test('calls at the same time share steps', async () => {
  const pretended = start()
  const texts = await Promise.all([write(pretended, [1, 2], 8), write(pretended, [7], 8), write(pretended, [9, 9, 20], 8)])
  expect(texts).toEqual([textAfter(2, 8), textAfter(7, 8), textAfter(20, 8)])
  expect(pretended.steps.length).toBeLessThan(12)
})

test('all logits are read in their order, in as many steps as it takes', async () => {
  const { loop } = start()
  const ids = Array.from({ length: 150 }, (_, i) => i % VOCABULARY)
  const places: number[] = []
  await new Promise<void>((resolve) => {
    loop.submit({
      ids,
      from: 3,
      read(row, place) {
        places.push(place)
        expect(row[(ids[place]! + 1) % VOCABULARY]).toBe(9)
      },
      ended: () => resolve(),
    })
  })
  expect(places).toEqual(Array.from({ length: 147 }, (_, i) => i + 3))
})

test('hidden states of all tokens are read beside calls that write, again too, and no logits are asked for', async () => {
  const pretended = start()
  const ids = Array.from({ length: 100 }, (_, i) => i % POISON)
  const read = () =>
    new Promise<number[]>((resolve) => {
      const seen: number[] = []
      pretended.loop.submit({
        ids,
        from: 0,
        hidden: (state, place) => {
          expect(place).toBe(seen.length)
          seen.push(state[0]!)
        },
        ended: () => resolve(seen),
      })
    })
  expect(await Promise.all([read(), read(), write(pretended, [1, 2], 8)])).toEqual([ids, ids, textAfter(2, 8)])
  expect(await read()).toEqual(ids)
  const jobs = pretended.steps.flatMap((step) => step.jobs)
  expect(jobs.filter((job) => job === 'hidden')).toHaveLength(300)
})

describe('a failure', () => {
  test('of a step that one request causes ends that request alone', async () => {
    const pretended = start(({ tokens }) => {
      if (tokens.includes(40)) throw new MixtralError('THREAD', 'a worker thread ended')
    })
    const [good, bad, other] = await Promise.allSettled([
      write(pretended, [1], 20),
      write(pretended, [35], 20),
      write(pretended, [2, 3], 20),
    ])
    expect(good).toEqual({ status: 'fulfilled', value: textAfter(1, 20) })
    expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'THREAD' } })
    expect(other).toEqual({ status: 'fulfilled', value: textAfter(3, 20) })
  })

  test('that does not come again ends nobody', async () => {
    let failures = 0
    const pretended = start(({ segments }) => {
      if (segments.length > 1 && failures++ === 2) throw new MixtralError('THREAD', 'a worker thread ended')
    })
    expect(await Promise.all([write(pretended, [1], 12), write(pretended, [5], 12)])).toEqual([textAfter(1, 12), textAfter(5, 12)])
  })

  test.each<[string, Partial<Task>]>([
    ['take', { take: () => fail() }],
    ['job', { job: () => fail() }],
    ['progress', { progress: () => fail() }],
    ['started', { started: () => fail() }],
  ])('of what a request is called with, %s, ends that request alone', async (_, task) => {
    const pretended = start()
    const [good, bad] = await Promise.allSettled([write(pretended, [1], 12), write(pretended, [5], 12, task)])
    expect(good).toEqual({ status: 'fulfilled', value: textAfter(1, 12) })
    expect(bad).toMatchObject({ status: 'rejected', reason: new TypeError('of the listener') })
    await idle(pretended)
  })

  test('a logit that is not finite ends the request whose it is', async () => {
    const pretended = start()
    const [good, bad] = await Promise.allSettled([write(pretended, [1], 20), write(pretended, [POISON - 5], 20)])
    expect(good).toEqual({ status: 'fulfilled', value: textAfter(1, 20) })
    expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'MODEL', message: expect.stringContaining('token 7 is NaN') } })
    await idle(pretended)
  })

  test('of every request before a step leaves nothing of it in the cache', async () => {
    const pretended = start()
    await expect(write(pretended, [1, 2, 3], 3, { job: () => fail() })).rejects.toThrow('of the listener')
    expect(pretended.steps).toEqual([])
    await idle(pretended)
    expect(pretended.scheduler.cache.prefixTokens).toBe(0)
  })

  test('of the runner itself ends a lone request', async () => {
    const pretended = start(() => {
      throw new MixtralError('IO', 'cannot read an expert')
    })
    await expect(write(pretended, [1], 3)).rejects.toMatchObject({ code: 'IO' })
    expect(pretended.steps).toHaveLength(1)
  })
})

describe('an abort', () => {
  test.each([0, 1, 2, 5, 9])('in step %i ends its request, and nobody else; its pages come back', async (step) => {
    const abort = new AbortController()
    const pretended = start(() => {
      if (pretended.steps.length > step) abort.abort('enough')
    })
    const [bad, good] = await Promise.allSettled([write(pretended, [5, 6], 12, {}, abort.signal), write(pretended, [1, 30], 14)])
    expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'ABORTED', cause: 'enough' } })
    expect(good).toEqual({ status: 'fulfilled', value: textAfter(30, 14) })
    await idle(pretended)
  })

  test('of all requests of a step ends the step', async () => {
    const abort = new AbortController()
    let ended = false
    const pretended = start(async (_, signal) => {
      setTimeout(() => abort.abort(), 1)
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      ended = true
    })
    const calls = await Promise.allSettled([1, 2].map((n) => write(pretended, [n], 5, {}, abort.signal)))
    expect(calls.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(ended).toBe(true)
    await idle(pretended)
  })

  test('before a call and while it waits ends it at once', async () => {
    const pretended = start(() => sleep(5), 1)
    const first = write(pretended, [1], 10)
    await expect(write(pretended, [2], 3, {}, AbortSignal.abort())).rejects.toMatchObject({ code: 'ABORTED' })
    const abort = new AbortController()
    const waiting = write(pretended, [2], 3, {}, abort.signal)
    await sleep(8)
    abort.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' })
    expect(await first).toEqual(textAfter(1, 10))
  })

  test('signal that many calls share does not make the runtime warn', async () => {
    const warnings: Error[] = []
    const listen = (warning: Error) => warnings.push(warning)
    process.on('warning', listen)
    const abort = new AbortController()
    const pretended = start()
    const calls = Array.from({ length: 40 }, (_, n) => write(pretended, [n], 3, {}, abort.signal))
    await Promise.all(calls)
    await sleep(5)
    process.off('warning', listen)
    expect(warnings).toEqual([])
  })
})

test('a pause waits for the step that runs; nothing runs until the end of it', async () => {
  const pretended = start(() => sleep(3))
  const call = write(pretended, [1], 6)
  await sleep(5)
  await pretended.loop.pause()
  const { length } = pretended.steps
  await sleep(15)
  expect(pretended.steps).toHaveLength(length)
  pretended.loop.resume()
  expect(await call).toEqual(textAfter(1, 6))
})

test('a pause with nothing to do changes nothing', async () => {
  const pretended = start()
  await pretended.loop.pause()
  pretended.loop.resume()
  await sleep(5)
  expect(await write(pretended, [1], 3)).toEqual(textAfter(1, 3))
})

test('a request that is not ready waits until it is woken', async () => {
  const pretended = start()
  let ready = false
  let handle = { wake() {} }
  const ids = [4]
  const ended = new Promise<void>((resolve) => {
    handle = pretended.loop.submit({ ids, from: 0, ready: () => ready, read: () => {}, ended: () => resolve() })
  })
  expect(await write(pretended, [1], 6)).toEqual(textAfter(1, 6))
  ready = true
  handle.wake()
  await ended
})

test('a request whose pages somebody else holds goes on when they come back', async () => {
  const pretended = start()
  const { cache } = pretended.scheduler
  const held = cache.open([], 0)
  cache.extend(held, cache.pages * PAGE_POSITIONS)
  const call = write(pretended, [1, 2], 3)
  await sleep(5)
  expect(pretended.steps).toEqual([])
  cache.close(held)
  pretended.loop.wake()
  expect(await call).toEqual(textAfter(2, 3))
})

test('closing ends all requests, and those to come', async () => {
  const pretended = start(() => sleep(3), 1)
  const calls = [1, 2, 3].map((n) => write(pretended, [n], 50))
  setTimeout(() => pretended.loop.close(), 5)
  for (const call of await Promise.allSettled(calls)) expect(call).toMatchObject({ reason: { code: 'CLOSED' } })
  await expect(write(pretended, [1], 2)).rejects.toMatchObject({ code: 'CLOSED' })
})

test('a thousand requests of which a third is aborted leave no page behind', async () => {
  const pretended = start()
  let seed = 1
  const random = (n: number) => {
    seed = (seed * 48271) % 2147483647
    return seed % n
  }
  const calls = Array.from({ length: 1000 }, (_, n) => {
    const abort = new AbortController()
    const prompt = Array.from({ length: 1 + random(60) }, (_, i) => (i < 40 ? i : n) % 30)
    const call = write(pretended, prompt, 1 + random(12), {}, abort.signal)
    if (n % 3 === 0) setTimeout(() => abort.abort(), random(400))
    return call.then(
      (ids) => expect(ids).toEqual(textAfter(prompt.at(-1)!, ids.length)),
      (error) => expect(error.code).toBe('ABORTED'),
    )
  })
  await Promise.all(calls)
  await idle(pretended)
})

describe('a listener to routing', () => {
  const unlike = [undefined, null, 5, {}, Symbol('x'), () => {}, Object.create(null), new TypeError('of the listener')]
  test.each(unlike.map((thrown) => [thrown]))('that throws %s disturbs nobody', async (thrown) => {
    const pretended = start()
    let calls = 0
    pretended.loop.onRouting(() => {
      calls++
      throw thrown
    })
    const texts = await Promise.all([write(pretended, [1, 2], 8), write(pretended, [7], 8)])
    expect(texts).toEqual([textAfter(2, 8), textAfter(7, 8)])
    expect(calls).toBe(1)
    await idle(pretended)
  })

  test('that listens again and again is called once a row', async () => {
    const pretended = start()
    let calls = 0
    let end = pretended.loop.onRouting(again)
    function again() {
      calls++
      end()
      end = pretended.loop.onRouting(again)
    }
    await write(pretended, [1], 5)
    expect(calls).toBeLessThanOrEqual(5)
  })
})

function fail(): never {
  throw new TypeError('of the listener')
}

describe('calls that are held back', () => {
  const heldSignal = (hold: Hold) => {
    const controller = new AbortController()
    hold.take(controller.signal)
    return controller
  }

  test('take part in no step while it is closed, and go on with the same tokens', async () => {
    const hold = new Hold()
    const { signal } = heldSignal(hold)
    let closeAt = 3
    const pretended = start(() => {
      if (--closeAt === 0) hold.close()
    })
    const held = write(pretended, [1], 20, {}, signal)
    while (closeAt > 0) await sleep(0)
    await sleep(5)
    const before = pretended.steps.length
    expect(before).toBeLessThan(6)
    expect(await write(pretended, [11], 4)).toEqual([12, 13, 14, 15])
    expect(pretended.steps.slice(before).every(({ tokens }) => tokens.length === 1 && tokens[0]! > 10)).toBe(true)
    hold.open()
    expect(await held).toEqual(Array.from({ length: 20 }, (_, i) => i + 2))
  })

  test('leave their places to others, also those that wait for one', async () => {
    const hold = new Hold()
    const { signal } = heldSignal(hold)
    const pretended = start(undefined, 2)
    const first = [write(pretended, [1], 30, {}, signal), write(pretended, [2], 30, {}, signal), write(pretended, [3], 3, {}, signal)]
    while (pretended.steps.length < 3) await sleep(0)
    hold.close()
    expect(await Promise.all([write(pretended, [21], 3), write(pretended, [31], 3)])).toEqual([
      [22, 23, 24],
      [32, 33, 34],
    ])
    hold.open()
    expect((await Promise.all(first)).map(({ length }) => length)).toEqual([30, 30, 3])
  })

  test('end when they are aborted, and have run nothing', async () => {
    const hold = new Hold()
    hold.close()
    const controller = heldSignal(hold)
    const pretended = start()
    const held = write(pretended, [1], 20, {}, controller.signal)
    controller.abort()
    await expect(held).rejects.toMatchObject({ code: 'ABORTED' })
    expect(pretended.steps).toEqual([])
  })
})
