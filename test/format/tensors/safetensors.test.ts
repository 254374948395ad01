// Reading safetensors: what a good file says, and the refusal of every file that cannot be true, by name and place.

import { parseSafetensorsMetadata } from '@huggingface/hub'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MixtralError } from '../../../dist/base/errors.js'
import type { ByteSource } from '../../../dist/base/files/byteSource.js'
import { readSafetensors } from '../../../dist/format/tensors/safetensors.js'
import { type FileTensor, fileOf, safetensorsFile } from './safetensorsFile.js'

function memory(bytes: Uint8Array): ByteSource {
  return { name: 'a.safetensors', bytes: bytes.length, read: async (offset, length) => bytes.slice(offset, offset + length) }
}

const zeros = (length: number) => new Uint8Array(length)
const good: FileTensor[] = [
  { name: 'half', dtype: 'F16', shape: [3, 5], bytes: zeros(30) },
  { name: 'word', dtype: 'F32', shape: [2, 2], bytes: zeros(16) },
  { name: 'scalar', dtype: 'BF16', shape: [], bytes: zeros(2) },
  { name: 'none', dtype: 'F32', shape: [0, 4], bytes: zeros(0) },
  { name: 'byte', dtype: 'F8_E4M3', shape: [7], bytes: zeros(7) },
]

