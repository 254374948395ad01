// What is known of an option, a row for each: kind, default, range, help, and its names elsewhere. Checks, command-line
// flags, the names of other programs and the documents derive from rows; this file owns their form and the check. It
// knows no option.

import { checkObject, MixtralError, shown, unknownOption } from '../../base/errors.js'
import { camelCase } from '../../base/nearNames.js'

export interface OptionRow {
  readonly kind: 'number' | 'whole' | 'switch' | 'text' | 'texts' | 'tokens' | 'bias' | 'steps' | 'grammar' | 'schema'
  /** Undefined where there is no value unless one is given; `unset` then says what happens. */
  readonly default?: number | boolean | readonly string[] | undefined
  readonly unset?: string
  /** The range of a number, both ends included. Infinity itself is out of range. */
  readonly least?: number
  readonly most?: number
  /** One line: for `--help` and the documents. */
  readonly help: string
  /** On the command line, as commander spells it. */
  readonly flag: string
  /** In a Modelfile and the `options` of Ollama's API. */
  readonly ollama?: string
  /** In the OpenAI API, or the extensions to it that vLLM has. */
  readonly openai?: string
  /** In llama-server's own API. */
  readonly llama?: string
}

export type OptionTable = Readonly<Record<string, OptionRow>>

/** What a value has to be, in words. */
export function expectedOf({ kind, least, most }: OptionRow): string {
  if (kind === 'number' || kind === 'whole') return `${kind === 'whole' ? 'a whole number' : 'a number'}${rangeOf(least, most)}`
  return {
    switch: 'true or false',
    text: 'a string',
    texts: 'a string or a list of strings',
    tokens: 'a list of token ids',
    bias: 'token ids with a number or false, such as { 13: -2, 28705: false }, or a list of [id or text, number or false]',
    steps: 'a list of samplers',
    grammar: 'the text of a GBNF grammar',
    schema: 'a JSON Schema: an object, true or false',
  }[kind]
}

function rangeOf(least = -Infinity, most = Infinity): string {
  const from = least === -Infinity ? '' : ` from ${least}`
  return from + (most === Infinity ? '' : ` to ${most === Number.MAX_SAFE_INTEGER ? '2^53 - 1' : most}`)
}

/** Whether a value is of its kind and in its range. The items of a list are not checked here. */
export function allows({ kind, least = -Infinity, most = Infinity }: OptionRow, value: unknown): boolean {
  if (kind === 'number' || kind === 'whole') {
    if (typeof value !== 'number' || !Number.isFinite(value) || value < least || value > most) return false
    return kind === 'number' || Number.isSafeInteger(value)
  }
  if (kind === 'switch') return typeof value === 'boolean'
  if (kind === 'text' || kind === 'grammar') return typeof value === 'string'
  if (kind === 'schema') return typeof value === 'boolean' || (typeof value === 'object' && value !== null && !Array.isArray(value))
  if (kind === 'texts') return typeof value === 'string' || Array.isArray(value)
  if (kind === 'tokens') return Array.isArray(value) || ArrayBuffer.isView(value)
  return kind === 'bias' ? typeof value === 'object' && value !== null : Array.isArray(value)
}

/**
 * Throws a MixtralError `OPTION` for a name that is neither in the table nor in `others`, and for a value that its row
 * does not allow.
 */
export function checkOptions(table: OptionTable, options: object, others: readonly string[] = []): void {
  checkObject(options)
  for (const [name, value] of Object.entries(options)) {
    if (others.includes(name)) continue
    const row = Object.hasOwn(table, name) ? table[name] : undefined
    if (row === undefined) {
      throw unknownOption(name, [...Object.keys(table), ...others], elsewhere(table, name))
    }
    if (value !== undefined && !allows(row, value))
      throw new MixtralError('OPTION', `${name} is ${shown(value)}, expected ${expectedOf(row)}`)
  }
}

/** Our name of an option that another program calls `name`, in its own spelling or in camel case. */
function elsewhere(table: OptionTable, name: string): string | undefined {
  const named = (theirs: string | undefined) => theirs !== undefined && [theirs, camelCase(theirs)].includes(name)
  return Object.keys(table).find((own) => [table[own]!.openai, table[own]!.llama, table[own]!.ollama].some(named))
}

/** Our names of the options that another program has, by its names. */
export function namesOf(table: OptionTable, program: 'ollama' | 'openai' | 'llama'): ReadonlyMap<string, string> {
  return new Map(Object.entries(table).flatMap(([name, row]) => (row[program] === undefined ? [] : [[row[program], name]])))
}
