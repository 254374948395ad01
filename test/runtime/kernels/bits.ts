// Comparing float32 by their bits, where every NaN counts as the same: engines may choose a NaN's payload.

import { expect } from 'vitest'

/** Expects the same numbers in both, by their bits; says where they part first. */
export function expectSameBits(found: ArrayLike<number>, expected: ArrayLike<number>, where: string): void {
  if (found.length !== expected.length) expect.fail(`${where}: ${found.length} numbers, expected ${expected.length}`)
  for (let i = 0; i < expected.length; i++) {
    if (!Object.is(found[i], expected[i])) expect.fail(`${where}: [${i}] is ${found[i]}, expected ${expected[i]}`)
  }
}

/** Expects |found - expected| <= tolerance(i) everywhere; a NaN is far from everything. */
export function expectClose(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance: (i: number) => number, where: string): void {
  if (found.length !== expected.length) expect.fail(`${where}: ${found.length} numbers, expected ${expected.length}`)
  for (let i = 0; i < expected.length; i++) {
    if (Math.abs(found[i]! - expected[i]!) <= tolerance(i)) continue
    expect.fail(`${where}: [${i}] is ${found[i]}, expected ${expected[i]} within ${tolerance(i)}`)
  }
}
