// From one number format to another: every 16-bit pattern, and where the limits are.

import { expect, test } from 'vitest'
import { convertElements, type ElementType } from '../../../dist/authoring/convert/elementType.js'

const bytesOf = (values: Float32Array | Uint16Array) => new Uint8Array(values.buffer)
const halves = (bytes: Uint8Array | undefined) => new Uint16Array(bytes!.buffer)
const floats = (bytes: Uint8Array | undefined) => new Float32Array(bytes!.buffer)
const every = Uint16Array.from({ length: 65536 }, (_, bits) => bits)

test.each(['F16', 'BF16'] as const)('every %s survives the way to F32 and back; a NaN stays one', (type) => {
  const wide = convertElements(bytesOf(every), type, 'F32')
  const back = halves(convertElements(wide!, 'F32', type))
  const values = floats(wide)
  expect(
    every.filter((bits) =>
      Number.isNaN(values[bits])
        ? Number.isFinite(floats(convertElements(bytesOf(back.slice(bits, bits + 1)), type, 'F32'))[0])
        : back[bits] !== bits,
    ),
  ).toHaveLength(0)
})

test('BF16 becomes the F16 that its value becomes', () => {
  const inRange = every.filter((bits) => (bits & 0x7fff) < 0x4780) // below 65536
  const viaFloat = convertElements(convertElements(bytesOf(inRange), 'BF16', 'F32')!, 'F32', 'F16')
  expect(convertElements(bytesOf(inRange), 'BF16', 'F16')).toEqual(viaFloat)
})

const limits: [from: ElementType, to: ElementType, fits: number, not: number][] = [
  ['F32', 'F16', 65519, 65520],
  ['F32', 'BF16', 3.3961e38, 3.4e38],
  ['BF16', 'F16', 65280, 65536],
]

test.each(limits)('%s to %s: %d is the last that fits, %d is refused wherever it stands', (from, to, fits, not) => {
  const of = (value: number) => {
    const values = new Float32Array(100)
    values[57] = -value
    return from === 'F32' ? bytesOf(values) : convertElements(bytesOf(values), 'F32', 'BF16')!
  }
  expect(convertElements(of(fits), from, to)).toBeInstanceOf(Uint8Array)
  expect(convertElements(of(not), from, to)).toBeUndefined()
})

test('infinities and NaN are not refused: they were there before', () => {
  const values = bytesOf(new Float32Array([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]))
  const found = [...halves(convertElements(values, 'F32', 'F16'))]
  expect(found.map((bits) => bits & 0x7fff)).toEqual([0x7c00, 0x7c00, 0x7e00])
})

test('elements that do not lie at a multiple of their size are read all the same', () => {
  const shifted = new Uint8Array(9)
  shifted.set(bytesOf(new Float32Array([1.5, -2])), 1)
  expect([...halves(convertElements(shifted.subarray(1), 'F32', 'F16'))]).toEqual([0x3e00, 0xc000])
})
