// How fast experts can be brought and used where nothing ever has to be waited for but the disk: readers read pieces of a file's experts as in diskRate.mjs, and as many threads as compute repack and
// multiply every piece once, and as much of what they have, as a token does. The cores' work takes memory and time from the reading, and this is what of it is left.

import { closeSync, constants, openSync, readSync } from 'node:fs'
import { Worker, workerData } from 'node:worker_threads'
import { compileKernels, instantiate } from '../dist/runtime/kernels/compile.js'
import { packings } from '../dist/runtime/kernels/packing.js'
import { PIECE_BYTES, READERS, ROOMS } from './diskRate.mjs'

const BLOCK = 4096
const ROOM_BYTES = PIECE_BYTES + 2 * BLOCK
/** Slots, one after the other, more than any cache holds. */
const SLOT_BYTES = 1.25 * PIECE_BYTES
const SLOTS = 512
/** Rows that are repacked at a time, and then multiplied: about src/runtime/residency/expertPieces.ts's. */
const BAND_ROWS = 64
/** Taken before: then the rooms' pages are neighbours (src/runtime/residency/stagingPages.ts). */
const ROOMS_AT = SLOTS * SLOT_BYTES
const TOKEN_AT = ROOMS_AT + ROOMS * ROOM_BYTES
const MEMORY_BYTES = TOKEN_AT + 2 ** 20

const word = { pass: 0, claimed: 1, packed: 2, done: 3, resident: 4, rooms: 8 }
/** What becomes of a room. */
const state = { free: 0, reading: 1, full: 2, packing: 3 }

export class PipelineRate {
  #words = new Int32Array(new SharedArrayBuffer(4 * (word.rooms + ROOMS)))
  #workers
  #bytes

  /** tensors: of experts, all of one type and width (src/runtime/weights/mixtralTensors.ts). */
  constructor(path, tensors, threads) {
    const { type, rows, columns, bytes } = tensors[0]
    const rowBytes = bytes / rows
    const pieceRows = Math.floor(PIECE_BYTES / rowBytes / 8) * 8
    const offsets = tensors.flatMap(({ offset }) =>
      Array.from({ length: Math.floor(rows / pieceRows) }, (_, i) => offset + i * pieceRows * rowBytes),
    )
    const pages = Math.ceil(MEMORY_BYTES / 65536)
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
    new Uint8Array(memory.buffer).fill(1)
    this.#bytes = pieceRows * rowBytes
    const pipeline = { path, offsets, type: type.name, rows: pieceRows, columns, bytes: this.#bytes, words: this.#words, memory }
    this.#workers = Array.from(
      { length: READERS + threads },
      (_, seat) => new Worker(new URL(import.meta.url), { workerData: { pipeline, seat } }),
    )
  }

  /** Works for so long, multiplying `resident` experts that are there for each that is read. Returns bytes read per second. */
  async measure(seconds, resident) {
    const words = this.#words
    Atomics.store(words, word.resident, Math.round(resident * 1000))
    const before = Atomics.load(words, word.done)
    const start = performance.now()
    Atomics.store(words, word.pass, 1)
    Atomics.notify(words, word.pass)
    await new Promise((resolve) => setTimeout(resolve, seconds * 1e3))
    const pieces = Atomics.load(words, word.done) - before
    const took = (performance.now() - start) / 1e3
    Atomics.store(words, word.pass, 0)
    return (pieces * this.#bytes) / took
  }

  async close() {
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }
}

/** Sets a room's state; waits until it is `from`. */
function advance(words, room, from, to) {
  const at = word.rooms + room
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
      const piece = Atomics.add(words, word.claimed, 1)
      const room = piece % ROOMS
      advance(words, room, state.free, state.reading)
      const offset = offsets[piece % offsets.length]
      const lead = offset % BLOCK
      readSync(file, target, ROOMS_AT + room * ROOM_BYTES, Math.ceil((lead + bytes) / BLOCK) * BLOCK, offset - lead)
      advance(words, room, state.reading, state.full)
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
    const piece = Atomics.add(words, word.packed, 1)
    const room = piece % ROOMS
    const slot = (piece % SLOTS) * SLOT_BYTES
    advance(words, room, state.full, state.packing)
    const source = ROOMS_AT + room * ROOM_BYTES + (offsets[piece % offsets.length] % BLOCK)
    for (let row = 0; row < rows; row += BAND_ROWS) {
      const band = Math.min(BAND_ROWS, rows - row)
      const at = slot + (row / 4) * packing.groupBytes(blocks)
      packing.repack(kernels)(source + row * (bytes / rows), band, blocks, at)
      packing.x1(kernels)(at, band / 4, blocks, TOKEN_AT, out)
    }
    advance(words, room, state.packing, state.free)
    for (resident += Atomics.load(words, word.resident); resident >= 1000; resident -= 1000) {
      packing.x1(kernels)(((piece * 7919 + resident) % SLOTS) * SLOT_BYTES, groups, blocks, TOKEN_AT, out)
    }
    Atomics.add(words, word.done, 1)
  }
}

const { pipeline, seat } = workerData ?? {}
if (pipeline && seat < READERS) read(pipeline)
else if (pipeline) await use(pipeline)
