// The cases of bench/kernels.mjs: for each kernel its data in a memory, a check of its result against the oracle, and a
// function to time. A case is checked before it is handed out; a wrong result throws. Knows nothing of clocks and
// tables.

import { readFileSync } from 'node:fs'
import { formats } from '../dist/format/quants/formats.js'
import { floatToHalf, halfToFloat } from '../dist/format/quants/half.js'
import { hasWideVectors } from '../dist/runtime/kernels/compile.js'
import { GRID_BYTES } from '../dist/runtime/kernels/gridTable.js'
import { activationBlock, activationBytes, packings } from '../dist/runtime/kernels/packing.js'
import { kvHeadBytes } from '../dist/runtime/weights/pages.js'
import { fillWeights, Random } from './randomBlocks.mjs'

/**
 * @typedef {object} KernelCase
 * @property {string} name
 * @property {string} build
 * @property {string} data where it is: `L2`, `memory`, or how much of it
 * @property {number} bytes read by a call: of weights as in the file, of floats, of the cache
 * @property {number} multiplyAdds of a call, 0 where they are not the point
 * @property {() => void} run
 */

const COLUMNS = 4096
const SOURCE_ROWS = 1024
/** A Mixtral's largest matrix, and one that a core's own cache holds. */
const LARGE_ROWS = 14 * SOURCE_ROWS
const SMALL_ROWS = 64
/** The large matrices of a format take at least this much together: more than any cache. */
const STREAM_BYTES = 640e6

/** A memory, and kernels of several builds on it; room is taken from the start on. */
export class BenchMemory {
  #top = GRID_BYTES

  /**
   * Kernels of a build on a memory.
   * @typedef {import('../dist/runtime/kernels/abi.js').Kernels} Kernels
   * @param {ReadonlyMap<string, (memory: WebAssembly.Memory) => Kernels>} builds
   */
  constructor(builds) {
    const memory = new WebAssembly.Memory({ initial: 13000, maximum: 13000, shared: true }) // 850 MB; what is not used costs nothing
    this.bytes = new Uint8Array(memory.buffer)
    this.kernels = [...builds].map(([build, instantiate]) => ({ build, kernels: instantiate(memory) }))
  }

  /** Forgets what was taken. */
  clear() {
    this.#top = GRID_BYTES
  }

  take(bytes) {
    const ptr = this.#top
    this.#top = ptr + Math.ceil(bytes / 64) * 64
    return ptr
  }

  place(values) {
    const ptr = this.take(values.byteLength)
    this.bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), ptr)
    return ptr
  }

  floats(ptr, count) {
    return new Float32Array(this.bytes.buffer, ptr, count)
  }
}

/** What can be measured: all packings that there are. */
export const formatNames = Object.keys(packings)

/**
 * One token, two and four, in the L2 cache and out of memory, with every build in turn.
 * @returns {Generator<KernelCase>}
 */
