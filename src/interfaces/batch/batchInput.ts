// A file of requests, each a line as OpenAI's batches have them. It is read once from end to end, to check every line
// and to learn where it is; then requests are read again when their turn comes, so that memory holds places and no
// requests. Owns the checks of a line, the id of the batch and the order in which requests run.

import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { abortedError, checkText, MixtralError, shown } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import { TimeSlice } from '../../base/timeSlice.js'
import { ApiError } from '../server/apiError.js'
import { parsedBody } from '../server/security/body.js'
import { linesOf, openFile, readAt } from './fileLines.js'

const URLS = ['/v1/chat/completions', '/v1/completions', '/v1/embeddings'] as const

/** A request as its line has it. */
export interface BatchRequest {
  /** Its place among the requests of the file, counted from 0. */
  readonly index: number
  /** The file and the number of its line, for messages. */
  readonly where: string
  readonly customId: string
  readonly url: (typeof URLS)[number]
  readonly body: Readonly<Record<string, unknown>>
}

interface Opening {
  readonly signal?: AbortSignal | undefined
  /** Called with the bytes that have been read, and all. */
  readonly onProgress?: ((progress: { readonly loaded: number; readonly total: number }) => void) | undefined
  /** How messages call the file. Default: by its path. */
  readonly label?: string
  /** Looks at each request, which has the right form. */
  readonly onRequest?: (request: BatchRequest, line: number) => void
  /** Takes what is wrong with a line, in place of its being thrown; the file may have no requests then. */
  readonly onWrong?: (wrong: WrongLine) => void
}

/** What is wrong with a line. */
interface WrongLine {
  readonly line: number
  /** As OpenAI has it. */
  readonly code: 'invalid_json_line' | 'invalid_request' | 'duplicate_custom_id'
  /** It begins with the file and the number of the line. */
  readonly message: string
}

/** Characters of a request that tell which begin alike. */
const BEGINNING = 256

export class BatchInput {
  readonly file: string
  /** Names the batch: it follows from the bytes of the file. */
  readonly id: string
  /** How many requests there are. */
  readonly size: number
  /** The models that requests name, and where the first does. */
  readonly models: ReadonlyMap<string, string>
  /** The requests in the order in which they run: those with a common beginning follow each other. */
  readonly order: Uint32Array
  readonly #handle: FileHandle
  readonly #lines: Lines
  /** The requests in the order of the hashes of their ids. */
  readonly #byId: Uint32Array

  private constructor(file: string, id: string, handle: FileHandle, lines: Lines, models: ReadonlyMap<string, string>) {
    this.file = file
    this.id = id
    this.size = lines.count
    this.models = models
    this.#handle = handle
    this.#lines = lines
    this.#byId = sortedBy(lines.ids, lines.count)
    this.order = groupedBy(lines.groups, lines.count)
  }

