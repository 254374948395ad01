// The rooms that pieces of experts are read into, and the bands in which they are repacked.

import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { Rooms } from '../../../dist/runtime/residency/rooms.js'

const open = (count: number) => new Rooms(new SharedArrayBuffer(Rooms.bytes(count)))

/** A room with a piece in it, which the caller has entered. */
function filled(bands: number) {
  const rooms = open(1)
  const room = rooms.claim()!
  rooms.fill(room, { key: 0, slot: 0, piece: 0 }, 0, bands)
  rooms.enter(room)
  return { rooms, room }
}

/** Claims all bands that are left and repacks them: which. */
function packAll(rooms: Rooms, room: number, bands: number): number[] {
  const own = Array.from({ length: bands }, (_, band) => band).filter((band) => rooms.claimBand(room, band))
  for (const band of own) rooms.packed(room, band)
  return own
}

test('every room is claimed once, and is next in the order in which rooms were filled', () => {
  const rooms = open(3)
  const claimed = [rooms.claim()!, rooms.claim()!, rooms.claim()!]
  expect(claimed.toSorted()).toEqual([0, 1, 2])
  expect(rooms.claim()).toBeUndefined()
  expect(rooms.next(1)).toBeUndefined()
  expect(rooms.enter(claimed[1]!)).toBeUndefined()
  rooms.fill(claimed[1]!, { key: 7, slot: 2, piece: 5 }, 0xfff00000, 1) // addresses go to 4 GiB
  expect(rooms.next(2)).toBeUndefined()
  rooms.fill(claimed[0]!, { key: 8, slot: 3, piece: 6 }, 4096, 30)
  expect(rooms.next(2)).toBe(claimed[1])
  expect(rooms.enter(claimed[1]!)).toEqual({ room: claimed[1], key: 7, slot: 2, piece: 5, at: 0xfff00000, bands: 1 })
  expect(rooms.claimBand(claimed[1]!, 0)).toBe(true)
  expect(rooms.next(1)).toBe(claimed[0])
  expect(rooms.enter(claimed[0]!)).toEqual({ room: claimed[0], key: 8, slot: 3, piece: 6, at: 4096, bands: 30 })
  expect(packAll(rooms, claimed[0]!, 30)).toHaveLength(30)
  expect(rooms.next(1)).toBeUndefined()
})

test('a piece is found by its slot and its number while it is in a room', () => {
  const rooms = open(2)
  const room = rooms.claim()!
  expect(rooms.holding(2, 5)).toBeUndefined()
  rooms.fill(room, { key: 7, slot: 2, piece: 5 }, 0, 2)
  expect(rooms.holding(2, 5)).toBe(room)
  expect(rooms.holding(5, 2)).toBeUndefined()
  rooms.enter(room)
  packAll(rooms, room, 2)
  expect(rooms.leave(room)).toBe(true)
  expect(rooms.holding(2, 5)).toBeUndefined()
})

test('bands are claimed once each, and the last to leave a piece that is all repacked hands it in', () => {
  const { rooms, room } = filled(3)
  expect(rooms.claimBand(room, 1)).toBe(true)
  rooms.enter(room)
  expect(packAll(rooms, room, 3)).toEqual([0, 2])
  expect(rooms.arePacked(room, 0, 1)).toBe(true)
  expect(rooms.leave(room)).toBe(false)
  rooms.packed(room, 1)
  expect(rooms.arePacked(room, 0, 3)).toBe(true)
  expect(rooms.leave(room)).toBe(true)
  expect(rooms.enter(room)).toBeUndefined()
  expect(rooms.claim()).toBeUndefined() // until it is released
  rooms.release(room)
  expect(rooms.claim()).toBe(room)
})

test('a room that has been left before all is repacked can be entered again', () => {
  const { rooms, room } = filled(2)
  expect(rooms.claimBand(room, 0)).toBe(true)
  rooms.packed(room, 0)
  expect(rooms.leave(room)).toBe(false)
  expect(rooms.next(1)).toBe(room)
  rooms.enter(room)
  expect(packAll(rooms, room, 2)).toEqual([1])
  expect(rooms.leave(room)).toBe(true)
})

