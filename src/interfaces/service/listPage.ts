// A part of a list, as OpenAI's API hands it out: some records behind a cursor, in the order of their making. Ids
// grow with time: a cursor whose record was deleted meanwhile is still a place.

import { badRequest } from '../server/apiError.js'
import type { Records, Stored } from './records.js'

interface PageLimits {
  readonly usual: number
  readonly most: number
}

interface Page {
  readonly object: 'list'
  readonly data: readonly object[]
  readonly first_id: string | null
  readonly last_id: string | null
  readonly has_more: boolean
}

/** Throws an ApiError 400 for a query that is wrong. */
export function pageOf<T extends Stored>(
  records: Records<T>,
  isShown: (record: T) => boolean,
  query: Readonly<Record<string, string>>,
  { usual, most }: PageLimits,
  wire: (record: T) => object,
): Page {
  const { after, order = 'desc', limit = String(usual) } = query
  if (after !== undefined && !records.isId(after)) throw badRequest('after: expected an id of this list', 'after')
  if (order !== 'asc' && order !== 'desc') throw badRequest('order: expected asc or desc', 'order')
  if (!/^\d{1,6}$/.test(limit) || Number(limit) < 1 || Number(limit) > most) {
    throw badRequest(`limit: expected a whole number from 1 to ${most}`, 'limit')
  }
  const isBehind = ({ id }: T) => after === undefined || (order === 'asc' ? id > after : id < after)
  const all = records.all().filter((record) => isShown(record) && isBehind(record))
  if (order === 'desc') all.reverse()
  const page = all.slice(0, Number(limit))
  return {
    object: 'list',
    data: page.map(wire),
    first_id: page[0]?.id ?? null,
    last_id: page.at(-1)?.id ?? null,
    has_more: all.length > page.length,
  }
}
