// The SHA-256 of a file while it is still coming: follows the bytes that are there without a gap, so that nothing is left to do when the last one
// has come. Reads them back from the file, which holds bytes of earlier attempts too.

import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { abortedError } from '../../base/errors.js'
import type { PartialFile } from './partialFile.js'

const READ_BYTES = 2 ** 20
const POLL_MS = 10

/** The hash in hex, once all bytes are there. Throws `ABORTED` when the signal fires. */
export async function hashAsItComes(partial: PartialFile, signal: AbortSignal): Promise<string> {
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
