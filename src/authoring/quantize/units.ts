// Quantization as the threads share it. A thread claims a unit of a tensor, reads it, converts it to another type and
// writes it to its place in an existing file, by blocking writes. Owns how tensors are cut into units, the memory that
// a thread needs for one, and the descriptors of the files that are written. Knows tensors as runs of weights only.

import fs from 'node:fs'
import { alignUp } from '../../base/alignUp.js'
import { MixtralError, quoted } from '../../base/errors.js'
import { ioError } from '../../base/files/byteSource.js'
import { bytesIn, type GgmlType } from '../../format/gguf/ggmlType.js'
import { formats, largestWeight } from '../../format/quants/formats.js'
import { ENCODE_ROOM, ENCODE_TABLES, type Encoders, EncodeTables, encoderOf, openEncoders } from '../../runtime/kernels/encoders.js'
import type { FileReader } from '../../runtime/weights/fileReader.js'
import { convertElements, type ElementType, isElementType } from '../convert/elementType.js'
import { addChanges, type RunMerge } from './mergedUnits.js'

/** A run of weights: where it lies in an input and where it goes. */
export interface WeightRun {
  /** The name of the input's tensor, for messages. */
  readonly name: string
  readonly from: Place
  readonly to: Place
  readonly weights: number
  /** How much errors count in each column: (matrices, columns), one row for each matrix that the run holds. */
  readonly importance?: { readonly values: Float32Array; readonly columns: number } | undefined
  /** What adapters add to it. */
  readonly merge?: RunMerge | undefined
}

interface Place {
  readonly type: GgmlType
  /** Index of the file. */
  readonly file: number
  readonly offset: number
}

/** Weights in a unit: whole blocks of every type. */
const UNIT = 2 ** 18
const VALUES = 8192 // a unit as float32, after the encoders' scratch memory
const INPUT = VALUES + UNIT * 4
const OUTPUT = INPUT + UNIT * 4
const IMPORTANCE = OUTPUT + UNIT * 4 + 4096 // as float32, weight by weight
const TABLES = IMPORTANCE + UNIT * 4
const BYTES = TABLES + ENCODE_TABLES

/** A thread's memory, with the encoders on it. */
interface Bench {
  readonly encoders: Encoders
  readonly tables: EncodeTables
  readonly bytes: Uint8Array
  readonly floats: Float32Array
}

/** Throws `IO` if the encoders' file is missing. */
export function openBench(): Bench {
  const { encoders, memory } = openEncoders(BYTES)
  return {
    encoders,
    tables: new EncodeTables(memory, TABLES),
    bytes: new Uint8Array(memory.buffer),
    floats: new Float32Array(memory.buffer),
  }
}

export const unitsOf = ({ weights }: Pick<WeightRun, 'weights'>) => Math.ceil(weights / UNIT)

/**
 * Reads, converts and writes one unit of a run of weights. Returns how many bytes of the input it has read.
 * Throws `IO`, and `MODEL` for weights that no type can hold.
 */
export function writeUnit(part: WeightRun, unit: number, bench: Bench, reader: FileReader, writer: FileWriter): number {
  const { from, to } = part
  const first = unit * UNIT
  const weights = Math.min(UNIT, part.weights - first)
  const inputBytes = bytesIn(from.type, weights)
  const outputBytes = bytesIn(to.type, weights)
  reader.read(from.file, bench.bytes, INPUT, inputBytes, from.offset + bytesIn(from.type, first))
  const at = to.offset + bytesIn(to.type, first)
  const where = `tensor ${quoted(part.name)}, weights ${first} to ${first + weights - 1}`
  if (part.merge) {
    decode(from.type, weights, bench)
    const merged = addChanges(part.merge, first, bench.floats.subarray(VALUES / 4, VALUES / 4 + weights), where)
    encode(to.type, weights, bench, spreadImportance(part, first, weights, bench))
    merged.measure(unit, to.type, bench.bytes.subarray(OUTPUT, OUTPUT + outputBytes))
    writer.write(to.file, bench.bytes, OUTPUT, outputBytes, at)
    return inputBytes
  }
  if (from.type.id === to.type.id) {
    const bad = formats.get(from.type.name)?.notFinite(bench.bytes.subarray(INPUT, INPUT + inputBytes)) ?? 0
    if (bad > 0) throw new MixtralError('MODEL', `${where}: ${bad} values are not finite, expected none: the file is damaged`)
    writer.write(to.file, bench.bytes, INPUT, outputBytes, at)
    return inputBytes
  }
  decode(from.type, weights, bench)
  const upTo4 = alignUp(weights, 4)
  bench.floats.fill(0, VALUES / 4 + weights, VALUES / 4 + upTo4)
  const beyond = bench.encoders.count_beyond(VALUES, upTo4, largestWeight)
  if (beyond > 0) {
    throw new MixtralError('MODEL', `${where}: ${beyond} are not finite or beyond ${largestWeight}, expected none: the file is damaged`)
  }
  encode(to.type, weights, bench, spreadImportance(part, first, weights, bench))
  writer.write(to.file, bench.bytes, OUTPUT, outputBytes, at)
  return inputBytes
}

