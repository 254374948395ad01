// Reads Go templates, the language of Ollama's template layers, into a tree. Owns the grammar: actions, pipelines,
// variables, named templates, the trimming of white space. Knows no values.
// Language: https://pkg.go.dev/text/template

import { limits } from '../../base/limits.js'
import { literalText, unquoted } from './goLiterals.js'

export type GoNode =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'action'; readonly pipe: GoPipe }
  | { readonly type: 'set'; readonly name: string; readonly declares: boolean; readonly pipe: GoPipe }
  | {
      readonly type: 'if' | 'with'
      /** A variable that has the value inside. */
      readonly name: string | undefined
      readonly pipe: GoPipe
      readonly body: readonly GoNode[]
      readonly otherwise: readonly GoNode[]
    }
  | {
      readonly type: 'range'
      readonly names: readonly string[]
      readonly pipe: GoPipe
      readonly body: readonly GoNode[]
      readonly otherwise: readonly GoNode[]
    }
  | { readonly type: 'break' | 'continue' }
  /** A call of a named template. Its dot is the pipeline's value, absent without one. */
  | { readonly type: 'template'; readonly name: string; readonly pipe: GoPipe }

/** Templates by name. The one outside of all definitions is `MAIN`. */
export type GoTemplates = ReadonlyMap<string, readonly GoNode[]>
export const MAIN = ''

/** A list of commands. Each takes the result of the one before as its last argument. */
export type GoPipe = readonly GoCommand[]

/** A value, or a function and its arguments. */
export type GoCommand = readonly GoOperand[]

export type GoOperand =
  | { readonly type: 'literal'; readonly value: string | number | boolean | null; readonly isFloat?: boolean }
  | { readonly type: 'function'; readonly name: string }
  /** `.A.B` of the dot, `$x.A` of a variable (`$` is the whole of the data), `(...).A` of a pipeline. */
  | {
      readonly type: 'fields'
      readonly of: 'dot' | { readonly variable: string } | { readonly pipe: GoPipe }
      readonly path: readonly string[]
    }

const LONGEST_TEMPLATE = limits.templateSource.most
const DEEPEST = 50

