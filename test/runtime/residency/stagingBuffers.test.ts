// The buffers that row ranges of experts are read into, and the bands in which they are repacked.

import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { StagingBuffers } from '../../../dist/runtime/residency/stagingBuffers.js'

const open = (count: number) => new StagingBuffers(new SharedArrayBuffer(StagingBuffers.bytes(count)))

/** A buffer with a row range in it, which the caller has entered. */
function filled(bands: number) {
  const buffers = open(1)
  const buffer = buffers.claim()!
  buffers.fill(buffer, { key: 0, slot: 0, range: 0 }, 0, bands)
  buffers.enter(buffer)
  return { buffers, buffer }
}

/** Claims all unclaimed bands and repacks them. Returns which. */
function packAll(buffers: StagingBuffers, buffer: number, bands: number): number[] {
  const own = Array.from({ length: bands }, (_, band) => band).filter((band) => buffers.claimBand(buffer, band))
  for (const band of own) buffers.packed(buffer, band)
  return own
}

test('every buffer is claimed once, and the one that was filled first is the oldest', () => {
  const buffers = open(3)
  const claimed = [buffers.claim()!, buffers.claim()!, buffers.claim()!]
  expect(claimed.toSorted()).toEqual([0, 1, 2])
  expect(buffers.claim()).toBeUndefined()
  expect(buffers.oldest(1)).toBeUndefined()
  expect(buffers.enter(claimed[1]!)).toBeUndefined()
  buffers.fill(claimed[1]!, { key: 7, slot: 2, range: 5 }, 0xfff00000, 1) // addresses go to 4 GiB
  expect(buffers.oldest(2)).toBeUndefined()
  buffers.fill(claimed[0]!, { key: 8, slot: 3, range: 6 }, 4096, 30)
  expect(buffers.oldest(2)).toBe(claimed[1])
  expect(buffers.enter(claimed[1]!)).toEqual({ buffer: claimed[1], key: 7, slot: 2, range: 5, at: 0xfff00000, bands: 1 })
  expect(buffers.claimBand(claimed[1]!, 0)).toBe(true)
  expect(buffers.oldest(1)).toBe(claimed[0])
  expect(buffers.enter(claimed[0]!)).toEqual({ buffer: claimed[0], key: 8, slot: 3, range: 6, at: 4096, bands: 30 })
  expect(packAll(buffers, claimed[0]!, 30)).toHaveLength(30)
  expect(buffers.oldest(1)).toBeUndefined()
})

test('a row range is found by its slot and its number while it is in a buffer', () => {
  const buffers = open(2)
  const buffer = buffers.claim()!
  expect(buffers.holding(2, 5)).toBeUndefined()
  buffers.fill(buffer, { key: 7, slot: 2, range: 5 }, 0, 2)
  expect(buffers.holding(2, 5)).toBe(buffer)
  expect(buffers.holding(5, 2)).toBeUndefined()
  buffers.enter(buffer)
  packAll(buffers, buffer, 2)
  expect(buffers.leave(buffer)).toBe(true)
  expect(buffers.holding(2, 5)).toBeUndefined()
})

test('bands are claimed once each, and the last thread to leave a range that is all repacked is told', () => {
  const { buffers, buffer } = filled(3)
  expect(buffers.claimBand(buffer, 1)).toBe(true)
  buffers.enter(buffer)
  expect(packAll(buffers, buffer, 3)).toEqual([0, 2])
  expect(buffers.arePacked(buffer, 0, 1)).toBe(true)
  expect(buffers.leave(buffer)).toBe(false)
  buffers.packed(buffer, 1)
  expect(buffers.arePacked(buffer, 0, 3)).toBe(true)
  expect(buffers.leave(buffer)).toBe(true)
  expect(buffers.enter(buffer)).toBeUndefined()
  expect(buffers.claim()).toBeUndefined() // until it is released
  buffers.release(buffer)
  expect(buffers.claim()).toBe(buffer)
})

