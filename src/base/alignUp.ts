// Rounding up to whole units: where the next aligned thing starts, or what it takes with its padding.

/** The first multiple of `unit` that is not below `value`. */
export function alignUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit
}
