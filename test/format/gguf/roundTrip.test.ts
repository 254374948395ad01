// What the writer writes, the reader gives back, in both versions of the format.

import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeHeader, type GgufEntry } from '../../../dist/format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { GgufWriter } from '../../../dist/format/gguf/writer.js'

let folder = ''
beforeAll(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'gguf-'))
})
afterAll(() => fs.rm(folder, { recursive: true }))

const values: readonly GgufEntry[] = [
  ['uint8', 'uint8', 255],
  ['int8', 'int8', -128],
  ['uint16', 'uint16', 65535],
  ['int16', 'int16', -32768],
  ['uint32', 'uint32', 4294967295],
  ['int32', 'int32', -2147483648],
  ['float32', 'float32', 0.15625],
  ['infinity', 'float32', Number.POSITIVE_INFINITY],
  ['true', 'bool', true],
  ['false', 'bool', false],
  ['string', 'string', 'Ein Satz,\u2581mit 你好 und 🐪'],
  ['empty string', 'string', ''],
  ['byte order mark', 'string', '\uFEFF'],
  ['uint64', 'uint64', 2 ** 53 - 1],
  ['large uint64', 'uint64', 2n ** 64n - 1n],
  ['int64', 'int64', -5],
  ['large int64', 'int64', -(2n ** 63n)],
  ['float64', 'float64', 1e300],
  ['array of uint8', 'array<uint8>', [0, 1, 255]],
  ['array of bool', 'array<bool>', [true, false]],
  ['array of float32', 'array<float32>', [0.5, -2]],
  ['array of string', 'array<string>', ['a', '', '\uFEFF', '\u2581b']],
  ['array of uint64', 'array<uint64>', [1, 2n ** 63n]],
  ['long array', 'array<int32>', Array.from({ length: 100_000 }, (_, n) => n - 50_000)],
  ['empty array', 'array<int16>', []],
  ['nested', 'array<array<int32>>', [[1, 2], [], [3]]],
  ['nested empty', 'array<array>', []],
  ['deeply nested', 'array<array<array<string>>>', [[['a'], ['b', 'c']], [['d']]]],
  ['', 'string', 'a key without a name'],
]

describe.each([2, 3] as const)('version %i', (version) => {
  test('gives back metadata of every type, tensors and data as written', async () => {
    const file = path.join(folder, `v${version}.gguf`)
    const tensors = ['F32', 'F16', 'Q4_0', 'Q8_0', 'Q2_K', 'Q4_K', 'IQ1_M', 'TQ1_0', 'MXFP4'].map((type, n) => ({
      name: `tensor ${type}`,
      type: ggmlTypeByName(type)!,
      shape: [256, n + 1, 1, 2].slice(0, 1 + (n % 4)),
    }))
    const writer = await GgufWriter.create(file, { version, metadata: values, tensors })
    const data: Uint8Array[] = []
    for (let next = writer.next; next; next = writer.next) {
      const bytes = Uint8Array.from({ length: next.bytes }, (_, at) => at * 7 + data.length)
      data.push(bytes)
      await writer.write(bytes.subarray(0, 13))
      await writer.write(bytes.subarray(13))
    }
    await writer.close()

    const gguf = await openGguf(file)
    expect(gguf.version).toBe(version)
    expect([...gguf.metadata].map(([key, value]) => [key, gguf.metadataTypes.get(key), value])).toEqual(values)
    expect([...gguf.tensors.values()].map(({ name, type, shape }) => ({ name, type, shape }))).toEqual(tensors)
    const stored = await fs.readFile(file)
    expect(gguf.files).toEqual([{ path: file, bytes: stored.length }])
    for (const [n, { offset, bytes }] of [...gguf.tensors.values()].entries()) {
      expect(offset % 32).toBe(0)
      expect(Uint8Array.from(stored.subarray(offset, offset + bytes))).toEqual(data[n])
    }
  })
})

test.each([0, 4, 24, 2 ** 23, 2 ** 31])('a file with an alignment of %d is not written', (alignment) => {
  expect(() => encodeHeader({ metadata: [['general.alignment', 'uint32', alignment]], tensors: [] })).toThrow(
    `an alignment of ${alignment}, expected a power of two from 8 to 4194304`,
  )
})

