// store_kv_f16: where a position lands in the cache, and how its floats become halves.

import { describe, expect, test } from 'vitest'
import { floatToHalf, halfToFloat } from '../../../dist/format/quants/half.js'
import { expectSameBits } from './bits.js'
import { ascending, placeCache } from './kvCache.js'
import { RandomValues } from './randomValues.js'
import { describeBuilds, TestBank, testBothBuilds } from './testBank.js'

const LARGEST = 65504

/** The cache saturates where the conversion of src/format/quants/half.ts overflows. */
const saturated = (value: number) => floatToHalf(Math.max(-LARGEST, Math.min(LARGEST, value)))

/** The halves the kernel makes of the values, as keys and as values, all in position 0. */
function round(bank: TestBank, x: Float32Array): { keys: Uint16Array; values: Uint16Array } {
  const cache = placeCache(bank.clear(), { q: x, keys: x, values: x }, x.length, [0])
  const [keys, values] = [cache.keys, cache.values].map((region) => new Uint16Array(bank.bytes(region).buffer))
  return { keys: keys!.filter((_, i) => i % 32 === 0), values: values!.subarray(0, x.length) }
}

/** Many values at once, in pieces the bank has room for. */
function roundAll(bank: TestBank, x: Float32Array): { keys: Uint16Array; values: Uint16Array } {
  const [keys, values] = [new Uint16Array(x.length), new Uint16Array(x.length)]
  for (let start = 0; start < x.length; start += 32768) {
    const piece = round(bank, x.subarray(start, start + 32768))
    keys.set(piece.keys, start)
    values.set(piece.values, start)
  }
  return { keys, values }
}

/** Every half, the middle of every two, and the float32 on either side of each middle. */
function aroundHalves(): Float32Array {
  const numbers = Float32Array.from({ length: 0x7c00 }, (_, half) => halfToFloat(half))
  const middles = numbers.map((value, half) => (value + (numbers[half + 1] ?? 2 ** 16)) / 2)
  const bits = new Uint32Array(middles.buffer)
  const [below, above] = [-1, 1].map((step) => new Float32Array(bits.map((pattern) => pattern + step).buffer))
  const positive = [...numbers, ...middles, ...below!, ...above!]
  return Float32Array.from([...positive, ...positive.map((value) => -value)])
}

const edges = Float32Array.of(LARGEST, 65519.996, 65520, 1e38, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -65520, 2 ** -149)

describeBuilds((build) => {
  const bank = new TestBank(build, 320)

  test('halves are the nearest, ties to even, and saturate at 65504', () => {
    for (const x of [aroundHalves(), edges, new RandomValues(1).anyFloats(1 << 16)]) {
      const expected = Uint16Array.from(x, saturated)
      const { keys, values } = roundAll(bank, x)
      expectSameBits(keys, expected, 'keys')
      expectSameBits(values, expected, 'values')
    }
  })

  describe.each([4, 32, 36, 80, 128])('head size %i', (headDim) => {
    const positions = 70
    const random = new RandomValues(headDim)
    const inputs = { q: new Float32Array(), keys: random.floats(positions * headDim), values: random.floats(positions * headDim) }
    const key = (position: number, d: number) => floatToHalf(inputs.keys[position * headDim + d]!)
    const value = (position: number, d: number) => floatToHalf(inputs.values[position * headDim + d]!)

    test.each([0, 1, 31, 32, 69])(
      'position %i: a column of its block of keys, a row of its block of values, and nothing else',
      (position) => {
        const cache = placeCache(bank.clear(), inputs, headDim, [position], 0xff, ascending)
        const keys = new Uint16Array(bank.bytes(cache.keys).buffer) // (blocks, headDim, 32)
        const values = new Uint16Array(bank.bytes(cache.values).buffer) // (blocks, 32, headDim)
        const [expectedKeys, expectedValues] = [keys.slice().fill(0xffff), values.slice().fill(0xffff)]
        for (let d = 0; d < headDim; d++) {
          expectedKeys[((position >> 5) * headDim + d) * 32 + (position & 31)] = key(position, d)
          expectedValues[position * headDim + d] = value(position, d)
        }
        expectSameBits(keys, expectedKeys, 'keys')
        expectSameBits(values, expectedValues, 'values')
      },
    )
  })

  test('a position written twice holds the second', () => {
    const [first, second] = [1, 2].map((fill) => new Float32Array(4).fill(fill))
    const [a, b] = [bank.clear().place(first!), bank.place(second!)]
    const [keys, values] = [bank.reserve(256), bank.reserve(256)]
    for (const { ptr } of [a, b]) bank.call([keys, values], (kernels) => kernels.store_kv_f16(ptr, ptr, 4, keys.ptr, values.ptr, 3))
    expect(new Uint16Array(bank.bytes(values).buffer).slice(12, 16)).toEqual(new Uint16Array(4).fill(0x4000))
  })
})

testBothBuilds('halves', (bank) => {
  const { keys, values } = round(bank, new RandomValues(2).anyFloats(8192))
  return [...keys, ...values]
})
