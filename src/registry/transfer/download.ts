// One file from an address to the disk: parallel ranges, resumed where an earlier attempt ended, verified, and renamed when it is whole. Owns
// retries and what is believed of an answer; how an exchange goes is exchange.ts, where bytes lie partialFile.ts.

import { abortedError, MixtralError } from '../../base/errors.js'
import { type Credentials, ExchangeError, exchange, STALL_MS } from './exchange.js'
import { PartialFile } from './partialFile.js'
import { Patience, Quiet, type RetryPace } from './patience.js'
import { hashAsItComes } from './prefixHash.js'

/** A file that is somewhere else. */
export interface RemoteFile {
  readonly address: string
  /** For messages. */
  readonly name: string
  readonly bytes: number
  /** In hex; undefined where nobody says it. */
  readonly sha256?: string | undefined
  /** Where there is no SHA-256, what changes when the bytes do, such as a commit. */
  readonly version?: string | undefined
  /** What `versionOf` must find in every answer that has a version. Undefined where no answer is to be compared. */
  readonly answerVersion?: string | undefined
  readonly credentials?: Credentials | undefined
}

export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined
  /** Called as bytes come, with how many of this file are there. */
  readonly onLoaded?: ((loaded: number) => void) | undefined
  /** Called when the bytes are all there and right, before they get their name. */
  readonly beforeNaming?: (sha256: string) => Promise<void>
  readonly pace?: Pace
  /** The name of the model that the file is a part of, by which it is found if it never becomes whole. */
  readonly model?: string
}

/** How a download goes about it. */
export interface Pace extends RetryPace {
  readonly connections: number
  /** Asked for at once. */
  readonly rangeBytes: number
  /** Written at once; what a kill may cost per connection. */
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
 * Downloads a file to a path; returns its SHA-256 in hex. Hold the path's lock. What came before a failure stays and is used the next time, but
 * for bytes whose hash is wrong: those are thrown away.
 * Throws `IO` saying what the server did or the disk lacks, `ABORTED` if the signal fires.
 */
export async function download(file: RemoteFile, target: string, options: DownloadOptions = {}): Promise<string> {
  for (;;) {
    const identity = file.sha256 ?? file.version ?? file.address
    const partial = await PartialFile.open(target, { bytes: file.bytes, identity, model: options.model ?? file.name })
    try {
      const sha256 = await new Download(file, partial, options).run()
      if (file.sha256 === undefined || sha256 === file.sha256) {
        await options.beforeNaming?.(sha256)
        await partial.finish()
        return sha256
      }
      await partial.discard()
      // The disk may have lost in a crash what an earlier attempt had written: all anew, then.
      if (partial.resumed === 0) {
        throw new MixtralError('IO', `${file.name}: what came has SHA-256 ${sha256}, expected ${file.sha256}; it was thrown away`)
      }
    } finally {
      await partial.close()
    }
  }
}

/** The server sends the whole file whatever range it is asked for. */
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
    const hash = hashAsItComes(this.#partial, this.#stop.signal)
    const both = [hash, this.#fill()] as const
    try {
      await Promise.all(both)
      return await hash
    } catch (error) {
      this.#stop.abort(error)
      await Promise.allSettled(both)
      if (signal?.aborted) throw abortedError(signal)
      throw this.#stop.signal.reason // what failed first, and not the ends that followed from it
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

  /** Brings the bytes from `start` to `end`, with as many requests as it takes. */
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
        await patience.afterFailure(error)
      }
    }
  }

  /** One request for `start` to `end`, of which any part may come. `progress` is told the byte after the last one written. */
  async #request(start: number, end: number, whole: boolean, progress: (next: number) => void): Promise<void> {
    const { address, credentials } = this.#file
    const headers = { range: `bytes=${start}-${end - 1}` }
    const signal = this.#stop.signal
    await exchange({ address, headers, credentials, signal, stallMs: this.#pace.stallMs }, async (response, chunks) => {
      const first = this.#checkAnswer(response, start, whole)
      const buffer = new WriteBuffer(start, this.#pace.writeBytes, async (bytes, offset) => {
        await this.#partial.write(bytes, offset)
        progress(offset + bytes.length)
      })
      let at = first
      try {
        for await (const chunk of chunks) {
          // Bytes of a whole file before the ones that are missing, and bytes beyond what was asked for, are let go.
          await buffer.add(chunk.subarray(Math.min(chunk.length, Math.max(0, start - at)), Math.max(0, end - at)))
          at += chunk.length
          if (at > end) break
        }
      } finally {
        await buffer.flush() // what came before the connection broke counts
      }
      if (at <= start) throw new ExchangeError(`${new URL(address).host} sent none of the bytes from ${start} on`, { transient: true })
    })
  }

  /** Which byte of the file the body begins with. */
  #checkAnswer(response: Response, start: number, whole: boolean): number {
    const { address, bytes, answerVersion } = this.#file
    const host = new URL(address).host
    const changed = (what: string) => new MixtralError('IO', `${this.#file.name} has changed at ${host}: ${what}`)
    const found = versionOf(response)
    if (answerVersion !== undefined && found !== undefined && found !== answerVersion)
      throw changed(`it is of ${found}, expected ${answerVersion}`)
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

/** What changes when the bytes behind an address do, as far as the answer says. */
export function versionOf(response: Response): string | undefined {
  const etag = response.headers.get('etag')
  if (etag?.startsWith('"')) return `ETag ${etag.slice(0, 200)}` // a weak one stays when bytes change
  return response.headers.get('last-modified')?.slice(0, 100)
}

/** Collects small chunks, which come one after the other, into large writes. */
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
