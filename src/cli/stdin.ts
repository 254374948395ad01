// Texts that an argument gives, or standard input where the argument is `-`.

import { text } from 'node:stream/consumers'

/** The argument itself, or for `-` all of standard input, without a line break at its end (as a shell's `$(...)` takes it off). */
export async function textOrStdin(argument: string): Promise<string> {
  if (argument !== '-') return argument
  return (await text(process.stdin)).replace(/\r?\n$/, '')
}
