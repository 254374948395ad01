// The flags that several commands share, and the reading of numbers in flags. Owns their names, ranges and help texts.
// A value out of range is a usage error that names the flag.

import { type Command, InvalidArgumentError, Option } from 'commander'
import type { AdapterChoice } from '../../runtime/adapters/adapterSet.js'
import type { EngineOptions } from '../../runtime/engine/engineOptions.js'
import type { KvFormat } from '../../runtime/kernels/abi.js'
import { adapterChoices } from './adapters.js'

/** The help text of an argument that may be any model. */
export const ANY_MODEL = '"demo", the path of a GGUF file, or a name such as mixtral:8x7b, see mixtral --help'

export interface OutputFlags {
  readonly json?: true
  readonly debug?: true
}

export interface ModelFlags extends OutputFlags {
  readonly threads?: number
  readonly context?: number
  readonly ram?: number
  readonly lora?: readonly AdapterChoice[]
  readonly kv?: KvFormat
}

/** Reads a whole number from `least` to `most`. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    throw new InvalidArgumentError(`Expected a whole number from ${least}${most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most}`}.`)
  }
}

/** Reads a number of bytes: 12G, 800M, 1.5GiB; units are powers of 1024. */
export function byteSize(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text) ?? []
  const bytes = Math.floor(Number(number) * 1024 ** ' kmgt'.indexOf(unit?.toLowerCase() || ' '))
  if (bytes >= 1 && Number.isSafeInteger(bytes)) return bytes
  throw new InvalidArgumentError('Expected a size such as 12G or 800M.')
}

/** Reads comma-separated token ids. */
export function tokenIds(text: string): number[] {
  const ids = text.split(',').map((part) => part.trim())
  if (ids.every((id) => /^\d{1,9}$/.test(id))) return ids.map(Number)
  throw new InvalidArgumentError('Expected comma-separated token ids, such as 1,22557.')
}

/** The flags of commands that judge a model. */
export interface JudgeFlags extends ModelFlags {
  readonly experts?: number
}

/** `context` is what the context holds, where that is not the tokens of a prompt. */
export function addJudgeFlags(command: Command, context?: string): Command {
  const all = "experts of each token in a layer, 1 to all (default: the model's own number)"
  return addOutputFlags(addLoraFlag(addModelFlags(command, context)).option('--experts <n>', all, wholeNumber(1, 1024)))
}

/** The library's option of the flag `--experts`. */
export const expertsOption = ({ experts }: JudgeFlags) => (experts === undefined ? {} : { expertsPerToken: experts })

/** The library's options of loading that the model flags stand for. */
export function loadOptions({ threads, context, ram, kv }: ModelFlags): EngineOptions {
  return {
    ...(threads !== undefined && { threads }),
    ...(context !== undefined && { contextLength: context }),
    ...(ram !== undefined && { ram }),
    ...(kv !== undefined && { kvFormat: kv }),
  }
}

export function addDebugFlag(command: Command): Command {
  return command.option('--debug', 'show the stack trace of an error')
}

export function addOutputFlags(command: Command): Command {
  return addDebugFlag(command.option('--json', 'print one JSON object on stdout and nothing else'))
}

/** The flag of commands that a model with adapters makes sense for. */
export function addLoraFlag(command: Command): Command {
  const help = 'a LoRA adapter: a GGUF file, a PEFT folder or an hf: name, and how much of it counts; may be given several times'
  return command.option('--lora <file[:scale]>', help, adapterChoices)
}

/** How the KV cache keeps keys and values. */
export const kvFlag = () =>
  new Option('--kv <format>', 'keys and values as f16, f32, or q8: 8 bits, half the memory (default: f16, or f32 as the file)').choices([
    'f16',
    'f32',
    'q8',
  ])

/**
 * @param context what the context length is for, where it is not prompt and answer
 */
export function addModelFlags(command: Command, context = 'prompt and answer together'): Command {
  return command
    .option('--threads <n>', 'CPU threads (default: one for each core)', wholeNumber(1, 1024))
    .option('-c, --context <n>', `context length in tokens, ${context} (default: the model's, at most 4096)`, wholeNumber(1, 2 ** 24))
    .option(
      '--ram <size>',
      'memory for the model, such as 12G; experts that do not fit are read when needed (default: all that the machine can spare)',
      byteSize,
    )
    .addOption(kvFlag())
}
