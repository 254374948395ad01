// The table of streamed experts. The tests act as readers, and keep beside each slot what readers would have written to
// it.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FIGURES, figure } from '../../../dist/runtime/residency/expertFigures.js'
import { type RangeRead, type ResidencyShape, ResidencyTable } from '../../../dist/runtime/residency/residencyTable.js'

/** Four layers of four experts of one size, two row ranges each. */
function shapeOf(slots: number, { layers = 4, experts = 4, used = 2, ranges = 2, prefetchReads = 4 } = {}): ResidencyShape {
  const all = (value: number) => new Array(layers * experts).fill(value)
  return { slots: new Array(slots).fill(100), layers, experts, used, sizes: all(100), ranges: all(ranges), prefetchReads }
}

/** Two threads' views of the same table. */
function open(shape: ResidencyShape) {
  const memory = new SharedArrayBuffer(ResidencyTable.bytes(shape))
  const figures = new Float64Array(FIGURES)
  const table = new ResidencyTable(shape, memory, figures)
  table.clear()
  return { table, readers: new ResidencyTable(shape, memory, figures), figures }
}

const even = (experts: number) => new Array(experts).fill(1 / experts)

/** Reads all that is requested. Returns the keys in the order in which their last row ranges came. */
function readAll(readers: ResidencyTable, ranges: number): number[] {
  const whole: number[] = []
  for (let read = readers.nextRead(); read; read = readers.nextRead()) {
    readers.completeRead(read, 10)
    if (read.range === ranges - 1) whole.push(read.key)
  }
  return whole
}

test('an expert is read once and found again', () => {
  const { table, readers, figures } = open(shapeOf(4))
  table.request(0, 1, [0, 2], [], even(4))
  expect(readAll(readers, 2)).toEqual([0, 2])
  expect(table.acquireReady()).toBe(2)
  expect(table.acquired().map(({ key }) => key)).toEqual([0, 2])
  expect(table.acquireReady()).toBe(0)
  table.request(0, 1, [2, 0], [], even(4))
  expect(table.acquireReady()).toBe(2)
  expect(readers.nextRead()).toBeUndefined()
  expect([...figures]).toEqual(Object.assign(new Array(FIGURES).fill(0), { [figure.uses]: 4, [figure.hits]: 2, [figure.bytes]: 40 }))
})

test('resident experts are acquired first, then those being read, whose row ranges are told apart', () => {
  const { table, readers } = open(shapeOf(4))
  table.request(0, 1, [0], [], even(4))
  readAll(readers, 2)
  table.request(0, 1, [0, 1, 2], [], even(4))
  const first = readers.nextRead()!
  expect(first).toMatchObject({ key: 1, range: 0 })
  expect(table.acquireReady()).toBe(1)
  expect(table.acquired().map(({ key }) => key)).toEqual([0])
  const second = readers.nextRead()!
  expect(second).toMatchObject({ key: 1, range: 1 })
  expect(table.acquireReady()).toBe(1)
  expect(table.acquired()).toEqual([{ key: 1, slot: first.slot, whole: false }])
  expect(readers.completeRead(second, 10)).toBe(false)
  expect([0, 1].map((range) => table.isLoaded(first.slot, range))).toEqual([false, true])
  expect(readers.completeRead(first, 10)).toBe(true)
  expect([0, 1].map((range) => table.isLoaded(first.slot, range))).toEqual([true, true])
  expect(table.acquired()).toEqual([{ key: 1, slot: first.slot, whole: true }])
  expect(table.acquireReady()).toBe(1)
  expect(table.acquired().map(({ key }) => key)).toEqual([2]) // before any reader has come to it
  expect(readAll(readers, 2)).toEqual([2])
  expect(table.acquireReady()).toBe(0)
})

test.each([1, 3, 5])('at most as many row ranges of predicted experts are read at a time as the shape says: %i', (prefetchReads) => {
  const { table, readers } = open(shapeOf(8, { ranges: 3, prefetchReads }))
  table.request(0, 1, [0], [4, 5, 8], even(4))
  const reads = Array.from({ length: 3 + prefetchReads }, () => readers.nextRead()!)
  expect(reads.filter(({ key }) => key > 0)).toHaveLength(prefetchReads)
  expect(readers.nextRead()).toBeUndefined()
  readers.completeRead(reads[0]!, 10) // a required one
  expect(readers.nextRead()).toBeUndefined()
  readers.completeRead(reads.at(-1)!, 10)
  expect(readers.nextRead()).toBeDefined()
  expect(readers.nextRead()).toBeUndefined()
})

