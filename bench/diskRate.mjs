// How fast the disk serves the readers of experts: threads that read row ranges of a file past the page cache, as
// src/runtime/residency/expertReader.ts does, and do nothing with them.

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { Worker, workerData } from 'node:worker_threads'

/**
 * As in src/runtime/weights/plan.ts and scratch.ts. Buffers are used in turn, as there: eight alone would stay in the
 * core's cache.
 */
export const READERS = 8
export const BUFFERS = 16
export const RANGE_BYTES = 2 ** 20
/** Row ranges one after the other before the next place in the file: about an expert. */
const RUN = 100

/**
 * Bytes of memory allocated before the buffers, whose pages are neighbors then (src/runtime/residency/stagingPages.ts).
 */
const SCATTERED = 512 * 2 ** 20

/** Words in shared memory: which pass (0: none), row ranges claimed, row ranges read. */
const word = { pass: 0, claimed: 1, read: 2 }

export class DiskRate {
  #words = new Int32Array(new SharedArrayBuffer(12))
  #workers

  /** Starts threads that wait. */
  constructor(path) {
    const scattered = new Uint8Array(memoryOf(SCATTERED).buffer)
    for (let page = 0; page < SCATTERED; page += 4096) scattered[page] = 1
    const memory = memoryOf(BUFFERS * RANGE_BYTES)
    new Uint8Array(memory.buffer).fill(1)
    const diskRate = { path, words: this.#words, memory }
    this.#workers = Array.from({ length: READERS }, () => new Worker(new URL(import.meta.url), { workerData: { diskRate } }))
  }

  /** Reads for `seconds`. Returns bytes per second. */
  async measure(seconds) {
    return (await rangesPerSecond(this.#words, word.pass, word.read, seconds)) * RANGE_BYTES
  }

  async close() {
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }
}

/**
 * Lets the threads that wait at `words[pass]` work for `seconds`. Returns how many row ranges a second they counted in
 * `words[done]`.
 */
export async function rangesPerSecond(words, pass, done, seconds) {
  const before = Atomics.load(words, done)
  const start = performance.now()
  Atomics.store(words, pass, 1)
  Atomics.notify(words, pass)
  await new Promise((resolve) => setTimeout(resolve, seconds * 1e3))
  const ranges = Atomics.load(words, done) - before
  const took = (performance.now() - start) / 1e3
  Atomics.store(words, pass, 0)
  return ranges / took
}

function memoryOf(bytes) {
  return new WebAssembly.Memory({ initial: bytes / 65536, maximum: bytes / 65536, shared: true })
}

function read({ path, words, memory }) {
  const target = new Uint8Array(memory.buffer)
  const file = openSync(path, constants.O_RDONLY | (constants.O_DIRECT ?? 0))
  const runs = Math.floor(fstatSync(file).size / RANGE_BYTES / RUN)
  try {
    for (;;) {
      Atomics.wait(words, word.pass, 0)
      const range = Atomics.add(words, word.claimed, 1)
      const run = (Math.floor(range / RUN) * 7919) % runs
      readSync(file, target, (range % BUFFERS) * RANGE_BYTES, RANGE_BYTES, (run * RUN + (range % RUN)) * RANGE_BYTES)
      Atomics.add(words, word.read, 1)
    }
  } finally {
    closeSync(file)
  }
}

if (workerData?.diskRate) read(workerData.diskRate)
