// The books of experts that come and go: readers are played here by hand, and what they would have written is kept beside each slot.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Errand, FIGURES, figure, Ledger, type LedgerShape } from '../../../dist/runtime/residency/ledger.js'

/** Four layers of four experts of one size, two pieces each. */
function shapeOf(slots: number, { layers = 4, experts = 4, used = 2, pieces = 2 } = {}): LedgerShape {
  const all = (value: number) => new Array(layers * experts).fill(value)
  return { slots: new Array(slots).fill(100), layers, experts, used, sizes: all(100), pieces: all(pieces) }
}

/** Two threads' views of the same books. */
function open(shape: LedgerShape) {
  const memory = new SharedArrayBuffer(Ledger.bytes(shape))
  const figures = new Float64Array(FIGURES)
  const ledger = new Ledger(shape, memory, figures)
  ledger.clear()
  return { ledger, readers: new Ledger(shape, memory, figures), figures }
}

const even = (experts: number) => new Array(experts).fill(1 / experts)

/** Reads all that is wanted, and tells what: keys in the order in which their last piece came. */
function readAll(readers: Ledger, pieces: number): number[] {
  const whole: number[] = []
  for (let errand = readers.take(); errand; errand = readers.take()) {
    readers.handIn(errand, 10)
    if (errand.piece === pieces - 1) whole.push(errand.key)
  }
  return whole
}

test('an expert is read once and found again', () => {
  const { ledger, readers, figures } = open(shapeOf(4))
  ledger.ask(0, 1, [0, 2], [], even(4))
  expect(readAll(readers, 2)).toEqual([0, 2])
  expect(ledger.collect()).toBe(2)
  expect(ledger.collected().map(({ key }) => key)).toEqual([0, 2])
  expect(ledger.collect()).toBe(0)
  ledger.ask(0, 1, [2, 0], [], even(4))
  expect(ledger.collect()).toBe(2)
  expect(readers.take()).toBeUndefined()
  expect([...figures]).toEqual(
    Object.assign(new Array(FIGURES).fill(0), { [figure.uses]: 4, [figure.hits]: 2, [figure.reads]: 2, [figure.bytes]: 40 }),
  )
})

test('what is there is collected first, and then what is on its way, whose pieces are told apart', () => {
  const { ledger, readers } = open(shapeOf(4))
  ledger.ask(0, 1, [0], [], even(4))
  readAll(readers, 2)
  ledger.ask(0, 1, [0, 1, 2], [], even(4))
  const first = readers.take()!
  expect(first).toMatchObject({ key: 1, piece: 0 })
  expect(ledger.collect()).toBe(1)
  expect(ledger.collected().map(({ key }) => key)).toEqual([0])
  const second = readers.take()!
  expect(second).toMatchObject({ key: 1, piece: 1 })
  expect(ledger.collect()).toBe(1)
  expect(ledger.collected()).toEqual([{ key: 1, slot: first.slot, whole: false }])
  expect(readers.handIn(second, 10)).toBe(false)
  expect([0, 1].map((piece) => ledger.arrived(first.slot, piece))).toEqual([false, true])
  expect(readers.handIn(first, 10)).toBe(true)
  expect([0, 1].map((piece) => ledger.arrived(first.slot, piece))).toEqual([true, true])
  expect(ledger.collected()).toEqual([{ key: 1, slot: first.slot, whole: true }])
  expect(ledger.collect()).toBe(1)
  expect(ledger.collected().map(({ key }) => key)).toEqual([2]) // before any reader has come to it
  expect(readAll(readers, 2)).toEqual([2])
  expect(ledger.collect()).toBe(0)
})

test('at most four pieces of guesses are read at a time', () => {
  const { ledger, readers } = open(shapeOf(8, { pieces: 3 }))
  ledger.ask(0, 1, [0], [4, 5, 8], even(4))
  const errands = Array.from({ length: 7 }, () => readers.take()!)
  expect(errands.map(({ key }) => key)).toEqual([0, 0, 0, 4, 4, 4, 5])
  expect(readers.take()).toBeUndefined()
  readers.handIn(errands[0]!, 10)
  expect(readers.take()).toBeUndefined()
  readers.handIn(errands[6]!, 10)
  expect(readers.take()).toMatchObject({ key: 5, piece: 1 })
  // one that is asked for is a guess no longer
  ledger.ask(1, 1, [4, 6], [8], even(4))
  expect(Array.from({ length: 5 }, () => readers.take()?.key)).toEqual([6, 6, 6, 8, 8])
})

