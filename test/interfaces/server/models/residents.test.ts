// What is in memory, with things that only count: who is loaded, how often, in how much room.

import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Lease, type Loadable, type Resident, Residents } from '../../../../dist/interfaces/server/models/residents.js'

/** A machine with some room, and things of these sizes. A load takes as long as the test wants. */
class Machine {
  readonly loads: string[] = []
  readonly inMemory = new Map<string, number>()
  readonly faults = new Set<string>()
  /** Loads wait here until the test lets them go. */
  readonly gates = new Map<string, () => void>()
  readonly held = new Set<string>()
  most = 0
  readonly residents: Residents<Resident>
  readonly sizes: Record<string, number>

  constructor(room: number, sizes: Record<string, number>, keepAliveSeconds = 300) {
    this.sizes = sizes
    this.residents = new Residents({ keepAliveSeconds, room: (taken) => room - taken, reclaim: async () => {} })
  }

  what(key: string): Loadable<Resident> {
    return {
      key,
      bytes: async () => this.sizes[key]!,
      load: async (room, signal) => {
        this.loads.push(key)
        if (this.inMemory.has(key)) throw new Error(`${key} is loaded twice`)
        await new Promise<void>((resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('stopped')), { once: true })
          if (this.held.has(key)) this.gates.set(key, resolve)
          else setTimeout(resolve, 1)
        })
        if (this.faults.has(key)) throw new Error(`${key} is damaged`)
        const bytes = Math.min(room, this.sizes[key]!)
        this.inMemory.set(key, bytes)
        const all = [...this.inMemory.values()].reduce((sum, one) => sum + one, 0)
        this.most = Math.max(this.most, all)
        return {
          bytes,
          close: async () => {
            await new Promise((resolve) => setTimeout(resolve, 1))
            this.inMemory.delete(key)
          },
        }
      },
    }
  }

  async borrow(key: string, signal?: AbortSignal, keepAliveSeconds?: number): Promise<Lease<Resident>> {
    for (;;) {
      const gone = this.residents.leaving(key)
      if (!gone) break
      await gone
    }
    return this.residents.borrow(this.what(key), { signal, keepAliveSeconds })
  }
}

const soon = () => new Promise((resolve) => setTimeout(resolve, 10))

describe('loads', () => {
  test('those who ask for one thing share a load', async () => {
    const machine = new Machine(10, { a: 5 })
    const leases = await Promise.all([machine.borrow('a'), machine.borrow('a'), machine.borrow('a')])
    expect(machine.loads).toEqual(['a'])
    expect(new Set(leases.map(({ value }) => value)).size).toBe(1)
    expect(machine.residents.take('a')!.value).toBe(leases[0]!.value)
  })

  test('a failed load fails all who wait, and the next request tries again', async () => {
    const machine = new Machine(10, { a: 5 })
    machine.faults.add('a')
    const found = await Promise.allSettled([machine.borrow('a'), machine.borrow('a')])
    expect(found.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    machine.faults.clear()
    expect((await machine.borrow('a')).value.bytes).toBe(5)
    expect(machine.loads).toEqual(['a', 'a'])
  })

  test('one who leaves does not end a load that others wait for; the last one who leaves does', async () => {
    const machine = new Machine(10, { a: 5 })
    machine.held.add('a')
    const [first, second] = [new AbortController(), new AbortController()]
    const one = machine.borrow('a', first.signal)
    const other = machine.borrow('a', second.signal)
    await soon()
    first.abort()
    await expect(one).rejects.toMatchObject({ code: 'ABORTED' })
    machine.gates.get('a')!()
    const lease = await other
    expect(machine.loads).toEqual(['a'])
    lease.release()
    machine.held.add('b')
    machine.sizes.b = 1
    const leaving = new AbortController()
    const last = machine.borrow('b', leaving.signal)
    await soon()
    leaving.abort()
    await expect(last).rejects.toMatchObject({ code: 'ABORTED' })
    machine.held.clear()
    expect((await machine.borrow('b')).value.bytes).toBe(1) // not the load that ends
    expect(machine.loads).toEqual(['a', 'b', 'b'])
  })

  test('what is larger than all of the room gets what there is', async () => {
    const machine = new Machine(10, { a: 50, b: 4 })
    ;(await machine.borrow('b')).release()
    expect((await machine.borrow('a')).value.bytes).toBe(10)
    expect([...machine.inMemory.keys()]).toEqual(['a'])
  })
})

describe('room', () => {
  test('what was used least recently goes first', async () => {
    const machine = new Machine(10, { a: 4, b: 4, c: 4 })
    ;(await machine.borrow('a')).release()
    ;(await machine.borrow('b')).release()
    machine.residents.take('a')!.release()
    await machine.borrow('c')
    expect([...machine.inMemory.keys()].sort()).toEqual(['a', 'c'])
  })

  test('what is used is waited for, and new uses of it wait their turn', async () => {
    const machine = new Machine(10, { a: 6, b: 6 })
    const first = await machine.borrow('a')
    const order: string[] = []
    const b = machine.borrow('b').then((lease) => [order.push('b'), lease] as const)
    await soon()
    expect(machine.loads).toEqual(['a'])
    expect(machine.residents.take('a')).toBeUndefined()
    const again = machine.borrow('a').then((lease) => [order.push('a'), lease] as const)
    await soon()
    expect([...machine.inMemory.keys()]).toEqual(['a'])
    first.release()
    const [, lease] = await b
    lease.release()
    await again
    expect(order).toEqual(['b', 'a'])
    expect(machine.most).toBe(6)
  })
})

describe('time', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())
  const borrow = async (machine: Machine, key: string, keepAliveSeconds?: number) => {
    const coming = machine.borrow(key, undefined, keepAliveSeconds)
    await vi.advanceTimersByTimeAsync(5)
    return coming
  }

  test('it goes when its time is over, counted from the end of its last use', async () => {
    const machine = new Machine(10, { a: 5 }, 60)
    const lease = await borrow(machine, 'a')
    await vi.advanceTimersByTimeAsync(100_000)
    expect(machine.inMemory.size).toBe(1)
    lease.release()
    await vi.advanceTimersByTimeAsync(59_000)
    expect(machine.residents.list()[0]!.ends - Date.now()).toBe(1000)
    machine.residents.take('a')!.release()
    await vi.advanceTimersByTimeAsync(59_000)
    expect(machine.inMemory.size).toBe(1)
    await vi.advanceTimersByTimeAsync(2000)
    expect([machine.inMemory.size, machine.residents.list()]).toEqual([0, []])
  })

  test('a use says how long it stays: at once, for ever, longer than a timer runs', async () => {
    const machine = new Machine(10, { a: 5 })
    ;(await borrow(machine, 'a', 0)).release()
    await vi.advanceTimersByTimeAsync(5)
    expect(machine.inMemory.size).toBe(0)
    ;(await borrow(machine, 'a', Infinity)).release()
    await vi.advanceTimersByTimeAsync(1e10)
    expect(machine.inMemory.size).toBe(1)
    machine.residents.take('a', 3e6)!.release()
    await vi.advanceTimersByTimeAsync(2.9e9)
    expect(machine.inMemory.size).toBe(1)
    machine.residents.take('a')!.release() // the time stays as it was said last
    await vi.advanceTimersByTimeAsync(2.9e9)
    expect(machine.inMemory.size).toBe(1)
    await vi.advanceTimersByTimeAsync(2e8)
    expect(machine.inMemory.size).toBe(0)
  })
})

