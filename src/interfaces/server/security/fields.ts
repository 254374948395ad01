// Fields of requests whose check costs no more than their reading. A schema makes an object for each item that is
// wrong, and a body may have a million of them: lists are bounded before their items are looked at, and ids need no
// objects.

import { z } from 'zod'

/** Messages of a chat, and calls in one: more do not fit a context. */
export const MOST_MESSAGES = 16_384
export const MOST_CALLS = 128

/** A list of no more items than that, and no fewer than `least`. */
export function boundedList<T extends z.ZodType>(item: T, most: number, least = 0) {
  return z
    .array(z.unknown())
    .min(least)
    .max(most)
    .pipe(z.array(item))
    .meta({ ...(least > 0 && { minItems: least }), maxItems: most }) // a pipe's document is that of its end
}

/** An object whose properties are read by name alone. */
export const record = z.custom<Record<string, unknown>>(isRecord, { error: 'expected an object' }).meta({ type: 'object' })

/** Token ids, in a document. */
const IDS = { type: 'array', items: { type: 'integer', minimum: 0 } } as const

export const tokenIds = z.custom<number[]>(isIds, { error: 'expected a list of token ids' }).meta(IDS)

/** A list of token ids, of texts, or of lists of ids, in a document. */
export const LISTS = [
  { ...IDS, minItems: 1 },
  { type: 'array', items: { type: 'string' }, minItems: 1 },
  { type: 'array', items: { ...IDS, minItems: 1 }, minItems: 1 },
] as const

export function isIds(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((id) => Number.isSafeInteger(id) && id >= 0)
}

function isRecord(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
