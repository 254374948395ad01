// The flags that several commands share, and the reading of numbers in flags. Owns their names, ranges and help texts.
// A value out of range is a usage error that names the flag.

import { type Command, InvalidArgumentError } from 'commander'
import { checkSamplerOptions } from '../../runtime/sampler/samplerOptions.js'

export interface OutputFlags {
  readonly json?: true
  readonly debug?: true
}

export interface ModelFlags extends OutputFlags {
  readonly threads?: number
  readonly context?: number
  readonly ram?: number
}

export interface SamplingFlags {
  readonly maxTokens?: number
  readonly temperature?: number
  readonly topK?: number
  readonly topP?: number
  readonly minP?: number
  readonly repetitionPenalty?: number
  readonly seed?: number
  readonly stop?: string[]
}

/** Reads a whole number from `least` to `most`. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    throw new InvalidArgumentError(`Expected a whole number from ${least} to ${most}.`)
  }
}

/** Reads a number from `least` to `most`. */
function realNumber(least: number, most = Number.MAX_VALUE): (text: string) => number {
  return (text) => {
    const value = /^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    throw new InvalidArgumentError(`Expected a number from ${least}${most === Number.MAX_VALUE ? '' : ` to ${most}`}.`)
  }
}

/** Reads a number of bytes: 12G, 800M, 1.5GiB; units are powers of 1024. */
export function byteSize(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text) ?? []
  const bytes = Math.floor(Number(number) * 1024 ** ' kmgt'.indexOf(unit?.toLowerCase() || ' '))
  if (bytes >= 1 && Number.isSafeInteger(bytes)) return bytes
  throw new InvalidArgumentError('Expected a size such as 12G or 800M.')
}

/** Reads token ids with commas between them. */
export function tokenIds(text: string): number[] {
  const ids = text.split(',').map((part) => part.trim())
  if (ids.every((id) => /^\d{1,9}$/.test(id))) return ids.map(Number)
  throw new InvalidArgumentError('Expected token ids with commas between them, such as 1,22557.')
}

export function addDebugFlag(command: Command): Command {
  return command.option('--debug', 'show the stack trace of an error')
}

export function addOutputFlags(command: Command): Command {
  return addDebugFlag(command.option('--json', 'print one JSON object on stdout and nothing else'))
}

export function addModelFlags(command: Command): Command {
  return command
    .option('--threads <n>', 'CPU threads (default: one for each core)', wholeNumber(1, 1024))
    .option(
      '--context <n>',
      "context length in tokens, prompt and answer together (default: the model's, at most 4096)",
      wholeNumber(1, 2 ** 24),
    )
    .option(
      '--ram <size>',
      'memory for the model, such as 12G; experts that do not fit are read when needed (default: all that the machine can spare)',
      byteSize,
    )
}

export function addSamplingFlags(command: Command): Command {
  const { temperature, topK, topP, minP, repetitionPenalty } = checkSamplerOptions({}) // the defaults
  return command
    .option('-n, --max-tokens <n>', 'most tokens to generate (default: until the context is full)', wholeNumber(1))
    .option('--temperature <x>', `0 takes the most likely token every time, higher is more varied (default: ${temperature})`, realNumber(0))
    .option('--top-k <n>', `choose among this many of the most likely tokens, 0 for all (default: ${topK})`, wholeNumber(0))
    .option('--top-p <x>', `choose among the most likely tokens that together have this probability (default: ${topP})`, realNumber(0, 1))
    .option('--min-p <x>', `choose among tokens at least this times as likely as the most likely one (default: ${minP})`, realNumber(0, 1))
    .option(
      '--repetition-penalty <x>',
      `makes the last 64 tokens less likely to come again (default: ${repetitionPenalty}, none)`,
      realNumber(0.01, 100),
    )
    .option('--seed <n>', 'same seed, same text (default: a random one)', wholeNumber(0))
    .option('--stop <text>', 'end before this text; may be given several times', (text, earlier: string[] = []) => [...earlier, text])
}