export function* matmulCases(memory, format) {
  const packing = packings[format]
  const { type, round } = formats.get(packing.format)
  const blocks = COLUMNS / packing.blockWeights
  const groupBytes = packing.groupBytes(blocks)
  memory.clear()

  const file = randomRows(packing.format, type, SOURCE_ROWS)
  const tokens = [1, 2, 3, 4].map((seed) => randomFloats(COLUMNS, seed))
  const expected = tokens.map((x) => products(file, SOURCE_ROWS, round(x).dot))
  const source = memory.place(file)
  const largeBytes = (LARGE_ROWS / 4) * groupBytes
  const matrices = Math.max(2, Math.ceil(STREAM_BYTES / largeBytes))
  const weights = memory.take(matrices * largeBytes)
  const sourceBytes = (SOURCE_ROWS / 4) * groupBytes
  if (packing.repack(memory.kernels[0].kernels)(source, SOURCE_ROWS, blocks, weights) !== 0)
    throw new Error(`${format}: scales are not finite`)
  for (let at = sourceBytes; at < matrices * largeBytes; at += sourceBytes)
    memory.bytes.copyWithin(weights + at, weights, weights + sourceBytes)

  const outs = tokens.map(() => memory.take(LARGE_ROWS * 4))
  for (const { build, kernels } of memory.kernels) {
    const x = tokens.map((token) => placeActivation(memory, kernels, build, packing.activation, token))
    const [x1, x2, x4, tall] = [packing.x1(kernels), packing.x2(kernels), packing.x4(kernels), packing.tall(kernels)]
    const batches = [
      { kernel: 'x1', count: 1, multiply: (at, groups) => x1(at, groups, blocks, x[0], outs[0]) },
      { kernel: 'x2', count: 2, multiply: x2 && ((at, groups) => x2(at, groups, blocks, x[0], x[1], outs[0], outs[1])) },
      { kernel: 'x4', count: 4, multiply: (at, groups) => x4(at, groups, blocks, ...x, ...outs) },
      { kernel: 'x4_tall', count: 4, multiply: tall && ((at, groups) => tall(at, groups, blocks, ...x, ...outs)) },
    ].filter(({ multiply }) => multiply)
    for (const [data, rows, turns] of [
      ['L2', SMALL_ROWS, 1],
      ['memory', LARGE_ROWS, matrices],
    ]) {
      for (const { kernel, count, multiply } of batches) {
        let turn = 0
        const run = () => {
          multiply(weights + turn * largeBytes, rows / 4)
          turn = (turn + 1) % turns
        }
        const name = `matmul_${format.toLowerCase().replace(' ', '_')}_${kernel}`
        run()
        for (let token = 0; token < count; token++)
          check(memory.floats(outs[token], rows), expected[token], `${name}, ${build}, token ${token}`)
        const weightsRead = rows * COLUMNS
        yield { name, build, data, bytes: (weightsRead / type.blockWeights) * type.blockBytes, multiplyAdds: weightsRead * count, run }
      }
    }
  }
}

/**
 * A row of 4096 activations. That its result is right is checked by every product with it.
 * @returns {Generator<KernelCase>}
 */
export function* quantizeCases(memory, kind) {
  memory.clear()
  const x = randomFloats(COLUMNS, 1)
  const source = memory.place(x)
  const blocks = COLUMNS / activationBlock[kind]
  for (const { build, kernels } of memory.kernels) {
    const row = memory.take(activationBytes(kind, COLUMNS, build))
    yield {
      name: `quantize_${kind}`,
      build,
      data: `${COLUMNS} floats`,
      bytes: x.byteLength,
      multiplyAdds: 0,
      run: () => kernels[`quantize_${kind}`](source, blocks, row, blocks, 0),
    }
  }
}

/**
 * One token, and sixteen, of one kv head in the shape of Mixtral: four query heads of 128.
 * @returns {Generator<KernelCase>}
 */
export function* attentionCases(memory, positions) {
  const [heads, headDim, most] = [4, 128, 16]
  memory.clear()
  const width = heads * headDim
  const q = randomFloats(most * width, 1)
  const [keys, values] = [2, 3].map((seed) => randomFloats(positions * headDim, seed))
  const expected = attention(q.subarray((most - 1) * width), keys, values, heads, headDim) // of the last token
  const [query, key, value] = [q, keys, values].map((floats) => memory.place(floats))
  const caches = ['f16', 'q8'].map((format) => {
    const bytes = kvHeadBytes(Math.ceil(positions / 32), headDim, format)
    return { format, bytes, keys: memory.take(bytes), values: memory.take(bytes), within: format === 'q8' ? 1e-2 : 1e-5 }
  })
  const table = memory.place(Int32Array.from({ length: Math.ceil(positions / 32) }, (_, block) => block))
  const out = memory.take(q.byteLength)
  const part = memory.take(most * heads * (headDim + 4) * 4)
  const room = memory.take(headDim * 132 + (most * heads + 1) * 132 + 32 + most * heads * headDim * 3)
  const wide = hasWideVectors() ? 1 : 0
  for (const { build, kernels } of memory.kernels) {
    for (const { format, bytes, keys, values, within } of caches) {
      for (let p = 0; p < positions; p++)
        kernels[`store_kv_${format}`](key + p * headDim * 4, value + p * headDim * 4, headDim, keys, values, p)
      for (const tokens of [1, most]) {
        const from = query + (most - tokens) * width * 4
        const run = () => {
          kernels[`attention_${format}`](
            ...[from, width, part, tokens, heads, headDim, keys, values, table, positions - tokens, 0, 0, positions, room, wide],
          )
          kernels.finish_attention(part, tokens * heads, headDim, out)
        }
        run()
        const found = memory.floats(out + (tokens - 1) * width * 4, width)
        const worst = found.reduce((most, x, i) => Math.max(most, Math.abs(x - expected[i])), 0)
        const name = `attention${format === 'f16' ? '' : `_${format}`}${tokens === 1 ? '' : `_x${tokens}`}`
        if (!(worst < within)) throw new Error(`${name}, ${build}: off by ${worst}`)
        const seen = tokens * (positions - (tokens - 1) / 2)
        yield { name, build, data: `${positions} positions`, bytes: 2 * bytes, multiplyAdds: 2 * seen * width, run }
      }
    }
  }
}

