// The SHA-256 of a file while it is being downloaded: follows the prefix without gaps, so that the hash is ready soon
// after the last byte. Reads the bytes back from the file, which also has those of earlier attempts.

import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { abortedError } from '../../base/errors.js'
import type { PartialFile } from './partialFile.js'

const READ_BYTES = 2 ** 20
const POLL_MS = 10

/** The hash in hex, when all bytes are written. Throws `ABORTED` when the signal fires. */
export async function hashWhileDownloading(partial: PartialFile, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  const buffer = new Uint8Array(READ_BYTES)
  for (let done = 0; done < partial.bytes; ) {
    if (signal.aborted) throw abortedError(signal)
    if (partial.prefix > done) {
      const bytesRead = await partial.read(buffer, done)
      hash.update(buffer.subarray(0, bytesRead))
      done += bytesRead
    } else await sleep(POLL_MS)
  }
  return hash.digest('hex')
}
