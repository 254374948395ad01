// Whoever writes a file asks here first whether it is one of those that are read.

import { realpath } from 'node:fs/promises'
import { MixtralError } from '../errors.js'

/** Throws `OPTION` where `target` is one of the `inputs`, by whatever name. */
export async function refuseInput(target: string, inputs: readonly string[]): Promise<void> {
  const there = await realpath(target).catch(() => undefined)
  if (there === undefined) return
  for (const input of inputs) {
    if (there === (await realpath(input).catch(() => undefined))) {
      throw new MixtralError('OPTION', `${target} is an input, expected another name for the output: the original would be lost`)
    }
  }
}