test('a predicted expert that is required later counts as predicted no longer', () => {
  const { table, readers } = open(shapeOf(8, { ranges: 3, prefetchReads: 4 }))
  table.request(0, 1, [0], [4, 5, 8], even(4))
  const reads = Array.from({ length: 7 }, () => readers.nextRead()!)
  expect(reads.map(({ key }) => key)).toEqual([0, 0, 0, 4, 4, 4, 5])
  expect(readers.nextRead()).toBeUndefined()
  readers.completeRead(reads[0]!, 10)
  expect(readers.nextRead()).toBeUndefined()
  readers.completeRead(reads[6]!, 10)
  expect(readers.nextRead()).toMatchObject({ key: 5, range: 1 })
  table.request(1, 1, [4, 6], [8], even(4))
  expect(Array.from({ length: 5 }, () => readers.nextRead()?.key)).toEqual([6, 6, 6, 8, 8])
})

test('readers share the row ranges of one expert', () => {
  const { table, readers } = open(shapeOf(4, { ranges: 3 }))
  table.request(0, 1, [3], [], even(4))
  const reads = [readers.nextRead()!, table.nextRead()!, readers.nextRead()!]
  expect(reads.map(({ key, range }) => [key, range])).toEqual([0, 1, 2].map((range) => [3, range]))
  expect(new Set(reads.map(({ slot }) => slot)).size).toBe(1)
  expect(readers.nextRead()).toBeUndefined()
  expect(reads.toReversed().map((read) => readers.completeRead(read, 10))).toEqual([false, false, true])
})

test("predicted experts are read after the layer's own, and count as prefetched only if they are in time", () => {
  const { table, readers, figures } = open(shapeOf(6))
  table.request(0, 1, [0, 1], [6, 9], even(4))
  expect(readAll(readers, 2)).toEqual([0, 1, 6, 9])
  table.acquireReady()
  table.request(1, 1, [6, 7], [], even(4))
  expect(figures[figure.hits]).toBe(0)
  expect(figures[figure.ahead]).toBe(1)
  readAll(readers, 2)
  table.acquireReady()
  table.request(1, 1, [6, 7], [], even(4))
  expect(figures[figure.hits]).toBe(2)
  expect(figures[figure.ahead]).toBe(1)
})

test("a prefetch evicts no expert while the layer's own are being read", () => {
  const { table, readers } = open(shapeOf(4))
  table.request(0, 1, [0, 1], [], even(4))
  readAll(readers, 2)
  table.acquireReady()
  table.request(1, 1, [4, 5], [], even(4))
  expect(readAll(readers, 2)).toEqual([4, 5])
  table.acquireReady()
  table.request(2, 1, [8, 5], [12], even(4))
  expect(readAll(readers, 2)).toEqual([8])
  table.acquireReady()
  table.request(2, 1, [8, 5], [12], even(4))
  readers.completeRead(readers.nextRead()!, 10) // half of 12
  table.acquireReady()
  table.request(3, 1, [8, 13], [9], even(4))
  expect(readAll(readers, 2)).toEqual([13]) // in place of 12
  table.acquireReady()
  table.request(3, 5, [8, 13, 14], [9], even(4))
  expect(readAll(readers, 2)).toEqual([14, 9]) // steps of many tokens take long
})

test('reading a predicted expert goes on in the same slot when the expert is required', () => {
  const { table, readers } = open(shapeOf(6))
  table.request(0, 1, [0], [5], even(4))
  const reads = [readers.nextRead()!, readers.nextRead()!, readers.nextRead()!]
  expect(reads.map(({ key }) => key)).toEqual([0, 0, 5])
  for (const read of reads) readers.completeRead(read, 10)
  table.acquireReady()
  table.request(1, 1, [5, 6], [], even(4))
  expect(readers.nextRead()).toEqual({ key: 5, slot: reads[2]!.slot, range: 1 })
})

