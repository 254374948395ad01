// The bookkeeping of the KV cache, held against memory that is simulated: every cell says which tokens it was written
// after, and every sequence must find just its own tokens in its pages, whatever others do.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { KvCache, type Sequence } from '../../../dist/runtime/engine/kvCache.js'
import { PAGE_POSITIONS } from '../../../dist/runtime/weights/pages.js'
import { SimulatedPages } from './simulatedPages.js'

class Simulation {
  readonly cache: KvCache
  readonly pages: SimulatedPages

  constructor(pages: number) {
    this.cache = new KvCache(pages * PAGE_POSITIONS)
    this.pages = new SimulatedPages(this.cache)
  }

  /** Runs ids on a sequence, as a step does: copies, then writes, then commits. Whether there were pages. */
  run(sequence: Sequence, ids: readonly number[]): boolean {
    return this.runFrom(sequence, ids.length, () => ids)
  }

  /** Runs `count` ids that depend on how many tokens the sequence has once there are places for them. */
  runFrom(sequence: Sequence, count: number, idsFrom: (length: number) => readonly number[]): boolean {
    const copies = this.cache.extend(sequence, count)
    if (!copies) return false
    const ids = idsFrom(sequence.ids.length)
    this.pages.copy(copies)
    this.cache.copied(copies)
    this.pages.write(sequence, ids)
    this.cache.commit(sequence, ids)
    return true
  }

  check(sequence: Sequence): void {
    this.pages.check(sequence)
  }
}

const upTo = (count: number, start = 0) => Array.from({ length: count }, (_, i) => start + i)

test('a lone sequence gets ascending pages', () => {
  const { cache } = new Simulation(5)
  const sequence = cache.open([], 0)
  cache.extend(sequence, 100)
  expect(sequence.table).toEqual([0, 1, 2, 3])
})

test('what was run is found again, to the token, after its sequence was closed', () => {
  const simulation = new Simulation(10)
  const first = simulation.cache.open([], 0)
  simulation.run(first, upTo(75))
  simulation.cache.close(first)
  const again = simulation.cache.open(upTo(100), 99)
  expect(again.ids).toEqual(upTo(75))
  simulation.check(again)
  simulation.cache.close(again)
  const other = simulation.cache.open([...upTo(50), ...upTo(50, 500)], 99)
  expect(other.ids).toEqual(upTo(50))
  const last = simulation.cache.open(upTo(75), 74)
  expect(last.ids).toHaveLength(74)
})

test('a last page that only the tree holds is gone on with, and not copied', () => {
  const simulation = new Simulation(4)
  const { cache } = simulation
  const first = cache.open([], 0)
  simulation.run(first, upTo(40))
  cache.close(first)
  const next = cache.open(upTo(60), 59)
  expect(next.ids).toHaveLength(40)
  expect(cache.extend(next, 10)).toEqual([])
  expect(next.table).toHaveLength(2)
})

test('a sequence takes over what another has by now, its last page too', () => {
  const simulation = new Simulation(6)
  const { cache } = simulation
  const first = cache.open([], 0)
  const second = cache.open([], 0)
  simulation.run(first, upTo(45))
  expect(cache.join(second, first, [...upTo(40), ...upTo(20, 700)], 59)).toBe(40)
  simulation.run(first, upTo(10, 45))
  simulation.run(second, upTo(20, 700))
  simulation.check(first)
  simulation.check(second)
  expect(cache.join(second, first, upTo(55), 55)).toBe(0)
})

test('after clearing, nothing of before is found, also of what is still open', () => {
  const simulation = new Simulation(6)
  const { cache } = simulation
  const first = cache.open([], 0)
  simulation.run(first, upTo(64))
  cache.clear()
  expect(cache.open(upTo(64), 63).ids).toEqual([])
  cache.close(first)
  expect(cache.open(upTo(64), 63).ids).toEqual([])
  expect(cache.available).toBe(6)
})

test('sequences of another salt share nothing', () => {
  const simulation = new Simulation(10)
  const first = simulation.cache.open([], 0, 'a')
  simulation.run(first, upTo(64))
  simulation.cache.close(first)
  expect(simulation.cache.open(upTo(64), 63, 'b').ids).toEqual([])
  expect(simulation.cache.open(upTo(64), 63, 'a').ids).toHaveLength(63)
})

test('two that run the same tokens at once have one copy of each full page', () => {
  const simulation = new Simulation(6)
  const one = simulation.cache.open([], 0)
  const two = simulation.cache.open([], 0)
  simulation.run(one, upTo(64))
  simulation.run(two, upTo(64))
  expect(two.table).toEqual(one.table)
  expect(simulation.cache.available).toBe(4)
})

test('the least recently used page goes first, and none in use', () => {
  const simulation = new Simulation(4)
  for (const start of [0, 100, 200]) {
    const sequence = simulation.cache.open([], 0)
    simulation.run(sequence, upTo(32, start))
    simulation.cache.close(sequence)
  }
  const used = simulation.cache.open(upTo(40, 0), 40)
  expect(used.ids).toHaveLength(32)
  const next = simulation.cache.open([], 0)
  expect(simulation.run(next, upTo(64, 900))).toBe(true)
  expect(simulation.cache.open(upTo(32, 100), 32).ids).toEqual([])
  expect(simulation.cache.open(upTo(32, 200), 32).ids).toHaveLength(32)
  expect(simulation.run(next, upTo(33, 1000))).toBe(false)
  simulation.check(used)
  simulation.check(next)
})