test('readers share the pieces of one expert', () => {
  const { ledger, readers } = open(shapeOf(4, { pieces: 3 }))
  ledger.ask(0, 1, [3], [], even(4))
  const errands = [readers.take()!, ledger.take()!, readers.take()!]
  expect(errands.map(({ key, piece }) => [key, piece])).toEqual([0, 1, 2].map((piece) => [3, piece]))
  expect(new Set(errands.map(({ slot }) => slot)).size).toBe(1)
  expect(readers.take()).toBeUndefined()
  expect(errands.toReversed().map((errand) => readers.handIn(errand, 10))).toEqual([false, false, true])
})

test("guesses are read after the layer's own, and count as read ahead only if they are in time", () => {
  const { ledger, readers, figures } = open(shapeOf(6))
  ledger.ask(0, 1, [0, 1], [6, 9], even(4))
  expect(readAll(readers, 2)).toEqual([0, 1, 6, 9])
  ledger.collect()
  ledger.ask(1, 1, [6, 7], [], even(4))
  expect(figures[figure.hits]).toBe(0)
  expect(figures[figure.ahead]).toBe(1)
  readAll(readers, 2)
  ledger.collect()
  ledger.ask(1, 1, [6, 7], [], even(4))
  expect(figures[figure.hits]).toBe(2)
  expect(figures[figure.ahead]).toBe(1)
})

test("a guess drives out no expert while the turn's own are read", () => {
  const { ledger, readers } = open(shapeOf(4))
  ledger.ask(0, 1, [0, 1], [], even(4))
  readAll(readers, 2)
  ledger.collect()
  ledger.ask(1, 1, [4, 5], [], even(4))
  expect(readAll(readers, 2)).toEqual([4, 5])
  ledger.collect()
  ledger.ask(2, 1, [8, 5], [12], even(4))
  expect(readAll(readers, 2)).toEqual([8])
  ledger.collect()
  ledger.ask(2, 1, [8, 5], [12], even(4))
  readers.handIn(readers.take()!, 10) // half of 12
  ledger.collect()
  ledger.ask(3, 1, [8, 13], [9], even(4))
  expect(readAll(readers, 2)).toEqual([13]) // in place of 12
  ledger.collect()
  ledger.ask(3, 5, [8, 13, 14], [9], even(4))
  expect(readAll(readers, 2)).toEqual([14, 9]) // many tokens take long
})

test('a guess that was begun goes on where it was when it turns out right', () => {
  const { ledger, readers, figures } = open(shapeOf(6))
  ledger.ask(0, 1, [0], [5], even(4))
  const pieces = [readers.take()!, readers.take()!, readers.take()!]
  expect(pieces.map(({ key }) => key)).toEqual([0, 0, 5])
  for (const errand of pieces) readers.handIn(errand, 10)
  ledger.collect()
  ledger.ask(1, 1, [5, 6], [], even(4))
  expect(readers.take()).toMatchObject({ key: 5, piece: 1 })
  expect(figures[figure.reads]).toBe(3 - 1)
})

test('the expert needed last goes first: layers just passed before layers to come, small shares before large', () => {
  const { ledger, readers } = open(shapeOf(4))
  // layer 0 uses 0 and 1, of which the router likes 0 more; layer 2 uses 8 and 9
  ledger.ask(0, 1, [0, 1], [], [0.7, 0.3, 0, 0])
  readAll(readers, 2)
  ledger.collect()
  ledger.ask(2, 1, [8, 9], [], [0.5, 0.5, 0, 0])
  readAll(readers, 2)
  ledger.collect()
  ledger.ask(0, 1, [0, 2], [], [0.7, 0.1, 0.2, 0])
  expect(readAll(readers, 2)).toEqual([2])
  ledger.collect()
  // 1 has gone; the others have not
  for (const [layer, keys] of [
    [2, [8, 9]],
    [0, [0, 2]],
  ] as const) {
    ledger.ask(layer, 1, keys, [], even(4))
    expect(ledger.collect()).toBe(2)
  }
})

