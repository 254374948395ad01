// Reads strings and metadata values. Owns their limits: lengths, nesting, memory; knows no key.

import { limits } from '../../base/limits.js'
import type { GgufValue } from './gguf.js'
import type { HeaderCursor } from './headerCursor.js'
import { type GgufScalarType, type GgufValueType, scalarOf, valueTypeById } from './valueType.js'

// The format allows keys of 65,535 bytes; names are looked up by their hashes, which long ones share.
const LONGEST_NAME = limits.nameBytes.most
const DEEPEST_NESTING = limits.nesting.most
// Most bytes of numbers that are read at once.
const READ_BYTES = 64 * 1024

// Most bytes that values take in memory: an array's slot with the spare capacity, a bigint, a string without its text
// and per byte of it (two bytes a character, and its bytes in the window), an array without its elements.
const SLOT = 24
const BIGINT = 32
const STRING = 32
const STRING_BYTE = 3
const ARRAY = 96
// A text that is kept as bytes, too.
const RAW_TEXT = 256

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const lenient = new TextDecoder('utf-8', { ignoreBOM: true })

/** Reads a key or a tensor's name: valid UTF-8 of at most 4096 bytes. */
export async function readName(cursor: HeaderCursor): Promise<string> {
  const start = cursor.position
  const length = await cursor.count('bytes of name', 1)
  if (length > LONGEST_NAME) cursor.fail(`a name of ${length} bytes, expected at most ${LONGEST_NAME}`, start)
  cursor.charge(STRING + STRING_BYTE * length)
  await cursor.need(length)
  try {
    return strict.decode(cursor.takeBytes(length))
  } catch {
    return cursor.fail('a name that is not valid UTF-8', start)
  }
}

/** Reads the type of a value and, for arrays, leaves the element type to `readValue`. */
export async function readValueType(cursor: HeaderCursor): Promise<GgufScalarType | 'string' | 'array'> {
  const id = await cursor.uint32()
  return valueTypeById(id) ?? cursor.fail(`value type ${id}, expected 0 to 12`, cursor.position - 4)
}

/** Reads one value of a type that `readValueType` gave, and says which type it turned out to be. */
export async function readValue(
  cursor: HeaderCursor,
  type: GgufScalarType | 'string' | 'array',
  depth = 0,
): Promise<{ type: GgufValueType; value: GgufValue }> {
  if (type === 'string') return { type, value: await readString(cursor) }
  if (type === 'array') return readArray(cursor, depth + 1)
  await cursor.need(scalarOf(type)!.bytes)
  return { type, value: takeScalar(cursor, type) }
}

/**
 * Reads a text. Bytes that are not UTF-8 become U+FFFD: a broken byte in a license text is no reason to refuse a model.
 * The cursor keeps them for copies.
 */
async function readString(cursor: HeaderCursor): Promise<string> {
  const length = await cursor.count('bytes of text', 1)
  cursor.charge(STRING + STRING_BYTE * length)
  await cursor.need(length)
  const bytes = cursor.takeBytes(length)
  const text = lenient.decode(bytes)
  if (text.includes('\ufffd') && !isUtf8(bytes)) {
    cursor.charge(RAW_TEXT + length)
    cursor.rawTexts.set(cursor.texts, bytes.slice())
  }
  cursor.texts++
  return text
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    strict.decode(bytes)
    return true
  } catch {
    return false
  }
}

async function readArray(cursor: HeaderCursor, depth: number): Promise<{ type: GgufValueType; value: GgufValue[] }> {
  if (depth > DEEPEST_NESTING) cursor.fail(`arrays nested deeper than ${DEEPEST_NESTING}`)
  const element = await readValueType(cursor)
  const scalar = scalarOf(element)
  // Least bytes of an element: of a text its length, of an array its element type and count.
  const count = await cursor.count(`elements of ${element}`, scalar?.bytes ?? (element === 'string' ? 8 : 12))
  cursor.charge(ARRAY + count * (SLOT + (scalar?.bytes === 8 ? BIGINT : 0)))

  const value: GgufValue[] = []
  if (scalar) {
    const atOnce = READ_BYTES / scalar.bytes
    while (value.length < count) {
      const end = Math.min(count, value.length + atOnce)
      await cursor.need((end - value.length) * scalar.bytes)
      while (value.length < end) value.push(takeScalar(cursor, element as GgufScalarType))
    }
    return { type: `array<${element}>`, value }
  }
  if (element === 'string') {
    while (value.length < count) value.push(await readString(cursor))
    return { type: 'array<string>', value }
  }
  let inner: GgufValueType = 'array'
  while (value.length < count) {
    const array = await readArray(cursor, depth + 1)
    if (value.length > 0 && array.type !== inner) cursor.fail(`an array of both ${inner} and ${array.type}, expected one type`)
    inner = array.type
    value.push(array.value)
  }
  return { type: `array<${inner}>`, value }
}

/** Takes a value of fixed size whose bytes are in the window. */
function takeScalar(cursor: HeaderCursor, type: GgufScalarType): number | bigint | boolean {
  const value = cursor.take(type)
  if (type !== 'bool') return value
  if (value !== 0 && value !== 1) cursor.fail(`a bool of ${value}, expected 0 or 1`, cursor.position - 1)
  return value === 1
}
