// A text from an argument, or from standard input where the argument is `-`.

import { fstatSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { MixtralError } from '../../base/errors.js'

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
