// Fields of requests whose check costs no more than their reading. A schema makes an object for each item that is
// wrong, and a body may have a million of them: lists are bounded before their items are looked at, and ids need no
// objects.

import { z } from 'zod'

/** Messages of a chat, and calls in one: more do not fit a context. */
export const MOST_MESSAGES = 16_384
export const MOST_CALLS = 128

/** A list of no more items than that, and no fewer than `least`. */
export function boundedList<T extends z.ZodType>(item: T, most: number, least = 0) {
  return z.array(z.unknown()).min(least).max(most).pipe(z.array(item))
}

/** An object whose properties are read by name alone. */
export const record = z.custom<Record<string, unknown>>(isRecord, { error: 'expected an object' })

export const tokenIds = z.custom<number[]>(isIds, { error: 'expected a list of token ids' })

export function isIds(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((id) => Number.isSafeInteger(id) && id >= 0)
}

function isRecord(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