test('an expert in use is never given up, nor a slot that a reader writes to', () => {
  const { ledger, readers } = open(shapeOf(2))
  ledger.ask(0, 2, [0, 1, 2], [], even(4))
  const errands = [readers.take()!, readers.take()!, readers.take()!, readers.take()!]
  expect(errands.map(({ key }) => key)).toEqual([0, 0, 1, 1])
  expect(readers.take()).toBeUndefined() // both slots are wanted sooner
  for (const errand of errands) readers.handIn(errand, 10)
  expect(ledger.collect()).toBe(2)
  expect(readers.take()).toBeUndefined() // both are in use
  expect(ledger.collect()).toBe(1)
  expect(ledger.collected().map(({ key }) => key)).toEqual([2])
  expect(readers.take()).toMatchObject({ key: 2 })
})

test('an errand that is never handed in costs its slot and nothing else', () => {
  const { ledger, readers } = open(shapeOf(3))
  ledger.ask(0, 1, [0], [4], even(4))
  const pieces = [readers.take()!, readers.take()!, readers.take()!]
  const lost = pieces.pop()!
  expect(lost.key).toBe(4)
  for (const errand of pieces) readers.handIn(errand, 10)
  ledger.collect()
  for (let round = 0; round < 3; round++) {
    for (const layer of [2, 3]) {
      const keys = [0, 1].map((expert) => layer * 4 + expert)
      ledger.ask(layer, 1, keys, [], even(4))
      for (let errand = readers.take(); errand; errand = readers.take()) {
        expect(errand.slot).not.toBe(lost.slot)
        readers.handIn(errand, 10)
      }
      expect(ledger.collect()).toBe(2)
    }
  }
})

test('an expert goes only into a slot of its own size', () => {
  const sizes = Array.from({ length: 8 }, (_, key) => (key < 4 ? 100 : 130))
  const { ledger, readers } = open({ slots: [130, 100, 100, 130], layers: 2, experts: 4, used: 2, sizes, pieces: sizes.map(() => 1) })
  ledger.ask(0, 1, [2, 3], [4, 7], even(4))
  const slots: Record<number, number> = {}
  for (let errand = readers.take(); errand; errand = readers.take()) {
    slots[errand.key] = errand.slot
    readers.handIn(errand, 10)
  }
  expect([slots[2], slots[3]].toSorted()).toEqual([1, 2])
  expect([slots[4], slots[7]].toSorted()).toEqual([0, 3])
})

const scripts = fc.record({
  slots: fc.integer({ min: 2, max: 12 }),
  pieces: fc.integer({ min: 1, max: 3 }),
  steps: fc.array(
    fc.record({
      required: fc.uniqueArray(fc.nat(3), { minLength: 1, maxLength: 4 }),
      likely: fc.uniqueArray(fc.nat(11), { maxLength: 5 }),
      shares: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 4, maxLength: 4 }),
      /** What happens, in turns: a piece is taken, one of those taken is handed in, compute threads look. */
      turns: fc.array(fc.record({ kind: fc.constantFrom('take', 'take', 'handIn', 'handIn', 'collect'), which: fc.nat(9) }), {
        maxLength: 40,
      }),
    }),
    { minLength: 1, maxLength: 12 },
  ),
})