test('a buffer that has been left before all is repacked can be entered again', () => {
  const { buffers, buffer } = filled(2)
  expect(buffers.claimBand(buffer, 0)).toBe(true)
  buffers.packed(buffer, 0)
  expect(buffers.leave(buffer)).toBe(false)
  expect(buffers.oldest(1)).toBe(buffer)
  buffers.enter(buffer)
  expect(packAll(buffers, buffer, 2)).toEqual([1])
  expect(buffers.leave(buffer)).toBe(true)
})

test('the thread that repacks a band is told if another waits for it', () => {
  const { buffers, buffer } = filled(3)
  expect(buffers.packed(buffer, 0)).toBe(false)
  expect(buffers.arePacked(buffer, 0, 1)).toBe(true)
  expect(buffers.packed(buffer, 1)).toBe(false)
  expect(buffers.arePacked(buffer, 1, 3)).toBe(false)
  expect(buffers.packed(buffer, 2)).toBe(true)
  expect(buffers.leave(buffer)).toBe(true)
  // and the next range begins anew
  buffers.release(buffer)
  buffers.fill(buffers.claim()!, { key: 0, slot: 0, range: 0 }, 0, 1)
  buffers.enter(buffer)
  expect(buffers.arePacked(buffer, 0, 1)).toBe(false)
})

test('the thread that frees a buffer is told once if a reader found none', () => {
  const buffers = open(2)
  const first = buffers.claim()!
  expect(buffers.release(first)).toBe(false)
  const [a, b] = [buffers.claim()!, buffers.claim()!]
  expect(buffers.claim()).toBeUndefined()
  expect(buffers.release(a)).toBe(true)
  expect(buffers.release(b)).toBe(false)
  expect(buffers.claim()).toBeDefined()
})

test('four threads that fill and empty buffers lose no band and see none twice', async () => {
  const memory = new SharedArrayBuffer(StagingBuffers.bytes(5))
  const left = new Int32Array(new SharedArrayBuffer(8)).fill(20_000)
  const url = JSON.stringify(new URL('../../../dist/runtime/residency/stagingBuffers.js', import.meta.url).href)
  const code = `
    const { workerData, parentPort } = require('node:worker_threads')
    import(${url}).then(({ StagingBuffers }) => {
      const { memory, left } = workerData
      const buffers = new StagingBuffers(memory)
      const seen = []
      const completed = []
      let turn = 0
      while (Atomics.load(left, 1) > 0) {
        const buffer = buffers.claim()
        const key = buffer === undefined ? 0 : Atomics.sub(left, 0, 1)
        if (key > 0) buffers.fill(buffer, { key, slot: key + 1, range: key + 2 }, key + 3, (key % 4) + 1)
        else if (buffer !== undefined) buffers.release(buffer)
        // by age or by what it holds, all bands or one
        const full = turn++ % 3 ? buffers.oldest(1) : buffers.holding(key + 1, key + 2)
        const staged = full === undefined ? undefined : buffers.enter(full)
        if (!staged) continue
        if (staged.slot !== staged.key + 1 || staged.range !== staged.key + 2 || staged.at !== staged.key + 3) throw new Error('torn')
        for (let band = 0; band < (turn % 2 ? staged.bands : 1); band++) {
          if (!buffers.claimBand(staged.buffer, band)) continue
          seen.push(staged.key * 4 + band)
          buffers.packed(staged.buffer, band)
        }
        if (!buffers.leave(staged.buffer)) continue
        completed.push(staged.key)
        buffers.release(staged.buffer)
        Atomics.sub(left, 1, 1)
      }
      parentPort.postMessage({ seen, completed })
    })`
  const run = () =>
    new Promise<{ seen: number[]; completed: number[] }>((resolve, reject) => {
      const worker = new Worker(code, { eval: true, workerData: { memory, left } })
      worker.once('message', resolve)
      worker.once('error', reject)
    })
  const lists = await Promise.all([run(), run(), run(), run()])
  const keys = Array.from({ length: 20_000 }, (_, i) => i + 1)
  const sorted = (list: number[]) => list.toSorted((a, b) => a - b)
  expect(sorted(lists.flatMap(({ completed }) => completed))).toEqual(keys)
  expect(sorted(lists.flatMap(({ seen }) => seen))).toEqual(
    keys.flatMap((key) => Array.from({ length: (key % 4) + 1 }, (_, band) => key * 4 + band)),
  )
})
