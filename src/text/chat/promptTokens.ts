// The parts of a rendered chat: control tokens and texts. Owns the promise that the text of a message never becomes a
// control token, and the space behind a control token. Tokens that a vocabulary calls user-defined are texts for
// llama.cpp, and are found in messages as there, except those that stand between messages.

import { MixtralError } from '../../base/errors.js'
import type { Steps } from '../../base/timeSlice.js'
import { Text } from '../templates/markedText.js'
import { SpecialTokens } from '../tokenizer/specialTokens.js'
import { stepsOf, type Tokenizer } from '../tokenizer/tokenizer.js'

/** What an answer follows in Mixtral's format, in vocabularies where it is a text. */
const END_OF_QUESTION = '[/INST]'
/** How newer templates of 8x7B begin a question: with the space that the tokenizer puts there anyway. */
const SPACED_QUESTION = ' [INST]'
const SPACE = Text.of(' ', 0)
/** A name between signs, such as `<tool_call>`. */
const MARK = /^[^\p{L}\p{N}\s].*\p{L}.*[^\p{L}\p{N}\s]$/su
/** Names of what stands between messages. */
const BETWEEN = /system|user|assistant|human|tool|inst|im_start|_of_turn|header/i

export class PromptTokens {
  readonly #tokenizer: Tokenizer
  /** A character that no special token has, instead of each one that a caller wrote. */
  readonly #stranger: string
  readonly #sources: readonly string[]
  /** The user-defined tokens that a message may have; null for none. */
  #inMessages: SpecialTokens | null | undefined
  /**
   * Whether the vocabulary is of Mistral's third kind, with control tokens for instructions. Models with it are trained
   * on texts that have one space behind such a token: that which a template writes there is the one that the tokenizer
   * puts before every text. See `encode_instruct` of mistral-common.
   */
  readonly sharesSpace: boolean

  /** @param sources the templates, whose marks no message may have */
  constructor(tokenizer: Tokenizer, sources: readonly string[] = []) {
    this.#tokenizer = tokenizer
    this.#sources = sources
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
    if (this.#inMessages === undefined) this.#inMessages = this.#userDefined()
    const inMessages = this.#inMessages
    const parts = yield* stepsOf(this.#tokenizer).splitSpecial(own.join(''))
    const written = inMessages && new Set(parts.filter((part) => typeof part === 'number'))
    const all: (string | number)[] = []
    for (const part of parts) {
      const start = at
      at += typeof part === 'number' ? this.#tokenizer.token(part).piece.length : part.length
      if (typeof part === 'number') {
        isBehindToken = true
        all.push(part)
        continue
      }
      const isFirst = isBehindToken || start === 0
      const shares = (this.sharesSpace && isBehindToken && part.startsWith(' ')) || (isFirst && this.#isSpacedQuestion(part))
      isBehindToken = false
      const plain = text.value.slice(shares ? start + 1 : start, at)
      if (!inMessages) all.push(plain)
      else for (const one of yield* this.#plainParts(plain, inMessages, written!)) all.push(one)
    }
    return all
  }

  /** Models are trained on one space before a question, see the first version of mistral-common's `encode_instruct`. */
  #isSpacedQuestion(part: string): boolean {
    return this.#tokenizer.addSpacePrefix && part.startsWith(SPACED_QUESTION)
  }

  /** A text and the user-defined tokens in it. A mark that the template has written in this prompt is a text. */
  *#plainParts(text: string, inMessages: SpecialTokens, written: ReadonlySet<number>): Steps<(string | number)[]> {
    const parts: (string | number)[] = []
    for (const found of yield* inMessages.splitSteps(text)) {
      const isText = typeof found === 'string' || (written.has(found) && MARK.test(this.#textOf(found)))
      const part = isText && typeof found === 'number' ? this.#textOf(found) : found
      const last = parts.at(-1)
      if (typeof part === 'string' && typeof last === 'string') parts[parts.length - 1] = last + part
      else parts.push(part)
    }
    return parts
  }

  #userDefined(): SpecialTokens | null {
    const { bosId, endIds, specialTexts } = this.#tokenizer
    const own = specialTexts.flatMap((text) => {
      const [id] = this.#tokenizer.splitSpecial(text) as [number]
      const isControl = this.#tokenizer.token(id).type !== 'userDefined' || id === bosId || endIds.has(id)
      return isControl || (MARK.test(text) && BETWEEN.test(text)) ? [] : [[text, id] as const]
    })
    if (own.length === 0) return null
    const all = new SpecialTokens()
    for (const [text, id] of own) all.add(text, id)
    const inSources = new Set(this.#sources.flatMap((source) => all.split(source)))
    const allowed = new SpecialTokens()
    for (const [text, id] of own) if (!(inSources.has(id) && MARK.test(text))) allowed.add(text, id)
    return allowed
  }

  #textOf(id: number): string {
    return this.#tokenizer.token(id).piece.replaceAll('\u2581', ' ')
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