test('the tensors of a file are where it says', async () => {
  const file = safetensorsFile(good)
  const tensors = await readSafetensors(memory(file))
  expect(
    tensors.map(({ name, dtype, shape, bytes }) => ({ name, dtype, shape, bytes })).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  ).toEqual(
    good
      .map(({ name, dtype, shape, bytes }) => ({ name, dtype, shape, bytes: bytes.length }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  )
  expect(Math.max(...tensors.map(({ offset, bytes }) => offset + bytes))).toBe(file.length)
})

test("huggingface.js reads the tests' files as we do", async () => {
  const file = safetensorsFile(good)
  const serve: typeof fetch = async (_, init) => {
    const [, from, to] = /bytes=(\d+)-(\d+)/.exec(new Headers(init?.headers).get('range') ?? 'bytes=0-99999999')!
    const part = file.slice(Number(from), Number(to) + 1)
    return new Response(part, { status: 206, headers: { etag: 'x', 'content-range': `bytes ${from}-${to}/${file.length}` } })
  }
  const parsed = await parseSafetensorsMetadata({ repo: 'any/model', path: 'model.safetensors', fetch: serve })
  if (parsed.sharded) throw new Error('expected one file')
  const dataStart = file.length - good.reduce((sum, { bytes }) => sum + bytes.length, 0)
  for (const { name, dtype, shape, offset, bytes } of await readSafetensors(memory(file))) {
    expect(parsed.header[name]).toEqual({ dtype, shape, data_offsets: [offset - dataStart, offset - dataStart + bytes] })
  }
})

const entry = (fields: Record<string, unknown>) => JSON.stringify({ t: { dtype: 'F32', shape: [2], data_offsets: [0, 8], ...fields } })
const length = (value: bigint) => {
  const bytes = zeros(8)
  new DataView(bytes.buffer).setBigUint64(0, value, true)
  return bytes
}

const faults: Record<string, [bytes: Uint8Array, message: string]> = {
  'an empty file': [zeros(0), '0 bytes, expected a safetensors header'],
  'a header longer than the file': [length(1000n), 'a header of 1000 bytes, but the file ends after 0 (byte 0)'],
  'a header of 2^64 - 1 bytes': [length(2n ** 64n - 1n), 'a header of 18446744073709551615 bytes, but the file ends after 0 (byte 0)'],
  'a huge header': [
    new Uint8Array(Buffer.concat([length(8_388_609n), zeros(8_388_609)])),
    'a header of 8388609 bytes, expected at most 8388608 (byte 0)',
  ],
  'a header that is not UTF-8': [new Uint8Array([...length(2n), 0xc3, 0x28]), 'a header that is not valid UTF-8'],
  'a header that is a list': [fileOf('[]'), 'holds a list of 0, expected a JSON object'],
  'a tensor that is null': [fileOf('{"t":null}'), 'no value, expected an object (key "t")'],
  'a tensor without a type': [fileOf(entry({ dtype: undefined }), zeros(8)), 'no value, expected the type of the elements (key "t.dtype")'],
  'a shape that is no list': [fileOf(entry({ shape: 2 }), zeros(8)), '2, expected an array (key "t.shape")'],
  'a negative size': [fileOf(entry({ shape: [-2] }), zeros(8)), 'a list of 1, expected whole numbers from 0 (key "t.shape")'],
  'a broken size': [fileOf(entry({ shape: [1.5] }), zeros(8)), 'a list of 1, expected whole numbers from 0 (key "t.shape")'],
  'a size beyond 2^53': [fileOf(entry({ shape: [2 ** 60] }), zeros(8)), 'a list of 1, expected whole numbers from 0 (key "t.shape")'],
  'offsets the wrong way round': [
    fileOf(entry({ data_offsets: [8, 0] }), zeros(8)),
    'a list of 2, expected where the data begins and ends (key "t.data_offsets")',
  ],
  'three offsets': [
    fileOf(entry({ data_offsets: [0, 8, 8] }), zeros(8)),
    'a list of 3, expected where the data begins and ends (key "t.data_offsets")',
  ],
  'data past the end': [fileOf(entry({}), zeros(4)), 'ends at byte 8 of the data, of which there are 4 (tensor "t")'],
  'more data than the shape has': [fileOf(entry({ shape: [1] }), zeros(8)), '8 bytes, expected 4 for [1] of F32 (tensor "t")'],
  'a shape whose product is infinite': [
    fileOf(entry({ shape: new Array(40).fill(2 ** 52) }), zeros(8)),
    `8 bytes, expected Infinity for [${new Array(40).fill(2 ** 52)}] of F32 (tensor "t")`,
  ],
  'a gap': [
    fileOf(entry({ data_offsets: [4, 12] }), zeros(12)),
    'begins at byte 68, expected 64: tensors neither overlap nor leave a gap (tensor "t")',
  ],
  'bytes behind the last tensor': [fileOf(entry({}), zeros(9)), '73 bytes, expected 72, where the last tensor ends'],
  'two tensors in one place': [
    fileOf(
      JSON.stringify({ t: { dtype: 'I8', shape: [8], data_offsets: [0, 8] }, u: { dtype: 'I8', shape: [8], data_offsets: [0, 8] } }),
      zeros(8),
    ),
    'begins at byte 120, expected 128: tensors neither overlap nor leave a gap (tensor "u")',
  ],
}

test.each(Object.entries(faults))('%s is refused', async (_, [bytes, message]) => {
  const error = await readSafetensors(memory(bytes)).catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(MixtralError)
  expect(error).toMatchObject({ code: 'CHECKPOINT', message: `a.safetensors: ${message}` })
})

test('JSON that is none is refused', async () => {
  await expect(readSafetensors(memory(fileOf('{"t"')))).rejects.toThrow(/^a\.safetensors: not valid JSON: /)
  await expect(readSafetensors(memory(fileOf('['.repeat(100_000))))).rejects.toThrow(/^a\.safetensors: not valid JSON: /)
})

test('whatever bytes are changed, what is read lies within the file or is refused', async () => {
  const file = safetensorsFile(good)
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      fc.nat(file.length),
      async (changes, cut) => {
        const changed = file.slice()
        for (const [at, value] of changes) changed[at] = value
        for (const bytes of [changed, changed.slice(0, cut)]) {
          try {
            for (const { offset, bytes: size } of await readSafetensors(memory(bytes))) {
              expect(offset >= 8 && size >= 0 && offset + size <= bytes.length).toBe(true)
            }
          } catch (error) {
            if (!(error instanceof MixtralError)) throw error
          }
        }
      },
    ),
    { numRuns: 2000 },
  )
})

test.each([
  ['version https://git-lfs.github.com/spec/v1\n', /Git LFS pointer/],
  ['<html><body>Entry not found', /web page/],
])('%j is named as what it is', async (start, message) => {
  await expect(readSafetensors(memory(new TextEncoder().encode(start)))).rejects.toThrow(message)
})
