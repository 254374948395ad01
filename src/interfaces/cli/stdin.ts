// A text from an argument, or from standard input: where the argument is `-`, or there is none and a pipe or a file is.
// Tells whether the only argument of a command is a model or a text.

import { existsSync, fstatSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { MixtralError } from '../../base/errors.js'
import { say } from './layout.js'

/**
 * The argument itself, or for `-` all of standard input without a line break at its end, as a shell's `$(...)` removes
 * it.
 */
export async function textOrStdin(argument: string): Promise<string> {
  if (argument !== '-') return argument
  checkStdin()
  const all = await text(process.stdin).catch((cause: Error) => {
    throw new MixtralError('IO', `standard input cannot be read: ${cause.message}`, { cause })
  })
  return all.replace(/\r?\n$/, '')
}

/** How long a pipe may be silent before that is told. */
const PATIENCE_MS = 2000

/**
 * What a pipe or a file brings on standard input, as `textOrStdin` does; undefined where there is none, or nothing in
 * it.
 */
export async function pipedText(): Promise<string | undefined> {
  if (process.stdin.isTTY || !isPiped(0)) return undefined
  const waiting = setTimeout(() => say('reading the text from standard input'), PATIENCE_MS)
  const all = await textOrStdin('-').finally(() => clearTimeout(waiting))
  return all === '' ? undefined : all
}

/** Whether a descriptor is a pipe, which Node makes of sockets, or a file: not a device such as /dev/null. */
function isPiped(descriptor: number): boolean {
  try {
    const status = fstatSync(descriptor)
    return status.isFIFO() || status.isFile() || status.isSocket()
  } catch {
    return false
  }
}

/** Throws `IO` where there is nothing to read; Node takes a folder for an empty input. */
export function checkStdin(): void {
  if (isFolder(0)) throw new MixtralError('IO', 'standard input is a folder, expected text')
}

function isFolder(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isDirectory()
  } catch {
    return false // closed, or of a kind without a status
  }
}

/** Whether the only argument of a command is a model: otherwise it is a text. */
export function isModelArgument(argument: string): boolean {
  // A name with a tag has no spaces, unlike most prompts.
  const name = /^(hf:|https:\/\/)\S+$|^[\w.-]+(\/[\w.-]+)*:[\w.-]+$/.test(argument)
  return argument === 'demo' || name || argument.endsWith('.gguf') || existsSync(argument)
}
