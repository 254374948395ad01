// The tokenizer of a model: text to token ids and back, after SentencePiece's BPE (Kudo and Richardson, 2018) with
// llama.cpp's rules for special tokens. Owns those rules and the space at the beginning of a text; segmentEncoder.ts
// merges.

import { checkKind, checkNames, checkObject, checkText, listCopy, MixtralError, shown } from '../../base/errors.js'
import { atOnce, inSlices, type Steps } from '../../base/timeSlice.js'
import type { GgufValue } from '../../format/gguf/gguf.js'
import { MergeTable } from './mergeTable.js'
import { SegmentEncoder } from './segmentEncoder.js'
import { tokenType } from './specialIds.js'
import { SpecialTokens } from './specialTokens.js'
import { type DecodeOptions, StreamingDecoder } from './streamingDecoder.js'
import { readVocabulary, tokenBytes, type Vocabulary } from './vocabulary.js'

export interface EncodeOptions {
  /** Puts BOS first. Default: as the file says. */
  readonly addBos?: boolean
  /**
   * Treats the text of control tokens (`</s>`) as the tokens. Default false; never set it for text that an end user
   * typed.
   */
  readonly parseSpecial?: boolean
  /** The text continues an earlier one: it gets no leading space of its own. Default false. */
  readonly continues?: boolean
}

/** One entry of the vocabulary, for people to look at. */
export interface Token {
  readonly id: number
  /** As stored: a space is U+2581, a byte `<0x0A>`. */
  readonly piece: string
  readonly type: keyof typeof tokenType
}

/** What a tokenizer does at once, as work that may pause; arguments are checked by who begins it. */
interface TokenizerSteps {
  encode(text: string, options?: EncodeOptions): Steps<number[]>
  encodePrompt(text: string): Steps<number[]>
  encodeParts(parts: readonly (string | number)[]): Steps<number[]>
  splitSpecial(text: string): Steps<(string | number)[]>
}

/** The same work in steps: long texts take tenths of a second. Each has the result of the method of its name. */
export let stepsOf: (tokenizer: Tokenizer) => TokenizerSteps

/** Parts of a text between two places where the work may pause. */
const PAUSE = 256

/** Text to token ids and back. Ids are whole numbers below `vocabSize`. */
export class Tokenizer {
  static {
    stepsOf = (tokenizer) => ({
      encode: (text, options = {}) => tokenizer.#encode(text, options),
      *encodePrompt(text) {
        return yield* this.encodeParts(yield* this.splitSpecial(text))
      },
      encodeParts: (parts) => tokenizer.#append(parts, tokenizer.addBos && parts[0] !== tokenizer.bosId ? [tokenizer.bosId] : []),
      splitSpecial: (text) => tokenizer.#special.splitSteps(text.toWellFormed()),
    })
  }

  /** Number of tokens. */
  readonly vocabSize: number
  readonly bosId: number
  readonly eosId: number
  /** Tokens that end an answer: EOS and, where the vocabulary has them, end-of-turn tokens, whatever the file says. */
  readonly endIds: ReadonlySet<number>
  /** Whether the file asks for BOS before a prompt. */
  readonly addBos: boolean
  /**
   * Whether a text at the beginning, or after a control token, gets a leading space of its own, which decoding takes
   * off again.
   */
  readonly addSpacePrefix: boolean
  /** What is odd about the vocabulary, for people to read. */
  readonly notes: readonly string[]
  readonly #vocabulary: Vocabulary
  readonly #segments: SegmentEncoder
  readonly #special: SpecialTokens
  readonly #userDefined: SpecialTokens

  private constructor(vocabulary: Vocabulary, table: MergeTable, special: SpecialTokens, userDefined: SpecialTokens) {
    this.vocabSize = vocabulary.pieces.length
    this.bosId = vocabulary.bosId
    this.eosId = vocabulary.eosId
    this.endIds = vocabulary.endIds
    this.addBos = vocabulary.addBos
    this.addSpacePrefix = vocabulary.addSpacePrefix
    this.notes = vocabulary.notes
    this.#vocabulary = vocabulary
    this.#segments = new SegmentEncoder(vocabulary, table)
    this.#special = special
    this.#userDefined = userDefined
  }

