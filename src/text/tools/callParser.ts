// Reads an answer that has calls, as it comes: what is text, and which part of which call each character adds. Owns the
// place in the format. What it has handed out it never takes back: the constraint has left no other reading. Calls are
// read from the text after decoding, so that a character is never split.

import { type CallFormat, type Script, symbolsOf, WRAP_CLOSE, WRAP_OPEN } from './callFormat.js'
import { JsonTextReader } from './jsonTextReader.js'
import type { ToolCall, ToolCallDelta } from './toolCalls.js'

/** What a token has added. */
export interface ParsedPiece {
  readonly text: string
  readonly calls: readonly ToolCallDelta[]
}

/** What may come next: symbols, and what they lead to. */
interface Way {
  readonly symbols: readonly (string | number)[]
  readonly at: number
  readonly to: Place
}

/** `start`, `text`: a text, or the beginning of calls. `script`: along one of the ways. `value`: a wrapped value. */
type Place = 'start' | 'text' | 'script' | 'name' | 'arguments' | 'string' | 'value' | 'end'

/** White space before calls belongs to the format. This much of it is held until something else comes. */
const MOST_HELD_SPACE = 16

export class CallParser {
  readonly #format: CallFormat
  readonly #idOf: (index: number) => string
  readonly #calls: { readonly name: string; arguments: string; isWhole: boolean }[] = []
  #place: Place
  #ways: readonly Way[] = []
  #held = ''
  #name = ''
  #json = new JsonTextReader()
  // of the piece that is being read
  #text = ''
  #deltas: ToolCallDelta[] = []

  /**
   * @param idOf the id of each call, by its index in the answer
   * @param wrapsValue whether a wrapped text is any JSON, and not a string
   */
  constructor(format: CallFormat, idOf: (index: number) => string, wrapsValue = false) {
    this.#format = format
    this.#idOf = idOf
    this.#place = 'start'
    if (format.texts !== 'wrapped') return
    const text: Way = wrapsValue ? this.#way([WRAP_OPEN], 0, 'value') : this.#way([`${WRAP_OPEN}"`], 0, 'string')
    this.#follow([this.#way(format.open, -1, 'name'), text])
  }

  /** The calls whose arguments have come to their end. */
  get calls(): ToolCall[] {
    return this.#calls.flatMap(({ name, arguments: text, isWhole }, index) =>
      isWhole ? { id: this.#idOf(index), type: 'function', function: { name, arguments: text } } : [],
    )
  }

  /** The call whose arguments have not come to their end, as far as it has come. */
  get cutCall(): ToolCall | undefined {
    const index = this.#calls.length - 1
    const last = this.#calls[index]
    if (!last || last.isWhole) return undefined
    return { id: this.#idOf(index), type: 'function', function: { name: last.name, arguments: last.arguments } }
  }

  /** Takes the next piece of text, or a control token, which has no text. */
  push(text: string, token?: number): ParsedPiece {
    this.#text = ''
    this.#deltas = []
    for (const unit of text.split('')) this.#take(unit)
    if (token !== undefined) this.#take(token)
    return { text: this.#text, calls: this.#deltas }
  }

  /** Returns the text that is still held. Call it when the answer has ended. */
  end(): ParsedPiece {
    const text = this.#held
    this.#held = ''
    return { text, calls: [] }
  }

  #take(symbol: string | number): void {
    switch (this.#place) {
      case 'start':
      case 'text':
        this.#takeText(symbol)
        break
      case 'script':
        this.#takeScript(symbol)
        break
      case 'name':
        this.#takeName(symbol)
        break
      case 'arguments':
        this.#takeArgument(String(symbol))
        break
      case 'string':
        this.#text += this.#json.text(String(symbol))
        if (this.#json.isEnded) this.#follow([this.#way([WRAP_CLOSE], 0, 'end')])
        break
      case 'value':
        // the brace that closes the object around the value
        if (symbol === WRAP_CLOSE && this.#json.depth === 0 && !this.#json.inString) this.#place = 'end'
        else {
          this.#json.take(String(symbol))
          this.#text += symbol
        }
        break
      case 'end':
        break
    }
  }

  /** A text, of which the end is held while it may still be the beginning of calls. */
  #takeText(symbol: string | number): void {
    const { trigger } = this.#format
    if (typeof symbol === 'number') {
      if (symbol === trigger) this.#begin()
      return
    }
    this.#held += symbol
    const isOver = this.#format.texts === 'instead' && this.#place === 'text'
    while (this.#held !== '' && (isOver || !this.#mayBegin(this.#held))) {
      this.#text += this.#held[0]
      this.#held = this.#held.slice(1)
      this.#place = 'text'
    }
    if (this.#held !== '' && this.#behindSpace(this.#held) === trigger) this.#begin()
  }

  /** Whether calls may begin with this text. */
  #mayBegin(text: string): boolean {
    const { trigger } = this.#format
    const rest = this.#behindSpace(text)
    if (text.length - rest.length > MOST_HELD_SPACE) return false
    return typeof trigger === 'string' ? trigger.startsWith(rest) : rest === ''
  }

  /** What is left of a text without the white space that may stand between it and calls. */
  #behindSpace(text: string): string {
    return this.#format.texts === 'before' ? text.trimStart() : text
  }

  /** The trigger has come: goes on behind it. */
  #begin(): void {
    const { trigger, open } = this.#format
    this.#held = ''
    const first = this.#way(open, -1, 'name')
    this.#follow([{ ...first, at: typeof trigger === 'string' ? trigger.length : 1 }])
  }

