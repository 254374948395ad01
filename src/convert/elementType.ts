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

/** The nearest BF16, ties to even; a NaN stays one. */
function floatToBf16(value: number): number {
  float[0] = value
  const bits = floatBits[0]!
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16
}

const toFloat = { F16: halfToFloat, BF16: bf16ToFloat }
const fromFloat = { F16: floatToHalf, BF16: floatToBf16 }

const tables = new Map<string, Uint16Array | Float32Array>()

/** What each 16-bit pattern of one type becomes in another. */
function tableOf(from: 'F16' | 'BF16', to: ElementType): Uint16Array | Float32Array {
  const key = `${from} ${to}`
  let table = tables.get(key)
  if (!table) {
    table = to === 'F32' ? new Float32Array(65536) : new Uint16Array(65536)
    for (let bits = 0; bits < 65536; bits++) table[bits] = to === 'F32' ? toFloat[from](bits) : fromFloat[to](toFloat[from](bits))
    tables.set(key, table)
  }
  return table
}

/**
 * Elements in another type, each the nearest there is. The bytes themselves if the types are one.
 * @param bytes whole elements of `from`, little-endian
 * @returns as many elements of `to`; undefined if a number has become an infinity, as beyond 65504 in F16
 */
export function convertElements(bytes: Uint8Array, from: ElementType, to: ElementType): Uint8Array | undefined {
  if (from === to) return bytes
  const { buffer, byteOffset, length } = bytes.byteOffset % sizeOf(from) === 0 ? bytes : bytes.slice()
  const source = from === 'F32' ? new Float32Array(buffer, byteOffset, length / 4) : new Uint16Array(buffer, byteOffset, length / 2)
  const out = to === 'F32' ? new Float32Array(source.length) : new Uint16Array(source.length)
  if (from === 'F32') {
    const convert = fromFloat[to as 'F16' | 'BF16']
    for (let i = 0; i < out.length; i++) out[i] = convert(source[i]!)
  } else {
    const table = tableOf(from, to)
    for (let i = 0; i < out.length; i++) out[i] = table[source[i]!]!
  }
  if (to === 'F32') return new Uint8Array(out.buffer)
  const infinity = to === 'F16' ? 0x7c00 : 0x7f80
  for (let i = 0; i < out.length; i++) {
    if ((out[i]! & 0x7fff) === infinity && Number.isFinite(from === 'F32' ? source[i] : toFloat[from](source[i]!))) return undefined
  }
  return new Uint8Array(out.buffer)
}
