// Reads the expressions of Jinja into a tree, with the precedence that Jinja2's parser has.

import { Text } from '../templates/markedText.js'
import type { TokenReader } from './tokenReader.js'
import type { Argument, Comparison, Expression, Filter } from './tree.js'

const CONSTANTS = new Map<string, boolean | null>([
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['none', null],
  ['None', null],
])
const COMPARISONS: readonly string[] = ['==', '!=', '<', '<=', '>', '>=', 'in']

export interface TupleOptions {
  /** Whether `a if b` may stand in it. Default true. */
  readonly conditional?: boolean
  /** A word that ends it. */
  readonly until?: string
  /** Whether it stands in brackets, so that it may be empty. */
  readonly inBrackets?: boolean
}

/** One expression, or several with commas between them. */
export function readTuple(reader: TokenReader, { conditional = true, until, inBrackets = false }: TupleOptions = {}): Expression {
  const items: Expression[] = []
  let isTuple = false
  const ends = () => reader.token.kind === 'end' || reader.isAt(')') || (until !== undefined && reader.isAt(until))
  while (!ends()) {
    items.push(conditional ? readExpression(reader) : reader.nested(() => readOr(reader)))
    if (!reader.skip(',')) break
    isTuple = true
  }
  if (isTuple) return { type: 'tuple', items }
  if (items.length === 1) return items[0]!
  if (!inBrackets) throw reader.wrong('an expression')
  return { type: 'tuple', items }
}

export function readExpression(reader: TokenReader): Expression {
  return reader.nested(() => {
    let value = readOr(reader)
    while (reader.skip('if')) {
      const test = readOr(reader)
      value = { type: 'if', test, value, otherwise: reader.skip('else') ? readExpression(reader) : undefined }
    }
    return value
  })
}

function readOr(reader: TokenReader): Expression {
  let left = readAnd(reader)
  while (reader.skip('or')) left = { type: 'or', left, right: readAnd(reader) }
  return left
}

function readAnd(reader: TokenReader): Expression {
  let left = readNot(reader)
  while (reader.skip('and')) left = { type: 'and', left, right: readNot(reader) }
  return left
}

function readNot(reader: TokenReader): Expression {
  if (reader.skip('not')) return { type: 'not', of: reader.nested(() => readNot(reader)) }
  return readCompare(reader)
}

function readCompare(reader: TokenReader): Expression {
  const first = readSum(reader)
  const others: (readonly [Comparison, Expression])[] = []
  for (;;) {
    const isNotIn = reader.isAt('not') && reader.following.text === 'in' && reader.following.kind === 'name'
    const operator = isNotIn ? 'not in' : COMPARISONS.find((each) => reader.isAt(each))
    if (operator === undefined) return others.length === 0 ? first : { type: 'compare', first, others }
    reader.take()
    if (isNotIn) reader.take()
    others.push([operator as Comparison, readSum(reader)])
  }
}

function readSum(reader: TokenReader): Expression {
  return readBinary(reader, ['+', '-'], readConcat)
}

function readConcat(reader: TokenReader): Expression {
  const parts = [readProduct(reader)]
  while (reader.skip('~')) parts.push(readProduct(reader))
  return parts.length === 1 ? parts[0]! : { type: 'concat', parts }
}

function readProduct(reader: TokenReader): Expression {
  return readBinary(reader, ['*', '/', '//', '%'], (inner) => readBinary(inner, ['**'], (each) => readUnary(each, true)))
}

function readBinary(reader: TokenReader, operators: readonly string[], operand: (reader: TokenReader) => Expression): Expression {
  let left = operand(reader)
  for (;;) {
    const operator = operators.find((each) => reader.skip(each))
    if (operator === undefined) return left
    left = { type: 'binary', operator, left, right: operand(reader) }
  }
}

function readUnary(reader: TokenReader, isFiltered: boolean): Expression {
  const sign = reader.skip('-') ? 'minus' : reader.skip('+') ? 'plus' : undefined
  const value: Expression = sign
    ? { type: sign, of: reader.nested(() => readUnary(reader, false)) }
    : readPostfix(reader, readPrimary(reader))
  return isFiltered ? readFilters(reader, value) : value
}

