// store_kv_f16 and store_kv_q8: where a position lands in the cache, and how its floats become halves or bytes.

import { describe, expect, test } from 'vitest'
import { floatToHalf, halfToFloat } from '../../../dist/format/quants/half.js'
import { expectSameBits } from './bits.js'
import { storedBytes } from './kvBytesOracle.js'
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

describeBuilds((build) => {
  const bank = new TestBank(build, 320)

  /** Keys and values of 70 positions as the kernel stores them, and as the oracle does, which are compared. */
  function expectStored(x: Float32Array, headDim: number, positions = x.length / headDim): void {
    const inputs = { q: x, keys: x, values: x.map((value) => -value) }
    const places = Array.from({ length: positions }, (_, position) => position)
    const cache = placeCache(bank.clear(), inputs, headDim, places, 0, ascending, 'q8')
    const groups = Math.ceil(headDim / 32)
    const [keys, values] = [storedBytes(inputs.keys, headDim), storedBytes(inputs.values, headDim)]
    const blocks = Math.ceil(positions / 32)
    const blockBytes = 32 * headDim + 64 * groups
    const [expectedKeys, expectedValues] = [new Uint8Array(blocks * blockBytes), new Uint8Array(blocks * blockBytes)]
    const [k, v] = [expectedKeys, expectedValues].map((bytes) => new DataView(bytes.buffer)) as [DataView, DataView]
    for (let position = 0; position < positions; position++) {
      const [block, slot] = [Math.floor(position / 32) * blockBytes, position % 32]
      for (let d = 0; d < headDim; d++) {
        k.setInt8(block + (d >> 1) * 64 + slot * 2 + (d & 1), keys.bytes[position * headDim + d]!)
        const tile = d & ~7
        const inTile = (slot >> 1) * Math.min(8, headDim - tile) * 2 + (d - tile) * 2 + (slot & 1)
        v.setInt8(block + tile * 32 + inTile, values.bytes[position * headDim + d]!)
      }
      for (let g = 0; g < groups; g++) {
        k.setUint16(block + 32 * headDim + g * 64 + slot * 2, keys.scales[position * groups + g]!, true)
        v.setUint16(block + 32 * headDim + g * 64 + slot * 2, values.scales[position * groups + g]!, true)
      }
    }
    expectSameBits(bank.bytes(cache.keys), expectedKeys, 'keys')
    expectSameBits(bank.bytes(cache.values), expectedValues, 'values')
  }

  test.each([4, 24, 32, 36, 44, 80, 128, 256])('bytes are the oracle’s: head size %i', (headDim) => {
    expectStored(new RandomValues(headDim).floats(70 * headDim, 3), headDim)
  })

  test('any floats: the smallest, the largest, infinities, NaN, ties', () => {
    for (let seed = 0; seed < 20; seed++) expectStored(new RandomValues(seed).anyFloats(70 * 64), 64)
    for (const power of [-149, -130, -30, -24, -17, 0, 15, 22, 23, 127]) {
      const x = Float32Array.from({ length: 64 }, (_, i) => ((i % 32) - 16) * 2 ** power)
      expectStored(x, 64)
    }
    const ties = Float32Array.from({ length: 128 }, (_, i) => (i % 32 === 0 ? 127 : i / 2 - 40)) // a scale of 1
    expectStored(ties, 128)
    expectStored(new Float32Array(256), 128)
    for (const special of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const x = new RandomValues(1).floats(128)
      x[37] = special
      expectStored(x, 128)
    }
  })
})

testBothBuilds('bytes', (bank) => {
  const x = new RandomValues(3).anyFloats(8192)
  const cache = placeCache(bank.clear(), { q: x, keys: x, values: x }, 64, [...Array(128).keys()], 0, ascending, 'q8')
  return [...bank.bytes(cache.keys), ...bank.bytes(cache.values)]
})
