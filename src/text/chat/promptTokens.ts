// The parts of a rendered chat: control tokens and texts. Owns the promise that the text of a message never becomes a
// control token, and the space behind a control token.

import { MixtralError } from '../../base/errors.js'
import type { Text } from '../templates/markedText.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'

export class PromptTokens {
  readonly #tokenizer: Tokenizer
  /** A character that no special token has, instead of each one that a caller wrote. */
  readonly #stranger: string
  /**
   * Whether the vocabulary is of Mistral's third kind, with control tokens for instructions. Models with it are trained
   * on texts that have one space behind such a token: that which a template writes there is the one that the tokenizer
   * puts before every text. See `encode_instruct` of mistral-common.
   */
  readonly #sharesSpace: boolean

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer
    this.#stranger = unusedCharacter(tokenizer.specialTexts)
    const [instruction] = tokenizer.splitSpecial('[INST]')
    this.#sharesSpace = tokenizer.addSpacePrefix && typeof instruction === 'number' && tokenizer.token(instruction).type === 'control'
  }

  /** Throws a MixtralError `TOKENIZER`, as `encodeParts` does. */
  ids(text: Text): number[] {
    return this.#tokenizer.encodeParts(this.#parts(text))
  }

  #parts(text: Text): (string | number)[] {
    const own = text.parts().map(({ text: part, origin }) => (origin === 0 ? part : this.#stranger.repeat(part.length)))
    let at = 0
    let isBehindToken = false
    return this.#tokenizer.splitSpecial(own.join('')).map((part) => {
      const start = at
      at += typeof part === 'number' ? this.#tokenizer.token(part).piece.length : part.length
      if (typeof part === 'number') {
        isBehindToken = true
        return part
      }
      const shares = this.#sharesSpace && isBehindToken && part.startsWith(' ')
      isBehindToken = false
      return text.value.slice(shares ? start + 1 : start, at)
    })
  }
}

function unusedCharacter(texts: readonly string[]): string {
  const used = new Set(texts.join('').split(''))
  for (let code = 0xe000; code < 0x1e000; code++) {
    const character = String.fromCharCode(code % 0x10000)
    if (!used.has(character) && !/[\ud800-\udfff]/.test(character)) return character
  }
  throw new MixtralError('TOKENIZER', 'the special tokens have every character there is')
}
