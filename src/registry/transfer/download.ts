// Downloads one file: parallel ranges, resumed where an earlier attempt ended, verified, and named when it is complete
// or later. Owns retries and the checks of answers; exchange.ts sends the requests, partialFile.ts holds the bytes.

import { abortedError, MixtralError } from '../../base/errors.js'
import { type Credentials, ExchangeError, exchange, STALL_MS } from './exchange.js'
import { nameComplete, PartialFile } from './partialFile.js'
import { Patience, Quiet, type RetryPace } from './patience.js'
import { hashWhileDownloading, wrongHash } from './prefixHash.js'

/** A file at an address. */
export interface RemoteFile {
  readonly address: string
  /** For messages. */
  readonly name: string
  readonly bytes: number
  /** In hex; undefined if the source does not tell it. */
  readonly sha256?: string | undefined
  /** Of a small file without it: the hash by which git knows its bytes, in hex. */
  readonly gitHash?: string | undefined
  /** Without a SHA-256: a text that changes when the bytes do, such as a commit. */
  readonly version?: string | undefined
  /** The version that every answer must have, if it has one (`versionOf`). Undefined if answers are not compared. */
  readonly answerVersion?: string | undefined
  readonly credentials?: Credentials | undefined
}

export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined
  /** Called as bytes come, with the bytes of this file that are written. */
  readonly onLoaded?: ((loaded: number) => void) | undefined
  readonly pace?: Pace
  /** The name of the model that the file belongs to, by which an incomplete download is found. */
  readonly model?: string
}

/** Tuning of a download. */
export interface Pace extends RetryPace {
  readonly connections: number
  /** Bytes of one request. */
  readonly rangeBytes: number
  /** Bytes of one write: what a kill may cost per connection. */
  readonly writeBytes: number
  readonly stallMs: number
}

const usualPace: Pace = {
  connections: 4,
  rangeBytes: 64 * 2 ** 20,
  writeBytes: 2 ** 20,
  attempts: 8,
  delayMs: 500,
  stallMs: STALL_MS,
}

/**
 * Downloads a file to a path; returns its SHA-256 in hex. Hold the path's lock. A failed download can be resumed,
 * except after a wrong hash, when the bytes are deleted, and if the source tells neither a hash nor a version: nobody
 * could see that bytes of two versions have met. Throws `IO` for a server or disk that fails, `ABORTED` if the signal
 * fires.
 */
export async function download(file: RemoteFile, target: string, options: DownloadOptions = {}): Promise<string> {
  const sha256 = await downloadUnnamed(file, target, options)
  await nameComplete(target)
  return sha256
}

/** As `download`, but the file is complete under the name of its partial file, until `nameComplete` is called. */
export async function downloadUnnamed(file: RemoteFile, target: string, options: DownloadOptions = {}): Promise<string> {
  const identity = identityOf(file)
  if (identity === undefined) return downloadAnew(file, target, options)
  for (;;) {
    const partial = await PartialFile.open(target, { bytes: file.bytes, identity, model: options.model ?? file.name })
    try {
      const sha256 = await new Download(file, partial, options).run()
      const wrong = await wrongHash(file, partial, sha256)
      if (wrong === undefined) {
        if (partial.sha256 === undefined) await partial.complete(sha256)
        return sha256
      }
      await partial.discard()
      // A crash may have lost bytes of an earlier attempt: download all of them again, once.
      if (partial.resumed === 0) {
        throw new MixtralError('IO', `${file.name}: the download has ${wrong}; it was deleted`)
      }
    } finally {
      await partial.close()
    }
  }
}

/** Downloads a file of no known version by one request: after a failure from its first byte on, with another. */
async function downloadAnew(file: RemoteFile, target: string, options: DownloadOptions): Promise<string> {
  const pace = { ...(options.pace ?? usualPace), rangeBytes: Number.POSITIVE_INFINITY }
  const patience = new Patience(file.name, pace, new Quiet(), options.signal)
  for (;;) {
    const partial = await PartialFile.open(target, { bytes: file.bytes, identity: '', model: options.model ?? file.name })
    try {
      const sha256 = await new Download(file, partial, { ...options, pace }).run()
      await partial.complete(sha256)
      return sha256
    } catch (error) {
      await partial.discard()
      await patience.afterFailure(error)
    } finally {
      await partial.close()
    }
  }
}

/** What tells that bytes are of one version: a hash, or a version. */
const identityOf = ({ sha256, version }: RemoteFile): string | undefined => sha256 ?? version

/** The server answers a request for a range with the whole file. */
class RangesIgnored extends MixtralError {
  constructor(host: string) {
    super('IO', `${host} ignores ranges`)
  }
}

class Download {
  readonly #file: RemoteFile
  readonly #partial: PartialFile
  readonly #options: DownloadOptions
  readonly #pace: Pace
  /** Ends all connections when one has failed for good. */
  readonly #stop = new AbortController()
  readonly #quiet = new Quiet()

  constructor(file: RemoteFile, partial: PartialFile, options: DownloadOptions) {
    this.#file = file
    this.#partial = partial
    this.#options = options
    this.#pace = options.pace ?? usualPace
  }