test('unload waits for no use, evict for all; a use after them loads anew', async () => {
  const machine = new Machine(10, { a: 5 })
  const lease = await machine.borrow('a')
  await machine.residents.unload('a')
  expect(machine.inMemory.size).toBe(1)
  let gone = false
  const evicted = machine.residents.evict('a').then(() => {
    gone = true
  })
  await soon()
  expect(gone).toBe(false)
  lease.release()
  await evicted
  expect(machine.inMemory.size).toBe(0)
  ;(await machine.borrow('a')).release()
  await machine.residents.unload('a')
  expect([machine.inMemory.size, machine.loads]).toEqual([0, ['a', 'a']])
})

test('what is unloaded while it is loaded leaves after those who wait for it', async () => {
  const machine = new Machine(10, { a: 5 })
  machine.held.add('a')
  const waiting = machine.borrow('a')
  await soon()
  await machine.residents.unload('a')
  machine.gates.get('a')!()
  const lease = await waiting
  expect(machine.inMemory.size).toBe(1)
  lease.release()
  await soon()
  expect([machine.inMemory.size, machine.loads]).toEqual([0, ['a']])
})

test('the end stops loads, those in line too, and unloads everything', async () => {
  const machine = new Machine(10, { a: 5, b: 3, c: 1 })
  const used = await machine.borrow('a')
  machine.held.add('b')
  const waiting = [machine.borrow('b'), machine.borrow('c')]
  const found = Promise.allSettled(waiting)
  await soon()
  await machine.residents.close()
  expect((await found).map((one) => (one.status === 'rejected' ? one.reason.code : one.status))).toEqual(['CLOSED', 'CLOSED'])
  expect([machine.inMemory.size, machine.loads]).toEqual([0, ['a', 'b']])
  used.release()
  await expect(machine.borrow('a')).rejects.toMatchObject({ code: 'CLOSED' })
})

test('whoever asks, leaves and unloads, in whatever order: nothing is loaded twice, the room is kept, uses keep what they use', async () => {
  const keys = ['a', 'b', 'c', 'd']
  const act = fc.record({
    key: fc.constantFrom(...keys),
    what: fc.constantFrom('use', 'use', 'use', 'leave', 'unload', 'evict', 'fail'),
    wait: fc.integer({ min: 0, max: 4 }),
    keep: fc.constantFrom(undefined, 0, 0.002, Infinity),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 5, maxLength: 25 }), async (acts) => {
      const machine = new Machine(10, { a: 4, b: 5, c: 6, d: 50 }, 0.003)
      const work = acts.map(async ({ key, what, wait, keep }, i) => {
        await new Promise((resolve) => setTimeout(resolve, i % 7))
        if (what === 'unload') return machine.residents.unload(key)
        if (what === 'evict') return machine.residents.evict(key)
        if (what === 'fail') machine.faults.add(key)
        else machine.faults.delete(key)
        const leaving = new AbortController()
        if (what === 'leave') setTimeout(() => leaving.abort(), wait)
        try {
          const lease = await machine.borrow(key, leaving.signal, keep)
          await new Promise((resolve) => setTimeout(resolve, wait))
          if (!machine.inMemory.has(key)) throw new Error(`${key} was unloaded while it was used`)
          lease.release()
          lease.release()
        } catch (error) {
          if (!/aborted|damaged/.test((error as Error).message)) throw error
        }
      })
      await Promise.all(work)
      expect(machine.most).toBeLessThanOrEqual(10)
      await machine.residents.close()
      expect(machine.inMemory.size).toBe(0)
    }),
    { numRuns: 60 },
  )
})
