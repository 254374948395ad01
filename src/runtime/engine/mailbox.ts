// The operands of a command, in words that main and the threads share. Main writes them while the threads wait; the
// threads read them while main waits. Owns their offsets. Does not know what a command does.

import { pairsOf, type Segment, type Step } from '../model/step.js'
import { PAGE_POSITIONS, pagesOf } from '../weights/pages.js'
import type { Plan } from '../weights/plan.js'
import type { Scratch } from '../weights/scratch.js'

/** Commands of the model's team. 0 is LEAVE (team/control.ts). */
export const command = { load: 1, step: 2, check: 3 } as const

/** Offsets of the words of every command. */
const field = {
  count: 0,
  segments: 1,
  firstLayer: 2,
  endLayer: 3,
  embed: 4,
  wanted: 5,
  firstStage: 6,
  endStage: 7,
  traced: 8,
  part: 9,
  copies: 10,
  jobs: 11,
  nextRows: 12,
} as const
const HEADER = 16
/** Words of a segment: rows, position, pages, experts of a token; then how much of each adapter counts, as float32. */
const SEGMENT = 4
const COPY = 2

/** How large a step may be. */
type Limits = Pick<Plan, 'batchSize' | 'sequences' | 'contextLength' | 'adapters'> & { readonly scratch: Pick<Scratch, 'pairs'> }

/** Offsets of the lists of a step. */
function lists({ batchSize, sequences, contextLength, adapters = 0 }: Limits) {
  const tokens = HEADER
  const wanted = tokens + batchSize
  const jobs = wanted + batchSize
  const segments = jobs + batchSize
  const segment = SEGMENT + adapters
  const copies = segments + sequences * segment
  const tables = copies + sequences * COPY
  const pages = pagesOf(contextLength)
  return { tokens, wanted, jobs, segments, segment, copies, tables, pages, end: tables + sequences * pages }
}

export function createMailbox(limits: Limits): Int32Array {
  return new Int32Array(new SharedArrayBuffer(lists(limits).end * 4))
}

/** What the places of a step's rows in memory may be. */
type Bounds = Limits & {
  readonly pages: number
  readonly output: { readonly rows: number }
  readonly layers: readonly { readonly experts: readonly unknown[] }[]
}

/**
 * Throws a RangeError for a step that is larger than the limits, or has a token, row, position or page that there is no
 * memory for: nothing is written beyond its place, by this or by the kernels.
 */
export function writeStep(mailbox: Int32Array, limits: Bounds, step: Step): void {
  const { tokens, segments, wanted, jobs, copies } = step
  const at = lists(limits)
  const isBelow = (end: number) => (value: number) => Number.isInteger(value) && value >= 0 && value < end
  const isPage = isBelow(limits.pages)
  const all = (values: ArrayLike<number>, isRight: (value: number) => boolean) => Array.from(values).every(isRight)
  const inPlace =
    all(tokens, isBelow(limits.output.rows)) &&
    all(wanted, isBelow(tokens.length)) &&
    segments.every(({ rows, position, table }) => isBelow(table.length * PAGE_POSITIONS + 1)(position + rows) && all(table, isPage)) &&
    segments.reduce((sum, { rows }) => sum + rows, 0) === tokens.length &&
    segments.every(({ used }) => limits.layers.every(({ experts }) => isBelow(experts.length)(used - 1))) &&
    copies.every(({ from, to }) => isPage(from) && isPage(to))
  if (!inPlace) throw new RangeError('the step has a token, row, position or page that there is no memory for')
  const fits =
    tokens.length <= limits.batchSize &&
    wanted.length <= limits.batchSize &&
    jobs.length <= wanted.length &&
    segments.length <= limits.sequences &&
    copies.length <= limits.sequences &&
    segments.every(({ table, adapters = [] }) => table.length <= at.pages && adapters.length <= (limits.adapters ?? 0)) &&
    pairsOf(segments) <= limits.scratch.pairs
  if (!fits) throw new RangeError('the step is larger than the mailbox')
  mailbox[field.count] = tokens.length
  mailbox[field.segments] = segments.length
  mailbox[field.firstLayer] = step.firstLayer
  mailbox[field.endLayer] = step.endLayer
  mailbox[field.embed] = Number(step.embed)
  mailbox[field.wanted] = wanted.length
  mailbox[field.firstStage] = step.firstStage
  mailbox[field.endStage] = step.endStage
  mailbox[field.traced] = Number(step.traced)
  mailbox[field.copies] = copies.length
  mailbox[field.jobs] = jobs.length
  mailbox[field.nextRows] = step.nextRows
  mailbox.set(tokens, at.tokens)
  mailbox.set(wanted, at.wanted)
  mailbox.set(jobs, at.jobs)
  const floats = new Float32Array(mailbox.buffer)
  for (const [i, { rows, position, table, used, adapters = [] }] of segments.entries()) {
    const start = at.segments + i * at.segment
    mailbox.set([rows, position, table.length, used], start)
    floats.fill(0, start + SEGMENT, start + at.segment)
    floats.set(adapters, start + SEGMENT)
    mailbox.set(table, at.tables + i * at.pages)
  }
  for (const [i, { from, to }] of copies.entries()) mailbox.set([from, to], at.copies + i * COPY)
}

export function readStep(mailbox: Int32Array, limits: Limits): Step {
  const at = lists(limits)
  const list = (start: number, length: number) => mailbox.subarray(start, start + length)
  const floats = new Float32Array(mailbox.buffer)
  const segments: Segment[] = []
  let firstRow = 0
  for (let i = 0; i < mailbox[field.segments]!; i++) {
    const start = at.segments + i * at.segment
    const [rows, position, pages, used] = list(start, SEGMENT) as unknown as [number, number, number, number]
    const adapters = floats.subarray(start + SEGMENT, start + at.segment)
    segments.push({ firstRow, rows, position, used, table: list(at.tables + i * at.pages, pages), adapters })
    firstRow += rows
  }
  return {
    tokens: list(at.tokens, mailbox[field.count]!),
    segments,
    wanted: list(at.wanted, mailbox[field.wanted]!),
    jobs: list(at.jobs, mailbox[field.jobs]!),
    copies: Array.from({ length: mailbox[field.copies]! }, (_, i) => {
      const [from, to] = list(at.copies + i * COPY, COPY) as unknown as [number, number]
      return { from, to }
    }),
    nextRows: mailbox[field.nextRows]!,
    firstLayer: mailbox[field.firstLayer]!,
    endLayer: mailbox[field.endLayer]!,
    embed: mailbox[field.embed] === 1,
    firstStage: mailbox[field.firstStage]!,
    endStage: mailbox[field.endStage]!,
    traced: mailbox[field.traced] === 1,
  }
}

/** part: the number of the part that the next check is about (check/weightParts.ts). */
export function writePart(mailbox: Int32Array, part: number): void {
  mailbox[field.part] = part
}

export function readPart(mailbox: Int32Array): number {
  return mailbox[field.part]!
}