test('the expert needed last is evicted first: layers just passed before layers to come, small shares before large', () => {
  const { table, readers } = open(shapeOf(4))
  // layer 0 uses 0 and 1, of which the router likes 0 more; layer 2 uses 8 and 9
  table.request(0, 1, [0, 1], [], [0.7, 0.3, 0, 0])
  readAll(readers, 2)
  table.acquireReady()
  table.request(2, 1, [8, 9], [], [0.5, 0.5, 0, 0])
  readAll(readers, 2)
  table.acquireReady()
  table.request(0, 1, [0, 2], [], [0.7, 0.1, 0.2, 0])
  expect(readAll(readers, 2)).toEqual([2])
  table.acquireReady()
  // 1 has gone; the others have not
  for (const [layer, keys] of [
    [2, [8, 9]],
    [0, [0, 2]],
  ] as const) {
    table.request(layer, 1, keys, [], even(4))
    expect(table.acquireReady()).toBe(2)
  }
})

test('an expert in use is never evicted, nor one whose slot a reader writes to', () => {
  const { table, readers } = open(shapeOf(2))
  table.request(0, 2, [0, 1, 2], [], even(4))
  const reads = [readers.nextRead()!, readers.nextRead()!, readers.nextRead()!, readers.nextRead()!]
  expect(reads.map(({ key }) => key)).toEqual([0, 0, 1, 1])
  expect(readers.nextRead()).toBeUndefined() // both slots are wanted sooner
  for (const read of reads) readers.completeRead(read, 10)
  expect(table.acquireReady()).toBe(2)
  expect(readers.nextRead()).toBeUndefined() // both are in use
  expect(table.acquireReady()).toBe(1)
  expect(table.acquired().map(({ key }) => key)).toEqual([2])
  expect(readers.nextRead()).toMatchObject({ key: 2 })
})

test('a read that is never completed costs its slot and nothing else', () => {
  const { table, readers } = open(shapeOf(3))
  table.request(0, 1, [0], [4], even(4))
  const reads = [readers.nextRead()!, readers.nextRead()!, readers.nextRead()!]
  const lost = reads.pop()!
  expect(lost.key).toBe(4)
  for (const read of reads) readers.completeRead(read, 10)
  table.acquireReady()
  for (let round = 0; round < 3; round++) {
    for (const layer of [2, 3]) {
      const keys = [0, 1].map((expert) => layer * 4 + expert)
      table.request(layer, 1, keys, [], even(4))
      for (let read = readers.nextRead(); read; read = readers.nextRead()) {
        expect(read.slot).not.toBe(lost.slot)
        readers.completeRead(read, 10)
      }
      expect(table.acquireReady()).toBe(2)
    }
  }
})

test('an expert goes only into a slot of its own size', () => {
  const sizes = Array.from({ length: 8 }, (_, key) => (key < 4 ? 100 : 130))
  const { table, readers } = open({
    slots: [130, 100, 100, 130],
    layers: 2,
    experts: 4,
    used: 2,
    sizes,
    ranges: sizes.map(() => 1),
    prefetchReads: 4,
  })
  table.request(0, 1, [2, 3], [4, 7], even(4))
  const slots: Record<number, number> = {}
  for (let read = readers.nextRead(); read; read = readers.nextRead()) {
    slots[read.key] = read.slot
    readers.completeRead(read, 10)
  }
  expect([slots[2], slots[3]].toSorted()).toEqual([1, 2])
  expect([slots[4], slots[7]].toSorted()).toEqual([0, 3])
})

const scripts = fc.record({
  slots: fc.integer({ min: 2, max: 12 }),
  ranges: fc.integer({ min: 1, max: 3 }),
  steps: fc.array(
    fc.record({
      required: fc.uniqueArray(fc.nat(3), { minLength: 1, maxLength: 4 }),
      likely: fc.uniqueArray(fc.nat(11), { maxLength: 5 }),
      shares: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 4, maxLength: 4 }),
      /** Events in their order: a read is taken, one of those taken is completed, compute threads acquire. */
      events: fc.array(fc.record({ kind: fc.constantFrom('take', 'take', 'complete', 'complete', 'acquire'), which: fc.nat(9) }), {
        maxLength: 40,
      }),
    }),
    { minLength: 1, maxLength: 12 },
  ),
})

