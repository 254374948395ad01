// The SHA-256 of a file, read in pieces.

import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { abortedError, MixtralError } from '../errors.js'

const PIECE = 2 ** 20

interface Hashing {
  readonly signal?: AbortSignal
  /** Called with the bytes that have been read. */
  readonly onProgress?: (bytes: number) => void
}

/** The hash in hex. Throws `IO` if the file cannot be read, and `ABORTED`. */
export async function fileHash(path: string, { signal, onProgress }: Hashing = {}): Promise<string> {
  const file = await open(path).catch((cause: Error) => {
    throw new MixtralError('IO', `${path}: cannot be opened: ${cause.message}`, { cause })
  })
  try {
    const hash = createHash('sha256')
    const piece = new Uint8Array(PIECE)
    for (let done = 0; ; ) {
      if (signal?.aborted) throw abortedError(signal)
      const { bytesRead } = await file.read(piece, 0, PIECE, done).catch((cause: Error) => {
        throw new MixtralError('IO', `${path}: cannot be read: ${cause.message}`, { cause })
      })
      if (bytesRead === 0) return hash.digest('hex')
      hash.update(piece.subarray(0, bytesRead))
      done += bytesRead
      onProgress?.(done)
    }
  } finally {
    await file.close()
  }
}
