import { expect, test } from 'vitest'
import { atOnce, inSlices, type Steps } from '../../dist/base/timeSlice.js'

/** Work that takes some milliseconds, and notes the turn of each of its steps. */
function* work(name: string, notes: [name: string, turn: number][], turn: () => number): Steps<string> {
  for (let i = 0; i < 60; i++) {
    const end = performance.now() + 0.3
    while (performance.now() < end);
    notes.push([name, turn()])
    yield
  }
  return name
}

/** Counts the turns of the event loop until `stop` is called. */
function turns(): { readonly count: () => number; readonly stop: () => void } {
  let count = 0
  let next = setImmediate(function tick() {
    count++
    next = setImmediate(tick)
  })
  return { count: () => count, stop: () => clearImmediate(next) }
}

test('many works at the same time take no more of a turn than one, and each gets on', async () => {
  const { count, stop } = turns()
  const notes: [string, number][] = []
  const names = ['a', 'b', 'c', 'd', 'e', 'f']
  const results = await Promise.all(names.map((name) => inSlices(work(name, notes, count))))
  stop()
  expect(results).toEqual(names)
  const begun = notes[0]![1] // the turn in which all begin
  const workers = new Map<number, Set<string>>()
  for (const [name, turn] of notes) workers.set(turn, (workers.get(turn) ?? new Set()).add(name))
  workers.delete(begun)
  expect([...workers.values()].filter(({ size }) => size > 1)).toEqual([])
  // they take turns: before the first has ended, the last has worked again
  const firstEnd = Math.max(...notes.filter(([name]) => name === 'a').map(([, turn]) => turn))
  expect(notes.some(([name, turn]) => name === 'f' && turn > begun && turn < firstEnd)).toBe(true)
})

test('a signal ends the work between two slices, and an error of the work is that of the call', async () => {
  const controller = new AbortController()
  const notes: [string, number][] = []
  const ended = inSlices(
    work('a', notes, () => 0),
    controller.signal,
  )
  controller.abort()
  await expect(ended).rejects.toMatchObject({ code: 'ABORTED' })
  expect(notes.length).toBeLessThan(60)
  // biome-ignore lint/correctness/useYield: it fails before it could
  function* failing(): Steps<void> {
    throw new Error('mine')
  }
  await expect(inSlices(failing())).rejects.toThrow('mine')
  expect(() => atOnce(failing())).toThrow('mine')
  expect(atOnce(work('b', notes, () => 0))).toBe('b')
})

test('many short works, one after the other, take no more of a turn than a long one', async () => {
  const { count, stop } = turns()
  const notes: [string, number][] = []
  function* short(): Steps<void> {
    yield* take(work('a', notes, count), 1)
  }
  for (let i = 0; i < 60; i++) await inSlices(short())
  stop()
  const ofTurn = new Map<number, number>()
  for (const [, turn] of notes) ofTurn.set(turn, (ofTurn.get(turn) ?? 0) + 1)
  expect(notes.length).toBe(60)
  expect(ofTurn.size).toBeGreaterThan(3)
})

/** The first steps of a work. */
function* take(all: Steps<string>, steps: number): Steps<void> {
  for (let i = 0; i < steps && !all.next().done; i++) yield
}
