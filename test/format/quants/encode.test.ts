// Encoding weights in plain TypeScript: how near the blocks come to the weights.

import { expect, test } from 'vitest'
import { type Format, formats } from '../../../dist/format/quants/formats.js'
import { RandomValues } from '../../runtime/kernels/randomValues.js'

const encoded = [...formats.values()].filter(({ encode }) => encode)
const blocked = encoded.filter(({ type }) => type.blockWeights > 1)

function roundTrip({ type, encode, dequantize }: Format, x: Float32Array, importance?: Float32Array): Float32Array {
  const blocks = new Uint8Array((x.length / type.blockWeights) * type.blockBytes)
  encode!(x, blocks, importance)
  const y = new Float32Array(x.length)
  dequantize(blocks, y)
  return y
}

/** The root mean square of the differences, in parts of that of the values. */
function relativeError(x: Float32Array, y: Float32Array): number {
  const squares = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0)
  return Math.sqrt(squares(x.map((value, i) => value - y[i]!)) / squares(x))
}

/** About twice the step of evenly spread quants: the search does better, a mistake in a bit of the packing does not. */
const bounds: readonly (readonly [name: string, relativeError: number])[] = [
  ['F16', 0.0003],
  ['Q8_0', 0.005],
  ['Q6_K', 0.02],
  ['Q5_K', 0.03],
  ['Q5_1', 0.03],
  ['Q5_0', 0.04],
  ['Q4_K', 0.06],
  ['Q4_1', 0.07],
  ['IQ4_NL', 0.07],
  ['IQ4_XS', 0.07],
  ['Q4_0', 0.07],
  ['Q3_K', 0.14],
  ['Q2_K', 0.25],
  ['IQ3_S', 0.17],
  ['IQ3_XXS', 0.22],
  ['IQ2_S', 0.35],
  ['IQ2_XS', 0.4],
  ['IQ2_XXS', 0.42],
]

test('every format that is written has a bound on its error', () => {
  expect(bounds.map(([name]) => name).toSorted()).toEqual(encoded.map(({ type }) => type.name).toSorted())
})

test.each(bounds)('%s comes within %d of random weights', (name, most) => {
  for (const bias of [0, 0.01]) {
    const random = new RandomValues(3)
    const x = random.floats(4096, 0.02).map((value) => value + bias)
    const error = relativeError(x, roundTrip(formats.get(name)!, x))
    expect(error).toBeLessThan(most)
  }
})

/** Formats with a search, which weighs errors. */
const searched = blocked.filter(({ type }) => type.name !== 'Q8_0')

test.each(searched.map((format) => [format.type.name, format] as const))('%s keeps important weights better than others', (_, format) => {
  const x = new RandomValues(6).floats(8192, 0.02)
  const importance = Float32Array.from(x, (_, i) => ((i * 7) % 5 === 0 ? 4.6 : 0.1))
  const weighed = (y: Float32Array) =>
    relativeError(
      x.map((value, i) => value * importance[i]!),
      y.map((value, i) => value * importance[i]!),
    )
  const plain = weighed(roundTrip(format, x))
  expect(weighed(roundTrip(format, x, importance))).toBeLessThan(plain * 0.97)
  // alike for all, they change little
  const alike = roundTrip(format, x, new Float32Array(8192).fill(1))
  expect(relativeError(x, alike)).toBeLessThan(relativeError(x, roundTrip(format, x)) * 1.02)
})

test.each(searched.map((format) => [format.type.name, format] as const))('%s finds numbers for any importances', (_, format) => {
  const x = new RandomValues(7).floats(4096, 0.02)
  for (const least of [2 ** -20, 0]) {
    const importance = Float32Array.from(x, (_, i) => (i % 3 ? least : 2 ** 20))
    expect(roundTrip(format, x, importance).every(Number.isFinite)).toBe(true)
  }
  expect(roundTrip(format, new Float32Array(256), new Float32Array(256).fill(1)).every((value) => value === 0)).toBe(true)
})

test.each(blocked.map((format) => [format.type.name, format] as const))('%s gives zeros for zeros', (_, format) => {
  expect(roundTrip(format, new Float32Array(256)).every((value) => value === 0)).toBe(true)
})

test.each(blocked.map((format) => [format.type.name, format] as const))('%s does not care about the size of the weights', (_, format) => {
  const x = new RandomValues(4).floats(2048, 0.03)
  const error = relativeError(x, roundTrip(format, x))
  for (const scale of [2 ** 4, 2 ** 10]) {
    const larger = x.map((value) => value * scale)
    expect(relativeError(larger, roundTrip(format, larger))).toBeCloseTo(error, 3)
  }
})

test.each(['Q8_0', 'Q4_0', 'Q5_0', 'Q6_K', 'Q3_K'])('%s keeps what its blocks can hold exactly', (name) => {
  // all quants of one scale, which is a power of two, and the largest among them at the end that defines it
  const format = formats.get(name)!
  const most = { Q8_0: 127, Q4_0: 8, Q5_0: 16, Q6_K: 32, Q3_K: 4 }[name]!
  const x = Float32Array.from(
    { length: 256 },
    (_, i) => (i % 16 === 0 ? -most : ((i * 7) % (2 * most)) - most + (name === 'Q8_0' ? 1 : 0)) / 64,
  )
  expect(roundTrip(format, x)).toEqual(x)
})
