// What a step consists of: the rows of all requests that take part, and which of them get logits.

import type { Segment } from '../model/step.js'
import type { HIDDEN, RowJob } from '../sampler/jobMemory.js'
import type { Share } from './scheduler.js'

/** The rows of a step, all layers of it. */
export interface Rows {
  readonly tokens: readonly number[]
  readonly segments: readonly Segment[]
  readonly wanted: readonly number[]
  /** What is to be done with the logits of each wanted row. */
  readonly jobs: readonly (RowJob | typeof HIDDEN | undefined)[]
  readonly copies: Share['copies']
  readonly nextRows: number
}

/**
 * The places in a request's tokens, and in its draft behind them, after which this share, not run yet, has logits. Who
 * wants a table of experts has none.
 */
export function wantedPlaces({ request, sequence, rows }: Share): number[] {
  if (request.task.routingTable) return []
  const end = sequence.ids.length + rows
  const start = Math.max(request.next, sequence.ids.length)
  return start < end ? Array.from({ length: end - start }, (_, i) => start + i) : []
}

/** The step of these shares, without its jobs. */
export function rowsOf(shares: readonly Share[]): Omit<Rows, 'jobs'> {
  const tokens: number[] = []
  const segments: Segment[] = []
  const wanted: number[] = []
  for (const share of shares) {
    const { request, sequence, rows, draft } = share
    const position = sequence.ids.length
    const firstRow = tokens.length
    for (let i = 0; i < rows - draft.length; i++) tokens.push(request.ids[position + i]!)
    tokens.push(...draft)
    segments.push({ firstRow, rows, position, table: sequence.table, used: request.used, adapters: request.adapters })
    for (const place of wantedPlaces(share)) wanted.push(firstRow + place - position)
  }
  // a request with more of a prompt to run brings it; the others go on by one row
  const nextRows = shares.reduce((sum, { request, rows }) => sum + Math.max(1, request.remaining - rows), 0)
  return { tokens, segments, wanted, copies: shares.flatMap(({ copies }) => copies), nextRows }
}