test('a sequence that fills the pool can be rewound and end otherwise', () => {
  const simulation = new Simulation(2)
  const { cache } = simulation
  const sequence = cache.open([], 0)
  simulation.run(sequence, upTo(64))
  cache.rewind(sequence, 40)
  expect(simulation.run(sequence, upTo(24, 500))).toBe(true)
  simulation.check(sequence)
  cache.close(sequence)
  const next = cache.open([...upTo(40), ...upTo(24, 900)], 63)
  expect(next.ids).toHaveLength(40)
  expect(simulation.run(next, upTo(24, 900))).toBe(true)
  simulation.check(next)
})

const step = fc.oneof(
  fc.record({ do: fc.constant('open' as const), stem: fc.nat(2), length: fc.nat(90) }),
  fc.record({ do: fc.constant('run' as const), which: fc.nat(5), stem: fc.nat(2), count: fc.integer({ min: 1, max: 50 }) }),
  fc.record({ do: fc.constant('rewind' as const), which: fc.nat(5), length: fc.nat(90) }),
  fc.record({ do: fc.constant('fork' as const), which: fc.nat(5) }),
  fc.record({ do: fc.constant('close' as const), which: fc.nat(5) }),
  fc.record({ do: fc.constant('adopt' as const), which: fc.nat(5), stem: fc.nat(2), length: fc.nat(90) }),
  fc.record({ do: fc.constant('join' as const), which: fc.nat(5), other: fc.nat(5), most: fc.nat(90) }),
  fc.record({ do: fc.constant('clear' as const) }),
)

/** The i-th token of one of three texts, which have beginnings in common. */
const token = (stem: number, at: number) => (at < 20 + 15 * stem ? at % 7 : 100 * stem + (at % 5))

test('every sequence has its own tokens in its pages, and no page is lost', () => {
  fc.assert(
    fc.property(fc.integer({ min: 3, max: 14 }), fc.array(step, { maxLength: 60 }), (pages, steps) => {
      const simulation = new Simulation(pages)
      const { cache } = simulation
      let open: Sequence[] = []
      const text = (stem: number, from: number, end: number) => upTo(end - from, from).map((at) => token(stem, at))
      for (const action of steps) {
        const sequence = 'which' in action ? open[action.which % Math.max(1, open.length)] : undefined
        if (action.do === 'clear') cache.clear()
        else if (action.do === 'open') open.push(cache.open(text(action.stem, 0, action.length), Math.max(0, action.length - 1)))
        else if (!sequence) continue
        else if (action.do === 'run') {
          const before = [...sequence.ids]
          let ids: number[] = []
          simulation.runFrom(sequence, action.count, (length) => {
            ids = text(action.stem, length, length + action.count)
            return ids
          })
          // Where there is no page for a copy of the last one, the sequence has forgotten the tokens on it.
          const kept = sequence.ids.length - ids.length
          if (kept !== before.length) expect(kept).toBe(before.length - (before.length % PAGE_POSITIONS))
          expect(sequence.ids).toEqual([...before.slice(0, kept), ...ids])
        } else if (action.do === 'rewind') cache.rewind(sequence, action.length)
        else if (action.do === 'fork') open.push(cache.fork(sequence))
        else if (action.do === 'join') {
          const other = open[action.other % open.length]!
          if (other !== sequence && sequence.ids.every((id, at) => id === other.ids[at]))
            cache.join(sequence, other, other.ids, action.most)
        } else if (action.do === 'adopt') {
          const { length } = sequence.ids
          if (sequence.ids.every((id, at) => id === token(action.stem, at)))
            cache.adopt(sequence, text(action.stem, 0, length + 40), length + 40)
        } else {
          cache.close(sequence)
          open = open.filter((other) => other !== sequence)
        }
        for (const each of open) simulation.check(each)
      }
      for (const sequence of open) cache.close(sequence)
      expect(cache.available).toBe(pages)
      cache.clear()
      expect(cache.available).toBe(pages)
      expect(cache.prefixTokens).toBe(0)
    }),
    { numRuns: 400 },
  )
})

test('a sequence without a page for a copy of its last one forgets what is on it, and goes on', () => {
  const simulation = new Simulation(3)
  const first = simulation.cache.open([], 0)
  simulation.run(first, upTo(32))
  const second = simulation.cache.open(upTo(2), 1)
  simulation.run(first, [32])
  expect(second.ids).toEqual([0])
  expect(simulation.run(second, upTo(32))).toBe(true)
  expect(second.ids).toEqual(upTo(32))
  simulation.check(first)
  simulation.check(second)
})

test('a page that is to be copied is not given away before it was', () => {
  const simulation = new Simulation(3)
  const first = simulation.cache.open([], 0)
  simulation.run(first, upTo(10))
  const second = simulation.cache.fork(first)
  const copies = simulation.cache.extend(second, 1)!
  simulation.cache.close(first)
  const third = simulation.cache.open([], 0)
  simulation.cache.extend(third, 40) // would take all that is left
  expect(third.table).not.toContain(copies[0]!.from)
})