function readPrimary(reader: TokenReader): Expression {
  const { kind, text } = reader.token
  if (kind === 'name') {
    reader.take()
    return CONSTANTS.has(text) ? { type: 'constant', value: CONSTANTS.get(text)! } : { type: 'name', name: text }
  }
  if (kind === 'string') {
    const parts: string[] = []
    while (reader.token.kind === 'string') parts.push(reader.take().text)
    return { type: 'text', text: new Text(parts.join('')) }
  }
  if (kind === 'integer' || kind === 'float') {
    reader.take()
    return { type: 'number', value: Number(text), isFloat: kind === 'float' }
  }
  if (reader.skip('(')) {
    const value = reader.nested(() => readTuple(reader, { inBrackets: true }))
    reader.expect(')')
    return value
  }
  if (reader.skip('[')) return { type: 'list', items: readItems(reader, ']', () => readExpression(reader)) }
  if (reader.skip('{')) {
    const entry = () => {
      const key = readExpression(reader)
      reader.expect(':')
      return [key, readExpression(reader)] as const
    }
    return { type: 'dict', entries: readItems(reader, '}', entry) }
  }
  throw reader.wrong('a value')
}

/** Items up to a closing bracket; a comma may follow the last. */
function readItems<T>(reader: TokenReader, close: string, item: () => T): T[] {
  const items: T[] = []
  while (!reader.skip(close)) {
    if (items.length > 0) {
      reader.expect(',')
      if (reader.skip(close)) break
    }
    items.push(item())
  }
  return items
}

function readPostfix(reader: TokenReader, subject: Expression): Expression {
  let value = subject
  for (;;) {
    if (reader.isAt('.') || reader.isAt('[')) value = readSubscript(reader, value)
    else if (reader.isAt('(')) value = { type: 'call', callee: value, args: readArguments(reader) }
    else return value
  }
}

function readFilters(reader: TokenReader, subject: Expression): Expression {
  let value = subject
  for (;;) {
    if (reader.skip('|')) value = { ...readFilter(reader), of: value }
    else if (reader.skip('is')) value = readTest(reader, value)
    else if (reader.isAt('(')) value = { type: 'call', callee: value, args: readArguments(reader) }
    else return value
  }
}

/** A filter behind its bar. */
function readFilter(reader: TokenReader): Filter {
  const name = readDottedName(reader)
  return { type: 'filter', of: undefined, name, args: reader.isAt('(') ? readArguments(reader) : [] }
}

/** The filters of a block, one behind another. */
export function readFilterChain(reader: TokenReader): Filter {
  let filter = readFilter(reader)
  while (reader.skip('|')) filter = { ...readFilter(reader), of: filter }
  return filter
}

function readDottedName(reader: TokenReader): string {
  let name = reader.name()
  while (reader.skip('.')) name += `.${reader.name()}`
  return name
}

function readTest(reader: TokenReader, of: Expression): Expression {
  const negated = reader.skip('not')
  const name = readDottedName(reader)
  const { kind } = reader.token
  const isOperand = kind === 'name' || kind === 'string' || kind === 'integer' || kind === 'float' || reader.isAt('[') || reader.isAt('{')
  let args: readonly Argument[] = []
  if (reader.isAt('(')) args = readArguments(reader)
  else if (isOperand && !['else', 'or', 'and', 'if'].some((word) => reader.isAt(word))) {
    if (reader.isAt('is')) throw reader.wrong('the end of the test')
    args = [{ kind: 'position', name: '', value: readPostfix(reader, readPrimary(reader)) }]
  }
  const test: Expression = { type: 'test', of, name, args }
  return negated ? { type: 'not', of: test } : test
}

function readSubscript(reader: TokenReader, of: Expression): Expression {
  if (reader.skip('.')) {
    if (reader.token.kind === 'integer') return { type: 'item', of, key: readPrimary(reader) }
    return { type: 'attribute', of, name: reader.name() }
  }
  reader.expect('[')
  const bound = () => (reader.isAt(':') || reader.isAt(']') ? undefined : readExpression(reader))
  const start = bound()
  if (reader.skip(':')) {
    const stop = bound()
    const step = reader.skip(':') ? bound() : undefined
    reader.expect(']')
    return { type: 'slice', of, start, stop, step }
  }
  if (start === undefined) throw reader.wrong('an index')
  if (!reader.skip(',')) {
    reader.expect(']')
    return { type: 'item', of, key: start }
  }
  return { type: 'item', of, key: { type: 'tuple', items: [start, ...readItems(reader, ']', () => readExpression(reader))] } }
}

function readArguments(reader: TokenReader): Argument[] {
  reader.expect('(')
  return readItems(reader, ')', (): Argument => {
    if (reader.skip('**')) return { kind: 'keywords', name: '', value: readExpression(reader) }
    if (reader.skip('*')) return { kind: 'list', name: '', value: readExpression(reader) }
    if (reader.token.kind === 'name' && reader.following.text === '=' && reader.following.kind === 'operator') {
      const name = reader.name()
      reader.expect('=')
      return { kind: 'keyword', name, value: readExpression(reader) }
    }
    return { kind: 'position', name: '', value: readExpression(reader) }
  })
}
