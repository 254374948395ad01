// The parts of a rendered chat: control tokens and texts. Owns the promise that the text of a message never becomes a
// control token, and the space behind a control token.

import { MixtralError } from '../../base/errors.js'
import type { Steps } from '../../base/timeSlice.js'
import { Text } from '../templates/markedText.js'
import { stepsOf, type Tokenizer } from '../tokenizer/tokenizer.js'

/** What an answer follows in Mixtral's format, in vocabularies where it is a text. */
const END_OF_QUESTION = '[/INST]'
const SPACE = Text.of(' ', 0)

export class PromptTokens {
  readonly #tokenizer: Tokenizer
  /** A character that no special token has, instead of each one that a caller wrote. */
  readonly #stranger: string
  /**
   * Whether the vocabulary is of Mistral's third kind, with control tokens for instructions. Models with it are trained
   * on texts that have one space behind such a token: that which a template writes there is the one that the tokenizer
   * puts before every text. See `encode_instruct` of mistral-common.
   */
  readonly sharesSpace: boolean

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer
    this.#stranger = unusedCharacter(tokenizer.specialTexts)
    const [instruction] = tokenizer.splitSpecial('[INST]')
    this.sharesSpace = tokenizer.addSpacePrefix && typeof instruction === 'number' && tokenizer.token(instruction).type === 'control'
  }

  /**
   * Throws a MixtralError `TOKENIZER`, as `encodeParts` does.
   * @param answers the origins of what the assistant said
   */
  *ids(text: Text, answers: ReadonlySet<number>): Steps<number[]> {
    return yield* stepsOf(this.#tokenizer).encodeParts(yield* this.#parts(this.#spaced(text, answers)))
  }

  /**
   * With the space of each answer's first word. The model writes one behind `[/INST]`, which decoding takes off; the
   * templates of 8x7B leave it out, so that the same answer would be other tokens in the next prompt. As in the
   * `encode_instruct` of mistral-common, and in llama.cpp's own format of the name `mistral-v1`.
   */
  #spaced(text: Text, answers: ReadonlySet<number>): Text {
    if (!this.#tokenizer.addSpacePrefix || this.sharesSpace) return text
    const parts: Text[] = []
    let from = 0
    for (const { start, origin } of text.runs) {
      if (!answers.has(origin) || !text.value.slice(0, start).endsWith(END_OF_QUESTION) || /\s/.test(text.value[start]!)) continue
      parts.push(text.slice(from, start), SPACE)
      from = start
    }
    return from === 0 ? text : Text.concat([...parts, text.slice(from)])
  }

  *#parts(text: Text): Steps<(string | number)[]> {
    const own = text.parts().map(({ text: part, origin }) => (origin === 0 ? part : this.#stranger.repeat(part.length)))
    let at = 0
    let isBehindToken = false
    const parts = yield* stepsOf(this.#tokenizer).splitSpecial(own.join(''))
    return parts.map((part) => {
      const start = at
      at += typeof part === 'number' ? this.#tokenizer.token(part).piece.length : part.length
      if (typeof part === 'number') {
        isBehindToken = true
        return part
      }
      const shares = this.sharesSpace && isBehindToken && part.startsWith(' ')
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
