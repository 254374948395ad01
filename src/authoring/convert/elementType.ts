// The three number formats of weights in a checkpoint and in the result, and the conversion between any two of them,
// one row of bytes at a time. Owns the tables: a 16-bit source has only 65536 values.

import { floatToHalf, halfToFloat } from '../../format/quants/half.js'

/** The names, the same in GGUF and safetensors. */
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

/** For each 16-bit pattern of a type, its value as F32 and as the other 16-bit type. */
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
 * Converts elements to another type, each to the nearest value. Returns the bytes themselves if the types are the same.
 * @param bytes whole elements of `from`, little-endian
 * @returns the same number of elements of `to`; undefined if a finite number becomes infinite, as beyond 65504 in F16
 */
export function convertElements(bytes: Uint8Array, from: ElementType, to: ElementType): Uint8Array | undefined {
  if (from === to) return bytes
  const { buffer, byteOffset, length } = bytes.byteOffset % sizeOf(from) === 0 ? bytes : bytes.slice()
  // One loop for each kind of array: a loop over several kinds is many times slower.
  if (from === 'F32') {
    const source = new Uint32Array(buffer, byteOffset, length / 4)
    const floats = new Float32Array(buffer, byteOffset, length / 4)
    return finiteBytes(to === 'BF16' ? bitsAsBf16(source) : floatsAsHalves(floats), (i) => Number.isFinite(floats[i]))
  }
  const source = new Uint16Array(buffer, byteOffset, length / 2)
  const { wide, other } = tablesOf(from)
  if (to === 'F32') return new Uint8Array(widened(source, wide).buffer)
  return finiteBytes(lookedUp(source, other, to), (i) => Number.isFinite(wide[source[i]!]))
}

/** 16-bit values, and whether an infinity or NaN may be among them. */
interface Narrowed {
  readonly values: Uint16Array
  readonly unusual: boolean
  readonly infinity: number
}

// Added to the largest finite magnitude of a type, it does not reach bit 15; added to infinity, it does.
const margins = { F16: 0x400, BF16: 0x80 }

/** The bytes, or undefined if the result is infinite where the source was finite. */
function finiteBytes({ values, unusual, infinity }: Narrowed, wasFinite: (i: number) => boolean): Uint8Array | undefined {
  if (unusual) for (let i = 0; i < values.length; i++) if ((values[i]! & 0x7fff) === infinity && wasFinite(i)) return undefined
  return new Uint8Array(values.buffer)
}

function narrowed(values: Uint16Array, seen: number, type: 'F16' | 'BF16'): Narrowed {
  return { values, unusual: (seen & 0x8000) !== 0, infinity: 0x8000 - margins[type] }
}

function bitsAsBf16(source: Uint32Array): Narrowed {
  const out = new Uint16Array(source.length)
  let seen = 0
  for (let i = 0; i < out.length; i++) {
    const bits = bitsToBf16(source[i]!)
    out[i] = bits
    seen |= (bits & 0x7fff) + margins.BF16
  }
  return narrowed(out, seen, 'BF16')
}

function floatsAsHalves(source: Float32Array): Narrowed {
  const out = new Uint16Array(source.length)
  let seen = 0
  for (let i = 0; i < out.length; i++) {
    const bits = floatToHalf(source[i]!)
    out[i] = bits
    seen |= (bits & 0x7fff) + margins.F16
  }
  return narrowed(out, seen, 'F16')
}

function lookedUp(source: Uint16Array, table: Uint16Array, type: 'F16' | 'BF16'): Narrowed {
  const margin = margins[type]
  const out = new Uint16Array(source.length)
  let seen = 0
  for (let i = 0; i < out.length; i++) {
    const bits = table[source[i]!]!
    out[i] = bits
    seen |= (bits & 0x7fff) + margin
  }
  return narrowed(out, seen, type)
}

function widened(source: Uint16Array, table: Float32Array): Float32Array {
  const out = new Float32Array(source.length)
  for (let i = 0; i < out.length; i++) out[i] = table[source[i]!]!
  return out
}
