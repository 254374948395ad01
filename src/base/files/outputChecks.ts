// What is checked before a file is written: that it is none of the inputs, and that the disk has room for it. Reserves
// nothing, writes nothing.

import { realpath, statfs } from 'node:fs/promises'
import path from 'node:path'
import { byteCount } from '../amounts.js'
import { MixtralError } from '../errors.js'

/** Throws `OPTION` if `target` is one of the `inputs`, under this name or another. */
export async function refuseInput(target: string, inputs: readonly string[]): Promise<void> {
  const existing = await realpath(target).catch(() => undefined)
  if (existing === undefined) return
  for (const input of inputs) {
    if (existing === (await realpath(input).catch(() => undefined))) {
      throw new MixtralError('OPTION', `${target} is an input, expected another name for the output: the original would be lost`)
    }
  }
}

/**
 * Throws `IO` if the disk of `folder` has less than `needed` bytes free. Passes where the system does not tell: then
 * writing fails.
 */
export async function checkDiskSpace(name: string, folder: string, needed: number): Promise<void> {
  const stats = await statfs(folder).catch(() => undefined)
  if (!stats || needed <= stats.bavail * stats.bsize) return
  const free = stats.bavail * stats.bsize
  throw new MixtralError('IO', `${name} needs ${byteCount(needed)} more at ${path.resolve(folder)}, where ${byteCount(free)} are free`)
}