test('data is aligned as general.alignment says', async () => {
  const tensors = ['a', 'b'].map((name) => ({ name, type: ggmlTypeByName('F32')!, shape: [3] }))
  const { tensors: placed } = encodeHeader({ metadata: [['general.alignment', 'uint32', 4096]], tensors })
  expect(placed.map(({ offset }) => offset)).toEqual([4096, 8192])
})

test('a text that is not UTF-8 is read with replacement characters', async () => {
  const file = path.join(folder, 'not-utf8.gguf')
  const header = encodeHeader({ metadata: [['key', 'string', 'a?b']], tensors: [] })
  await fs.writeFile(
    file,
    header.bytes.map((byte) => (byte === 0x3f ? 0xff : byte)),
  )
  expect((await openGguf(file)).metadata.get('key')).toBe('a\uFFFDb')
})

test('bytes that are not UTF-8 are kept for copies, wherever in a value they are', async () => {
  const odd = (...bytes: number[]) => Uint8Array.from(bytes)
  const entries: GgufEntry[] = [
    ['license', 'string', 'a\uFFFDb', new Map([[0, odd(0x61, 0xff, 0x62)]])],
    ['honest', 'string', 'a\uFFFDb'],
    [
      'list',
      'array<string>',
      ['a', '\uFFFD', '\uFFFD', 'b'],
      new Map([
        [1, odd(0xc3)],
        [2, odd(0xe4)],
      ]),
    ],
    ['nested', 'array<array<string>>', [['a'], ['\uFFFD']], new Map([[1, odd(0xff)]])],
  ]
  const file = path.join(folder, 'raw.gguf')
  const { bytes } = encodeHeader({ metadata: entries, tensors: [] })
  await fs.writeFile(file, bytes)
  const { metadata, metadataTypes, rawTexts } = await openGguf(file)
  expect([...rawTexts.keys()]).toEqual(['license', 'list', 'nested'])
  const read = [...metadata].map(([key, value]) => [key, metadataTypes.get(key)!, value, rawTexts.get(key)] as unknown as GgufEntry)
  expect(Buffer.from(encodeHeader({ metadata: read, tensors: [] }).bytes).equals(Buffer.from(bytes))).toBe(true)
})

test('the writer refuses more data than a tensor has, and a file closed too early', async () => {
  const file = path.join(folder, 'early.gguf')
  const writer = await GgufWriter.create(file, { metadata: [], tensors: [{ name: 'a', type: ggmlTypeByName('F32')!, shape: [4] }] })
  await expect(writer.write(new Uint8Array(17))).rejects.toThrow('17 bytes to write, expected at most 16 (tensor "a")')
  await writer.write(new Uint8Array(8))
  await expect(writer.close()).rejects.toThrow('closed after 8 bytes, expected 16 (tensor "a")')
})

test('a file that cannot be written is an IO error', async () => {
  await expect(GgufWriter.create(folder, { metadata: [], tensors: [] })).rejects.toMatchObject({ code: 'IO' })
})

test.each<[GgufEntry, string]>([
  [['k', 'uint8', 256], '256, expected an integer that fits uint8 (key "k")'],
  [['k', 'int32', 1.5], '1.5, expected an integer that fits int32 (key "k")'],
  [['k', 'uint64', -1], '-1, expected an integer that fits uint64 (key "k")'],
  [['k', 'bool', 1], 'a number, expected bool (key "k")'],
  [['k', 'float32', -1e39], '-1e+39, expected a number that fits float32 (key "k")'],
  [['k', 'array<float32>', [1, 1e300]], '1e+300, expected a number that fits float32 (key "k")'],
  [['k', 'string', true], 'a boolean, expected string (key "k")'],
  [['k', 'array<string>', 'text'], 'a string, expected array<string> (key "k")'],
])('the writer refuses a value that is not of its type: %j', (entry, message) => {
  expect(() => encodeHeader({ metadata: [entry], tensors: [] })).toThrow(message)
})
