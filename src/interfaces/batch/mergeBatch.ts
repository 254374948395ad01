// Joins the results of shards, of processes and of machines into one file in the order of the input, and their errors
// into another. Owns the checks that all of them are of one batch, one model and one arithmetic, and that none is
// missing. Needs no model.

import type { FileHandle } from 'node:fs/promises'
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { checkKind, checkNames, checkText, MixtralError, shown } from '../../base/errors.js'
import { ioError } from '../../base/files/byteSource.js'
import { DraftFile, refuseInput } from '../../base/files/draftFile.js'
import { limits } from '../../base/limits.js'
import type { ModelMark } from '../server/modelMark.js'
import { BatchInput, type BatchRequest } from './batchInput.js'
import { keyedRequest } from './batchModel.js'
import { linesOf, openFile, readAt } from './fileLines.js'
import { type StoredResult, storedResult } from './resultLine.js'
import { errorsBeside } from './runBatch.js'

export interface MergeOptions {
  /** The file of errors. Default: beside the output, `results.errors.jsonl` for `results.jsonl`. */
  readonly errors?: string
  readonly signal?: AbortSignal
}

export interface MergeSummary {
  readonly batch: string
  readonly model: string
  readonly numerics: string
  readonly results: number
  readonly failed: number
  /** Lines that were there more than once, with the same bytes. */
  readonly repeated: number
}

/** Where the line of a request is. */
interface Place {
  readonly file: number
  readonly line: number
  readonly offset: number
  readonly length: number
  readonly failed: boolean
}

/**
 * Writes the results of `from`, files and folders of runs, in the order of the input. Throws `OPTION` for lines of
 * another batch, and for lines of one request that differ; `IO` where a result is missing, naming the first; `ABORTED`.
 */
export async function mergeBatch(
  input: string,
  output: string,
  from: readonly string[],
  options: MergeOptions = {},
): Promise<MergeSummary> {
  checkText('the output', output)
  checkNames(options, ['errors', 'signal'])
  checkKind('from', from, Array.isArray(from) && from.every((one) => typeof one === 'string'), 'a list of paths')
  const { errors = errorsBeside(output), signal } = options
  const given = [...from]
  const requests = await BatchInput.open(input, { signal })
  try {
    const files = await filesOf(given)
    for (const target of [output, errors]) await refuseInput(target, [input, ...files])
    return await joined(requests, files, signal, async (merging) => {
      merging.refuseMissing()
      await merging.write(output, false)
      if (merging.failed > 0) await merging.write(errors, true)
      return merging.summary()
    })
  } finally {
    await requests.close()
  }
}

/** Where results go that may be none, and what stands for those that are missing. */
export interface Joining {
  readonly output: string
  readonly errors: string
  /** The line of a request without a result, which belongs to the errors. */
  readonly missing: (request: BatchRequest) => string
  readonly signal?: AbortSignal
}

interface Joined {
  /** Lines of the two files. */
  readonly results: number
  readonly failed: number
  /** Of all answers. */
  readonly tokens: { readonly input: number; readonly output: number }
}

/**
 * Writes the results of a batch that has ended, early or not, in the order of the input: a file where it has a line.
 * Throws what `mergeBatch` throws.
 */
export async function joinResults(
  requests: BatchInput,
  files: readonly string[],
  { output, errors, missing, signal }: Joining,
): Promise<Joined> {
  return joined(requests, files, signal, async (merging) => {
    const failed = requests.size - merging.results
    if (merging.results > 0) await merging.write(output, false)
    if (failed > 0) await merging.write(errors, true, missing)
    return { results: merging.results, failed, tokens: merging.tokens }
  })
}

/** Reads files of results, and does something with them. */
async function joined<T>(
  requests: BatchInput,
  files: readonly string[],
  signal: AbortSignal | undefined,
  work: (merging: Merging) => Promise<T>,
): Promise<T> {
  const handles: FileHandle[] = []
  try {
    for (const file of files) handles.push(await openFile(file))
    const merging = new Merging(requests, files, handles)
    for (const index of files.keys()) await merging.read(index, signal)
    return await work(merging)
  } finally {
    for (const handle of handles) await handle.close()
  }
}

/** The files of results: a folder has those of its chunks, a file that of its errors beside it. Throws `IO`. */
async function filesOf(given: readonly string[]): Promise<string[]> {
  const files: string[] = []
  for (const one of given) {
    const stats = await stat(one).catch((cause) => {
      throw ioError('open', one, cause)
    })
    if (stats.isDirectory()) {
      const folder = path.join(one, 'results')
      const names = await readdir(folder).catch((cause) => {
        throw ioError('read', folder, cause)
      })
      const own = names.filter((name) => /^\d{6}\.jsonl$/.test(name)).sort()
      files.push(...own.map((name) => path.join(folder, name)))
      continue
    }
    files.push(one)
    const beside = errorsBeside(one)
    if (!given.includes(beside) && (await stat(beside).catch(() => undefined))?.isFile()) files.push(beside)
  }
  return files
}

