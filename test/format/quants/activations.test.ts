// Quantized activations: what must hold for every block, and the edges.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { quantizeQ8K, quantizeQ80, quantizeQ81 } from '../../../dist/format/quants/activations.js'

const layouts = [
  { name: 'Q8_K', block: 256, quantize: quantizeQ8K },
  { name: 'Q8_0', block: 32, quantize: quantizeQ80 },
  { name: 'Q8_1', block: 32, quantize: quantizeQ81 },
]

/** Rows of two blocks, of magnitudes from 1e-30 to 1e30. */
const rowOf = (block: number) =>
  fc
    .tuple(
      fc.array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: 2 * block, maxLength: 2 * block }),
      fc.integer({ min: -30, max: 30 }),
    )
    .map(([values, power]) => Float32Array.from(values, (value) => value * 10 ** power))

for (const { name, block, quantize } of layouts) {
  test(`${name}: every value is within half a step of what its quant stands for`, () => {
    fc.assert(
      fc.property(rowOf(block), (x) => {
        const { d, q } = quantize(x)
        for (let i = 0; i < x.length; i++) {
          const step = d[Math.floor(i / block)]!
          // The half step, and what three roundings to float32 can add at quant 127.
          expect(Math.abs(x[i]! - step * q[i]!)).toBeLessThanOrEqual(Math.abs(step) * (0.5 + 127 * 2 ** -22) + 1e-38)
        }
      }),
      { numRuns: 50, seed: 1 },
    )
  })

  test(`${name}: the largest magnitude of a block becomes 127 steps, and no quant is beyond it`, () => {
    fc.assert(
      fc.property(rowOf(block), (x) => {
        const { q } = quantize(x)
        for (let start = 0; start < x.length; start += block) {
          const magnitudes = x.subarray(start, start + block).map(Math.abs)
          const largest = Math.max(...magnitudes)
          if (largest < 1e-36) continue
          expect(Math.abs(q[start + magnitudes.indexOf(largest)]!)).toBe(127)
          expect(Math.max(...q.subarray(start, start + block).map(Math.abs))).toBe(127)
        }
      }),
      { numRuns: 50, seed: 2 },
    )
  })

  test(`${name}: ties go to the even quant`, () => {
    const x = new Float32Array(block).fill(0)
    x.set([127, 0.5, 1.5, 2.5, -0.5, -1.5, 126.5])
    const { d, q } = quantize(x)
    expect(Array.from(q.subarray(0, 7), (quant) => quant * Math.sign(d[0]!) + 0)).toEqual([127, 0, 2, 2, 0, -2, 126])
  })

  test(`${name}: a block of zeros is zeros with d = 0, beside any other block`, () => {
    const x = new Float32Array(2 * block)
    x.fill(3, block)
    const { d, q } = quantize(x)
    expect(d[0]).toBe(0)
    expect(q.subarray(0, block).every((quant) => quant === 0)).toBe(true)
    expect(Math.abs(d[1]! * q[block]!)).toBeCloseTo(3, 6)
  })

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(`${name}: %d poisons its block and no other`, (poison) => {
    const x = new Float32Array(2 * block).fill(1)
    x[block >> 1] = poison
    const { d, q } = quantize(x)
    expect(Number.isFinite(d[0])).toBe(false)
    expect(q.subarray(0, block).every((quant) => quant === 0)).toBe(true)
    expect(Math.abs(d[1]! * q[block]!)).toBeCloseTo(1, 6)
  })

  test(`${name}: a block too small for a float32 reciprocal keeps its values within 4e-37`, () => {
    const { d, q } = quantize(new Float32Array(block).fill(1e-40))
    expect(Math.abs(d[0]! * q[0]!)).toBeLessThan(4e-37)
  })
}

test('Q8_K gives the sign of -127 to the first of the largest', () => {
  const x = new Float32Array(256)
  x.set([1, -4, 4])
  const { d, q } = quantizeQ8K(x)
  expect([q[1], q[2]]).toEqual([-127, 127])
  expect(d[0]).toBeGreaterThan(0)
})

test('Q8_K keeps the sum of each 16 quants', () => {
  const x = Float32Array.from({ length: 512 }, (_, i) => Math.sqrt(i) * (i % 3 === 0 ? -1 : 1))
  const { q, sums } = quantizeQ8K(x)
  const expected = Array.from({ length: 32 }, (_, i) => q.subarray(i * 16, i * 16 + 16).reduce((sum, quant) => sum + quant, 0))
  expect(Array.from(sums)).toEqual(expected)
})

test('Q8_1 keeps the sum of each 32 quants', () => {
  const x = Float32Array.from({ length: 128 }, (_, i) => Math.sqrt(i) * (i % 3 === 0 ? -1 : 1))
  const { q, sums } = quantizeQ81(x)
  expect(Array.from(sums)).toEqual([0, 32, 64, 96].map((start) => q.subarray(start, start + 32).reduce((sum, quant) => sum + quant, 0)))
})