  static *#build(metadata: ReadonlyMap<string, GgufValue>): Steps<Tokenizer> {
    checkKind('the metadata', metadata, typeof metadata?.get === 'function', "a Map of a GGUF file's keys and values")
    const vocabulary = yield* readVocabulary(metadata)
    const special = yield* specialTokens(vocabulary, [tokenType.control, tokenType.unknown, tokenType.userDefined])
    const userDefined = yield* specialTokens(vocabulary, [tokenType.userDefined])
    return new Tokenizer(vocabulary, yield* MergeTable.build(vocabulary), special, userDefined)
  }

  /**
   * Builds the tokenizer from the `tokenizer.ggml.*` keys of a GGUF file. A `merges` array is ignored, and
   * `add_eos_token` too: the end of a prompt is not the end of a text. Throws a MixtralError `TOKENIZER` for a
   * vocabulary that is malformed, or of another kind than "llama" (SentencePiece BPE).
   */
  static fromGgufMetadata(metadata: ReadonlyMap<string, GgufValue>): Tokenizer {
    return atOnce(Tokenizer.#build(metadata))
  }

  /**
   * The same in slices, so that other work of the thread goes on: a large vocabulary takes seconds. Throws `ABORTED` if
   * the signal fires, and `OPTION`.
   */
  static async load(metadata: ReadonlyMap<string, GgufValue>, options: { readonly signal?: AbortSignal } = {}): Promise<Tokenizer> {
    checkObject(options)
    checkNames(options, ['signal'])
    return inSlices(Tokenizer.#build(metadata), options.signal)
  }

  /**
   * The token ids of a text. Any string can be encoded; half of a surrogate pair counts as U+FFFD.
   *
   *     tokenizer.encode('Hello')                          // [1, 22557], BOS first
   *     tokenizer.encode('</s>', { parseSpecial: true })   // [1, 2]
   */
  encode(text: string, options: EncodeOptions = {}): number[] {
    checkText('the text', text)
    checkNames(options, ['addBos', 'parseSpecial', 'continues'])
    return atOnce(this.#encode(text, options))
  }

  /**
   * The token ids of a raw prompt. Control tokens written in it count as such, and BOS is put first if the file asks
   * for it and the prompt has none.
   */
  encodePrompt(text: string): number[] {
    checkText('the prompt', text)
    return atOnce(stepsOf(this).encodePrompt(text))
  }

  /** Splits a text at the special tokens of every kind that it spells: plain texts and ids, in order. */
  splitSpecial(text: string): (string | number)[] {
    checkText('the text', text)
    return atOnce(stepsOf(this).splitSpecial(text))
  }

  /** The texts at which `splitSpecial` splits. */
  get specialTexts(): string[] {
    return this.#special.texts
  }

  /**
   * The token ids of parts as `splitSpecial` returns them. BOS is put first as in `encodePrompt`. Throws a MixtralError
   * `TOKENIZER` for an id outside the vocabulary, `OPTION` for what is no list of texts and ids.
   */
  encodeParts(given: readonly (string | number)[]): number[] {
    checkKind('the list of parts', given, Array.isArray(given), 'a list of texts and token ids')
    const parts = listCopy(given)
    for (const part of parts) checkKind('a part', part, typeof part === 'string' || typeof part === 'number', 'a text or a token id')
    return atOnce(stepsOf(this).encodeParts(parts))
  }

  /**
   * The text of token ids. Control tokens are left out unless `special`; one leading space is removed unless
   * `continues`. Throws a MixtralError `TOKENIZER` for an id outside the vocabulary, `OPTION` for what is no list of
   * ids.
   */
  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    checkKind('the list of token ids', ids, typeof ids?.[Symbol.iterator] === 'function', 'an iterable of numbers')
    const decoder = this.decoder(options)
    const texts: string[] = []
    // The iterator of a typed array throws where its bytes were given to another thread; by its length it is empty.
    for (const id of ArrayBuffer.isView(ids) ? listCopy(ids as unknown as ArrayLike<number>) : ids) texts.push(decoder.push(id))
    return texts.join('') + decoder.end()
  }

  /** A decoder that takes one id at a time, with the options of `decode`. */
  decoder(options: DecodeOptions = {}): StreamingDecoder {
    checkNames(options, ['special', 'continues'])
    return new StreamingDecoder(this.#vocabulary, options)
  }

  /** One entry of the vocabulary. Throws a MixtralError `TOKENIZER` for an id outside it. */
  token(id: number): Token {
    const piece = Number.isInteger(id) ? this.#vocabulary.pieces[id] : undefined
    if (piece === undefined) throw new MixtralError('TOKENIZER', `token id ${shown(id)}, expected an id below ${this.vocabSize}`)
    return { id, piece, type: typeNames[this.#vocabulary.types[id]!] as Token['type'] }
  }

  /**
   * The bytes that a token adds to a text, a space at its beginning included. Throws a MixtralError `TOKENIZER` for an
   * id outside the vocabulary.
   */
  bytes(id: number): Uint8Array {
    return tokenBytes(this.#vocabulary, this.token(id).id)
  }

  *#encode(text: string, { addBos, parseSpecial, continues }: EncodeOptions): Steps<number[]> {
    const parts = yield* (parseSpecial ? this.#special : this.#userDefined).splitSteps(text.toWellFormed())
    return yield* this.#append(parts, (addBos ?? this.addBos) ? [this.bosId] : [], !continues)
  }

  /** Appends the ids of parts. A text at the beginning, and one after a special token, gets a leading space. */
  *#append(parts: readonly (string | number)[], ids: number[], opens = true): Steps<number[]> {
    for (const [i, part] of parts.entries()) {
      if (i % PAUSE === PAUSE - 1) yield
      if (typeof part === 'number') {
        ids.push(this.token(part).id)
        opens = true
      } else if (part !== '') {
        yield* this.#segments.encode(opens && this.addSpacePrefix ? ` ${part}` : part, ids)
        opens = false
      }
    }
    return ids
  }
}

const typeNames = Object.fromEntries(Object.entries(tokenType).map(([name, type]) => [type, name]))

function* specialTokens(vocabulary: Vocabulary, types: readonly number[]): Steps<SpecialTokens> {
  const tokens = new SpecialTokens()
  for (const [id, piece] of vocabulary.pieces.entries()) {
    if (types.includes(vocabulary.types[id]!)) tokens.add(piece.replaceAll('\u2581', ' '), id)
    if (id % 1024 === 0) yield
  }
  return tokens
}
