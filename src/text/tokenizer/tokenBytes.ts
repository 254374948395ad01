// The bytes that a token adds to a text, which may be part of a character. Does not know what stands before it.

import { tokenType, type Vocabulary } from './vocabulary.js'

const utf8 = new TextEncoder()

/** `id` must be in the vocabulary. Control and unknown tokens have no bytes: they are left out of texts. */
export function tokenBytes({ pieces, types, byteOfId }: Vocabulary, id: number): Uint8Array {
  const byte = byteOfId[id]!
  if (byte >= 0) return Uint8Array.of(byte)
  if (types[id] === tokenType.control || types[id] === tokenType.unknown) return new Uint8Array(0)
  return utf8.encode(pieces[id]!.replaceAll('\u2581', ' '))
}