/** Decodes the blocks at INPUT to float32 at VALUES. */
function decode(type: GgmlType, weights: number, { encoders, bytes, floats }: Bench): void {
  if (type.name === 'F16') encoders.decode_f16(INPUT, alignUp(weights, 4), VALUES)
  else if (type.name === 'BF16') encoders.decode_bf16(INPUT, alignUp(weights, 4), VALUES)
  else
    formats
      .get(type.name)!
      .dequantize(bytes.subarray(INPUT, INPUT + bytesIn(type, weights)), floats.subarray(VALUES / 4, VALUES / 4 + weights))
}

/** Writes the importance of each of the run's weights from `first` on to IMPORTANCE. Undefined if there is none. */
function spreadImportance(
  { importance, weights: all }: WeightRun,
  first: number,
  weights: number,
  { floats }: Bench,
): Float32Array | undefined {
  if (!importance) return undefined
  const { values, columns } = importance
  const perMatrix = (all * columns) / values.length
  const out = floats.subarray(IMPORTANCE / 4, IMPORTANCE / 4 + weights)
  for (let done = 0; done < weights; ) {
    const column = (first + done) % columns
    const count = Math.min(columns - column, weights - done)
    const at = Math.floor((first + done) / perMatrix) * columns + column
    out.set(values.subarray(at, at + count), done)
    done += count
  }
  return out
}

/** Encodes the float32 at VALUES to blocks at OUTPUT, with the format's kernel, or with the oracle if it has none. */
function encode(type: GgmlType, weights: number, { encoders, tables, bytes, floats }: Bench, importance: Float32Array | undefined): void {
  const kernel = encoderOf(encoders, type.name)
  const values = floats.subarray(VALUES / 4, VALUES / 4 + weights)
  const blocks = weights / type.blockWeights
  if (kernel) kernel(VALUES, blocks, OUTPUT, VALUES - ENCODE_ROOM, importance ? IMPORTANCE : 0, tables.addressOf(type.name))
  else if (isElementType(type.name)) bytes.set(elementsOf(values, type.name), OUTPUT)
  else formats.get(type.name)!.encode!(values, bytes.subarray(OUTPUT), importance)
}

/** The values as elements of a type; they are small enough for any. */
function elementsOf(values: Float32Array, type: ElementType): Uint8Array {
  const plain = new Uint8Array(values.slice().buffer)
  return convertElements(plain, 'F32', type)!
}

export class FileWriter {
  readonly #paths: readonly string[]
  readonly #descriptors: (number | undefined)[] = []

  constructor(paths: readonly string[]) {
    this.#paths = paths
  }

  /** Writes exactly `bytes` bytes, from source[at] on, to `offset` of a file. Throws `IO`. */
  write(file: number, source: Uint8Array, at: number, bytes: number, offset: number): void {
    const path = this.#paths[file]!
    try {
      this.#descriptors[file] ??= fs.openSync(path, 'r+')
      const descriptor = this.#descriptors[file]
      for (let done = 0; done < bytes; ) done += fs.writeSync(descriptor, source, at + done, bytes - done, offset + done)
    } catch (cause) {
      throw ioError('write', path, cause)
    }
  }

  close(): void {
    for (const descriptor of this.#descriptors) if (descriptor !== undefined) fs.closeSync(descriptor)
    this.#descriptors.length = 0
  }
}
