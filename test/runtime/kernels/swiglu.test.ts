// The expert's gate against float64, and through it and `route` the accuracy of the kernels' exp.

import { expect, test } from 'vitest'
import { expectClose } from './bits.js'
import { RandomValues } from './randomValues.js'
import { describeBuilds, TestBank, testBothBuilds } from './testBank.js'

/** `count` of the gate's values, whose length is a multiple of four. */
function swiglu(bank: TestBank, gate: Float32Array, up: Float32Array, count = gate.length): Float32Array {
  const [to, by] = [bank.clear().place(gate), bank.place(up)]
  bank.call([to], (kernels) => kernels.swiglu(to.ptr, by.ptr, count))
  return bank.floats(to)
}

/**
 * exp(x) as the kernels see it, for x below -17: there 1 + exp(x) is 1, and a softmax over 0 and x has exp(x) as its
 * second weight.
 */
function expOf(bank: TestBank, x: number): number {
  const logits = bank.clear().place(Float32Array.of(0, x))
  const [ids, weights] = [bank.reserve(8), bank.reserve(8)]
  bank.call([ids, weights], (kernels) => kernels.route(logits.ptr, 2, 2, ids.ptr, weights.ptr))
  return bank.floats(weights)[1]!
}

/** The distance of two neighboring float32 around x. */
const ulp = (x: number) => 2 ** (Math.floor(Math.log2(x)) - 23)

describeBuilds((build) => {
  const bank = new TestBank(build)

  test('silu(gate) * up is float64 within an exp of 2 ulp and three roundings', () => {
    const random = new RandomValues(1)
    for (const size of [1e-6, 1, 10, 87, 1000]) {
      const [gate, up] = [random.floats(4096, size), random.floats(4096, 3)]
      const expected = Float64Array.from(gate, (g, i) => (g / (1 + Math.exp(-g))) * up[i]!)
      // exp is held at e^88: a gate below -88 gives gate / e^88, where it ought to be smaller still.
      const held = (i: number) => (gate[i]! < -87 ? Math.abs(gate[i]! * up[i]!) * Math.exp(-87) : 2 ** -126)
      const tolerance = (i: number) => 7 * 2 ** -24 * Math.abs(expected[i]!) + held(i)
      expectClose(swiglu(bank, gate, up), expected, tolerance, `gates of size ${size}`)
    }
  })

  test('a gate of zero is zero, and a NaN in the gate or beside it is NaN', () => {
    const found = swiglu(bank, Float32Array.of(0, -0, Number.NaN, 1), Float32Array.of(5, 5, 5, Number.NaN))
    expect(Array.from(found)).toEqual([0, -0, Number.NaN, Number.NaN])
  })

  test.each([1, 2, 3, 5, 4095])('%i values: rounded up to four, and no more is written', (count) => {
    const length = Math.ceil(count / 4) * 4
    const random = new RandomValues(count)
    const [gate, up] = [random.floats(length), random.floats(length)]
    expect(swiglu(bank, gate, up, count)).toEqual(swiglu(bank, gate, up))
  })

  test('exp is within 2 ulp from -87 to -17', () => {
    for (let x = -87; x <= -17; x += 0.0371) {
      const exact = Math.exp(Math.fround(x))
      expect(Math.abs(expOf(bank, x) - exact) / ulp(exact), `exp(${Math.fround(x)})`).toBeLessThanOrEqual(2)
    }
  })

  test('exp is within 2 ulp from 17 to 88, except for the roundings of 1 + exp and of the quotient', () => {
    const gate = Float32Array.from({ length: 8192 }, (_, i) => -17 - (i * 71) / 8192)
    const found = swiglu(bank, gate, new Float32Array(gate.length).fill(1))
    const exact = Float64Array.from(gate, (g) => g / (1 + Math.exp(-g)))
    expectClose(found, exact, (i) => 5 * 2 ** -23 * Math.abs(exact[i]!), 'g / (1 + exp(-g))')
  })
})

testBothBuilds('swiglu', (bank) => {
  const random = new RandomValues(2)
  return [1, 30, 100].flatMap((size) => Array.from(swiglu(bank, random.floats(8192, size), random.floats(8192))))
})
