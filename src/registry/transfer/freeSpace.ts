// Whether a disk has room for downloads, of which a part may be there already.

import fs from 'node:fs/promises'
import { checkDiskSpace } from '../../base/files/diskSpace.js'
import { partialOf } from './partialFile.js'

/** Throws `IO` if the files, less what has come of them already, do not fit the disk of `folder`. */
export async function checkSpace(
  name: string,
  folder: string,
  files: readonly { readonly target: string; readonly bytes: number }[],
): Promise<void> {
  await fs.mkdir(folder, { recursive: true }).catch(() => {}) // opening the file will say why it cannot be
  let needed = 0
  for (const { target, bytes } of files) {
    const there = await fs.stat(partialOf(target)).catch(() => undefined)
    needed += Math.max(0, bytes - (there?.blocks ?? 0) * 512)
  }
  await checkDiskSpace(name, folder, needed)
}
