// The SHA-256 of a file while it is being downloaded: follows the prefix without gaps, so that the hash is ready soon
// after the last byte. Reads the bytes back from the file, which also has those of earlier attempts. A large file is
// hashed by a thread of its own: the main thread has the connections, and the program that pulls. Owns the comparison
// with what the source tells, which of a small file may be git's hash.

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

/** The hash of a complete file that is not as its source tells it, in words; undefined if none is. */
export async function wrongHash(
  { sha256, gitHash }: { readonly sha256?: string | undefined; readonly gitHash?: string | undefined },
  partial: PartialFile,
  found: string,
): Promise<string | undefined> {
  if (sha256 !== undefined) return found === sha256 ? undefined : `SHA-256 ${found}, expected ${sha256}`
  if (gitHash === undefined) return undefined
  const own = await gitHashOf(partial)
  return own === gitHash ? undefined : `git hash ${own}, expected ${gitHash}`
}

/** The name that git gives to the bytes of a complete file: the SHA-1 of their kind, number and content. */
async function gitHashOf(partial: PartialFile): Promise<string> {
  const hash = createHash('sha1').update(`blob ${partial.bytes}\0`)
  const buffer = new Uint8Array(READ_BYTES)
  for (let done = 0; done < partial.bytes; ) {
    const bytesRead = await partial.read(buffer, done)
    if (bytesRead === 0) break // another program has cut it: the hash is wrong
    hash.update(buffer.subarray(0, bytesRead))
    done += bytesRead
  }
  return hash.digest('hex')
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
