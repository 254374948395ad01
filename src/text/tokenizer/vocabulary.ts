// The vocabulary in a GGUF file's metadata, checked: pieces, scores and types; the ids with a meaning are
// specialIds.ts's. The file is untrusted, so everything is checked before it is used. Knows the bytes of a token, not
// how text becomes tokens.

import { MixtralError, shown } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import type { Steps } from '../../base/timeSlice.js'
import type { GgufValue } from '../../format/gguf/gguf.js'
import { readSpecialIds, type SpecialIds, tokenType } from './specialIds.js'

export interface Vocabulary extends SpecialIds {
  /** (vocabulary) the piece as stored: a space is U+2581. */
  readonly pieces: readonly string[]
  /** (vocabulary) pieces of higher scores merge first. */
  readonly scores: Float64Array
  /** (vocabulary) one of `tokenType`. */
  readonly types: Uint8Array
  /** (vocabulary) the value of a byte token, -1 for any other. */
  readonly byteOfId: Int16Array
  /** (256) the token of a byte, -1 where there is none. */
  readonly idOfByte: Int32Array
  readonly addBos: boolean
  readonly addSpacePrefix: boolean
}

const LARGEST_VOCABULARY = limits.vocabulary.most
/** In UTF-16 units. */
const LONGEST_PIECE = limits.piece.most

const utf8 = new TextEncoder()

/**
 * Reads and checks the vocabulary, and may pause between its columns. Throws a MixtralError `TOKENIZER`, which names
 * the key, for a value that is missing, mismatched or impossible.
 */
export function* readVocabulary(metadata: ReadonlyMap<string, GgufValue>): Steps<Vocabulary> {
  const model = metadata.get('tokenizer.ggml.model')
  if (model !== 'llama') {
    throw refusal('model', `${model === undefined ? 'missing' : shown(model)}, expected "llama" (SentencePiece BPE)`)
  }
  const pieces = readPieces(metadata)
  yield
  const scores = Float64Array.from(column(metadata, 'scores', pieces.length, (value) => typeof value === 'number' && !Number.isNaN(value)))
  yield
  const types = Uint8Array.from(
    column(
      metadata,
      'token_type',
      pieces.length,
      (value) => typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 6,
    ),
  )
  yield
  const special = readSpecialIds(metadata, pieces, types)
  yield
  return {
    pieces,
    scores,
    types,
    ...special,
    ...readBytes(pieces, types, special.unknownId),
    addBos: readFlag(metadata, 'add_bos_token', true),
    addSpacePrefix: readFlag(metadata, 'add_space_prefix', true),
  }
}

/**
 * The bytes that a token adds to a text, which may be part of a character. `id` must be in the vocabulary.
 * Control and unknown tokens have no bytes: they are left out of texts.
 */
export function tokenBytes({ pieces, types, byteOfId }: Vocabulary, id: number): Uint8Array {
  const byte = byteOfId[id]!
  if (byte >= 0) return Uint8Array.of(byte)
  if (types[id] === tokenType.control || types[id] === tokenType.unknown) return new Uint8Array(0)
  return utf8.encode(pieces[id]!.replaceAll('\u2581', ' '))
}

function readPieces(metadata: ReadonlyMap<string, GgufValue>): string[] {
  const tokens = metadata.get('tokenizer.ggml.tokens')
  if (!Array.isArray(tokens)) throw refusal('tokens', `${tokens === undefined ? 'missing' : typeof tokens}, expected an array of strings`)
  if (tokens.length === 0 || tokens.length > LARGEST_VOCABULARY) {
    throw refusal('tokens', `${tokens.length} entries, expected 1 to ${LARGEST_VOCABULARY}`)
  }
  return tokens.map((piece, id) => {
    if (typeof piece !== 'string') throw refusal('tokens', `entry ${id} is a ${typeof piece}, expected a string`)
    if (piece.length > LONGEST_PIECE) throw refusal('tokens', `entry ${id} is ${piece.length} long, expected at most ${LONGEST_PIECE}`)
    return piece
  })
}

/** A numeric array parallel to the tokens. */
function column(metadata: ReadonlyMap<string, GgufValue>, key: string, length: number, valid: (value: GgufValue) => boolean): number[] {
  const values = metadata.get(`tokenizer.ggml.${key}`)
  if (!Array.isArray(values)) throw refusal(key, `${values === undefined ? 'missing' : typeof values}, expected an array of numbers`)
  if (values.length !== length) throw refusal(key, `${values.length} entries, expected one for each of the ${length} tokens`)
  const wrong = values.findIndex((value) => !valid(value))
  if (wrong >= 0) throw refusal(key, `entry ${wrong} is ${shown(values[wrong])}`)
  return values as number[]
}

function readFlag(metadata: ReadonlyMap<string, GgufValue>, key: string, fallback: boolean): boolean {
  const flag = metadata.get(`tokenizer.ggml.${key}`) ?? fallback
  if (typeof flag !== 'boolean') throw refusal(key, `${shown(flag)}, expected a boolean`)
  return flag
}

/** The tables between bytes and their tokens, `<0x00>` to `<0xFF>`. */
function readBytes(pieces: readonly string[], types: Uint8Array, unknownId: number | undefined) {
  const byteOfId = new Int16Array(pieces.length).fill(-1)
  const idOfByte = new Int32Array(256).fill(-1)
  pieces.forEach((piece, id) => {
    if (types[id] !== tokenType.byte) return
    const hex = /^<0x([0-9A-F]{2})>$/i.exec(piece)?.[1]
    if (hex === undefined) throw refusal('tokens', `byte token ${id} is ${shown(piece)}, expected <0x00> to <0xFF>`)
    const byte = Number.parseInt(hex, 16)
    byteOfId[id] = byte
    if (idOfByte[byte] === -1) idOfByte[byte] = id
  })
  if (unknownId === undefined && idOfByte.includes(-1)) {
    throw refusal('tokens', `no token for byte ${idOfByte.indexOf(-1)} and no unknown token: some texts could not be encoded`)
  }
  return { byteOfId, idOfByte }
}

function refusal(key: string, problem: string): MixtralError {
  return new MixtralError('TOKENIZER', `tokenizer.ggml.${key}: ${problem}`)
}