  /** A script behind the call of an index, -1 for the one that begins. */
  #way(script: Script, index: number, to: Place): Way {
    return { symbols: symbolsOf(script, this.#idOf(Math.max(0, index)), this.#idOf(index + 1)), at: 0, to }
  }

  #follow(ways: readonly Way[]): void {
    this.#place = 'script'
    this.#ways = ways
    this.#arrive()
  }

  #takeScript(symbol: string | number): void {
    const ended = this.#ways.filter(({ symbols, at }) => at === symbols.length)
    this.#ways = this.#ways.filter(({ symbols, at }) => symbols[at] === symbol).map((each) => ({ ...each, at: each.at + 1 }))
    if (this.#ways.length > 0) this.#arrive()
    else if (ended.length > 0) {
      this.#goTo((ended.find(({ to }) => to === 'name') ?? ended[0]!).to)
      this.#take(symbol)
    }
  }

  /** Goes on to what a way leads to, where it is at its end: a script may also be empty. */
  #arrive(): void {
    const ended = this.#ways.find(({ symbols, at }) => at === symbols.length)
    if (ended && this.#ways.length === 1) this.#goTo(ended.to) // else the end of one may be the beginning of another
  }

  #goTo(place: Place): void {
    this.#place = place
    this.#name = ''
    this.#json = new JsonTextReader()
  }

  /** A name ends where a character comes that no name has. */
  #takeName(symbol: string | number): void {
    if (typeof symbol === 'string' && /[\w-]/.test(symbol)) {
      this.#name += symbol
      return
    }
    const index = this.#calls.length
    const name = this.#name
    this.#calls.push({ name, arguments: '', isWhole: false })
    this.#deltas.push({ index, id: this.#idOf(index), type: 'function', function: { name, arguments: '' } })
    this.#follow([this.#way(this.#format.middle, index, 'arguments')])
    this.#take(symbol)
  }

  #takeArgument(unit: string): void {
    const index = this.#calls.length - 1
    const call = this.#calls[index]!
    call.arguments += unit
    this.#addToDelta(index, unit)
    this.#json.take(unit)
    if (this.#json.depth > 0) return
    call.isWhole = true
    const { close, between } = this.#format
    this.#follow([this.#way(close, index, 'end'), ...(between ? [this.#way(between, index, 'name')] : [])])
  }

  /** Arguments of one piece are one delta. */
  #addToDelta(index: number, unit: string): void {
    const last = this.#deltas.at(-1)
    if (last?.index !== index) this.#deltas.push({ index, function: { arguments: unit } })
    else this.#deltas[this.#deltas.length - 1] = { ...last, function: { ...last.function, arguments: last.function.arguments + unit } }
  }
}
