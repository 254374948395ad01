// Reads a Jinja template into a tree: its texts, and the statements of its blocks. Knows those of Jinja2 and those that
// transformers adds: loop controls and `generation`. Templates stand alone, so that none imports another.

import { Text } from '../templates/markedText.js'
import { readExpression, readFilterChain, readTuple } from './expressionParser.js'
import { type Piece, piecesOf } from './lexer.js'
import { TokenReader } from './tokenReader.js'
import type { Body, Expression, Filter, Signature, Statement, Target } from './tree.js'

const DEEPEST = 60
const OTHERS = ['import', 'from', 'include', 'extends']

/** Parses a template. Throws an Error for invalid syntax, and for a template larger than any real one. */
export function parseJinja(source: string): Body {
  return new Parser(piecesOf(source)).whole()
}

const SPECIAL = ['varargs', 'kwargs', 'caller']

type Parameterized = Omit<Signature, 'takes'>

const NO_PARAMETERS: Parameterized = { names: [], defaults: [] }

interface End {
  readonly word: string
  readonly reader: TokenReader
}

class Parser {
  readonly #pieces: readonly Piece[]
  #next = 0
  #depth = 0
  /** Number of loops around the statement that is read next. */
  #loops = 0

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces
  }

  whole(): Body {
    const { body, end } = this.#body([])
    if (end) throw end.reader.wrong(`a statement before {% ${end.word} %}`)
    return body
  }

  /** Reads statements up to a block that begins with one of the words. */
  #body(words: readonly string[]): { body: Statement[]; end: End | undefined } {
    if (++this.#depth > DEEPEST) throw new Error(`blocks nested deeper than ${DEEPEST}`)
    const body: Statement[] = []
    for (;;) {
      const piece = this.#pieces[this.#next++]
      if (!piece) {
        if (words.length > 0) throw new Error(`the end of the template, expected {% ${words.join(' %} or {% ')} %}`)
        this.#depth--
        return { body, end: undefined }
      }
      if (piece.kind === 'text') {
        body.push({ type: 'text', text: new Text(piece.text) })
        continue
      }
      const reader = new TokenReader(piece.tokens, piece.line)
      if (piece.kind === 'print') {
        body.push({ type: 'print', value: readTuple(reader) })
        reader.end()
        continue
      }
      const word = reader.name()
      if (words.includes(word)) {
        this.#depth--
        return { body, end: { word, reader } }
      }
      body.push(this.#statement(word, reader))
    }
  }

  /** Reads statements up to the one end that is possible. */
  #block(reader: TokenReader, end: string): Statement[] {
    reader.end()
    const { body, end: found } = this.#body([end])
    if (end !== 'endblock') found!.reader.end()
    return body
  }

  #statement(word: string, reader: TokenReader): Statement {
    switch (word) {
      case 'if':
        return this.#if(reader)
      case 'for':
        return this.#for(reader)
      case 'set':
        return this.#set(reader)
      case 'with':
        return this.#with(reader)
      case 'macro': {
        const name = reader.name()
        const signature = readSignature(reader)
        return { type: 'macro', name, ...this.#function(reader, signature, 'endmacro') }
      }
      case 'call': {
        const signature = reader.isAt('(') ? readSignature(reader) : NO_PARAMETERS
        const call = readExpression(reader)
        if (call.type !== 'call') throw reader.wrong('a call')
        return { type: 'callBlock', call, ...this.#function(reader, signature, 'endcall') }
      }
      case 'filter':
        return { type: 'filterBlock', filter: readFilterChain(reader), body: this.#block(reader, 'endfilter') }
      case 'generation':
        return { type: 'scope', body: this.#outsideLoops(() => this.#block(reader, 'endgeneration')) }
      case 'block':
        reader.name()
        while (reader.skip('scoped') || reader.skip('required'));
        return { type: 'scope', body: this.#outsideLoops(() => this.#block(reader, 'endblock')) }
      case 'autoescape': {
        const escapes = readExpression(reader)
        return { type: 'autoescape', escapes, body: this.#block(reader, 'endautoescape') }
      }
      case 'break':
      case 'continue':
        if (this.#loops === 0) throw new Error(`{% ${word} %} outside of a loop`)
        reader.end()
        return { type: word }
      default:
        throw new Error(OTHERS.includes(word) ? `{% ${word} %}: a chat template stands alone` : `the statement {% ${word} %} is unknown`)
    }
  }

  #if(reader: TokenReader): Statement {
    const branches: (readonly [Expression, Body])[] = []
    for (let at = reader; ; ) {
      const test = readTuple(at, { conditional: false })
      at.end()
      const { body, end } = this.#body(['elif', 'else', 'endif'])
      branches.push([test, body])
      if (end!.word === 'elif') {
        at = end!.reader
        continue
      }
      if (end!.word === 'else') return { type: 'if', branches, otherwise: this.#block(end!.reader, 'endif') }
      end!.reader.end()
      return { type: 'if', branches, otherwise: [] }
    }
  }

  #for(reader: TokenReader): Statement {
    const target = readTargets(reader, 'in')
    reader.expect('in')
    const iterable = readTuple(reader, { conditional: false, until: 'recursive' })
    const test = reader.skip('if') ? readExpression(reader) : undefined
    const recursive = reader.skip('recursive')
    reader.end()
    this.#loops++
    const { body, end } = this.#body(['else', 'endfor'])
    this.#loops--
    const hasElse = end!.word === 'else'
    if (!hasElse) end!.reader.end()
    return { type: 'for', target, iterable, test, recursive, body, otherwise: hasElse ? this.#block(end!.reader, 'endfor') : [] }
  }

  #set(reader: TokenReader): Statement {
    const target = readTargets(reader, '=', true)
    if (reader.skip('=')) {
      const value = readTuple(reader)
      reader.end()
      return { type: 'set', target, value }
    }
    let filter: Filter | undefined
    if (reader.skip('|')) filter = readFilterChain(reader)
    return { type: 'setBlock', target, filter, body: this.#block(reader, 'endset') }
  }

  #with(reader: TokenReader): Statement {
    const values: (readonly [Target, Expression])[] = []
    while (reader.token.kind !== 'end') {
      if (values.length > 0) reader.expect(',')
      const target = readTarget(reader, false)
      reader.expect('=')
      values.push([target, readExpression(reader)])
    }
    return { type: 'with', values, body: this.#block(reader, 'endwith') }
  }

  /** Reads the body of a macro, and finds what it asks for. */
  #function(reader: TokenReader, signature: Parameterized, end: string): { signature: Signature; body: Body } {
    const start = this.#next
    const body = this.#outsideLoops(() => this.#block(reader, end))
    const words = this.#pieces
      .slice(start, this.#next)
      .flatMap((piece) => (piece.kind === 'text' ? [] : piece.tokens.map(({ text }) => text)))
    return { signature: { ...signature, takes: new Set(words.filter((word) => SPECIAL.includes(word))) }, body }
  }

  /** Reads a body that is a function of its own, so that no loop around it can be left from inside. */
  #outsideLoops(read: () => Body): Body {
    const loops = this.#loops
    this.#loops = 0
    const body = read()
    this.#loops = loops
    return body
  }
}

/** One target or several with commas, up to a word. */
function readTargets(reader: TokenReader, until: string, hasFields = false): Target {
  const first = readTarget(reader, hasFields)
  if (!reader.isAt(',')) return first
  const items = [first]
  while (reader.skip(',')) {
    if (reader.isAt(until) || reader.isAt(')')) break
    items.push(readTarget(reader, hasFields))
  }
  return { type: 'tuple', items }
}

function readTarget(reader: TokenReader, hasFields: boolean): Target {
  if (reader.skip('(')) {
    const target = reader.nested(() => readTargets(reader, ')', hasFields))
    reader.expect(')')
    return target
  }
  const name = reader.name()
  if (['true', 'false', 'none', 'True', 'False', 'None'].includes(name)) throw new Error(`${name} cannot be set`)
  if (hasFields && reader.skip('.')) return { type: 'field', of: name, name: reader.name() }
  return { type: 'name', name }
}

function readSignature(reader: TokenReader): Parameterized {
  const names: string[] = []
  const defaults: (Expression | undefined)[] = []
  reader.expect('(')
  while (!reader.skip(')')) {
    if (names.length > 0) reader.expect(',')
    names.push(reader.name())
    if (reader.skip('=')) defaults.push(readExpression(reader))
    else if (defaults.at(-1)) throw reader.wrong('a default')
    else defaults.push(undefined)
  }
  return { names, defaults }
}