  /**
   * Reads and checks the whole file. Throws `OPTION` that names the line for one that is malformed, and both lines for
   * a `custom_id` that is there twice; `IO` and `ABORTED`.
   */
  static async open(path: string, { signal, onProgress, label: file = path, onRequest, onWrong }: Opening = {}): Promise<BatchInput> {
    checkText('the input', path)
    const handle = await openFile(path)
    const told = <T>(line: number, code: WrongLine['code'], work: () => T): T | undefined => {
      try {
        return work()
      } catch (error) {
        if (!onWrong || !(error instanceof MixtralError)) throw error
        onWrong({ line, code, message: error.message })
        return undefined
      }
    }
    try {
      const { size: total } = await handle.stat()
      const hash = createHash('sha256')
      const lines = new Lines()
      const models = new Map<string, string>()
      let loaded = 0
      const onBytes = (bytes: Uint8Array) => {
        hash.update(bytes)
        loaded += bytes.length
        onProgress?.({ loaded, total })
      }
      const slice = new TimeSlice()
      for await (const { number, offset, bytes } of linesOf(handle, { file, most: limits.batchLine.most, signal, onBytes })) {
        if (slice.isOver) await slice.pause(signal)
        if (number > limits.batchRequests.most) {
          throw new MixtralError('OPTION', `${file}:${number}: more than ${limits.batchRequests.most} lines, which is the most of a file`)
        }
        if (isBlank(bytes)) continue
        const where = `${file}:${number}`
        const line = told(number, 'invalid_json_line', () => lineOf(bytes, where))
        const request = line && told(number, 'invalid_request', () => checkRequest(line, lines.count, where))
        if (!request) continue
        onRequest?.(request, number)
        const { model } = request.body
        if (typeof model === 'string' && model !== '' && !models.has(model) && models.size < BEGINNING) models.set(model, request.where)
        lines.add({ number, offset, length: bytes.length, id: hashOf(request.customId), group: hashOf(beginningOf(request.body)) })
      }
      if (lines.count === 0 && !onWrong) throw new MixtralError('OPTION', `${file} has no requests, expected one a line`)
      const input = new BatchInput(file, `batch_${hash.digest('hex').slice(0, 32)}`, handle, lines, models)
      for await (const [index, message] of input.#duplicates(signal)) {
        told(lines.numbers[index]!, 'duplicate_custom_id', () => {
          throw new MixtralError('OPTION', message)
        })
      }
      return input
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** The file and the line of a request, for messages. */
  whereIs(index: number): string {
    return `${this.file}:${this.#lines.numbers[index]}`
  }

  /** Reads a request. Throws `IO` if the file has become another one. */
  async read(index: number): Promise<BatchRequest> {
    const { offsets, lengths } = this.#lines
    const where = this.whereIs(index)
    const bytes = await readAt(this.#handle, this.file, offsets[index]!, lengths[index]!)
    try {
      return checkRequest(lineOf(bytes, where), index, where)
    } catch (cause) {
      throw new MixtralError('IO', `${where}: the file has changed since its lines were checked`, { cause })
    }
  }

  /** The request of an id. Undefined if there is none. */
  async find(customId: string): Promise<BatchRequest | undefined> {
    const { ids } = this.#lines
    const wanted = hashOf(customId)
    let [low, high] = [0, this.size]
    while (low < high) {
      const middle = (low + high) >> 1
      if (ids[this.#byId[middle]!]! < wanted) low = middle + 1
      else high = middle
    }
    for (let i = low; i < this.size && ids[this.#byId[i]!] === wanted; i++) {
      const request = await this.read(this.#byId[i]!)
      if (request.customId === customId) return request
    }
    return undefined
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }

  /** The requests whose `custom_id` is that of an earlier one, and what is to be said of each. */
  async *#duplicates(signal: AbortSignal | undefined): AsyncGenerator<readonly [index: number, message: string]> {
    const { ids } = this.#lines
    for (let i = 1; i < this.size; i++) {
      const [one, other] = [this.#byId[i - 1]!, this.#byId[i]!]
      if (ids[one] !== ids[other]) continue
      if (signal?.aborted) throw abortedError(signal)
      const [first, second] = [await this.read(one), await this.read(other)]
      if (first.customId !== second.customId) continue
      yield [other, `${second.where}: custom_id ${shown(second.customId)} is that of ${first.where}, too`]
    }
  }
}

/** Where the requests of a file are, and hashes of what they are: some 40 bytes each. */
class Lines {
  count = 0
  offsets = new Float64Array(1024)
  lengths = new Uint32Array(1024)
  numbers = new Uint32Array(1024)
  ids = new Float64Array(1024)
  groups = new Float64Array(1024)

  add(line: {
    readonly number: number
    readonly offset: number
    readonly length: number
    readonly id: number
    readonly group: number
  }): void {
    if (this.count === this.offsets.length) this.#grow()
    this.offsets[this.count] = line.offset
    this.lengths[this.count] = line.length
    this.numbers[this.count] = line.number
    this.ids[this.count] = line.id
    this.groups[this.count] = line.group
    this.count++
  }

  #grow(): void {
    const room = this.count * 2
    const longer = <T extends Float64Array | Uint32Array>(made: T, old: T) => {
      made.set(old)
      return made
    }
    this.offsets = longer(new Float64Array(room), this.offsets)
    this.lengths = longer(new Uint32Array(room), this.lengths)
    this.numbers = longer(new Uint32Array(room), this.numbers)
    this.ids = longer(new Float64Array(room), this.ids)
    this.groups = longer(new Float64Array(room), this.groups)
  }
}

/** Throws `OPTION` that begins with `where`. */
function lineOf(bytes: Uint8Array, where: string): Record<string, unknown> {
  try {
    return parsedBody(bytes)
  } catch (error) {
    if (error instanceof ApiError) throw new MixtralError('OPTION', `${where}: ${error.message.replace('the body', 'the line')}`)
    throw error
  }
}

/** A line that is JSON. Throws `code` that begins with `where` for one that is no request. */
export function checkRequest(
  line: Readonly<Record<string, unknown>>,
  index: number,
  where: string,
  code: 'OPTION' | 'IO' = 'OPTION',
): BatchRequest {
  const wrong = (what: string) => new MixtralError(code, `${where}: ${what}`)
  const { custom_id: customId, method, url, body } = line
  const most = limits.customId.most
  if (typeof customId !== 'string' || customId === '' || customId.length > most) {
    throw wrong(`custom_id is ${shown(customId)}, expected a string of 1 to ${most} characters`)
  }
  if (method !== 'POST') throw wrong(`method is ${shown(method)}, expected POST`)
  if (!URLS.includes(url as BatchRequest['url'])) throw wrong(`url is ${shown(url)}, expected one of ${URLS.join(', ')}`)
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw wrong(`body is ${shown(body)}, expected an object`)
  return { index, where, customId, url: url as BatchRequest['url'], body: body as Record<string, unknown> }
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09)
}

/** What a prompt begins with, near enough. */
function beginningOf({ tools, messages, prompt, input }: BatchRequest['body']): string {
  return (JSON.stringify([tools, messages ?? prompt ?? input]) ?? '').slice(0, BEGINNING)
}

/** 48 bits of a hash. */
function hashOf(text: string): number {
  return createHash('sha256').update(text).digest().readUIntBE(0, 6)
}

/** Indices in the order of their values, those of one value in their own order. */
function sortedBy(values: Float64Array, count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => i).sort((a, b) => values[a]! - values[b]! || a - b)
}

/** Indices, those of one value together, where the first of them stands. */
function groupedBy(values: Float64Array, count: number): Uint32Array {
  const sorted = sortedBy(values, count)
  const firsts = new Float64Array(count)
  for (let i = 0, first = 0; i < count; i++) {
    if (i === 0 || values[sorted[i]!] !== values[sorted[i - 1]!]) first = sorted[i]!
    firsts[sorted[i]!] = first
  }
  return sortedBy(firsts, count)
}
