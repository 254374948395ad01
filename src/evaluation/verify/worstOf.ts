// Compares a tensor with its expected values, element by element. Counts the wrong elements and names the worst.

import { type Expected, UNCHECKED } from './expected.js'

/**
 * The difference of `found` in words, or undefined if there is none.
 * @param dims the names and sizes of all dimensions but the first, the tokens
 */
export function worstOf(
  found: ArrayLike<number>,
  { values, allowed: allowances }: Expected,
  dims: Readonly<Record<string, number>>,
): string | undefined {
  let off = 0
  let checked = 0
  let worst = { share: 0, at: 0, value: 0, allowed: 0 }
  for (let at = 0; at < found.length; at++) {
    const allowed = allowances[at]!
    if (allowed === UNCHECKED) continue
    const value = values[at]!
    checked++
    const error = Math.abs(found[at]! - value)
    if (error <= allowed) continue
    off++
    const share = !(allowed > 0 && Number.isFinite(error)) ? Number.POSITIVE_INFINITY : error / allowed
    if (share > worst.share || off === 1) worst = { share, at, value, allowed }
  }
  if (!off) return undefined
  const { at, value, allowed } = worst
  const within = allowed > 0 ? ` within ${allowed.toPrecision(2)}` : ''
  const place = placeOf(at, dims)
  return `${off} of ${checked} values are off, the worst at ${place}: found ${found[at]!.toPrecision(7)}, expected ${value.toPrecision(7)}${within}`
}

function placeOf(at: number, dims: Readonly<Record<string, number>>): string {
  const places: string[] = []
  let rest = at
  for (const [name, size] of Object.entries(dims).toReversed()) {
    places.unshift(`${name} ${rest % size}`)
    rest = Math.floor(rest / size)
  }
  return [`token ${rest}`, ...places].join(', ')
}