test('who repacks a band is told if somebody has looked for it in vain', () => {
  const { rooms, room } = filled(3)
  expect(rooms.packed(room, 0)).toBe(false)
  expect(rooms.arePacked(room, 0, 1)).toBe(true)
  expect(rooms.packed(room, 1)).toBe(false)
  expect(rooms.arePacked(room, 1, 3)).toBe(false)
  expect(rooms.packed(room, 2)).toBe(true)
  expect(rooms.leave(room)).toBe(true)
  // and the next piece begins anew
  rooms.release(room)
  rooms.fill(rooms.claim()!, { key: 0, slot: 0, piece: 0 }, 0, 1)
  rooms.enter(room)
  expect(rooms.arePacked(room, 0, 1)).toBe(false)
})

test('who sets a room free is told once if a reader found none', () => {
  const rooms = open(2)
  const first = rooms.claim()!
  expect(rooms.release(first)).toBe(false)
  const [a, b] = [rooms.claim()!, rooms.claim()!]
  expect(rooms.claim()).toBeUndefined()
  expect(rooms.release(a)).toBe(true)
  expect(rooms.release(b)).toBe(false)
  expect(rooms.claim()).toBeDefined()
})

test('four threads that fill and empty rooms lose no band and see none twice', async () => {
  const memory = new SharedArrayBuffer(Rooms.bytes(5))
  const left = new Int32Array(new SharedArrayBuffer(8)).fill(20_000)
  const url = JSON.stringify(new URL('../../../dist/runtime/residency/rooms.js', import.meta.url).href)
  const code = `
    const { workerData, parentPort } = require('node:worker_threads')
    import(${url}).then(({ Rooms }) => {
      const { memory, left } = workerData
      const rooms = new Rooms(memory)
      const seen = []
      const handedIn = []
      let turn = 0
      while (Atomics.load(left, 1) > 0) {
        const room = rooms.claim()
        const key = room === undefined ? 0 : Atomics.sub(left, 0, 1)
        if (key > 0) rooms.fill(room, { key, slot: key + 1, piece: key + 2 }, key + 3, (key % 4) + 1)
        else if (room !== undefined) rooms.release(room)
        // by age or by what it holds, all bands or one
        const full = turn++ % 3 ? rooms.next(1) : rooms.holding(key + 1, key + 2)
        const piece = full === undefined ? undefined : rooms.enter(full)
        if (!piece) continue
        if (piece.slot !== piece.key + 1 || piece.piece !== piece.key + 2 || piece.at !== piece.key + 3) throw new Error('torn')
        for (let band = 0; band < (turn % 2 ? piece.bands : 1); band++) {
          if (!rooms.claimBand(piece.room, band)) continue
          seen.push(piece.key * 4 + band)
          rooms.packed(piece.room, band)
        }
        if (!rooms.leave(piece.room)) continue
        handedIn.push(piece.key)
        rooms.release(piece.room)
        Atomics.sub(left, 1, 1)
      }
      parentPort.postMessage({ seen, handedIn })
    })`
  const run = () =>
    new Promise<{ seen: number[]; handedIn: number[] }>((resolve, reject) => {
      const worker = new Worker(code, { eval: true, workerData: { memory, left } })
      worker.once('message', resolve)
      worker.once('error', reject)
    })
  const lists = await Promise.all([run(), run(), run(), run()])
  const keys = Array.from({ length: 20_000 }, (_, i) => i + 1)
  const sorted = (list: number[]) => list.toSorted((a, b) => a - b)
  expect(sorted(lists.flatMap(({ handedIn }) => handedIn))).toEqual(keys)
  expect(sorted(lists.flatMap(({ seen }) => seen))).toEqual(
    keys.flatMap((key) => Array.from({ length: (key % 4) + 1 }, (_, band) => key * 4 + band)),
  )
})
