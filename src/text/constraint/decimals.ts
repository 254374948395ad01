// Exact decimal fractions. JSON's numbers are texts: 0.1 is a tenth here, and not the float64 next to it.

export interface Decimal {
  /** The value is `digits / 10 ** scale`. */
  readonly digits: bigint
  readonly scale: number
}

/** The decimal of a finite number, as `JSON.stringify` writes it. */
export function decimalOf(value: number): Decimal {
  const [, sign, whole, fraction = '', exponent = '0'] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(JSON.stringify(value))!
  const digits = BigInt(whole + fraction) * (sign === '-' ? -1n : 1n)
  const scale = fraction.length - Number(exponent)
  return scale >= 0 ? reduced({ digits, scale }) : { digits: digits * 10n ** BigInt(-scale), scale: 0 }
}

/** The digits at another scale, which must not be smaller than the decimal's own. */
export function atScale({ digits, scale }: Decimal, to: number): bigint {
  return digits * 10n ** BigInt(to - scale)
}

export function compare(a: Decimal, b: Decimal): number {
  const scale = Math.max(a.scale, b.scale)
  const difference = atScale(a, scale) - atScale(b, scale)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

export function isMultiple(value: Decimal, step: Decimal): boolean {
  const scale = Math.max(value.scale, step.scale)
  return atScale(value, scale) % atScale(step, scale) === 0n
}

/** The least common multiple of two positive decimals. */
export function commonMultiple(a: Decimal, b: Decimal): Decimal {
  const scale = Math.max(a.scale, b.scale)
  const x = atScale(a, scale)
  const y = atScale(b, scale)
  return reduced({ digits: (x / greatestDivisor(x, y)) * y, scale })
}

function greatestDivisor(a: bigint, b: bigint): bigint {
  return b === 0n ? a : greatestDivisor(b, a % b)
}

/** The same value at the smallest scale that it can have: equal values become the same. */
export function reduced({ digits, scale }: Decimal): Decimal {
  while (scale > 0 && digits % 10n === 0n) {
    digits /= 10n
    scale--
  }
  return { digits, scale }
}
