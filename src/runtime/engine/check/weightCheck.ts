// Checks weights in memory, each thread a share of the rows: bytes against the file, packed once more; products against
// the format's oracle, bit for bit, and against exact arithmetic on the dequantized weights. Owns a memory to work in,
// and the activations that are multiplied. Changes no bank, and does not judge what it finds (weightFindings.ts).

import { formats } from '../../../format/quants/formats.js'
import type { RoundedActivations } from '../../../format/quants/roundedActivations.js'
import { GRID_BYTES } from '../../kernels/gridTable.js'
import { activationBlock, activationBytes, packedBytes, packings } from '../../kernels/packing.js'
import type { ExpertStore } from '../../model/expertStore.js'
import type { Thread } from '../../model/thread.js'
import type { Bank } from '../../weights/bank.js'
import type { FileReader } from '../../weights/fileReader.js'
import { packingOf, type TensorSlice } from '../../weights/mixtralTensors.js'
import { type FindingsMemory, finding, findingsOfThread, summationError, sumsOfUnit, unitSum } from './weightFindings.js'
import { rowsOfUnit, unitsOf, type WeightPart, weightParts } from './weightParts.js'

/** Tokens that are multiplied at once. Each is multiplied alone, too. */
const TOKENS = 4

/** The memory of the check, laid out for one matrix. */
interface CheckMemory {
  readonly bank: Bank
  readonly fileAt: number
  readonly packedAt: number
  /** Addresses of the tokens, in the activation format of the kernels. */
  readonly inputsAt: readonly number[]
  /** (TOKENS + 1, rows of a unit) f32. */
  readonly outAt: number
  /** The first token, exact and in the activation format. */
  readonly x: Float32Array
  readonly rounded: RoundedActivations
}

export class WeightCheck {
  readonly #thread: Thread
  readonly #store: ExpertStore
  readonly #files: FileReader
  readonly #openBank: (bytes: number) => Bank
  readonly #findings: FindingsMemory
  readonly #parts: readonly WeightPart[]
  #bank: Bank | undefined

  constructor(thread: Thread, store: ExpertStore, files: FileReader, openBank: (bytes: number) => Bank, findings: FindingsMemory) {
    this.#thread = thread
    this.#store = store
    this.#files = files
    this.#openBank = openBank
    this.#findings = findings
    this.#parts = weightParts(thread.plan, thread.config)
  }

  /** Checks this thread's share of a part, and writes down what it finds. index: the part's number. */
  run(index: number): void {
    const { crew } = this.#thread
    const part = this.#parts[index]!
    const { slice } = part
    const found = findingsOfThread(this.#findings, crew.seat)
    const { bank, at, packed, waitForRows } = this.#place(part)
    const rowBytes = slice.bytes / slice.rows
    const rows = rowsOfUnit(slice)
    const memory = packed ? this.#layOut(slice, rows) : undefined
    const units = unitsOf(slice)
    for (let unit = crew.claim(); unit < units && !crew.cancelRequested; unit = crew.claim()) {
      const first = unit * rows
      const count = Math.min(rows, slice.rows - first)
      const sums = sumsOfUnit(this.#findings, unit)
      const file = new Uint8Array(count * rowBytes)
      waitForRows(first, count)
      this.#files.read(slice.file, file, 0, file.length, slice.offset + first * rowBytes)
      if (memory) {
        const start = at + packedBytes(packingOf(slice), first, slice.columns)
        const packed = bank.bytes.subarray(start, start + packedBytes(packingOf(slice), count, slice.columns))
        this.#checkMatrix(slice, memory, file, packed, first, found, sums)
      } else {
        const start = at + first * rowBytes
        noteUnlike(found, file, bank.bytes.subarray(start, start + file.length), first, rowBytes, 1)
      }
      crew.progress(file.length)
    }
  }

  /** The address of a part. Requests the expert it belongs to, if that is streamed: then rows must be waited for. */
  #place({ load, layer, expert, part }: WeightPart): {
    bank: Bank
    at: number
    packed: boolean
    waitForRows: (first: number, rows: number) => void
  } {
    const { banks } = this.#thread
    if (load) return { bank: banks[load.bank]!, at: load.at, packed: load.packed, waitForRows: () => {} }
    const [round] = this.#store.rounds(layer, { count: 1, nextRows: 1 }, [expert!])
    const acquired = round![0]!
    const { gate, up, down } = acquired
    const linear = { ffnGate: gate, ffnUp: up, ffnDown: down }[part!]
    const waitForRows = (first: number, rows: number) => this.#store.waitForRows(acquired, layer, part!, first, rows)
    return { bank: linear.bank, at: linear.at, packed: true, waitForRows }
  }

  /** Lays the memory out for units of a matrix, and writes the probes to it. */
  #layOut(slice: TensorSlice, rows: number): CheckMemory {
    const { type, columns, bytes, rows: allRows } = slice
    const packing = packings[packingOf(slice)]!
    const { build } = this.#thread.plan
    let next = GRID_BYTES
    const take = (size: number) => {
      const at = next
      next = Math.ceil((at + size) / 64) * 64
      return at
    }
    const fileAt = take((bytes / allRows) * rows)
    const packedAt = take(packedBytes(packingOf(slice), rows, columns))
    const floatsAt = take(columns * 4)
    const inputsAt = Array.from({ length: TOKENS }, () => take(activationBytes(packing.activation, columns, build)))
    const outAt = take((TOKENS + 1) * rows * 4)
    if (!this.#bank || this.#bank.bytes.length < next) this.#bank = this.#openBank(next)
    const bank = this.#bank
    for (const [token, at] of inputsAt.entries()) {
      const x = probe(columns, token)
      bank.floats.set(x, (packing.activation === 'f32' ? at : floatsAt) / 4)
      if (packing.activation !== 'f32') {
        const blocks = columns / activationBlock[packing.activation]
        bank.kernels[`quantize_${packing.activation}`](floatsAt, blocks, at, blocks, 0)
      }
    }
    const x = probe(columns, 0)
    return { bank, fileAt, packedAt, inputsAt, outAt, x, rounded: formats.get(type.name)!.round(x) }
  }

  /** file: (rows, row bytes) from row `first` on; packed: the same rows in their bank. */
  #checkMatrix(
    slice: TensorSlice,
    memory: CheckMemory,
    file: Uint8Array,
    packed: Uint8Array,
    first: number,
    found: Float64Array,
    sums: Float64Array,
  ): void {
    const { bank, fileAt, packedAt, inputsAt, outAt, x, rounded } = memory
    const { kernels, bytes } = bank
    const { dequantize } = formats.get(slice.type.name)!
    const packing = packings[packingOf(slice)]!
    const blocks = slice.columns / packing.blockWeights
    const rowBytes = slice.bytes / slice.rows
    const rows = file.length / rowBytes
    const groups = Math.ceil(rows / 4)
    bytes.set(file, fileAt)
    packing.repack(kernels)(fileAt, rows, blocks, packedAt)
    const unitBytes = packedBytes(packingOf(slice), 1, slice.columns)
    noteUnlike(found, bytes.subarray(packedAt, packedAt + packed.length), packed, first, unitBytes, packing.rowsTogether)

    bytes.set(packed, packedAt) // the products must be those of the rows in the bank
    const [x0, x1, x2, x3] = inputsAt as [number, number, number, number]
    const [alone, out0, out1, out2, out3] = Array.from({ length: TOKENS + 1 }, (_, i) => outAt + i * groups * 16) as [
      number,
      number,
      number,
      number,
      number,
    ]
    packing.x4(kernels)(packedAt, groups, blocks, x0, x1, x2, x3, out0, out1, out2, out3)
    const unlikeAlone = new Set<number>()
    for (const [input, out] of [
      [x3, out3],
      [x2, out2],
      [x1, out1],
      [x0, out0],
    ] as const) {
      packing.x1(kernels)(packedAt, groups, blocks, input, alone)
      for (let row = 0; row < rows; row++) if (bank.ints[alone / 4 + row] !== bank.ints[out / 4 + row]) unlikeAlone.add(row)
    }
    const weights = new Float32Array(slice.columns)
    const single = new Float32Array(1)
    const bits = new Int32Array(single.buffer)
    for (let row = 0; row < rows; row++) {
      const blocksOfRow = file.subarray(row * rowBytes, (row + 1) * rowBytes)
      single[0] = rounded.dot(blocksOfRow)
      const product = bank.floats[alone / 4 + row]!
      if (bits[0] !== bank.ints[alone / 4 + row] || unlikeAlone.has(row)) {
        found[finding.off]!++
        found[finding.firstOff] = Math.min(found[finding.firstOff]!, first + row)
      }
      dequantize(blocksOfRow, weights)
      noteError(found, sums, product, weights, x, rounded, slice.type.name)
    }
  }
}