const TOKEN =
  /\s+|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`|[-+]?0x[\da-f_]+|[-+]?\d[\d_]*(?:\.\d+)?(?:e[-+]?\d+)?|:=|=|\||\(|\)|,|\.?\$?\w*(?:\.\w+)*/iy
/** What `{{-` and `-}}` trim. */
const BLANKS = /[ \t\r\n]/

/** Parses a template. Throws an Error for invalid syntax, and for a template larger than any real one. */
export function parseGoTemplate(source: string): GoTemplates {
  if (source.length > LONGEST_TEMPLATE) throw new Error(`it is ${source.length} characters long, expected at most ${LONGEST_TEMPLATE}`)
  return new Parser(pieces(source)).templates()
}

type Piece = { readonly text: string } | { readonly tokens: string[] }

/** Texts and actions in turn. White space is trimmed where `{{-` and `-}}` ask for it. */
function pieces(source: string): Piece[] {
  const found: Piece[] = []
  let at = 0
  let trim = false
  while (at <= source.length) {
    const open = source.indexOf('{{', at)
    let text = source.slice(at, open < 0 ? source.length : open)
    const trimsBefore = open >= 0 && /^\{\{-\s/.test(source.slice(open, open + 4))
    if (trim) text = text.replace(/^[ \t\r\n]+/, '')
    if (trimsBefore) text = withoutBlanksBehind(text)
    if (text !== '') found.push({ text })
    if (open < 0) break
    const start = open + (trimsBefore ? 3 : 2)
    const comment = /^\s*\/\*[\s\S]*?\*\//.exec(source.slice(start))
    const { tokens, end } = tokenize(source, start + (comment?.[0].length ?? 0))
    if (!comment) found.push({ tokens })
    trim = source[end] === '-'
    at = end + (trim ? 3 : 2)
  }
  return found
}

function withoutBlanksBehind(text: string): string {
  let end = text.length
  while (end > 0 && BLANKS.test(text[end - 1]!)) end--
  return text.slice(0, end)
}

/** The tokens of one action, and the position of its `}}` or `-}}`. */
function tokenize(source: string, start: number): { tokens: string[]; end: number } {
  const tokens: string[] = []
  for (let at = start; ; ) {
    if (source.startsWith('}}', at) || (source.startsWith('-}}', at) && /\s/.test(source[at - 1]!))) return { tokens, end: at }
    TOKEN.lastIndex = at
    const token = TOKEN.exec(source)?.[0]
    if (!token) throw new Error(`${JSON.stringify(source.slice(at, at + 10))} in an action, expected }}`)
    if (token.trim() !== '') tokens.push(token)
    at += token.length
  }
}

class Parser {
  readonly #pieces: readonly Piece[]
  #next = 0
  /** Number of `range` bodies around the node that is read next. */
  #ranges = 0
  readonly #named = new Map<string, readonly GoNode[]>()

  constructor(found: readonly Piece[]) {
    this.#pieces = found
  }

  /** Reads all of the source. */
  templates(): GoTemplates {
    const { nodes, end } = this.#list(0)
    if (end !== undefined) throw new Error(`an {{ ${end} }} without a beginning`)
    this.#name(MAIN, nodes)
    return this.#named
  }

  /** Names a template. Of two definitions at most one may have more than white space, as in Go. */
  #name(name: string, nodes: readonly GoNode[]): void {
    const before = this.#named.get(name)
    if (!before || isBlank(before)) this.#named.set(name, nodes)
    else if (!isBlank(nodes)) throw new Error(`two definitions of the template ${JSON.stringify(name)}`)
  }

  /** Reads nodes up to an `end` or `else`, which is returned with what follows it. */
  #list(depth: number): { nodes: GoNode[]; end: string | undefined; rest: string[] } {
    if (depth > DEEPEST) throw new Error(`actions nested deeper than ${DEEPEST}`)
    const nodes: GoNode[] = []
    for (;;) {
      const piece = this.#pieces[this.#next++]
      if (!piece) return { nodes, end: undefined, rest: [] }
      if ('text' in piece) {
        nodes.push({ type: 'text', text: piece.text })
        continue
      }
      const [first, ...rest] = piece.tokens
      if (first === undefined) throw new Error('an empty action')
      if (first === 'end' || first === 'else') return { nodes, end: first, rest }
      if (first === 'define' && depth === 0) {
        const name = nameIn(first, rest)
        if (rest.length > 1) throw new Error(`${JSON.stringify(rest[1])} after the name of a {{ define }}`)
        this.#definition(first, name, depth)
        continue
      }
      nodes.push(this.#action(first, rest, depth))
    }
  }

  #action(first: string, rest: string[], depth: number): GoNode {
    if (first === 'if' || first === 'with' || first === 'range') return this.#branch(first, rest, depth)
    if (first === 'break' || first === 'continue') {
      if (this.#ranges === 0) throw new Error(`{{ ${first} }} outside of a {{ range }}`)
      return { type: first }
    }
    if (first === 'define') throw new Error('a {{ define }} inside of another action')
    if (first === 'template' || first === 'block') {
      const [name, given] = [nameIn(first, rest), rest.slice(1)]
      const pipe = first === 'template' && given.length === 0 ? [] : pipeline(given)
      if (first === 'block') this.#definition(first, name, depth)
      return { type: 'template', name, pipe }
    }
    if (isVariable(first) && (rest[0] === ':=' || rest[0] === '=')) {
      return { type: 'set', name: first, declares: rest[0] === ':=', pipe: pipeline(rest.slice(1)) }
    }
    return { type: 'action', pipe: pipeline([first, ...rest]) }
  }

  /** Reads the body of a named template, up to its `end`. A `break` in it leaves no `range` around it. */
  #definition(type: 'define' | 'block', name: string, depth: number): void {
    const ranges = this.#ranges
    this.#ranges = 0
    const { nodes, end } = this.#list(depth + 1)
    if (end !== 'end') throw new Error(`a {{ ${type} }} without its {{ end }}`)
    this.#ranges = ranges
    this.#name(name, nodes)
  }

  #branch(type: 'if' | 'with' | 'range', tokens: string[], depth: number): GoNode {
    const names: string[] = []
    const declared = tokens.indexOf(':=')
    if (declared >= 0) {
      for (const token of tokens.splice(0, declared + 1)) {
        if (isVariable(token)) names.push(token)
        else if (token !== ',' && token !== ':=') throw new Error(`${JSON.stringify(token)} before :=, expected a variable`)
      }
      if (names.length < 1 || names.length > (type === 'range' ? 2 : 1)) throw new Error(`{{ ${type} }} with ${names.length} variables`)
    }
    const pipe = pipeline(tokens)
    if (type === 'range') this.#ranges++
    const { nodes: body, end, rest } = this.#list(depth + 1)
    if (type === 'range') this.#ranges--
    let otherwise: readonly GoNode[] = []
    if (end === 'else') {
      if (rest[0] === 'if' || rest[0] === 'with') otherwise = [this.#branch(rest[0], rest.slice(1), depth + 1)]
      else {
        const last = this.#list(depth + 1)
        if (last.end !== 'end' || rest.length > 0) throw new Error(`an {{ else }} without its {{ end }}`)
        otherwise = last.nodes
      }
    } else if (end === undefined) throw new Error(`an {{ ${type} }} without its {{ end }}`)
    return type === 'range' ? { type, names, pipe, body, otherwise } : { type, name: names[0], pipe, body, otherwise }
  }
}

function pipeline(tokens: string[]): GoPipe {
  const { pipe, end } = pipelineFrom(tokens, 0, 0)
  if (end < tokens.length) throw new Error(`${JSON.stringify(tokens[end])} at the wrong place`)
  return pipe
}

/** Reads a pipeline, which ends at a closing bracket or at the last token. */
function pipelineFrom(tokens: readonly string[], start: number, depth: number): { pipe: GoCommand[]; end: number } {
  if (depth > DEEPEST) throw new Error(`brackets nested deeper than ${DEEPEST}`)
  const pipe: GoCommand[] = []
  let command: GoOperand[] = []
  let at = start
  const close = () => {
    if (command.length === 0) throw new Error('a value is missing')
    pipe.push(command)
    command = []
  }
  for (; at < tokens.length && tokens[at] !== ')'; at++) {
    const token = tokens[at]!
    if (token === '|') close()
    else if (token === '(') {
      const inner = pipelineFrom(tokens, at + 1, depth + 1)
      if (tokens[inner.end] !== ')') throw new Error('a bracket that is not closed')
      at = inner.end
      const path = /^\.\w/.test(tokens[at + 1] ?? '') ? tokens[++at]!.slice(1).split('.') : []
      command.push({ type: 'fields', of: { pipe: inner.pipe }, path })
    } else command.push(operand(token))
  }
  close()
  return { pipe, end: at }
}

function operand(token: string): GoOperand {
  if (/^["`]/.test(token)) return { type: 'literal', value: literalText(token) }
  if (token.startsWith("'")) return { type: 'literal', value: unquoted(token).codePointAt(0) ?? 0 }
  if (/^[-+]?\d/.test(token))
    return { type: 'literal', value: Number(token.replaceAll('_', '')), isFloat: !/^[-+]?0x/i.test(token) && /[.e]/i.test(token) }
  if (token === 'true' || token === 'false') return { type: 'literal', value: token === 'true' }
  if (token === 'nil') return { type: 'literal', value: null }
  if (token === '.') return { type: 'fields', of: 'dot', path: [] }
  if (/^(\.\w+)+$/.test(token)) return { type: 'fields', of: 'dot', path: token.slice(1).split('.') }
  if (/^\$\w*(\.\w+)*$/.test(token)) {
    const [variable, ...path] = token.split('.')
    return { type: 'fields', of: { variable: variable! }, path }
  }
  if (/^[a-z_]\w*$/i.test(token)) return { type: 'function', name: token }
  throw new Error(`${JSON.stringify(token)} at the wrong place`)
}

/** The name of a template, which is a literal. */
function nameIn(type: string, tokens: readonly string[]): string {
  const [token = ''] = tokens
  if (!/^["`]/.test(token)) throw new Error(`{{ ${type} }} without the name of a template`)
  return literalText(token)
}

function isBlank(nodes: readonly GoNode[]): boolean {
  return nodes.every((node) => node.type === 'text' && node.text.trim() === '')
}

function isVariable(token: string): boolean {
  return /^\$\w+$/.test(token)
}
