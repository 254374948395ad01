// The safetensors file, its header read and the whole of it written: 8 bytes of length, that many bytes of JSON, then
// the tensors' data without a gap, all little-endian. Owns the checks of a header, in which nothing is trusted. Reads
// no tensor data. Format: github.com/huggingface/safetensors, README

import { quoted } from '../../base/errors.js'
import { type ByteSource, impostorOf } from '../../base/files/byteSource.js'
import { limits } from '../../base/limits.js'
import { TimeSlice } from '../../base/timeSlice.js'
import { checkpointError } from './checkpointError.js'
import { JsonObject } from './jsonObject.js'

/** One tensor of a checkpoint. */
export interface SourceTensor {
  readonly name: string
  /** As the file spells it: F32, F16, BF16, F8_E4M3... */
  readonly dtype: string
  /** Outermost first, as in PyTorch: (rows, columns). */
  readonly shape: readonly number[]
  readonly source: ByteSource
  /** Place of the first byte, from the start of the file. */
  readonly offset: number
  readonly bytes: number
}

/** Bytes of an element by dtype. A file may have other dtypes, but they are not converted. */
const elementBytes: Readonly<Record<string, number>> = {
  ...{ F64: 8, F32: 4, F16: 2, BF16: 2, F8_E4M3: 1, F8_E5M2: 1, F8_E8M0: 1 },
  ...{ I64: 8, I32: 4, I16: 2, I8: 1, U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1 },
}

const LENGTH_BYTES = 8
const LONGEST_HEADER = limits.safetensorsHeader.most

/**
 * The tensors that a file's header lists. Throws `IO` if it cannot be read, and `CHECKPOINT`, naming the tensor, if the
 * header cannot be true.
 */
export async function readSafetensors(source: ByteSource): Promise<SourceTensor[]> {
  const file = source.name
  if (source.bytes < LENGTH_BYTES) throw checkpointError(file, `${source.bytes} bytes, expected a safetensors header`)
  const lengthBytes = await source.read(0, LENGTH_BYTES)
  const impostor = impostorOf(lengthBytes)
  if (impostor !== undefined) throw checkpointError(file, impostor, 'byte 0')
  const length = new DataView(lengthBytes.buffer, lengthBytes.byteOffset).getBigUint64(0, true)
  const room = source.bytes - LENGTH_BYTES
  if (length > BigInt(room)) throw checkpointError(file, `a header of ${length} bytes, but the file ends after ${room}`, 'byte 0')
  if (length > BigInt(LONGEST_HEADER))
    throw checkpointError(file, `a header of ${length} bytes, expected at most ${LONGEST_HEADER}`, 'byte 0')

  const headerBytes = Number(length)
  const header = JsonObject.parse(decoded(await source.read(LENGTH_BYTES, headerBytes), file), file)
  const dataStart = LENGTH_BYTES + headerBytes
  const tensors: SourceTensor[] = []
  const slice = new TimeSlice()
  for (const name of header.keys) {
    if (slice.isOver) await slice.pause()
    if (name === '__metadata__') continue
    tensors.push(readTensor(name, header.object(name) ?? header.refuse(name, 'an object'), source, dataStart))
  }
  checkPlaces(tensors, source, dataStart)
  return tensors
}

function decoded(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw checkpointError(file, 'a header that is not valid UTF-8', undefined, { cause })
  }
}

function readTensor(name: string, entry: JsonObject, source: ByteSource, dataStart: number): SourceTensor {
  const dtype = entry.string('dtype') ?? entry.refuse('dtype', 'the type of the elements')
  const shape = counts(entry, 'shape')
  const [begin, end, ...more] = counts(entry, 'data_offsets')
  if (begin === undefined || end === undefined || more.length > 0 || end < begin) {
    return entry.refuse('data_offsets', 'where the data begins and ends')
  }
  const bytes = end - begin
  const dataBytes = source.bytes - dataStart
  const where = `tensor ${quoted(name)}`
  if (end > dataBytes) throw checkpointError(source.name, `ends at byte ${end} of the data, of which there are ${dataBytes}`, where)
  const elements = shape.reduce((product, size) => product * size, 1)
  const expected = elements * (elementBytes[dtype] ?? Number.NaN)
  if (Number.isNaN(expected) ? elementBytes[dtype] !== undefined : expected !== bytes) {
    throw checkpointError(source.name, `${bytes} bytes, expected ${expected} for [${shape}] of ${dtype}`, where)
  }
  return { name, dtype, shape, source, offset: dataStart + begin, bytes }
}

/** A list of whole numbers. */
function counts(entry: JsonObject, key: string): number[] {
  const list = entry.array(key) ?? entry.refuse(key, 'a list')
  if (!list.every((item) => typeof item === 'number' && Number.isSafeInteger(item) && item >= 0)) entry.refuse(key, 'whole numbers from 0')
  return list as number[]
}

/** Checks that tensors neither overlap nor leave a byte unused, as the format demands. */
function checkPlaces(tensors: readonly SourceTensor[], source: ByteSource, dataStart: number): void {
  let at = dataStart
  for (const { name, offset, bytes } of tensors.toSorted((a, b) => a.offset - b.offset || a.bytes - b.bytes)) {
    if (offset !== at) {
      const problem = `begins at byte ${offset}, expected ${at}: tensors neither overlap nor leave a gap`
      throw checkpointError(source.name, problem, `tensor ${quoted(name)}`)
    }
    at = offset + bytes
  }
  if (at !== source.bytes) throw checkpointError(source.name, `${source.bytes} bytes, expected ${at}, where the last tensor ends`)
}

/** A tensor to be written. */
export interface TensorValues {
  readonly name: string
  /** Outermost dimension first. */
  readonly shape: readonly number[]
  readonly values: Float32Array | Float64Array | Int32Array
}

const dtypes = { Float32Array: 'F32', Float64Array: 'F64', Int32Array: 'I32' } as const

/** The bytes of a file, in parts. Names must be unique. `metadata` holds texts for the header. */
export function* encodeSafetensors(tensors: readonly TensorValues[], metadata: Readonly<Record<string, string>>): Generator<Uint8Array> {
  let at = 0
  const entries = tensors.map(({ name, shape, values }) => {
    const dtype = dtypes[values.constructor.name as keyof typeof dtypes]
    const start = at
    at += values.byteLength
    return [name, { dtype, shape, data_offsets: [start, at] }] as const
  })
  const text = JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) })
  const header = Buffer.from(text)
  const padded = Buffer.alloc(Math.ceil(header.length / 8) * 8, ' ') // so that the values lie at multiples of 8
  header.copy(padded)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  yield length
  yield padded
  for (const { values } of tensors) yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}
