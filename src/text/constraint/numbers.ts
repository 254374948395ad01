// Numbers within bounds, as an automaton whose state is the text so far: a digit may come next when some number that begins so is in the set, which
// arithmetic decides. So `multipleOf: 86400` between two bounds needs no table. Owns how constrained numbers are spelled: no exponent, no
// leading zeros, no negative zero, and few enough digits that different texts are different float64 numbers.

import { atScale, commonMultiple, compare, type Decimal, isMultiple } from './decimals.js'
import type { Machine, Move, Terms } from './terms.js'

export interface NumberSet {
  readonly integer: boolean
  readonly min: Decimal | undefined
  readonly max: Decimal | undefined
  /** Whether the bound itself is left out. */
  readonly minExcluded: boolean
  readonly maxExcluded: boolean
  /** The numbers are multiples of each of these, and of none of those. All positive. */
  readonly steps: readonly Decimal[]
  readonly notSteps: readonly Decimal[]
  readonly excluded: readonly Decimal[]
}

/** Digits of which any two spellings are two float64 numbers, so that validators see what was written. */
const EXACT_DIGITS = 15
/** Digits of whole numbers where only bounds count: as many as llama.cpp allows. */
const WHOLE_DIGITS = 16
/** Whole numbers up to here are exact in float64. */
const EXACT: Decimal = { digits: 2n ** 53n, scale: 0 }
/** Numbers looked at, beyond those excluded by name, for one that is a multiple of none of `notSteps`. Two suffice where there is one. */
const MOST_TRIES = 64
const SYMBOLS = '-.0123456789'
const ONE: Decimal = { digits: 1n, scale: 0 }

/** Whether a number is in the set, its spelling aside. */
export function isIn(set: NumberSet, value: Decimal): boolean {
  if (set.integer && !isMultiple(value, ONE)) return false
  if (set.min && compare(value, set.min) < (set.minExcluded ? 1 : 0)) return false
  if (set.max && compare(value, set.max) > (set.maxExcluded ? -1 : 0)) return false
  if (!set.steps.every((step) => isMultiple(value, step)) || set.notSteps.some((step) => isMultiple(value, step))) return false
  return !set.excluded.some((other) => compare(value, other) === 0)
}

export class NumberMachine implements Machine {
  readonly #set: NumberSet
  readonly #digits: number
  /** One step for all steps. */
  readonly #step: Decimal | undefined

  constructor(set: NumberSet) {
    this.#set = set
    const steps = set.integer ? [ONE, ...set.steps] : set.steps
    this.#step = steps.length > 0 ? steps.reduce(commonMultiple) : undefined
    const beyondExact = (bound: Decimal | undefined) => bound && (compare(bound, EXACT) > 0 || compare({ ...bound, digits: -bound.digits }, EXACT) > 0)
    const exclusive = (set.minExcluded && beyondExact(set.min)) || (set.maxExcluded && beyondExact(set.max))
    const plain = set.integer && set.steps.length === 0 && set.notSteps.length === 0 && set.excluded.length === 0
    this.#digits = plain && !exclusive ? WHOLE_DIGITS : EXACT_DIGITS
  }

  /** Whether no number is in the set. */
  get isEmpty(): boolean {
    return !this.#goesOn('')
  }

  accepts(text: string): boolean {
    const value = valueOf(text)
    return value !== undefined && isIn(this.#set, value)
  }

  moves(text: string, terms: Terms): readonly Move[] {
    const next = Array.from(SYMBOLS, (symbol) => text + symbol).filter((longer) => this.#goesOn(longer))
    terms.budget.spend(10 * SYMBOLS.length)
    return next.map((longer) => {
      const byte = longer.charCodeAt(longer.length - 1)
      return { set: terms.set([byte, byte]), to: terms.machine(this, longer) }
    })
  }

  reduced(text: string): string {
    return text
  }

  /** Whether some number of the set begins with this text. */
  #goesOn(text: string): boolean {
    const parts = /^(-?)(?:(0|[1-9]\d*)(\.\d*)?)?$/.exec(text)
    if (!parts) return false
    const [, sign, whole, point] = parts
    const negative = sign === '-'
    if (whole === undefined) return (negative ? '0123456789' : '-0123456789').split('').some((symbol) => this.#goesOn(text + symbol))
    if (point !== undefined) return !this.#set.integer && this.#fractionGoesOn(negative, whole, point.slice(1))
    const most = whole === '0' ? 0 : this.#digits - whole.length
    for (let more = 0; more <= most; more++) {
      const scale = this.#set.integer ? 0 : this.#digits - whole.length - more
      const from = BigInt(whole) * 10n ** BigInt(more + scale)
      if (this.#hasIn(negative, from, from + 10n ** BigInt(more + scale) - 1n, scale)) return true
    }
    return false
  }

  #fractionGoesOn(negative: boolean, whole: string, fraction: string): boolean {
    const scale = this.#digits - whole.length
    if (scale < Math.max(1, fraction.length)) return false
    const width = 10n ** BigInt(scale - fraction.length)
    const from = BigInt(whole + fraction) * width
    return this.#hasIn(negative, from, from + width - 1n, scale)
  }

  /** Whether one of the numbers from/10^scale to to/10^scale, or of their negatives, is in the set; zero is no negative. */
  #hasIn(negative: boolean, from: bigint, to: bigint, scale: number): boolean {
    const { min, max, minExcluded, maxExcluded, notSteps, excluded } = this.#set
    const fine = Math.max(scale, min?.scale ?? 0, max?.scale ?? 0, this.#step?.scale ?? 0)
    const grid: Decimal = { digits: 1n, scale }
    const step = atScale(this.#step ? commonMultiple(this.#step, grid) : grid, fine)
    let low = atScale({ digits: negative ? -to : from, scale }, fine)
    let high = atScale({ digits: negative ? -from : to, scale }, fine)
    if (negative && high === 0n) high = -1n
    if (min) low = larger(low, atScale(min, fine) + (minExcluded ? 1n : 0n))
    if (max) high = smaller(high, atScale(max, fine) - (maxExcluded ? 1n : 0n))
    let value = ceilingTo(low, step)
    for (let tries = notSteps.length > 0 ? MOST_TRIES + excluded.length : excluded.length + 1; tries > 0 && value <= high; tries--) {
      if (isIn(this.#set, { digits: value, scale: fine })) return true
      value += step
    }
    return false
  }
}

/** The number that a text spells, undefined if it spells none or is not how one is written. */
function valueOf(text: string): Decimal | undefined {
  const parts = /^(-?)(0|[1-9]\d*)(?:\.(\d+))?$/.exec(text)
  if (!parts) return undefined
  const [, sign, whole, fraction = ''] = parts
  const digits = BigInt(whole + fraction)
  if (sign === '-') return digits === 0n ? undefined : { digits: -digits, scale: fraction.length }
  return { digits, scale: fraction.length }
}

function ceilingTo(value: bigint, step: bigint): bigint {
  const rest = value % step
  return rest === 0n ? value : rest > 0n ? value - rest + step : value - rest
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}
