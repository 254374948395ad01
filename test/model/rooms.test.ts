// The rooms that pieces of experts are read into.

import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { Rooms } from '../../dist/model/rooms.js'

const open = (count: number) => new Rooms(new SharedArrayBuffer(Rooms.bytes(count)))

test('every room is claimed once, and comes back full in the order in which rooms were filled', () => {
  const rooms = open(3)
  const claimed = [rooms.claim()!, rooms.claim()!, rooms.claim()!]
  expect(claimed.toSorted()).toEqual([0, 1, 2])
  expect(rooms.claim()).toBeUndefined()
  expect(rooms.next()).toBeUndefined()
  rooms.fill(claimed[1]!, { key: 7, slot: 2, piece: 5 }, 0xfff00000) // addresses go to 4 GiB
  rooms.fill(claimed[0]!, { key: 8, slot: 3, piece: 6 }, 4096)
  expect(rooms.next()).toEqual({ room: claimed[1], key: 7, slot: 2, piece: 5, at: 0xfff00000 })
  expect(rooms.next()).toEqual({ room: claimed[0], key: 8, slot: 3, piece: 6, at: 4096 })
  expect(rooms.next()).toBeUndefined()
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

test('four threads that fill and empty rooms lose nothing and see nothing twice', async () => {
  const memory = new SharedArrayBuffer(Rooms.bytes(5))
  const left = new Int32Array(new SharedArrayBuffer(8)).fill(20_000)
  const url = JSON.stringify(new URL('../../dist/model/rooms.js', import.meta.url).href)
  const code = `
    const { workerData, parentPort } = require('node:worker_threads')
    import(${url}).then(({ Rooms }) => {
      const { memory, left } = workerData
      const rooms = new Rooms(memory)
      const seen = []
      while (Atomics.load(left, 1) > 0) {
        const room = rooms.claim()
        const key = room === undefined ? 0 : Atomics.sub(left, 0, 1)
        if (key > 0) rooms.fill(room, { key, slot: key + 1, piece: key + 2 }, key + 3)
        else if (room !== undefined) rooms.release(room)
        const full = rooms.next()
        if (!full) continue
        if (full.slot !== full.key + 1 || full.piece !== full.key + 2 || full.at !== full.key + 3) throw new Error('torn')
        seen.push(full.key)
        rooms.release(full.room)
        Atomics.sub(left, 1, 1)
      }
      parentPort.postMessage(seen)
    })`
  const run = () =>
    new Promise<number[]>((resolve, reject) => {
      const worker = new Worker(code, { eval: true, workerData: { memory, left } })
      worker.once('message', resolve)
      worker.once('error', reject)
    })
  const seen = (await Promise.all([run(), run(), run(), run()])).flat()
  expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20_000 }, (_, i) => i + 1))
})
