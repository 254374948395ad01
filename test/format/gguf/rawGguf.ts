// Pieces of GGUF headers as bytes, right or wrong, for tests of refusal. Not a test.

import { MixtralError } from '../../../dist/base/errors.js'
import { readHeader } from '../../../dist/format/gguf/readHeader.js'
import { memorySource } from './tinyGguf.js'

type Piece = Uint8Array | readonly number[]

export const u32 = (value: number): Uint8Array => new Uint8Array(new Uint32Array([value]).buffer)
export const u64 = (value: number | bigint): Uint8Array => new Uint8Array(new BigUint64Array([BigInt(value)]).buffer)
export const text = (value: string): Uint8Array => join(u64(new TextEncoder().encode(value).length), new TextEncoder().encode(value))
/** `GGUF`, the version and the two counts. */
export const start = (tensors: number | bigint, keys: number | bigint, version = 3): Uint8Array =>
  join(new TextEncoder().encode('GGUF'), u32(version), u64(tensors), u64(keys))
/** A tensor info. */
export const info = (name: string, shape: readonly (number | bigint)[], type: number, offset: number | bigint): Uint8Array =>
  join(text(name), u32(shape.length), ...shape.map(u64), u32(type), u64(offset))
export const zeros = (length: number): Uint8Array => new Uint8Array(length)

export function join(...pieces: readonly Piece[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(pieces.map((piece) => Uint8Array.from(piece))))
}

/** Reads a header that must be refused, and returns the message. */
export async function refusal(bytes: Uint8Array, name = 'hostile.gguf'): Promise<string> {
  const outcome: unknown = await readHeader(memorySource(bytes, name)).catch((error: unknown) => error)
  if (outcome instanceof MixtralError && outcome.code === 'GGUF') return outcome.message
  throw new Error('expected the header to be refused with code GGUF', { cause: outcome })
}
