// Amounts as text: bytes and weights in decimal units. Pure.

/** An amount of bytes, such as `7.3 MB`; a MB is a million bytes. */
export function byteCount(bytes: number): string {
  return bytes < 1000 ? `${bytes} bytes` : `${scaled(bytes, ['kB', 'MB', 'GB'])}`
}

/** An amount of weights, such as `46.70 billion`. */
export function weightCount(weights: number): string {
  return weights < 1000 ? String(weights) : scaled(weights, ['thousand', 'million', 'billion'])
}

/** A value in units of 1000, 1000^2 or 1000^3. */
function scaled(value: number, units: readonly [string, string, string]): string {
  const power = value < 999_950 ? 1 : value < 999_950_000 ? 2 : 3
  return `${(value / 1000 ** power).toFixed(power === 3 ? 2 : 1)} ${units[power - 1]}`
}
