// How fast the disk gives what the readers of experts ask for: threads that read pieces of a file past the page cache, as src/runtime/residency/expertFiller.ts does, and do nothing with them.

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { Worker, workerData } from 'node:worker_threads'

/** Those of src/runtime/weights/plan.ts and scratch.ts. The rooms are used in turn, as they are there: eight alone would stay in the processor's cache. */
export const READERS = 8
export const ROOMS = 16
export const PIECE_BYTES = 2 ** 20
/** Pieces one after the other before the next place in the file: about an expert. */
const RUN = 100

/** Bytes of memory taken before the rooms that are read into: then the rooms' pages are neighbours (src/runtime/residency/stagingPages.ts). */
const SCATTERED = 512 * 2 ** 20

/** Words in shared memory: which pass (0: rest), pieces claimed, pieces read. */
const word = { pass: 0, claimed: 1, read: 2 }

export class DiskRate {
  #words = new Int32Array(new SharedArrayBuffer(12))
  #workers

  /** Starts threads that wait. */
  constructor(path) {
    const scattered = new Uint8Array(memoryOf(SCATTERED).buffer)
    for (let page = 0; page < SCATTERED; page += 4096) scattered[page] = 1
    const memory = memoryOf(ROOMS * PIECE_BYTES)
    new Uint8Array(memory.buffer).fill(1)
    const diskRate = { path, words: this.#words, memory }
    this.#workers = Array.from({ length: READERS }, () => new Worker(new URL(import.meta.url), { workerData: { diskRate } }))
  }

  /** Reads for so long. Returns bytes per second. */
  async measure(seconds) {
    const words = this.#words
    const before = Atomics.load(words, word.read)
    const start = performance.now()
    Atomics.store(words, word.pass, 1)
    Atomics.notify(words, word.pass)
    await new Promise((resolve) => setTimeout(resolve, seconds * 1e3))
    const pieces = Atomics.load(words, word.read) - before
    const took = (performance.now() - start) / 1e3
    Atomics.store(words, word.pass, 0)
    return (pieces * PIECE_BYTES) / took
  }

  async close() {
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }
}

function memoryOf(bytes) {
  return new WebAssembly.Memory({ initial: bytes / 65536, maximum: bytes / 65536, shared: true })
}

function read({ path, words, memory }) {
  const target = new Uint8Array(memory.buffer)
  const file = openSync(path, constants.O_RDONLY | (constants.O_DIRECT ?? 0))
  const runs = Math.floor(fstatSync(file).size / PIECE_BYTES / RUN)
  try {
    for (;;) {
      Atomics.wait(words, word.pass, 0)
      const piece = Atomics.add(words, word.claimed, 1)
      const run = (Math.floor(piece / RUN) * 7919) % runs
      readSync(file, target, (piece % ROOMS) * PIECE_BYTES, PIECE_BYTES, (run * RUN + (piece % RUN)) * PIECE_BYTES)
      Atomics.add(words, word.read, 1)
    }
  } finally {
    closeSync(file)
  }
}

if (workerData?.diskRate) read(workerData.diskRate)
