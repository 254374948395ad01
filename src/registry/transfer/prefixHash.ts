// The SHA-256 of a file while it is being downloaded: follows the prefix without gaps, so that the hash is ready soon
// after the last byte. Reads the bytes back from the file, which also has those of earlier attempts. A large file is
// hashed by a thread of its own: the main thread has the connections, and the program that pulls.

import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { abortedError } from '../../base/errors.js'
import { ioError } from '../../base/files/byteSource.js'
import type { HashResult, HashTask } from './hashWorker.js'
import { type PartialFile, partialOf } from './partialFile.js'

const READ_BYTES = 2 ** 20
const POLL_MS = 10
/** Bytes that the main thread hashes sooner than a thread starts. */
const FEW_BYTES = 2 ** 23

/** The hash in hex, when all bytes are written. Throws `ABORTED` when the signal fires, `IO` for a disk that fails. */
export async function hashWhileDownloading(partial: PartialFile, signal: AbortSignal): Promise<string> {
  return partial.bytes <= FEW_BYTES ? hashHere(partial, signal) : hashInThread(partial, signal)
}

async function hashHere(partial: PartialFile, signal: AbortSignal): Promise<string> {
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

async function hashInThread(partial: PartialFile, signal: AbortSignal): Promise<string> {
  const file = partialOf(partial.path)
  const task: HashTask = { file, bytes: partial.bytes }
  const worker = new Worker(new URL('./hashWorker.js', import.meta.url), { workerData: task })
  try {
    let result: HashResult | undefined
    const keep = (told: HashResult) => {
      result ??= told
    }
    worker.on('message', keep)
    worker.on('error', (error: Error) => keep({ failure: error.message }))
    worker.on('exit', () => keep({ failure: 'its thread has ended' }))
    for (let told = 0; !result; await sleep(POLL_MS)) {
      if (signal.aborted) throw abortedError(signal)
      if (partial.prefix > told) {
        told = partial.prefix
        worker.postMessage(told)
      }
    }
    if ('sha256' in result) return result.sha256
    throw ioError('read', file, new Error(result.failure))
  } finally {
    await worker.terminate()
  }
}
