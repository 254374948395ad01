// Encoding weights: the kernels against the oracles of src/format/quants/, bit for bit.

import { describe, expect, test } from 'vitest'
import { formats, largestWeight } from '../../../dist/format/quants/formats.js'
import { floatToHalf } from '../../../dist/format/quants/half.js'
import { ENCODE_ROOM, type Encoders, encoderOf } from '../../../dist/runtime/kernels/encoders.js'
import { expectSameBits } from './bits.js'
import { RandomValues } from './randomValues.js'
import { TestBank } from './testBank.js'

const bank = new TestBank('encode')
/** The formats that a kernel writes. */
const names = [...formats.keys()].filter((name) => bank.call([], (encoders) => encoderOf(encoders, name)))

test('every kernel that writes weights is that of a format', () => {
  const kernels = bank.call([], Object.keys).filter((name) => name.startsWith('encode_'))
  expect(kernels.toSorted()).toEqual(names.map((name) => `encode_${name.toLowerCase()}`).toSorted())
})

/** Compares the kernel's blocks with the oracle's, without importances and with some. */
function check(name: string, x: Float32Array): void {
  checkWith(name, x, undefined)
  const random = new RandomValues(x.length)
  checkWith(
    name,
    x,
    random.floats(x.length).map((value) => value ** 2),
  )
  checkWith(
    name,
    x,
    random.floats(x.length).map((value) => 2 ** Math.round(20 * value)),
  )
}

function checkWith(name: string, x: Float32Array, importance: Float32Array | undefined): void {
  const { type, encode, encodeTable } = formats.get(name)!
  const blocks = x.length / type.blockWeights
  const expected = new Uint8Array(blocks * type.blockBytes)
  encode!(x, expected, importance)
  const source = bank.clear().place(x)
  const important = importance && bank.place(importance)
  const table = encodeTable && bank.place(encodeTable())
  const target = bank.reserve(expected.length)
  bank.reserve(16) // what may be read after it
  const room = bank.reserve(ENCODE_ROOM)
  const addresses = [source.ptr, blocks, target.ptr, room.ptr, important?.ptr ?? 0, table?.ptr ?? 0] as const
  bank.call([target, room], (encoders) => encoderOf(encoders, name)!(...addresses))
  const found = bank.bytes(target)
  if (Buffer.compare(found, expected) === 0) return
  const at = found.findIndex((byte, i) => byte !== expected[i])
  const block = Math.floor(at / type.blockBytes)
  throw new Error(`block ${block} of ${blocks}, byte ${at % type.blockBytes}: ${found[at]}, the oracle has ${expected[at]}`)
}

describe.each(names)('encode_%s', (name) => {
  test.each([1, 2, 5])('is the oracle for %i superblocks of any spread', (blocks) => {
    const random = new RandomValues(blocks)
    for (const size of [1e-9, 1e-4, 0.02, 1, 60000]) for (let i = 0; i < 4; i++) check(name, random.floats(blocks * 256, size))
  })

  test('is the oracle for weights as a model has them: many small ones, a few large ones, a bias', () => {
    const random = new RandomValues(7)
    for (let i = 0; i < 10; i++)
      check(
        name,
        random.floats(512, 0.03).map((value, n) => value ** 3 * 1e4 * (n % 37 ? 1 : 8) + (i - 5) / 100),
      )
  })

  test('is the oracle for zeros of either sign, and where a sub-block is constant', () => {
    check(name, new Float32Array(256))
    check(name, new Float32Array(256).fill(-0))
    const x = new RandomValues(8).floats(256)
    check(name, x.fill(0, 0, 32))
    check(name, x.fill(0.25, 64, 96))
    check(name, x.fill(-0.25, 64, 96))
    for (const constant of [3, -3, largestWeight, -largestWeight, 1e-30, 1e-42]) check(name, new Float32Array(256).fill(constant))
  })

  test('is the oracle for one weight among zeros, wherever it is and however large', () => {
    for (let at = 0; at < 256; at += 5) {
      for (const value of [1, -1, largestWeight, -largestWeight, 1e-7, -1e-7]) {
        const x = new Float32Array(256)
        x[at] = value
        check(name, x)
      }
    }
  })

  test('is the oracle where weights lie half way between two quants, and two are largest', () => {
    for (const scale of [1, 0.5, 1 / 3]) {
      check(
        name,
        Float32Array.from({ length: 512 }, (_, i) => (((i * 37) % 31) - 15.5) * scale),
      )
      check(
        name,
        Float32Array.from({ length: 512 }, (_, i) => (i % 2 ? -1 : 1) * scale),
      )
    }
  })

  test('is the oracle for weights below what a half can scale', () => {
    const random = new RandomValues(9)
    for (const size of [1e-5, 1e-6, 1e-7, 1e-12, 1e-20, 1e-30, 1e-38, 1e-44]) check(name, random.floats(256, size))
  })
})

test('decode_f16 widens every finite half exactly, decode_bf16 every bfloat16', () => {
  const halves = Uint16Array.from({ length: 65536 }, (_, i) => i).filter((half) => (half & 0x7c00) !== 0x7c00)
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i)
  const decode = (kernel: 'decode_f16' | 'decode_bf16', bits: Uint16Array) => {
    const source = bank.clear().place(bits)
    bank.reserve(16)
    const target = bank.reserve(bits.length * 4)
    bank.call([target], (encoders: Encoders) => encoders[kernel](source.ptr, bits.length, target.ptr))
    return bank.floats(target)
  }
  const expected = new Float32Array(halves.length)
  formats.get('F16')!.dequantize(new Uint8Array(halves.buffer), expected)
  expectSameBits(decode('decode_f16', halves), expected, 'halves')
  const found = new Uint32Array(decode('decode_bf16', all).buffer)
  expect(found.every((bits, i) => bits === (all[i]! << 16) >>> 0)).toBe(true)
})

test('count_beyond counts what is too large, infinite or no number', () => {
  const count = (values: number[]) => {
    const source = bank.clear().place(Float32Array.from(values))
    return bank.call([], (encoders) => encoders.count_beyond(source.ptr, values.length, largestWeight))
  }
  expect(count([0, -0, 65504, -65504])).toBe(0)
  expect(count([65505, -1e9, 1, 2, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3])).toBe(5)
  expect(floatToHalf(largestWeight)).toBe(0x7bff)
})