test('whatever the order of events, every required expert is acquired once, is whole, and stays until the next round', () => {
  fc.assert(
    fc.property(scripts, ({ slots, ranges, steps }) => {
      const shape = shapeOf(slots, { ranges })
      const { table, readers, figures } = open(shape)
      const written = Array.from({ length: slots }, () => new Map<number, number>()) // by slot: the expert that each row range is of
      const reading: RangeRead[] = []
      let inUse: { key: number; slot: number }[] = []
      const busy = (read: RangeRead) => inUse.some(({ key, slot }) => slot === read.slot && key !== read.key)
      const take = () => {
        const read = readers.nextRead()
        if (!read) return false
        expect(busy(read)).toBe(false)
        expect(table.isLoaded(read.slot, read.range)).toBe(false)
        for (const other of reading) {
          if (other.slot === read.slot) expect(other.key).toBe(read.key)
          expect([other.key, other.range]).not.toEqual([read.key, read.range])
        }
        reading.push(read)
        return true
      }
      const complete = (which: number) => {
        const [read] = reading.splice(which % reading.length, 1)
        if (!read) return false
        expect(busy(read)).toBe(false)
        written[read.slot]!.set(read.range, read.key)
        readers.completeRead(read, 1)
        return true
      }
      let uses = 0
      for (const [number, { required, likely, shares, events }] of steps.entries()) {
        const layer = number % shape.layers
        const keys = required.map((expert) => layer * shape.experts + expert)
        const later = likely.map((key) => ((layer + 1) * shape.experts + key) % 16).filter((key) => !keys.includes(key))
        inUse = []
        table.request(layer, 1, keys, later, shares)
        uses += keys.length
        const got: number[] = []
        /** Uses the experts of the round, as compute threads do: all of them, once all their rows are there. */
        const use = () => {
          const there = ({ slot }: { slot: number }) => Array.from({ length: ranges }, (_, range) => table.isLoaded(slot, range))
          if (!inUse.every((expert) => there(expert).every(Boolean))) return false
          for (const { key, slot } of inUse) for (let range = 0; range < ranges; range++) expect(written[slot]!.get(range)).toBe(key)
          inUse = []
          return true
        }
        const acquire = () => {
          if (!use()) return
          table.acquireReady()
          inUse = table.acquired()
          got.push(...inUse.map(({ key }) => key))
        }
        for (const { kind, which } of events) {
          if (kind === 'take') take()
          else if (kind === 'complete') complete(which)
          else acquire()
        }
        for (let round = 0; got.length < keys.length || !use(); round++) {
          expect(round).toBeLessThan(40)
          while (take());
          while (complete(0));
          acquire()
        }
        expect(got.toSorted()).toEqual(keys.toSorted())
      }
      expect(figures[figure.uses]).toBe(uses)
      expect(figures[figure.hits]! + figures[figure.ahead]!).toBeLessThanOrEqual(uses)
      expect(figures[figure.bytes]).toBeGreaterThan(0) // slots are empty at first
    }),
    { numRuns: 500 },
  )
})

test('no thread sees the table half written: four threads take every row range once', async () => {
  const shape = shapeOf(16, { ranges: 900 })
  const memory = new SharedArrayBuffer(ResidencyTable.bytes(shape))
  const figures = new Float64Array(new SharedArrayBuffer(8 * FIGURES))
  const ready = new Int32Array(new SharedArrayBuffer(4))
  const table = new ResidencyTable(shape, memory, figures)
  table.clear()
  table.request(
    0,
    1,
    [0, 1, 2, 3],
    Array.from({ length: 12 }, (_, i) => 4 + i),
    even(4),
  )
  const { Worker } = await import('node:worker_threads')
  const url = JSON.stringify(new URL('../../../dist/runtime/residency/residencyTable.js', import.meta.url).href)
  const code = `
    const { workerData, parentPort } = require('node:worker_threads')
    import(${url}).then(({ ResidencyTable }) => {
      const table = new ResidencyTable(workerData.shape, workerData.memory, workerData.figures)
      const taken = []
      Atomics.add(workerData.ready, 0, 1)
      while (Atomics.load(workerData.ready, 0) < 4); // all at once
      for (let read = table.nextRead(); read; read = table.nextRead()) {
        taken.push(read.key * 1000 + read.range)
        table.completeRead(read, 1)
      }
      parentPort.postMessage(taken)
    })`
  const lists = await Promise.all(
    Array.from(
      { length: 4 },
      () =>
        new Promise<number[]>((resolve, reject) => {
          const worker = new Worker(code, { eval: true, workerData: { shape, memory, figures, ready } })
          worker.once('message', resolve)
          worker.once('error', reject)
        }),
    ),
  )
  const all = lists.flat().toSorted((a, b) => a - b)
  expect(all).toEqual(Array.from({ length: 16 * 900 }, (_, i) => Math.floor(i / 900) * 1000 + (i % 900)))
  expect(figures[figure.bytes]).toBe(16 * 900)
  expect(table.acquireReady()).toBe(4)
})
