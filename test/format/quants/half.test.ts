// Half precision: every one of the 65536 patterns, and the ties and edges between them.

import { expect, test } from 'vitest'
import { floatToHalf, halfToFloat, readHalf } from '../../../dist/format/quants/half.js'

const patterns = Array.from({ length: 65536 }, (_, half) => half)
const isNaNPattern = (half: number) => (half & 0x7c00) === 0x7c00 && (half & 0x3ff) !== 0

/** The definition of binary16, in float64. */
function definition(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 31
  const fraction = half & 0x3ff
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

test('every half has the value of its definition', () => {
  expect(patterns.filter((half) => !Object.is(halfToFloat(half), definition(half)))).toEqual([])
})

test('every half that is a number survives the way to float32 and back', () => {
  expect(patterns.filter((half) => !isNaNPattern(half) && floatToHalf(halfToFloat(half)) !== half)).toEqual([])
})

test('every NaN stays a NaN of its sign', () => {
  expect(floatToHalf(Number.NaN) & 0x7fff).toBe(0x7e00)
  expect(patterns.filter((half) => isNaNPattern(half) !== Number.isNaN(halfToFloat(half)))).toEqual([])
})

test('a float32 half way between two halves goes to the even one, and its neighbors to the nearer', () => {
  const bits = new Uint32Array(1)
  const float = new Float32Array(bits.buffer)
  const neighbor = (value: number, step: number) => {
    float[0] = value
    bits[0]! += step
    return float[0]!
  }
  for (let half = 0; half < 0x7bff; half++) {
    const tie = (definition(half) + definition(half + 1)) / 2
    const found = [floatToHalf(neighbor(tie, -1)), floatToHalf(tie), floatToHalf(neighbor(tie, 1)), floatToHalf(-tie)]
    const even = half + (half & 1)
    if (found.join() !== [half, even, half + 1, even | 0x8000].join()) expect.fail(`between halves ${half} and ${half + 1}: ${found}`)
  }
})

test('what is beyond the largest half becomes infinity', () => {
  expect(floatToHalf(65519.996)).toBe(0x7bff)
  expect(floatToHalf(65520)).toBe(0x7c00)
  expect(floatToHalf(-1e38)).toBe(0xfc00)
  expect(floatToHalf(Number.NEGATIVE_INFINITY)).toBe(0xfc00)
})

test('halves in bytes are little-endian', () => {
  expect(readHalf(Uint8Array.of(0xff, 0x01, 0x3c), 1)).toBe(1 + 2 ** -10)
})