class Merging {
  failed = 0
  results = 0
  readonly tokens = { input: 0, output: 0 }
  readonly #requests: BatchInput
  readonly #files: readonly string[]
  readonly #handles: readonly FileHandle[]
  readonly #places: (Place | undefined)[]
  #mark: ModelMark | undefined
  #repeated = 0

  constructor(requests: BatchInput, files: readonly string[], handles: readonly FileHandle[]) {
    this.#requests = requests
    this.#files = files
    this.#handles = handles
    this.#places = Array.from({ length: requests.size })
  }

  /** Learns where the results of a file are. A torn last line is none. */
  async read(file: number, signal: AbortSignal | undefined): Promise<void> {
    const name = this.#files[file]!
    for await (const { number, offset, bytes, ends } of linesOf(this.#handles[file]!, {
      file: name,
      most: limits.batchResult.most,
      signal,
    })) {
      if (!ends) return
      const where = `${name}:${number}`
      const stored = storedResult(bytes)
      if (!stored) throw new MixtralError('OPTION', `${where} is no result of a batch`)
      const index = await this.#indexOf(stored, where)
      const place = { file, line: number, offset, length: bytes.length, failed: stored.failed }
      const known = this.#places[index]
      if (!known) {
        this.#places[index] = place
        this.tokens.input += stored.counted.input
        this.tokens.output += stored.counted.output
        if (stored.failed) this.failed++
        else this.results++
      } else if (Buffer.compare(bytes, await this.#bytes(known)) === 0) this.#repeated++
      else {
        const other = `${this.#files[known.file]}:${known.line}`
        throw new MixtralError('OPTION', `${where}: the result of ${shown(stored.customId)} differs from that of ${other}`)
      }
    }
  }

  /** Throws `IO` that names the first request without a result. */
  refuseMissing(): void {
    const missing = this.#places.filter((place) => !place).length
    if (missing === 0) return
    const first = this.#requests.whereIs(this.#places.findIndex((place) => !place))
    throw new MixtralError('IO', `${missing} of ${this.#requests.size} requests have no result, the first is that of ${first}`)
  }

  /** Writes the results, or the errors, in the order of the input. */
  async write(target: string, failed: boolean, missing?: (request: BatchRequest) => string): Promise<void> {
    const lines: (Place | Uint8Array)[] = []
    for (const [index, place] of this.#places.entries()) {
      if (place?.failed === failed) lines.push(place)
      else if (!place && missing) lines.push(Buffer.from(missing(await this.#requests.read(index))))
    }
    const draft = await DraftFile.create(
      target,
      lines.reduce((sum, { length }) => sum + length + 1, 0),
    )
    try {
      let at = 0
      for (const one of lines) {
        const line = Buffer.concat([one instanceof Uint8Array ? one : await this.#bytes(one), Buffer.from('\n')])
        await draft.write(line, at)
        at += line.length
      }
      await draft.seal()
      await draft.publish()
    } finally {
      await draft.discard()
    }
  }

  summary(): MergeSummary {
    const { model, numerics } = this.#mark!
    return {
      ...{ batch: this.#requests.id, model, numerics },
      ...{ results: this.results, failed: this.failed, repeated: this.#repeated },
    }
  }

  /** The request that a line answers. Throws `OPTION` where it is none of this batch, or of another model. */
  async #indexOf({ customId, batch, key, model, numerics, name }: StoredResult, where: string): Promise<number> {
    const request = await this.#requests.find(customId)
    const { id } = this.#requests
    if (!request || batch !== id || keyedRequest(request, id, { model, numerics }, name).key !== key) {
      throw new MixtralError('OPTION', `${where}: the result of ${shown(customId)} is of another batch, expected ${id}`)
    }
    this.#mark ??= { model, numerics }
    if (model === this.#mark.model && numerics === this.#mark.numerics) return request.index
    const expected = `${this.#mark.model.slice(0, 12)} and ${this.#mark.numerics}`
    throw new MixtralError(
      'OPTION',
      `${where}: made by model ${model.slice(0, 12)} and ${numerics}, expected ${expected}, as the lines before`,
    )
  }

  #bytes({ file, offset, length }: Place): Promise<Uint8Array> {
    return readAt(this.#handles[file]!, this.#files[file]!, offset, length)
  }
}
