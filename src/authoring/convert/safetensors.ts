// The header of a safetensors file: 8 bytes of length, that many bytes of JSON, then the tensors' data without a gap. Owns its checks; nothing is
// believed before it was looked at. Format after huggingface/safetensors. Reads no data.

import { quoted } from '../../base/errors.js'
import type { ByteSource } from '../../base/files/byteSource.js'
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
  /** Of the first byte, from the start of the file. */
  readonly offset: number
  readonly bytes: number
}

/** Bytes of an element. A type that is not here can be in a file, but not be converted. */
const elementBytes: Readonly<Record<string, number>> = {
  ...{ F64: 8, F32: 4, F16: 2, BF16: 2, F8_E4M3: 1, F8_E5M2: 1, F8_E8M0: 1 },
  ...{ I64: 8, I32: 4, I16: 2, I8: 1, U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1 },
}

const LENGTH_BYTES = 8
/** As in huggingface.js; the shards of an 8x22B have a thousandth of it. */
const LONGEST_HEADER = 25_000_000

/** Reads what a file says about its tensors. Throws `CHECKPOINT`, naming the tensor, if that cannot be true. */
export async function readSafetensors(source: ByteSource): Promise<SourceTensor[]> {
  const file = source.name
  if (source.bytes < LENGTH_BYTES) throw checkpointError(file, `${source.bytes} bytes, expected a safetensors header`)
  const lengthBytes = await source.read(0, LENGTH_BYTES)
  const length = new DataView(lengthBytes.buffer, lengthBytes.byteOffset).getBigUint64(0, true)
  const room = source.bytes - LENGTH_BYTES
  if (length > BigInt(room)) throw checkpointError(file, `a header of ${length} bytes, but the file ends after ${room}`, 'byte 0')
  if (length > BigInt(LONGEST_HEADER))
    throw checkpointError(file, `a header of ${length} bytes, expected at most ${LONGEST_HEADER}`, 'byte 0')

  const headerBytes = Number(length)
  const header = JsonObject.parse(decoded(await source.read(LENGTH_BYTES, headerBytes), file), file)
  const dataStart = LENGTH_BYTES + headerBytes
  const tensors: SourceTensor[] = []
  for (const name of header.keys) {
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

/** The format has it that tensors neither overlap nor leave a byte unused. */
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
