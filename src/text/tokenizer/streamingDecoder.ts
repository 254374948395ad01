// Tokens back to text, one at a time. Owns the bytes of a character that is not complete yet, and whether the next
// piece opens a text. Whole texts are decoded by the same code, so streaming gives the same result.

import { MixtralError } from '../../base/errors.js'
import { tokenType, type Vocabulary } from './vocabulary.js'

export interface DecodeOptions {
  /** Includes control and unknown tokens as their text. Default false: they are left out. */
  readonly special?: boolean
  /** The tokens continue an earlier text, such as a prompt: the first piece keeps its leading space. Default false. */
  readonly continues?: boolean
}

/** Decodes tokens one at a time; made by `Tokenizer.decoder`. */
export class StreamingDecoder {
  readonly #vocabulary: Vocabulary
  readonly #special: boolean
  readonly #utf8 = new TextDecoder('utf-8', { ignoreBOM: true })
  #opens: boolean

  constructor(vocabulary: Vocabulary, options: DecodeOptions = {}) {
    this.#vocabulary = vocabulary
    this.#special = options.special ?? false
    this.#opens = !(options.continues ?? false)
  }

  /**
   * Takes one token, and returns the text that is certain with it. A character in byte tokens comes with its last byte,
   * so no character is ever split; bytes that form no character become U+FFFD. Throws a MixtralError `TOKENIZER` for an
   * id outside the vocabulary.
   */
  push(id: number): string {
    const { pieces, types, byteOfId, addSpacePrefix } = this.#vocabulary
    const piece = pieces[id]
    if (piece === undefined) throw new MixtralError('TOKENIZER', `token id ${id}, expected an id below ${pieces.length}`)
    const byte = byteOfId[id]!
    if (byte >= 0) {
      this.#opens = false
      return this.#utf8.decode(Uint8Array.of(byte), { stream: true })
    }
    const before = this.end()
    const type = types[id]
    if (type === tokenType.control || type === tokenType.unknown) {
      if (!this.#special) return before
      this.#opens = true
      return before + piece
    }
    const text = piece.replaceAll('\u2581', ' ')
    // Encoding put a space before the text, and before each text after a special token.
    const ownSpace = this.#opens && addSpacePrefix && type !== tokenType.userDefined && text.startsWith(' ')
    this.#opens = type === tokenType.userDefined
    return before + (ownSpace ? text.slice(1) : text)
  }

  /** Returns the rest when no token follows: U+FFFD for an incomplete character, else an empty text. */
  end(): string {
    return this.#utf8.decode()
  }
}
