// How fast experts can be read and used if threads wait for nothing but the disk: readers read row ranges of a file's
// experts as in diskRate.mjs, and as many threads as compute repack and multiply every range once, and as many resident
// rows as a token does. Their work takes memory bandwidth and cores from the readers; the rate left is measured here.

import { closeSync, constants, openSync, readSync } from 'node:fs'
import { Worker, workerData } from 'node:worker_threads'
import { compileKernels, instantiate } from '../dist/runtime/kernels/compile.js'
import { GRID_BYTES } from '../dist/runtime/kernels/gridTable.js'
import { packings } from '../dist/runtime/kernels/packing.js'
import { BUFFERS, RANGE_BYTES, READERS, rangesPerSecond } from './diskRate.mjs'

const BLOCK = 4096
const BUFFER_BYTES = RANGE_BYTES + 2 * BLOCK
/** Slots, one after the other, more than any cache holds. */
const SLOT_BYTES = 1.25 * RANGE_BYTES
const SLOTS = 512
/** Behind the kernels' grids, at a multiple of a page. */
const SLOTS_AT = Math.ceil(GRID_BYTES / 4096) * 4096
/** Rows that are repacked at a time, and then multiplied: about as in src/runtime/residency/rowRanges.ts. */
const BAND_ROWS = 64
/** Slots are allocated first: then the buffers' pages are neighbors (src/runtime/residency/stagingPages.ts). */
const BUFFERS_AT = SLOTS_AT + SLOTS * SLOT_BYTES
const TOKEN_AT = BUFFERS_AT + BUFFERS * BUFFER_BYTES
const MEMORY_BYTES = TOKEN_AT + 2 ** 20

const word = { pass: 0, claimed: 1, packed: 2, done: 3, resident: 4, buffers: 8 }
/** States of a buffer. */
const state = { free: 0, reading: 1, full: 2, packing: 3 }

export class PipelineRate {
  #words = new Int32Array(new SharedArrayBuffer(4 * (word.buffers + BUFFERS)))
  #workers
  #bytes

  /** tensors: of experts, all of one type and width (src/runtime/weights/mixtralTensors.ts). */
  constructor(path, tensors, threads) {
    const { type, rows, columns, bytes } = tensors[0]
    const rowBytes = bytes / rows
    const rangeRows = Math.floor(RANGE_BYTES / rowBytes / 8) * 8
    const offsets = tensors.flatMap(({ offset }) =>
      Array.from({ length: Math.floor(rows / rangeRows) }, (_, i) => offset + i * rangeRows * rowBytes),
    )
    const pages = Math.ceil(MEMORY_BYTES / 65536)
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
    new Uint8Array(memory.buffer).fill(1)
    this.#bytes = rangeRows * rowBytes
    const pipeline = { path, offsets, type: type.name, rows: rangeRows, columns, bytes: this.#bytes, words: this.#words, memory }
    this.#workers = Array.from(
      { length: READERS + threads },
      (_, seat) => new Worker(new URL(import.meta.url), { workerData: { pipeline, seat } }),
    )
  }

  /**
   * Runs for `seconds`, multiplying `resident` resident experts for each that is read. Returns bytes read per second.
   */
  async measure(seconds, resident) {
    Atomics.store(this.#words, word.resident, Math.round(resident * 1000))
    return (await rangesPerSecond(this.#words, word.pass, word.done, seconds)) * this.#bytes
  }

  async close() {
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }
}

/** Sets a buffer's state to `to`, once it is `from`. */
function advance(words, buffer, from, to) {
  const at = word.buffers + buffer
  for (;;) {
    const found = Atomics.compareExchange(words, at, from, to)
    if (found === from) break
    Atomics.wait(words, at, found)
  }
  Atomics.notify(words, at)
}

function read({ path, offsets, bytes, words, memory }) {
  const target = new Uint8Array(memory.buffer)
  const file = openSync(path, constants.O_RDONLY | (constants.O_DIRECT ?? 0))
  try {
    for (;;) {
      Atomics.wait(words, word.pass, 0)
      const range = Atomics.add(words, word.claimed, 1)
      const buffer = range % BUFFERS
      advance(words, buffer, state.free, state.reading)
      const offset = offsets[range % offsets.length]
      const lead = offset % BLOCK
      readSync(file, target, BUFFERS_AT + buffer * BUFFER_BYTES, Math.ceil((lead + bytes) / BLOCK) * BLOCK, offset - lead)
      advance(words, buffer, state.reading, state.full)
    }
  } finally {
    closeSync(file)
  }
}

async function use({ offsets, type, rows, columns, bytes, words, memory }) {
  const packing = packings[type]
  const { module } = await compileKernels()
  const kernels = instantiate(module, memory)
  const blocks = columns / packing.blockWeights
  const groups = rows / 4
  const out = TOKEN_AT + 2 ** 19
  new Float32Array(memory.buffer, out, columns).fill(1)
  kernels[`quantize_${packing.activation}`](out, blocks, TOKEN_AT, blocks, 0)
  for (let resident = 0; ; ) {
    const range = Atomics.add(words, word.packed, 1)
    const buffer = range % BUFFERS
    const slot = SLOTS_AT + (range % SLOTS) * SLOT_BYTES
    advance(words, buffer, state.full, state.packing)
    const source = BUFFERS_AT + buffer * BUFFER_BYTES + (offsets[range % offsets.length] % BLOCK)
    for (let row = 0; row < rows; row += BAND_ROWS) {
      const band = Math.min(BAND_ROWS, rows - row)
      const at = slot + (row / 4) * packing.groupBytes(blocks)
      packing.repack(kernels)(source + row * (bytes / rows), band, blocks, at)
      packing.x1(kernels)(at, band / 4, blocks, TOKEN_AT, out)
    }
    advance(words, buffer, state.packing, state.free)
    for (resident += Atomics.load(words, word.resident); resident >= 1000; resident -= 1000) {
      packing.x1(kernels)(SLOTS_AT + ((range * 7919 + resident) % SLOTS) * SLOT_BYTES, groups, blocks, TOKEN_AT, out)
    }
    Atomics.add(words, word.done, 1)
  }
}

const { pipeline, seat } = workerData ?? {}
if (pipeline && seat < READERS) read(pipeline)
else if (pipeline) await use(pipeline)