/** Compares in units of `unitBytes`, which hold `rows` rows each. */
function noteUnlike(found: Float64Array, expected: Uint8Array, actual: Uint8Array, first: number, unitBytes: number, rows: number): void {
  if (Buffer.compare(expected, actual) === 0) return
  for (let unit = 0; unit * unitBytes < actual.length; unit++) {
    const [start, end] = [unit * unitBytes, (unit + 1) * unitBytes]
    if (Buffer.compare(expected.subarray(start, end), actual.subarray(start, end)) === 0) continue
    found[finding.unlike]! += rows
    found[finding.firstUnlike] = Math.min(found[finding.firstUnlike]!, first + unit * rows)
  }
}

/**
 * Notes how far a product is from that of the exact weights and activations, and its share of the error that the format
 * allows.
 */
function noteError(
  found: Float64Array,
  sums: Float64Array,
  product: number,
  weights: Float32Array,
  x: Float32Array,
  { values, halfSteps }: RoundedActivations,
  type: string,
): void {
  let exact = 0
  let rounding = 0
  let magnitude = 0
  for (let column = 0; column < weights.length; column++) {
    const weight = weights[column]!
    exact += weight * x[column]!
    rounding += Math.abs(weight) * halfSteps[column]!
    magnitude += Math.abs(weight * values[column]!)
  }
  const allowed = rounding + summationError(type, weights.length) * magnitude
  const error = Math.abs(product - exact)
  sums[unitSum.errorSquares]! += error * error
  sums[unitSum.exactSquares]! += exact * exact
  const share = error === 0 ? 0 : error / allowed
  // NaN is worse than any share
  if (!(share <= found[finding.worstShare]!)) found[finding.worstShare] = Number.isNaN(share) ? Number.POSITIVE_INFINITY : share
}

/**
 * The activations of token number `token`: (columns), root mean square about one. Nearly normally distributed, as real
 * ones are, and the same in every engine and on every machine.
 */
function probe(columns: number, token: number): Float32Array {
  let state = (0x9e3779b9 * (token + 1)) | 0
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0
    let h = Math.imul(state ^ (state >>> 15), state | 1)
    h ^= h + Math.imul(h ^ (h >>> 7), h | 61)
    return ((h ^ (h >>> 14)) >>> 0) / 2 ** 32
  }
  return Float32Array.from({ length: columns }, () => 2 * (uniform() + uniform() + uniform() - 1.5))
}
