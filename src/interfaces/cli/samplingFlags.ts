// The flags of `run` and `chat` that say how to generate: one for each row of the table of options, with its help text,
// default and range. Knows how values are written on a command line, and has them checked before a model is loaded: a
// typo should not cost the reading of 28 GB. What they do is not its concern.

import { readFileSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { allows, expectedOf, type OptionRow } from '../../runtime/sampler/optionRow.js'
import { checkGenerationOptions } from '../../text/generate/checkGenerationOptions.js'
import type { GenerationOptions } from '../../text/generate/generationOptions.js'
import { generationTable } from '../../text/generate/generationTable.js'
import { tokenIds } from './flags.js'

/** Options of a generation by the names that commander gives their flags. */
export type SamplingFlags = { readonly [flag: string]: unknown }

const options = Object.entries(generationTable).map(([name, row]) => {
  const option = new Option(row.flag, `${row.help}${row.kind === 'texts' ? '; \\n is a line end' : ''}${defaultText(row)}`).helpGroup(
    'Options of generating:',
  )
  if (row.kind !== 'switch') option.argParser((text: string, earlier: unknown) => parse(row, text, earlier))
  return { name, option }
})

export function addSamplingFlags(command: Command): Command {
  for (const { option } of options) command.addOption(option)
  return command
}

/** Makes the library's options of the flags. */
export function generationOptions(flags: SamplingFlags): GenerationOptions {
  const given = options.map(({ name, option }) => [name, flags[option.attributeName()]])
  return Object.fromEntries(given.filter(([, value]) => value !== undefined))
}

function defaultText({ kind, default: value, unset }: OptionRow): string {
  if (kind === 'switch' || unset === 'none') return ''
  const list = Array.isArray(value) && (kind === 'steps' ? value.join(',') : value.map((text) => JSON.stringify(text)).join(' '))
  return ` (default: ${unset ?? (list || value)})`
}

function parse(row: OptionRow, text: string, earlier: unknown): unknown {
  const { kind } = row
  if (kind === 'texts') return [...((earlier as readonly string[]) ?? []), unescaped(text)]
  if (kind === 'bias') return [...((earlier as readonly unknown[]) ?? []), parseBias(text)]
  if (kind === 'steps') return text.split(/[,;]/).map((name) => name.trim())
  if (kind === 'tokens') return tokenIds(text)
  if (kind === 'text') return text
  if (kind === 'grammar') return readFlagFile(text)
  if (kind === 'schema') return parseSchema(text)
  const value = /^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN
  if (allows(row, value)) return value
  throw new InvalidArgumentError(`Expected ${expectedOf(row)}.`)
}

/** A text in which a shell's user writes `\n` for a line end, `\t` for a tab and `\\` for a backslash. */
function unescaped(text: string): string {
  return text.replace(/\\([nrt\\])/g, (_, sign: string) => ({ n: '\n', r: '\r', t: '\t', '\\': '\\' })[sign]!)
}

function readFlagFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new InvalidArgumentError(`Cannot read it: ${(error as Error).message}.`)
  }
}

function parseSchema(path: string): unknown {
  const text = readFlagFile(path)
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new InvalidArgumentError(`Expected JSON in it: ${(error as Error).message}.`)
  }
}

/** Reads a token and its bias: 13=-2, or " Paris=false". A token that is a number is an id. */
function parseBias(text: string): [token: number | string, bias: number | false] {
  const at = text.lastIndexOf('=')
  const [token, value] = [text.slice(0, at), text.slice(at + 1)]
  const bias = value === 'false' ? false : /^[+-]?(\d+\.?\d*|\.\d+)$/.test(value) ? Number(value) : undefined
  if (at < 1 || bias === undefined) throw new InvalidArgumentError('Expected a token, = and a number or false, such as 13=-2.')
  return [/^\d+$/.test(token) ? Number(token) : token, bias]
}

/** Throws `OPTION` and `UNSUPPORTED` for what needs no vocabulary to be seen as wrong. */
export async function checkBeforeLoading(options: GenerationOptions): Promise<void> {
  const { constraint } = checkGenerationOptions(options)
  if (!constraint) return
  const [{ compileLanguage }, { parseGbnf }] = await Promise.all([
    import('../../text/constraint/language.js'),
    import('../../text/constraint/gbnf.js'),
  ])
  if ('grammar' in constraint) parseGbnf(constraint.grammar)
  else compileLanguage(constraint)
}
