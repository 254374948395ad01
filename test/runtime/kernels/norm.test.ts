// RMS norm and the sums of vectors, against float64; lengths that four does not divide among them.

import { expect, test } from 'vitest'
import { expectClose, expectSameBits } from './bits.js'
import { RandomValues } from './randomValues.js'
import { describeBuilds, TestBank, testBothBuilds } from './testBank.js'

const { fround } = Math
const lengths = [1, 2, 3, 4, 5, 7, 8, 63, 64, 255, 257, 4096]
const EPS = 1e-5

function norm(bank: TestBank, x: Float32Array, weight: Float32Array): Float32Array {
  const [from, by] = [bank.clear().place(x), bank.place(weight)]
  const out = bank.reserve(x.byteLength)
  bank.call([out], (kernels) => kernels.rms_norm(from.ptr, by.ptr, out.ptr, x.length, EPS))
  return bank.floats(out)
}

function normInPlace(bank: TestBank, x: Float32Array, weight: Float32Array): Float32Array {
  const [row, by] = [bank.clear().place(x), bank.place(weight)]
  bank.call([row], (kernels) => kernels.rms_norm(row.ptr, by.ptr, row.ptr, x.length, EPS))
  return bank.floats(row)
}

function add(bank: TestBank, x: Float32Array, y: Float32Array): Float32Array {
  const [to, from] = [bank.clear().place(x), bank.place(y)]
  bank.call([to], (kernels) => kernels.add(to.ptr, from.ptr, x.length))
  return bank.floats(to)
}

function addScaled(bank: TestBank, x: Float32Array, y: Float32Array, scale: number): Float32Array {
  const [to, from] = [bank.clear().place(x), bank.place(y)]
  bank.call([to], (kernels) => kernels.add_scaled(to.ptr, from.ptr, x.length, scale))
  return bank.floats(to)
}

describeBuilds((build) => {
  const bank = new TestBank(build)

  test.each(lengths)('rms_norm of %i is float64 with three roundings to float32', (length) => {
    const random = new RandomValues(length)
    for (const size of [1e-30, 1e-3, 1, 1e4, 1e30]) {
      const [x, weight] = [random.floats(length, size), random.floats(length, 2)]
      const meanSquare = x.reduce((sum, value) => sum + value * value, 0) / length
      const expected = Float64Array.from(x, (value, i) => (value / Math.sqrt(meanSquare + fround(EPS))) * weight[i]!)
      // the scale, its product with x, and that with the weight
      expectClose(norm(bank, x, weight), expected, (i) => 3.01 * 2 ** -24 * Math.abs(expected[i]!), `${length} of size ${size}`)
    }
  })

  test('rms_norm of zeros is zeros', () => {
    expect(norm(bank, new Float32Array(9), new Float32Array(9).fill(1))).toEqual(new Float32Array(9))
  })

  test('rms_norm in place gives the same bits', () => {
    const random = new RandomValues(1)
    const [x, weight] = [random.floats(261), random.floats(261)]
    expectSameBits(normInPlace(bank, x, weight), norm(bank, x, weight), 'in place')
  })

  test('rms_norm of a NaN is NaN everywhere', () => {
    const x = new Float32Array(11).fill(1)
    x[10] = Number.NaN
    expect(
      norm(
        bank,
        x,
        x.map(() => 1),
      ).every(Number.isNaN),
    ).toBe(true)
  })

  test.each(lengths)('add and add_scaled of %i round each operation once', (length) => {
    const random = new RandomValues(length)
    const [x, y] = [random.anyFloats(length), random.anyFloats(length)]
    const scale = fround(-0.3)
    expectSameBits(
      add(bank, x, y),
      x.map((value, i) => value + y[i]!),
      'add',
    )
    expectSameBits(
      addScaled(bank, x, y, scale),
      x.map((value, i) => value + fround(scale * y[i]!)),
      'add_scaled',
    )
  })
})

testBothBuilds('norms', (bank) => {
  const random = new RandomValues(2)
  return lengths.flatMap((length) => Array.from(norm(bank, random.floats(length), random.floats(length))))
})
