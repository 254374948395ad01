// Tokens back to text, one at a time. Owns the bytes of a character that is not complete yet, and whether the next
// piece opens a text. Whole texts are decoded by the same code, so streaming gives the same result.

import { checkObject, MixtralError, shown } from '../../base/errors.js'
import { tokenType } from './specialIds.js'
import { tokenBytes, type Vocabulary } from './vocabulary.js'

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
    checkObject(options)
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
    const { pieces, types, byteOfId } = this.#vocabulary
    const piece = Number.isInteger(id) ? pieces[id] : undefined
    if (piece === undefined) throw new MixtralError('TOKENIZER', `token id ${shown(id)}, expected an id below ${pieces.length}`)
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
    const own = this.#hasOwnSpace(id) ? text.slice(1) : text
    this.#opens = type === tokenType.userDefined
    return before + own
  }

  /** Whether the next token begins a text, in which its leading space is left out: what `bytes` depends on. */
  get opens(): boolean {
    return this.#opens
  }

  /** The bytes that a token of the vocabulary would add if it came next. Those of all tokens together are the text. */
  bytes(id: number): Uint8Array {
    const bytes = tokenBytes(this.#vocabulary, id)
    return this.#hasOwnSpace(id) ? bytes.subarray(1) : bytes
  }

  /** The next piece keeps its leading space: it continues a text, although no text has come. */
  keepSpace(): void {
    this.#opens = false
  }

  /** Returns the rest when no token follows: U+FFFD for an incomplete character, else an empty text. */
  end(): string {
    return this.#utf8.decode()
  }

  /**
   * Whether a token begins with a space that is not part of the text: encoding puts one before the text and before each
   * text after a special token.
   */
  #hasOwnSpace(id: number): boolean {
    const { pieces, types, addSpacePrefix } = this.#vocabulary
    return this.#opens && addSpacePrefix && types[id] !== tokenType.userDefined && /^[ \u2581]/.test(pieces[id]!)
  }
}
