// Whether a disk has room for files that are to come. Looks, reserves nothing.

import fs from 'node:fs/promises'
import path from 'node:path'
import { MixtralError } from '../errors.js'
import { partialOf } from './partialFile.js'

/** Throws `IO` if the files, less what has come of them already, do not fit the disk of `folder`. */
export async function checkSpace(
  name: string,
  folder: string,
  files: readonly { readonly target: string; readonly bytes: number }[],
): Promise<void> {
  await fs.mkdir(folder, { recursive: true }).catch(() => {}) // opening the file will say why it cannot be
  const stats = await fs.statfs(folder).catch(() => undefined)
  if (!stats) return // the system does not say: writing will
  const free = stats.bavail * stats.bsize
  let needed = 0
  for (const { target, bytes } of files) {
    const there = await fs.stat(partialOf(target)).catch(() => undefined)
    needed += Math.max(0, bytes - (there?.blocks ?? 0) * 512)
  }
  if (needed <= free) return
  throw new MixtralError('IO', `${name} needs ${gigabytes(needed)} more at ${path.resolve(folder)}, where ${gigabytes(free)} are free`)
}

function gigabytes(bytes: number): string {
  return bytes < 1e8 ? `${(bytes / 1e6).toFixed(2)} MB` : `${(bytes / 1e9).toFixed(2)} GB`
}
