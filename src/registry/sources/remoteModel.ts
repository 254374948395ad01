// A model at its source, before it is downloaded: its files, where they will be in our store, and its header, read
// through HTTP ranges, without the weights. Owns the checks of the answers. Knows no source.

import { MixtralError } from '../../base/errors.js'
import type { ByteSource } from '../../base/files/byteSource.js'
import { limits } from '../../base/limits.js'
import type { Gguf } from '../../format/gguf/gguf.js'
import { type GgufHeader, readHeader } from '../../format/gguf/readHeader.js'
import { joinShards } from '../../format/gguf/shards.js'
import type { OllamaName, RemoteName } from '../names/modelName.js'
import type { OllamaLayers } from '../stores/ollamaLayers.js'
import type { RemoteFile } from '../transfer/download.js'
import { ExchangeError, exchange } from '../transfer/exchange.js'
import { withPatience } from '../transfer/patience.js'

/** A file and its path in our store. */
export interface StoreFile extends RemoteFile {
  readonly target: string
}

export interface RemoteModel {
  readonly name: RemoteName
  /** The GGUF, or its shards in order. */
  readonly weights: readonly StoreFile[]
  /** The LoRA adapters of an Ollama model, GGUF files, in their order. Default: none. */
  readonly adapters?: readonly StoreFile[]
  /** Small files that belong to it. */
  readonly extras: readonly StoreFile[]
  /** Fetches the texts of an Ollama model. */
  readonly readLayers?: () => Promise<OllamaLayers>
  /** An Ollama model's manifest, to be stored when all files are in place. */
  readonly manifest?: { readonly name: OllamaName; readonly target: string; readonly text: string }
}

/** The bytes of all files of a model. */
export function remoteBytes(remote: RemoteModel): number {
  return remoteFiles(remote).reduce((sum, { bytes }) => sum + bytes, 0)
}

/** All files of a model, the small ones first. */
export function remoteFiles({ extras, adapters = [], weights }: RemoteModel): StoreFile[] {
  return [...extras, ...adapters, ...weights]
}

/** Of a server that ignores ranges and sends the file from its start. */
const MOST_SKIPPED = limits.skipped.most

/**
 * Reads the headers of a model and of its adapters: all together take no more memory than those of one set may. Throws
 * `IO` if they cannot be read, `GGUF` if they are malformed.
 */
export async function openRemoteGgufs({ weights, adapters = [] }: RemoteModel, signal?: AbortSignal): Promise<Gguf[]> {
  const opened: Gguf[] = []
  let taken = 0
  for (const shards of [weights, ...adapters.map((file) => [file])]) {
    const headers: GgufHeader[] = []
    for (const file of shards) {
      const header = await readHeader(new HttpSource(file, signal), { taken, signal })
      taken = header.memory
      headers.push(header)
    }
    opened.push(joinShards(headers))
  }
  return opened
}

/** The text of a small file. Throws `IO` if it cannot be read, or has more than `mostBytes`. */
export async function readRemoteText(file: StoreFile, mostBytes: number, signal?: AbortSignal): Promise<string> {
  if (file.bytes > mostBytes) throw new MixtralError('IO', `${file.name}: ${file.bytes} bytes, expected at most ${mostBytes}`)
  return file.bytes === 0 ? '' : new TextDecoder().decode(await new HttpSource(file, signal).read(0, file.bytes))
}

class HttpSource implements ByteSource {
  readonly name: string
  readonly bytes: number
  readonly #file: RemoteFile
  readonly #signal: AbortSignal | undefined

  constructor(file: RemoteFile, signal?: AbortSignal) {
    this.name = file.name
    this.bytes = file.bytes
    this.#file = file
    this.#signal = signal
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return withPatience(this.name, this.#signal, () => this.#read(offset, length))
  }

  async #read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length)
    const { address, credentials } = this.#file
    const headers = { range: `bytes=${offset}-${offset + length - 1}` }
    let done = 0
    await exchange({ address, headers, credentials, signal: this.#signal }, async (response, chunks) => {
      let skip = offset - this.#start(response, offset)
      for await (const chunk of chunks) {
        const wanted = chunk.subarray(Math.min(skip, chunk.length)).subarray(0, length - done)
        skip = Math.max(0, skip - chunk.length)
        bytes.set(wanted, done)
        done += wanted.length
        if (done === length) return
      }
    })
    if (done < length) throw new ExchangeError(`${new URL(address).host} sent ${done} of ${length} bytes`, { transient: true })
    return bytes
  }

  /** Offset in the file of the body's first byte. */
  #start(response: Response, offset: number): number {
    const { host } = new URL(this.#file.address)
    const [, from, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '') ?? []
    const size = response.status === 206 ? total : response.headers.get('content-length')
    if (size && size !== '*' && Number(size) !== this.bytes) {
      throw new MixtralError('IO', `${this.name} has changed at ${host}: it has ${size} bytes, expected ${this.bytes}`)
    }
    if (response.status === 206 && Number(from) === offset) return offset
    if (response.status === 200 && offset <= MOST_SKIPPED) return 0
    throw new ExchangeError(`${host} ignores ranges, and the header of ${this.name} goes beyond its first ${MOST_SKIPPED} bytes`, {})
  }
}
