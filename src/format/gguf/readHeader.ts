// Reads the header of one GGUF file, version 2 or 3: magic, counts, metadata, tensor infos. Owns their order and what
// is refused while reading; placeTensors.ts checks the places of tensors, shards.ts the sets of shards.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

import { quoted, shown } from '../../base/errors.js'
import { type ByteSource, impostorOf } from '../../base/files/byteSource.js'
import { limits } from '../../base/limits.js'
import { bytesIn, ggmlTypeById, removedGgmlTypeName } from './ggmlType.js'
import type { GgufTensor, GgufValue } from './gguf.js'
import { HeaderCursor } from './headerCursor.js'
import { isAlignment, placeTensors, type UnplacedTensor } from './placeTensors.js'
import { readName, readValue, readValueType } from './readValue.js'
import type { GgufValueType } from './valueType.js'

/** The header of one file; the `file` of its tensors is 0. */
export interface GgufHeader {
  readonly path: string
  readonly bytes: number
  readonly version: 2 | 3
  readonly metadata: ReadonlyMap<string, GgufValue>
  readonly metadataTypes: ReadonlyMap<string, GgufValueType>
  readonly rawTexts: ReadonlyMap<string, ReadonlyMap<number, Uint8Array>>
  readonly tensors: ReadonlyMap<string, GgufTensor>
  /** Most bytes that it takes in memory, together with those of the set before it. */
  readonly memory: number
}

// Least bytes of a key in the file: name length, type, value; and of a tensor info: name length, dimension count, one
// dimension, type, offset.
const LEAST_KEY_BYTES = 8 + 4 + 1
const LEAST_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8
// Most bytes that they take in memory, without the name and the value.
const KEY_MEMORY = 256
const TENSOR_MEMORY = 512

const MOST_DIMENSIONS = 4
const DEFAULT_ALIGNMENT = 32

/** What a header is read with. */
interface Reading {
  /** The memory that the headers of the set before this one take; all together take no more than one may. */
  readonly taken?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Reads and checks a header, in slices; throws `GGUF` if anything in it cannot be right, and `ABORTED`. Reads no tensor
 * data.
 */
export async function readHeader(source: ByteSource, { taken = 0, signal }: Reading = {}): Promise<GgufHeader> {
  const cursor = new HeaderCursor(source, taken, signal)
  const version = await readVersion(cursor)
  const tensorCount = await cursor.count('tensors', LEAST_TENSOR_BYTES)
  const keyCount = await cursor.count('metadata keys', LEAST_KEY_BYTES)
  for (const [things, count, { most }] of [
    ['tensors', tensorCount, limits.tensors],
    ['metadata keys', keyCount, limits.keys],
  ] as const) {
    if (count > most) cursor.fail(`claims ${count} ${things}, expected at most ${most}`)
  }

  const metadata = new Map<string, GgufValue>()
  const metadataTypes = new Map<string, GgufValueType>()
  const rawTexts = new Map<string, ReadonlyMap<number, Uint8Array>>()
  for (let n = 1; n <= keyCount; n++) {
    cursor.where = `key ${n} of ${keyCount}`
    cursor.charge(KEY_MEMORY)
    const key = await readName(cursor)
    cursor.where = `key ${quoted(key)}`
    if (metadata.has(key)) cursor.fail('a second value for this key')
    cursor.texts = 0
    const { type, value } = await readValue(cursor, await readValueType(cursor))
    metadata.set(key, value)
    metadataTypes.set(key, type)
    if (cursor.rawTexts.size > 0) {
      rawTexts.set(key, cursor.rawTexts)
      cursor.rawTexts = new Map()
    }
  }
  const alignment = checkAlignment(cursor, metadata.get('general.alignment'))

  const unplaced = new Map<string, UnplacedTensor>()
  for (let n = 1; n <= tensorCount; n++) {
    cursor.where = `tensor info ${n} of ${tensorCount}`
    cursor.charge(TENSOR_MEMORY)
    const name = await readName(cursor)
    cursor.where = `tensor ${quoted(name)}`
    if (unplaced.has(name)) cursor.fail('a second tensor of this name')
    unplaced.set(name, await readTensorInfo(cursor))
  }
  const tensors = placeTensors(source, unplaced, cursor.position, alignment)
  return { path: source.name, bytes: source.bytes, version, metadata, metadataTypes, rawTexts, tensors, memory: taken + cursor.taken }
}

async function readVersion(cursor: HeaderCursor): Promise<2 | 3> {
  cursor.where = 'magic'
  if (cursor.remaining === 0) cursor.fail('not a GGUF file: it is empty', 0)
  await cursor.need(4)
  const first = cursor.takeBytes(4)
  const magic = String.fromCharCode(...first)
  const impostor = impostorOf(first)
  if (impostor !== undefined) cursor.fail(`not a GGUF file: ${impostor}`, 0)
  if (magic !== 'GGUF') cursor.fail(`not a GGUF file: starts with ${quoted(magic)}, expected "GGUF"`, 0)
  cursor.where = 'header'
  const version = await cursor.uint32()
  if (version === 2 || version === 3) return version
  if (version !== 0 && version % 65536 === 0) cursor.fail('a big-endian GGUF file, expected little-endian', 4)
  return cursor.fail(`GGUF version ${version}, expected 2 or 3`, 4)
}

function checkAlignment(cursor: HeaderCursor, alignment: GgufValue = DEFAULT_ALIGNMENT): number {
  cursor.where = 'key "general.alignment"'
  if (isAlignment(alignment)) return alignment
  return cursor.fail(`an alignment of ${shown(alignment)}, expected a power of two from 8 to ${limits.alignment.most}`)
}

async function readTensorInfo(cursor: HeaderCursor): Promise<UnplacedTensor> {
  const dimensions = await cursor.uint32()
  if (dimensions < 1 || dimensions > MOST_DIMENSIONS) {
    cursor.fail(`${dimensions} dimensions, expected 1 to ${MOST_DIMENSIONS}`, cursor.position - 4)
  }
  const shape: number[] = []
  let weights = 1
  for (let d = 0; d < dimensions; d++) {
    const size = await cursor.uint64()
    weights *= Number(size)
    if (weights === 0) cursor.fail(`dimension ${d} is 0, expected at least 1`, cursor.position - 8)
    if (!Number.isSafeInteger(weights)) cursor.fail(`dimension ${d} is ${size}, which makes more than 2^53 weights`, cursor.position - 8)
    shape.push(Number(size))
  }

  const typeId = await cursor.uint32()
  const type = ggmlTypeById(typeId)
  if (!type) {
    const removed = removedGgmlTypeName(typeId)
    return cursor.fail(
      removed ? `type ${typeId}, ${removed}, which ggml has removed: convert the model again` : `unknown tensor type ${typeId}`,
      cursor.position - 4,
    )
  }
  const columns = shape[0]!
  if (columns % type.blockWeights !== 0) {
    cursor.fail(`rows of ${columns} weights, expected a multiple of the ${type.blockWeights} in a block of ${type.name}`)
  }
  const relativeOffset = await cursor.uint64()
  return { type, shape, relativeOffset, bytes: bytesIn(type, weights) }
}
