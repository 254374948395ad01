// Whether a disk has room for bytes that are to come. Looks, reserves nothing.

import fs from 'node:fs/promises'
import path from 'node:path'
import { byteCount } from '../amounts.js'
import { MixtralError } from '../errors.js'

/** Throws `IO` if `needed` bytes do not fit the disk of `folder`. Says nothing where the system does not say what is free: writing will. */
export async function checkDiskSpace(name: string, folder: string, needed: number): Promise<void> {
  const stats = await fs.statfs(folder).catch(() => undefined)
  if (!stats || needed <= stats.bavail * stats.bsize) return
  const free = stats.bavail * stats.bsize
  throw new MixtralError('IO', `${name} needs ${byteCount(needed)} more at ${path.resolve(folder)}, where ${byteCount(free)} are free`)
}