function randomFloats(count, seed) {
  const bytes = new Uint8Array(count * 4)
  new Random(seed).fill(bytes)
  const bits = new Int32Array(bytes.buffer)
  return Float32Array.from(bits, (word) => word / 2 ** 31)
}

function randomRows(format, type, rows) {
  const weights = rows * COLUMNS
  if (format === 'BF16')
    return new Uint8Array(Uint16Array.from(new Uint32Array(randomFloats(weights, 5).buffer), (bits) => bits >>> 16).buffer)
  if (format === 'F16') return new Uint8Array(Uint16Array.from(randomFloats(weights, 5), (w) => floatToHalf(w / 32)).buffer)
  const bytes = new Uint8Array((weights / type.blockWeights) * type.blockBytes)
  if (!fillWeights[format]) return repeated(readFileSync(new URL(`../test/golden/blocks/${format}.bin`, import.meta.url)), bytes)
  new Random(5).fill(bytes)
  fillWeights[format](bytes)
  return bytes
}

/** Fills `bytes` with blocks over and over: weights of a format that randomBlocks.mjs does not know. */
function repeated(blocks, bytes) {
  for (let at = 0; at < bytes.length; at += blocks.length) bytes.set(blocks.subarray(0, bytes.length - at), at)
  return bytes
}

function products(file, rows, dot) {
  const rowBytes = file.length / rows
  return Float32Array.from({ length: rows }, (_, row) => dot(file.subarray(row * rowBytes, (row + 1) * rowBytes)))
}

function placeActivation(memory, kernels, build, kind, x) {
  const source = memory.place(x)
  if (kind === 'f32') return source
  const row = memory.take(activationBytes(kind, x.length, build))
  const blocks = x.length / activationBlock[kind]
  kernels[`quantize_${kind}`](source, blocks, row, blocks, 0)
  return row
}

/** Rows repeat after SOURCE_ROWS. */
function check(found, expected, where) {
  for (let row = 0; row < found.length; row++) {
    const wanted = expected[row % SOURCE_ROWS]
    if (!Object.is(found[row], wanted)) throw new Error(`${where}: row ${row} is ${found[row]}, expected ${wanted}`)
  }
}

/** (heads, headDim) in float64, for a query that sees every position. */
function attention(q, keys, values, heads, headDim) {
  const half = (x) => halfToFloat(floatToHalf(x))
  const out = new Float64Array(heads * headDim)
  for (let h = 0; h < heads; h++) {
    let total = 0
    for (let at = 0; at < keys.length; at += headDim) {
      let score = 0
      for (let d = 0; d < headDim; d++) score += q[h * headDim + d] * half(keys[at + d])
      const power = Math.exp(score / Math.sqrt(headDim))
      total += power
      for (let d = 0; d < headDim; d++) out[h * headDim + d] += power * half(values[at + d])
    }
    for (let d = 0; d < headDim; d++) out[h * headDim + d] /= total
  }
  return out
}
