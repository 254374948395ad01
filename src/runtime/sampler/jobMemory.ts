// Jobs and their choices in memory that main and the threads share, so that the thread that has a row of logits does
// its job. A job's lists follow its numbers; where a job is too long for the memory that is left, main does it. Owns
// the places of all numbers. All of them are float64, in which ids and words of masks are exact.

import { choose } from './choose.js'
import { type Choice, type Job, NOT_FINITE, noValues, type TokenValues } from './job.js'
import { MOST_TOP, scoreRow } from './logProbabilities.js'
import type { Settings } from './samplerOptions.js'
import { settingNames } from './samplerTable.js'

/** Only a token's log-probability is wanted, and those of the most likely ones. */
export interface ScoreJob {
  readonly score: number
  /** 0 to 20. */
  readonly top: number
}

export type RowJob = Job | ScoreJob

/** In place of a job: no logits are wanted of the row, but its hidden state, which is there before them. */
export const HIDDEN = 'hidden'
/** Its place. */
export const NO_LOGITS = -1

/** Numbers of a job before its lists: draw, u, xtc, two of the state, top, postSampling, and five lengths. */
const HEAD = 12
/** Numbers of a choice: id, state, logprob, length of the list, and the list. */
const CHOICE = 5 + 2 * MOST_TOP
/** A mask's length where there is none. */
const NO_MASK = -1
/** `draw` of a score: none. */
const SCORE = -1
/** What there is for a sequence's job: enough for a constraint over a large vocabulary. */
const JOB_NUMBERS = 12_288
const SCORE_NUMBERS = HEAD

export class JobMemory {
  readonly numbers: Float64Array
  readonly #rows: number

  /**
   * @param rows most jobs at a time
   * @param numbers of an earlier `create`
   */
  constructor(rows: number, numbers: Float64Array) {
    this.#rows = rows
    this.numbers = numbers
  }

  /** Shared memory for `rows` jobs, of which `sequences` may be long. */
  static create(rows: number, sequences: number): Float64Array {
    const count = rows * (CHOICE + SCORE_NUMBERS) + sequences * JOB_NUMBERS
    return new Float64Array(new SharedArrayBuffer(count * 8))
  }

  /** Writes the jobs. Returns the place of each, 0 for what is no job and for a job that found no room. */
  write(jobs: readonly (RowJob | typeof HIDDEN | undefined)[]): number[] {
    let at = this.#rows * CHOICE
    return jobs.map((job) => {
      if (job === HIDDEN) return NO_LOGITS
      if (!job || at + lengthOf(job) > this.numbers.length) return 0
      const place = at
      at = 'score' in job ? this.#writeScore(at, job) : this.#writeJob(at, job)
      return place
    })
  }

  /** Does the job at a place with a row of logits, and writes what comes of it as the `index`-th choice. */
  do(place: number, row: Float32Array, index: number): void {
    const { id, state, logprob, top } = doJob(row, this.#read(place))
    const at = index * CHOICE
    const count = Math.min(top.ids.length, MOST_TOP)
    this.numbers.set([id, state[0]!, state[1]!, logprob, count], at)
    this.numbers.set(top.ids.subarray(0, count), at + 5)
    this.numbers.set(top.values.subarray(0, count), at + 5 + MOST_TOP)
  }

  /** What came of the job whose choice is the `index`-th. */
  choice(index: number): Choice {
    const at = index * CHOICE
    const [id, first, second, logprob, count] = this.numbers.subarray(at, at + 5) as unknown as [number, number, number, number, number]
    const ids = Int32Array.from(this.numbers.subarray(at + 5, at + 5 + count))
    const values = this.numbers.slice(at + 5 + MOST_TOP, at + 5 + MOST_TOP + count)
    return { id, state: Float64Array.of(first, second), logprob, top: count ? { ids, values } : noValues }
  }

  #writeScore(at: number, { score, top }: ScoreJob): number {
    this.numbers.set([SCORE, score, top], at)
    return at + SCORE_NUMBERS
  }

  #writeJob(at: number, job: Job): number {
    const { numbers } = this
    const { settings, chain, draw, u, xtc, state, mask, bias, counts, dry, top, postSampling } = job
    const lengths = [chain.length, mask ? mask.length : NO_MASK, bias.ids.length, counts.ids.length, dry.ids.length]
    const lists = [
      settingNames.map((name) => settings[name]),
      chain,
      mask ?? [],
      ...[bias, counts, dry].flatMap((list) => [list.ids, list.values]),
    ]
    numbers.set([draw, u, xtc, state[0]!, state[1]!, top, postSampling, ...lengths], at)
    let end = at + HEAD
    for (const list of lists) {
      numbers.set(list, end)
      end += list.length
    }
    return end
  }

  #read(place: number): RowJob {
    const { numbers } = this
    if (numbers[place] === SCORE) return { score: numbers[place + 1]!, top: numbers[place + 2]! }
    let at = place + HEAD
    const list = (length: number) => {
      at += length
      return numbers.subarray(at - length, at)
    }
    const [draw, u, xtc, first, second, top, postSampling, ...lengths] = numbers.subarray(place, place + HEAD)
    const [chainLength, maskLength, ...valueLengths] = lengths as [number, number, number, number, number]
    const values = list(settingNames.length)
    const settings = Object.fromEntries(settingNames.map((name, i) => [name, values[i]!])) as Settings
    const chain = Uint8Array.from(list(chainLength))
    const mask = maskLength === NO_MASK ? undefined : Uint32Array.from(list(maskLength))
    const [bias, counts, dry] = valueLengths.map((length): TokenValues => ({ ids: Int32Array.from(list(length)), values: list(length) }))
    return {
      settings,
      chain,
      draw: draw!,
      u: u!,
      xtc: xtc!,
      state: Float64Array.of(first!, second!),
      mask,
      bias: bias!,
      counts: counts!,
      dry: dry!,
      top: top!,
      postSampling: postSampling as 0 | 1,
    }
  }
}

function lengthOf(job: RowJob): number {
  if ('score' in job) return SCORE_NUMBERS
  const values = [job.bias, job.counts, job.dry].reduce((sum, { ids }) => sum + 2 * ids.length, 0)
  return HEAD + settingNames.length + job.chain.length + (job.mask?.length ?? 0) + values
}

/** Does a job with a row of logits in this thread. */
export function doJob(row: Float32Array, job: RowJob): Choice {
  if (!('score' in job)) return choose(row, job)
  const { logprob, top } = scoreRow(row, job.score, job.top)
  if (Number.isFinite(logprob)) return { id: job.score, state: new Float64Array(2), logprob, top }
  const broken = row.findIndex((logit) => !Number.isFinite(logit))
  const values = { ids: Int32Array.of(broken), values: Float64Array.of(row[broken]!) }
  return { id: NOT_FINITE, state: new Float64Array(2), logprob: row[broken]!, top: values }
}
