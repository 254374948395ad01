// The thread that hashes a file while it is being downloaded. It is told how far the file is written, reads it that
// far, and tells the hash in hex when that is the whole.

import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'

export interface HashTask {
  readonly file: string
  readonly bytes: number
}

/** What the thread tells, once: the hash, or why the file cannot be read. */
export type HashResult = { readonly sha256: string } | { readonly failure: string }

const READ_BYTES = 2 ** 20

const { file, bytes } = workerData as HashTask
const hash = createHash('sha256')
const buffer = new Uint8Array(READ_BYTES)
let handle: number | undefined
let done = 0

parentPort!.on('message', (end: number) => {
  try {
    handle ??= openSync(file, 'r')
    while (done < end) {
      const read = readSync(handle, buffer, 0, Math.min(READ_BYTES, end - done), done)
      if (read === 0) throw new Error(`it ends at byte ${done}, expected ${bytes} bytes`)
      hash.update(buffer.subarray(0, read))
      done += read
    }
    if (done < bytes) return
    closeSync(handle)
    tell({ sha256: hash.digest('hex') })
  } catch (error) {
    tell({ failure: (error as Error).message })
  }
})

function tell(result: HashResult): void {
  parentPort!.postMessage(result)
}
