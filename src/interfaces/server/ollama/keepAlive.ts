// How long a model stays loaded after a request, as Ollama's clients ask for it: seconds, or a duration as Go writes
// it. This server's model stays as long as the server: the time is only checked.

import { badRequest } from '../apiError.js'

const UNITS: Readonly<Record<string, number>> = { ns: 1e-9, us: 1e-6, '\u00b5s': 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600 }

/** Seconds; Infinity for ever. Throws an ApiError 400. */
export function keepAliveSeconds(value: string | number): number {
  const seconds = typeof value === 'number' ? value : durationOf(value)
  return seconds < 0 ? Infinity : seconds
}

/** When a model that was used now is unloaded, in RFC 3339: for ever is beyond any lifetime. */
export function expiry(seconds: number): string {
  const end = Date.now() + Math.min(seconds, 290 * 365 * 86_400) * 1000
  return new Date(end).toISOString()
}

function durationOf(text: string): number {
  if (/^-?\d{1,15}$/.test(text)) return Number(text)
  const [, sign, parts] = /^([+-]?)((?:\d{1,15}(?:\.\d{1,9})?(?:ns|us|\u00b5s|ms|s|m|h)){1,6})$/.exec(text) ?? []
  if (parts === undefined) throw badRequest('keep_alive: expected seconds or a duration such as 10m', 'keep_alive')
  let seconds = 0
  for (const [, number, unit] of parts.matchAll(/([\d.]+)([^\d.]+)/g)) seconds += Number(number) * UNITS[unit!]!
  return sign === '-' ? -seconds : seconds
}