  /** Fills the gaps; returns the SHA-256 of the whole. */
  async run(): Promise<string> {
    const { signal, onLoaded } = this.#options
    const abort = () => this.#stop.abort()
    signal?.addEventListener('abort', abort)
    if (signal?.aborted) abort()
    onLoaded?.(this.#partial.loaded)
    if (this.#partial.sha256 !== undefined && !signal?.aborted) return this.#partial.sha256
    const hash = hashWhileDownloading(this.#partial, this.#stop.signal)
    const both = [hash, this.#fill()] as const
    try {
      await Promise.all(both)
      return await hash
    } catch (error) {
      this.#stop.abort(error)
      await Promise.allSettled(both)
      if (signal?.aborted) throw abortedError(signal)
      throw this.#stop.signal.reason // the first failure, not the aborts that it caused
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  async #fill(): Promise<void> {
    const ranges = this.#partial.gaps(this.#pace.rangeBytes)
    let ignored = false
    const work = async () => {
      for (let range = ranges.shift(); range && !ignored; range = ranges.shift()) {
        await this.#fetch(range.start, range.end, false).catch((error: unknown) => {
          if (!(error instanceof RangesIgnored)) throw error
          ignored = true
        })
      }
    }
    const workers = Array.from({ length: Math.min(this.#pace.connections, ranges.length) }, work)
    try {
      await Promise.all(workers)
    } catch (error) {
      this.#stop.abort(error)
      await Promise.allSettled(workers)
      throw error
    }
    if (ignored) await this.#fetch(this.#partial.prefix, this.#partial.bytes, true)
  }

  /** Downloads the bytes from `start` to `end`, with as many requests as it takes. */
  async #fetch(start: number, end: number, whole: boolean): Promise<void> {
    const patience = new Patience(this.#file.name, this.#pace, this.#quiet, this.#stop.signal)
    let at = start
    while (at < end) {
      await this.#quiet.over(this.#stop.signal)
      try {
        await this.#request(at, end, whole, (next) => {
          at = next
          patience.progressed()
          this.#options.onLoaded?.(this.#partial.loaded)
        })
      } catch (error) {
        if (identityOf(this.#file) === undefined) throw error // another answer could be of another version
        await patience.afterFailure(error)
      }
    }
  }

  /**
   * One request for `start` to `end`, of which any part may come. `progress` gets the end of the bytes that are
   * written.
   */
  async #request(start: number, end: number, whole: boolean, progress: (next: number) => void): Promise<void> {
    const { address, credentials } = this.#file
    const headers = { range: `bytes=${start}-${end - 1}` }
    const signal = this.#stop.signal
    await exchange(
      { address, headers, credentials, signal, stallMs: this.#pace.stallMs, totalMs: Number.POSITIVE_INFINITY },
      async (response, chunks) => {
        const first = this.#checkAnswer(response, start, whole)
        const buffer = new WriteBuffer(start, this.#pace.writeBytes, async (bytes, offset) => {
          await this.#partial.write(bytes, offset)
          progress(offset + bytes.length)
        })
        let at = first
        try {
          for await (const chunk of chunks) {
            // Bytes before the missing ones, of a whole file, and bytes beyond the range are dropped.
            await buffer.add(chunk.subarray(Math.min(chunk.length, Math.max(0, start - at)), Math.max(0, end - at)))
            at += chunk.length
            if (at > end) break
          }
        } finally {
          await buffer.flush() // keeps the bytes that came before the connection broke
        }
        if (at <= start) throw new ExchangeError(`${new URL(address).host} sent none of the bytes from ${start} on`, { transient: true })
      },
    )
  }

  /** Checks an answer; returns the offset in the file of the body's first byte. */
  #checkAnswer(response: Response, start: number, whole: boolean): number {
    const { address, bytes, answerVersion } = this.#file
    const host = new URL(address).host
    const changed = (what: string) => new MixtralError('IO', `${this.#file.name} has changed at ${host}: ${what}`)
    const found = versionOf(response)
    if (answerVersion !== undefined && found !== answerVersion)
      throw changed(`it is of ${found ?? 'no version'}, expected ${answerVersion}`)
    if (response.status === 206) {
      const header = response.headers.get('content-range') ?? ''
      const [, from, , total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(header) ?? []
      if (total !== undefined && total !== '*' && Number(total) !== bytes) throw changed(`it has ${total} bytes, expected ${bytes}`)
      if (from === undefined || Number(from) !== start) {
        throw new ExchangeError(`${host} answered with the range "${header.slice(0, 80)}", expected one from byte ${start} on`, {
          transient: true,
        })
      }
      return start
    }
    if (response.status !== 200) throw new ExchangeError(`${host} answered ${response.status}, expected 206 or 200`, {})
    const length = response.headers.get('content-length')
    if (length !== null && Number(length) !== bytes) throw changed(`it has ${length} bytes, expected ${bytes}`)
    if (!whole) throw new RangesIgnored(host)
    return 0
  }
}

/** The version of the bytes behind an address, if the answer has one. */
export function versionOf(response: Response): string | undefined {
  const etag = response.headers.get('etag')
  if (etag?.startsWith('"')) return `ETag ${etag.slice(0, 200)}` // a weak ETag may stay when bytes change
  return response.headers.get('last-modified')?.slice(0, 100)
}

/** Collects consecutive small chunks into large writes. */
class WriteBuffer {
  readonly #write: (bytes: Uint8Array, offset: number) => Promise<void>
  readonly #most: number
  #chunks: Uint8Array[] = []
  #bytes = 0
  #offset: number

  constructor(offset: number, most: number, write: (bytes: Uint8Array, offset: number) => Promise<void>) {
    this.#offset = offset
    this.#most = most
    this.#write = write
  }

  async add(chunk: Uint8Array): Promise<void> {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    if (this.#bytes >= this.#most) await this.flush()
  }

  async flush(): Promise<void> {
    if (this.#bytes === 0) return
    const bytes = Buffer.concat(this.#chunks, this.#bytes)
    this.#chunks = []
    this.#bytes = 0
    await this.#write(bytes, this.#offset)
    this.#offset += bytes.length
  }
}
