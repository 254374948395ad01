// The three number formats that a checkpoint's weights come in and go out as, and the way between any two of them, one row of bytes at a time.
// Owns the tables: 65536 answers are all there are for a 16-bit source.

import { floatToHalf, halfToFloat } from '../quants/half.js'

/** As GGUF and safetensors both spell them. */
export const elementTypes = ['F32', 'F16', 'BF16'] as const
export type ElementType = (typeof elementTypes)[number]

export function isElementType(name: string): name is ElementType {
  return (elementTypes as readonly string[]).includes(name)
}

/** Bytes of one element. */
export function sizeOf(type: ElementType): number {
  return type === 'F32' ? 4 : 2
}

const float = new Float32Array(1)
const floatBits = new Uint32Array(float.buffer)

function bf16ToFloat(bits: number): number {
  floatBits[0] = bits << 16
  return float[0]!
}

/** The BF16 nearest to a float32 given as its bits, ties to even; a NaN stays one. */
function bitsToBf16(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16
}

function floatToBf16(value: number): number {
  float[0] = value
  return bitsToBf16(floatBits[0]!)
}

const toFloat = { F16: halfToFloat, BF16: bf16ToFloat }
const fromFloat = { F16: floatToHalf, BF16: floatToBf16 }

/** What each 16-bit pattern of a type becomes as F32, and as the other 16-bit type. */
const tables = new Map<'F16' | 'BF16', { readonly wide: Float32Array; readonly other: Uint16Array }>()

function tablesOf(from: 'F16' | 'BF16') {
  let both = tables.get(from)
  if (!both) {
    const wide = Float32Array.from({ length: 65536 }, (_, bits) => toFloat[from](bits))
    both = { wide, other: Uint16Array.from(wide, fromFloat[from === 'F16' ? 'BF16' : 'F16']) }
    tables.set(from, both)
  }
  return both
}

/**
 * Elements in another type, each the nearest there is. The bytes themselves if the types are one.
 * @param bytes whole elements of `from`, little-endian
 * @returns as many elements of `to`; undefined if a number has become an infinity, as beyond 65504 in F16
 */
export function convertElements(bytes: Uint8Array, from: ElementType, to: ElementType): Uint8Array | undefined {
  if (from === to) return bytes
  const { buffer, byteOffset, length } = bytes.byteOffset % sizeOf(from) === 0 ? bytes : bytes.slice()
  // One loop for each kind of array: a loop over several kinds is many times slower.
  if (from === 'F32') {
    const source = new Uint32Array(buffer, byteOffset, length / 4)
    const out = to === 'BF16' ? bitsAsBf16(source) : floatsAsHalves(new Float32Array(buffer, byteOffset, length / 4))
    const finite = (i: number) => (source[i]! & 0x7f800000) !== 0x7f800000
    return infinities(out, to).some(finite) ? undefined : new Uint8Array(out.buffer)
  }
  const source = new Uint16Array(buffer, byteOffset, length / 2)
  const { wide, other } = tablesOf(from)
  if (to === 'F32') return new Uint8Array(widened(source, wide).buffer)
  const out = lookedUp(source, other)
  return infinities(out, to).some((i) => Number.isFinite(wide[source[i]!])) ? undefined : new Uint8Array(out.buffer)
}

function bitsAsBf16(source: Uint32Array): Uint16Array {
  const out = new Uint16Array(source.length)
  for (let i = 0; i < out.length; i++) out[i] = bitsToBf16(source[i]!)
  return out
}

function floatsAsHalves(source: Float32Array): Uint16Array {
  const out = new Uint16Array(source.length)
  for (let i = 0; i < out.length; i++) out[i] = floatToHalf(source[i]!)
  return out
}

function lookedUp(source: Uint16Array, table: Uint16Array): Uint16Array {
  const out = new Uint16Array(source.length)
  for (let i = 0; i < out.length; i++) out[i] = table[source[i]!]!
  return out
}

function widened(source: Uint16Array, table: Float32Array): Float32Array {
  const out = new Float32Array(source.length)
  for (let i = 0; i < out.length; i++) out[i] = table[source[i]!]!
  return out
}

/** Where a 16-bit type has an infinity. */
function infinities(values: Uint16Array, type: ElementType): number[] {
  const infinity = type === 'F16' ? 0x7c00 : 0x7f80
  const places: number[] = []
  for (let i = 0; i < values.length; i++) if ((values[i]! & 0x7fff) === infinity) places.push(i)
  return places
}
