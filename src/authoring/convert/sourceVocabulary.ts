// A vocabulary between a checkpoint and a GGUF file: what tokenizer.model and tokenizer.json are both read into. Owns
// its shape and limits.

import { limits } from '../../base/limits.js'

/** Largest number of tokens in a vocabulary. */
export const LARGEST_VOCABULARY = limits.vocabulary.most

/** In UTF-16 units, as in our tokenizer's vocabulary. */
export const LONGEST_PIECE = limits.piece.most

/**
 * Whether a text can be a token's: not empty, not too long, and unchanged when it is written as UTF-8 and read again.
 */
export function isPiece(text: string): boolean {
  return text.length > 0 && text.length <= LONGEST_PIECE && text.isWellFormed()
}

export interface SourceToken {
  /** A space is U+2581, a byte `<0x0A>`. */
  readonly piece: string
  /** Higher merges first. */
  readonly score: number
  /** One of the values of `tokenType` in text/tokenizer/. */
  readonly type: number
}

export interface SourceVocabulary {
  /** The file, for messages. */
  readonly file: string
  /** By id; undefined where the file has no token. */
  readonly tokens: readonly (SourceToken | undefined)[]
  /** Whether a text gets a space in front. */
  readonly addSpacePrefix: boolean
  /** Whether BOS and EOS go around a text; undefined where the file does not say. */
  readonly addBos?: boolean
  readonly addEos?: boolean
  /** Ids of the tokens with a meaning, where the file names them. */
  readonly special: { readonly bos?: number; readonly eos?: number; readonly unknown?: number; readonly padding?: number }
}
