// Checks results without writing them again: one pass over prompt and answer must give every token of the answer, and
// with them every byte of the line. Owns the choice of lines, and what is told of the first that does not hold.

import { checkKind, checkText, shown } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import { Told } from '../../base/onAbort.js'
import { checkCallOptions } from '../../runtime/engine/callArguments.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import { answerAll, type Work } from './answerAll.js'
import { BatchInput } from './batchInput.js'
import { type BatchModel, batchModel, type KeyedRequest, keyedRequest } from './batchModel.js'
import { type FileLine, linesOf, openFile } from './fileLines.js'
import { type BatchAnswer, failureLine, resultLine, storedResult } from './resultLine.js'

export interface VerifyBatchOptions {
  /** The part of the lines that is computed, above 0 to 1: chosen by chance, at least one. Default 1: all. */
  readonly sample?: number
  readonly signal?: AbortSignal
  /** Called with the bytes of the results that have been read, and all. */
  readonly onProgress?: (progress: { readonly loaded: number; readonly total: number }) => void
}

export interface BatchVerdict {
  readonly lines: number
  /** Lines whose answers were computed. Of the others, ids, keys and seeds were checked. */
  readonly computed: number
  /** Tokens of answers that were computed. */
  readonly tokens: number
  readonly seconds: number
  /** The first line that does not hold: where it is, and why. Undefined if all hold. */
  readonly wrong: { readonly line: number; readonly customId: string; readonly why: string } | undefined
}

interface LineWork extends Work {
  readonly line: number
  readonly text: string
}

/**
 * Checks a file of results, or of errors, against the requests that it answers and the model. Throws `OPTION` for a
 * malformed input, `IO`, `ABORTED`, `CLOSED`, and what the machine fails with. A line that does not hold is no error.
 */
export async function verifyBatch(
  model: MixtralModel,
  input: string,
  output: string,
  options: VerifyBatchOptions = {},
): Promise<BatchVerdict> {
  checkText('the output', output)
  const { sample = 1, signal, onProgress } = checkCallOptions(options, ['sample'])
  checkKind('sample', sample, typeof sample === 'number' && sample > 0 && sample <= 1, 'a number above 0, at most 1')
  const requests = await BatchInput.open(input, { signal })
  try {
    const verifying = new Verifying(requests, await batchModel(model), sample)
    const handle = await openFile(output)
    try {
      const { size: total } = await handle.stat()
      const lines = linesOf(handle, { file: output, most: limits.batchResult.most, signal })
      const progress = new Told(onProgress)
      await verifying.run(lines, signal, (loaded) => progress.next({ loaded, total }))
      await progress.end()
    } finally {
      await handle.close()
    }
    return verifying.verdict()
  } finally {
    await requests.close()
  }
}

class Verifying {
  readonly #requests: BatchInput
  readonly #batch: BatchModel
  readonly #sample: number
  readonly #started = performance.now()
  readonly #seen: Uint8Array
  #lines = 0
  #computed = 0
  #tokens = 0
  #wrong: BatchVerdict['wrong']

  constructor(requests: BatchInput, batch: BatchModel, sample: number) {
    this.#requests = requests
    this.#batch = batch
    this.#sample = sample
    this.#seen = new Uint8Array(requests.size)
  }

  async run(lines: AsyncGenerator<FileLine>, signal: AbortSignal | undefined, onBytes: (bytes: number) => void): Promise<void> {
    const work = async function* (this: Verifying): AsyncGenerator<LineWork> {
      let last: LineWork | undefined
      for await (const line of lines) {
        if (this.#wrong) return
        this.#lines++
        const next = await this.#workOf(line)
        onBytes(line.offset)
        if (!next) return
        last = next
        if (Math.random() >= this.#sample) continue
        this.#computed++
        last = undefined
        yield next
      }
      if (this.#computed > 0 || !last) return
      this.#computed++
      yield last
    }
    await answerAll(work.bind(this), { batch: this.#batch, signal }, (one, answer) => this.#compare(one, answer))
  }

  verdict(): BatchVerdict {
    const seconds = (performance.now() - this.#started) / 1000
    return { lines: this.#lines, computed: this.#computed, tokens: this.#tokens, seconds, wrong: this.#wrong }
  }

  /** What is to be computed of a line. Undefined, and told, where it does not hold as it stands. */
  async #workOf({ number, bytes, ends }: FileLine): Promise<LineWork | undefined> {
    const stored = storedResult(bytes)
    if (!stored) return this.#tell(number, '', ends ? 'the line is no result of a batch' : 'the line is cut')
    const { customId, model, numerics, seed, tokens, name } = stored
    const request = await this.#requests.find(customId)
    if (!request) return this.#tell(number, customId, `${this.#requests.file} has no request of this custom_id`)
    if (this.#seen[request.index]) return this.#tell(number, customId, 'the request has a result in an earlier line')
    this.#seen[request.index] = 1
    const marks = [
      ['model', model, this.#batch.model],
      ['numerics', numerics, this.#batch.numerics],
    ] as const
    for (const [what, found, own] of marks) {
      if (found !== own) return this.#tell(number, customId, `${what} is ${shown(found)}, expected ${shown(own)}, which is loaded`)
    }
    const asked = keyedRequest(request, this.#requests.id, this.#batch, name)
    if (stored.batch !== asked.batch) return this.#tell(number, customId, `batch is ${shown(stored.batch)}, expected ${asked.batch}`)
    if (seed !== asked.seed) return this.#tell(number, customId, `seed is ${seed}, expected ${asked.seed}`)
    if (stored.key !== asked.key) return this.#tell(number, customId, `key is ${shown(stored.key)}, expected ${asked.key}`)
    return { asked, expected: tokens, line: number, text: new TextDecoder().decode(bytes) }
  }

  #compare({ asked, line, text, expected = [] }: LineWork, answer: BatchAnswer): void {
    this.#tokens += expected.reduce((sum, { length }) => sum + length, 0)
    const own = resultLine(asked, answer)
    if (own === text) return
    this.#tell(line, asked.customId, whyDifferent(text, own, asked))
  }

  /** Lines are computed beside each other: of those that do not hold, the first counts. */
  #tell(line: number, customId: string, why: string): undefined {
    if (!this.#wrong || line < this.#wrong.line) this.#wrong = { line, customId, why }
  }
}

function whyDifferent(text: string, own: string, asked: KeyedRequest): string {
  const [found, expected] = [text, own].map((one) => JSON.parse(one))
  const refused = expected.response.status_code !== 200 && found.response?.status_code === 200
  if (refused) return expected.response.body.error.message
  if (found.error) return `the machine failed: ${text === failureLine(asked, found.error) ? shown(found.error.message) : 'another line'}`
  return firstDifference(found, expected, []) ?? 'the line is spelled otherwise, expected JSON without spaces, as it is written'
}

/** Where two values of JSON differ first, and how. */
function firstDifference(found: unknown, expected: unknown, path: readonly string[]): string | undefined {
  const isTree = (value: unknown): value is object => typeof value === 'object' && value !== null
  if (!isTree(found) || !isTree(expected)) {
    return Object.is(found, expected) ? undefined : `${path.join('.')} is ${shown(found)}, expected ${shown(expected)}`
  }
  for (const name of new Set([...Object.keys(expected), ...Object.keys(found)])) {
    const [one, other] = [found, expected].map((tree) => (tree as Record<string, unknown>)[name])
    const difference = firstDifference(one, other, [...path, name])
    if (difference !== undefined) return difference
  }
  return undefined
}
