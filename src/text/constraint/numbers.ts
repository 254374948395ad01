// Numbers within bounds, as an automaton whose state is the text so far: a digit may come next when some number that
// begins so is in the set, which arithmetic decides. So `multipleOf: 86400` between two bounds needs no table. Owns how
// constrained numbers are spelled: no exponent, no leading zeros, no negative zero, and few enough digits that
// different texts are different float64 numbers.

import { type Budget, LOOK } from './budget.js'
import { atScale, commonMultiple, compare, type Decimal, isMultiple, reduced } from './decimals.js'
import { remembered } from './memo.js'
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
/**
 * Numbers looked at, beyond those excluded by name, for one that is a multiple of none of `notSteps`. Two suffice where
 * there is one.
 */
const MOST_TRIES = 64
const SYMBOLS = '-.0123456789'
const ONE: Decimal = { digits: 1n, scale: 0 }

/** Whether a number is in the set, its spelling aside. */
export function isIn(set: NumberSet, value: Decimal): boolean {
  if (set.integer && !isMultiple(value, ONE)) return false
  if (set.min && compare(value, set.min) < (set.minExcluded ? 1 : 0)) return false
  if (set.max && compare(value, set.max) > (set.maxExcluded ? -1 : 0)) return false
  if (!set.steps.every((step) => isMultiple(value, step)) || set.notSteps.some((step) => isMultiple(value, step))) return false
  if (set.excluded.length === 0) return true
  return !remembered(excludedKeys, set.excluded, () => new Set(set.excluded.map(keyOf))).has(keyOf(value))
}

/** Of lists of excluded numbers, what tells them apart. */
const excludedKeys = new WeakMap<readonly Decimal[], ReadonlySet<string>>()

function keyOf(value: Decimal): string {
  const { digits, scale } = reduced(value)
  return `${digits}/${scale}`
}

/** The steps that it takes to see whether a number is in the set. */
export function costOf({ steps, notSteps }: NumberSet): number {
  return (1 + steps.length + notSteps.length) / 4
}

export class NumberMachine implements Machine {
  readonly #set: NumberSet
  readonly #budget: Budget
  /** Most digits, before and behind the point together. */
  readonly #digits: number
  /** Behind the point of everything below: arithmetic is in whole units of 10 ** -scale. */
  readonly #scale: number
  readonly #low: bigint | undefined
  readonly #high: bigint | undefined
  /** (digits + 1) by digits behind the point: the units between two numbers that are so written and meet all steps. */
  readonly #strides: readonly bigint[]
  readonly #notSteps: readonly bigint[]
  readonly #excluded: ReadonlySet<bigint>
  /** (scale + digits + 1) powers of ten. */
  readonly #powers: readonly bigint[]

  /** Throws what spending the budget throws, as all of its methods do. */
  constructor(set: NumberSet, budget: Budget) {
    this.#set = set
    this.#budget = budget
    budget.spend(costOf(set) + LOOK * set.excluded.length)
    this.#digits = wholeDigits(set)
    const decimals = [set.min, set.max, ...set.steps, ...set.notSteps, ...set.excluded].map((decimal) => decimal?.scale ?? 0)
    this.#scale = Math.max(this.#digits, ...decimals)
    const units = (decimal: Decimal) => atScale(decimal, this.#scale)
    this.#low = set.min && units(set.min) + (set.minExcluded ? 1n : 0n)
    this.#high = set.max && units(set.max) - (set.maxExcluded ? 1n : 0n)
    const steps = set.integer ? [ONE, ...set.steps] : set.steps
    this.#strides = Array.from({ length: this.#digits + 1 }, (_, scale) => units(steps.reduce(commonMultiple, { digits: 1n, scale })))
    this.#notSteps = set.notSteps.map(units)
    this.#excluded = new Set(set.excluded.map(units))
    this.#powers = Array.from({ length: this.#scale + this.#digits + 1 }, (_, power) => 10n ** BigInt(power))
  }

  /** Whether no number is in the set. */
  get isEmpty(): boolean {
    return !this.#goesOn('')
  }

  accepts(text: string): boolean {
    const value = numberIn(text)
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
    if (whole === undefined) return [...(negative ? '0123456789' : '-0123456789')].some((symbol) => this.#goesOn(text + symbol))
    if (point !== undefined) return !this.#set.integer && this.#fractionGoesOn(negative, whole, point.slice(1))
    const most = whole === '0' ? 0 : this.#digits - whole.length
    const beyond = negative ? this.#low && -this.#low : this.#high
    for (let more = 0; more <= most; more++) {
      const width = this.#powers[this.#scale + more]!
      const from = BigInt(whole) * width
      if (beyond !== undefined && from > beyond) return false
      const scale = this.#set.integer ? 0 : this.#digits - whole.length - more
      if (this.#hasIn(negative, from, from + width - this.#powers[this.#scale - scale]!, scale)) return true
    }
    return false
  }

  #fractionGoesOn(negative: boolean, whole: string, fraction: string): boolean {
    const scale = this.#digits - whole.length
    if (scale < Math.max(1, fraction.length)) return false
    const width = this.#powers[this.#scale - fraction.length]!
    const from = BigInt(whole + fraction) * width
    return this.#hasIn(negative, from, from + width - this.#powers[this.#scale - scale]!, scale)
  }

  /**
   * Whether the set has a number from `from` to `to`, or from `-to` to `-from`, with `scale` digits behind the point.
   * Zero is not negative.
   */
  #hasIn(negative: boolean, from: bigint, to: bigint, scale: number): boolean {
    let low = negative ? -to : from
    let high = negative ? (from === 0n ? -1n : -from) : to
    if (this.#low !== undefined && this.#low > low) low = this.#low
    if (this.#high !== undefined && this.#high < high) high = this.#high
    const stride = this.#strides[scale]!
    let value = ceilingTo(low, stride)
    const tries = this.#excluded.size + (this.#notSteps.length > 0 ? MOST_TRIES : 1)
    for (let i = 0; i < tries && value <= high; i++) {
      this.#budget.spend((i > 0 ? 1 / 4 : 0) + this.#notSteps.length / 8)
      if (!this.#excluded.has(value) && !this.#notSteps.some((step) => value % step === 0n)) return true
      value += stride
    }
    return false
  }
}

/** How many digits a number of the set may have. */
function wholeDigits(set: NumberSet): number {
  const isBeyond = (bound: Decimal | undefined) => bound !== undefined && compare({ ...bound, digits: magnitude(bound.digits) }, EXACT) > 0
  const isInexact = (set.minExcluded && isBeyond(set.min)) || (set.maxExcluded && isBeyond(set.max))
  const isPlain = set.integer && set.steps.length + set.notSteps.length + set.excluded.length === 0
  return isPlain && !isInexact ? WHOLE_DIGITS : EXACT_DIGITS
}

/** The number that a text spells, undefined if it spells none or is not how one is written. */
function numberIn(text: string): Decimal | undefined {
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

function magnitude(value: bigint): bigint {
  return value < 0n ? -value : value
}