test('whatever the order of events, every expert asked for is collected once, comes whole, and stays until the next is asked for', () => {
  fc.assert(
    fc.property(scripts, ({ slots, pieces, steps }) => {
      const shape = shapeOf(slots, { pieces })
      const { ledger, readers, figures } = open(shape)
      const written = Array.from({ length: slots }, () => new Map<number, number>()) // per slot: the expert that each piece is of
      const reading: Errand[] = []
      let inUse: { key: number; slot: number }[] = []
      const busy = (errand: Errand) => inUse.some(({ key, slot }) => slot === errand.slot && key !== errand.key)
      const take = () => {
        const errand = readers.take()
        if (!errand) return false
        expect(busy(errand)).toBe(false)
        expect(ledger.arrived(errand.slot, errand.piece)).toBe(false)
        for (const other of reading) {
          if (other.slot === errand.slot) expect(other.key).toBe(errand.key)
          expect([other.key, other.piece]).not.toEqual([errand.key, errand.piece])
        }
        reading.push(errand)
        return true
      }
      const handIn = (which: number) => {
        const [errand] = reading.splice(which % reading.length, 1)
        if (!errand) return false
        expect(busy(errand)).toBe(false)
        written[errand.slot]!.set(errand.piece, errand.key)
        readers.handIn(errand, 1)
        return true
      }
      let uses = 0
      for (const [number, { required, likely, shares, turns }] of steps.entries()) {
        const layer = number % shape.layers
        const keys = required.map((expert) => layer * shape.experts + expert)
        const later = likely.map((key) => ((layer + 1) * shape.experts + key) % 16).filter((key) => !keys.includes(key))
        inUse = []
        ledger.ask(layer, 1, keys, later, shares)
        uses += keys.length
        const got: number[] = []
        /** Uses what was collected last, as compute threads do: all of it, if all of it is there. */
        const use = () => {
          const there = ({ slot }: { slot: number }) => Array.from({ length: pieces }, (_, piece) => ledger.arrived(slot, piece))
          if (!inUse.every((expert) => there(expert).every(Boolean))) return false
          for (const { key, slot } of inUse) for (let piece = 0; piece < pieces; piece++) expect(written[slot]!.get(piece)).toBe(key)
          inUse = []
          return true
        }
        const collect = () => {
          if (!use()) return
          ledger.collect()
          inUse = ledger.collected()
          got.push(...inUse.map(({ key }) => key))
        }
        for (const { kind, which } of turns) {
          if (kind === 'take') take()
          else if (kind === 'handIn') handIn(which)
          else collect()
        }
        for (let round = 0; got.length < keys.length || !use(); round++) {
          expect(round).toBeLessThan(40)
          while (take());
          while (handIn(0));
          collect()
        }
        expect(got.toSorted()).toEqual(keys.toSorted())
      }
      expect(figures[figure.uses]).toBe(uses)
      expect(figures[figure.hits]! + figures[figure.ahead]!).toBeLessThanOrEqual(uses)
      expect(figures[figure.reads]! + figures[figure.hits]! + figures[figure.ahead]!).toBeGreaterThanOrEqual(Math.min(uses, 1))
    }),
    { numRuns: 500 },
  )
})

test('the books are never seen half written: four threads take every piece once', async () => {
  const shape = shapeOf(16, { pieces: 900 })
  const memory = new SharedArrayBuffer(Ledger.bytes(shape))
  const figures = new Float64Array(new SharedArrayBuffer(8 * FIGURES))
  const ready = new Int32Array(new SharedArrayBuffer(4))
  const ledger = new Ledger(shape, memory, figures)
  ledger.clear()
  ledger.ask(
    0,
    1,
    [0, 1, 2, 3],
    Array.from({ length: 12 }, (_, i) => 4 + i),
    even(4),
  )
  const { Worker } = await import('node:worker_threads')
  const url = JSON.stringify(new URL('../../../dist/runtime/residency/ledger.js', import.meta.url).href)
  const code = `
    const { workerData, parentPort } = require('node:worker_threads')
    import(${url}).then(({ Ledger }) => {
      const ledger = new Ledger(workerData.shape, workerData.memory, workerData.figures)
      const taken = []
      Atomics.add(workerData.ready, 0, 1)
      while (Atomics.load(workerData.ready, 0) < 4); // all at once
      for (let errand = ledger.take(); errand; errand = ledger.take()) {
        taken.push(errand.key * 1000 + errand.piece)
        ledger.handIn(errand, 1)
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
  expect(ledger.collect()).toBe(4)
})
