// Malformed headers, one fault each: every one is refused by name and place.

import { expect, test } from 'vitest'
import { readHeader } from '../../../dist/format/gguf/readHeader.js'
import { info, join, refusal, start, text, u32, u64, zeros } from './rawGguf.js'
import { memorySource, tinyGguf } from './tinyGguf.js'

const [uint8, bool, string, array, uint64] = [u32(0), u32(7), u32(8), u32(9), u32(10)]
const F32 = 0
const key = (name: string) => join(start(0, 1), text(name))
const one = (...tensorInfo: Parameters<typeof info>) => join(start(1, 0), info(...tensorInfo), zeros(1024))
const alignment = (...value: Uint8Array[]) => join(key('general.alignment'), ...value, zeros(64))

const faults: Record<string, [bytes: Uint8Array, message: string]> = {
  'an empty file': [join(), 'not a GGUF file: it is empty (magic, byte 0)'],
  'a pointer': [
    Buffer.from('version https://git-lfs.github.com/spec/v1\n'),
    'not a GGUF file: a Git LFS pointer in place of the file: `git lfs pull` fetches it (magic, byte 0)',
  ],
  'a page': [
    Buffer.from('<!DOCTYPE html><html></html>'),
    'not a GGUF file: a web page in place of the file: it was not downloaded from where the file is (magic, byte 0)',
  ],
  'a wrong magic': [join([...Buffer.from('GGML')], zeros(20)), 'not a GGUF file: starts with "GGML", expected "GGUF" (magic, byte 0)'],
  'a big-endian file': [
    join([...Buffer.from('GGUF')], [0, 0, 0, 3], zeros(16)),
    'a big-endian GGUF file, expected little-endian (header, byte 4)',
  ],
  'version 1': [start(0, 0, 1), 'GGUF version 1, expected 2 or 3 (header, byte 4)'],
  'version 4': [start(0, 0, 4), 'GGUF version 4, expected 2 or 3 (header, byte 4)'],

  'more tensors than the file could hold': [
    join(start(2n ** 40n, 0), zeros(100)),
    'claims 1099511627776 tensors, but the rest of the file can hold 3 at most (header, byte 8)',
  ],
  'more keys than the file could hold': [
    join(start(0, 2n ** 64n - 1n), zeros(100)),
    'claims 18446744073709551615 metadata keys, but the rest of the file can hold 7 at most (header, byte 16)',
  ],
  'a key longer than the file': [
    join(start(0, 1), u64(2n ** 60n), zeros(100)),
    'claims 1152921504606846976 bytes of name, but the rest of the file can hold 100 at most (key 1 of 1, byte 24)',
  ],
  'a key longer than any that V8 finds by its text': [
    join(start(0, 1), u64(16_384), zeros(70000)),
    'a name of 16384 bytes, expected at most 4096 (key 1 of 1, byte 24)',
  ],
  'a key that is not UTF-8': [join(start(0, 1), u64(2), [0xc3, 0x28], zeros(20)), 'a name that is not valid UTF-8 (key 1 of 1, byte 24)'],
  'a key given twice': [
    join(start(0, 2), text('a'), uint8, [1], text('a'), uint8, [1], zeros(9)),
    'a second value for this key (key "a", byte 47)',
  ],
  'an unknown value type': [join(key('a'), u32(13), zeros(9)), 'value type 13, expected 0 to 12 (key "a", byte 33)'],
  'a bool of 2': [join(key('a'), bool, [2]), 'a bool of 2, expected 0 or 1 (key "a", byte 37)'],
  'a text longer than the file': [
    join(key('a'), string, u64(1000), zeros(10)),
    'claims 1000 bytes of text, but the rest of the file can hold 10 at most (key "a", byte 37)',
  ],
  'an array longer than the file': [
    join(key('a'), array, uint8, u64(2n ** 40n), zeros(10)),
    'claims 1099511627776 elements of uint8, but the rest of the file can hold 10 at most (key "a", byte 41)',
  ],
  'an array of more texts than the file could hold': [
    join(key('a'), array, string, u64(6), zeros(40)),
    'claims 6 elements of string, but the rest of the file can hold 5 at most (key "a", byte 41)',
  ],
  'an array of more arrays than the file could hold': [
    join(key('a'), array, array, u64(6), zeros(60)),
    'claims 6 elements of array, but the rest of the file can hold 5 at most (key "a", byte 41)',
  ],
  'an array of an unknown type': [join(key('a'), array, u32(99), u64(1), zeros(9)), 'value type 99, expected 0 to 12 (key "a", byte 37)'],
  'arrays nested too deep': [
    join(key('a'), array, array, u64(1), array, u64(1), array, u64(1), array, u64(1), uint8, u64(0)),
    'arrays nested deeper than 4 (key "a", byte 85)',
  ],
  'arrays of different types in one': [
    join(key('a'), array, array, u64(2), uint8, u64(0), string, u64(0)),
    'an array of both array<uint8> and array<string>, expected one type (key "a", byte 73)',
  ],
  'an alignment of 0': [alignment(u32(4), u32(0)), 'an alignment of 0, expected a power of two from 8 to 4194304 (key "general.alignment"'],
  'an alignment of 4': [alignment(u32(4), u32(4)), 'an alignment of 4, expected a power of two'],
  'an alignment of 8 MiB': [alignment(u32(4), u32(2 ** 23)), 'an alignment of 8388608, expected a power of two from 8 to 4194304'],
  'an alignment of 2 GiB': [alignment(u32(4), u32(2 ** 31)), 'an alignment of 2147483648, expected a power of two'],
  'an alignment of 24': [alignment(u32(4), u32(24)), 'an alignment of 24, expected a power of two'],
  'an alignment beyond 32 bits': [alignment(uint64, u64(2n ** 63n)), 'an alignment of 9223372036854775808, expected a power of two'],
  'an alignment in words': [alignment(string, text('32')), 'an alignment of "32", expected a power of two'],

  'no dimensions': [one('t', [], F32, 0), '0 dimensions, expected 1 to 4 (tensor "t", byte 33)'],
  'five dimensions': [one('t', [1, 1, 1, 1, 1], F32, 0), '5 dimensions, expected 1 to 4 (tensor "t", byte 33)'],
  'a dimension of zero': [one('t', [4, 0], F32, 0), 'dimension 1 is 0, expected at least 1 (tensor "t", byte 45)'],
  'dimensions that overflow': [
    one('t', [2n ** 32n, 2n ** 32n, 2n ** 32n], F32, 0),
    'dimension 1 is 4294967296, which makes more than 2^53 weights (tensor "t", byte 45)',
  ],
  'rows of part of a block': [one('t', [255], 12, 0), 'rows of 255 weights, expected a multiple of the 256 in a block of Q4_K (tensor "t"'],
  'an unknown tensor type': [one('t', [256], 99, 0), 'unknown tensor type 99 (tensor "t", byte 45)'],
  'a removed tensor type': [one('t', [256], 4, 0), 'type 4, Q4_2, which ggml has removed: convert the model again (tensor "t", byte 45)'],
  'an unaligned tensor': [one('t', [4], F32, 16), 'offset 16, expected a multiple of the alignment 32 (tensor "t")'],
  'a tensor beyond the end': [one('t', [257], F32, 0), '1028 bytes from byte 64 on, but the file ends at byte 1081 (tensor "t")'],
  'a tensor that starts beyond the end': [
    one('t', [1], F32, 2048),
    '4 bytes from byte 2112 on, but the file ends at byte 1081 (tensor "t")',
  ],
  'a tensor beyond any file': [one('t', [1], F32, 2n ** 63n), 'but the file ends at byte 1081 (tensor "t")'],
  'tensors that overlap': [
    join(start(2, 0), info('a', [16], F32, 0), info('b', [16], F32, 32), zeros(1024)),
    'starts at byte 128, inside tensor "a", which ends at byte 160 (tensor "b")',
  ],
  'tensors in one place': [
    join(start(2, 0), info('a', [1], F32, 0), info('b', [1], F32, 0), zeros(1024)),
    'starts at byte 96, inside tensor "a", which ends at byte 100 (tensor "b")',
  ],
  'two tensors of one name': [
    join(start(2, 0), info('a', [1], F32, 0), info('a', [1], F32, 32), zeros(1024)),
    'a second tensor of this name (tensor "a", byte 66)',
  ],
  'a tensor name that is not UTF-8': [
    join(start(1, 0), u64(1), [0xff], zeros(100)),
    'a name that is not valid UTF-8 (tensor info 1 of 1, byte 24)',
  ],
}

test.each(Object.entries(faults))('%s', async (_, [bytes, message]) => {
  const refused = await refusal(bytes)
  expect(refused).toContain(message)
  expect(refused).toMatch(/^hostile\.gguf: /)
})

/** A file of a header and zeros after it. */
function withHoles(head: Uint8Array, bytes: number) {
  return {
    name: 'hostile.gguf',
    bytes,
    bytesRead: 0,
    async read(offset: number, length: number) {
      this.bytesRead += length
      const read = zeros(length)
      read.set(head.subarray(offset, offset + length))
      return read
    },
  }
}

test.each<[what: string, value: Uint8Array, fileBytes: number]>([
  ['a text', join(string, u64(600e6)), 1e9],
  ['an array of bytes', join(array, uint8, u64(160e6)), 4e9],
  ['an array of texts', join(array, string, u64(120e6)), 7.5e9],
  ['an array of arrays', join(array, array, u64(120e6)), 7.5e9],
])('%s that only a file of holes would have room for is refused before it is read', async (_, value, fileBytes) => {
  const source = withHoles(join(key('a'), value), fileBytes)
  await expect(readHeader(source)).rejects.toMatchObject({
    code: 'GGUF',
    message: expect.stringContaining('needs more memory than the 570425344 bytes that the header of this file may take (key "a", byte'),
  })
  expect(source.bytesRead).toBeLessThan(2 ** 20)
})

test('the header of a vocabulary larger than any is read', async () => {
  const texts = (count: number, each: number) => {
    const one = join(text('x'.repeat(each)))
    const bytes = zeros(count * one.length)
    for (let n = 0; n < count; n++) bytes.set(one, n * one.length)
    return [array, string, u64(count), bytes]
  }
  const tokens = 400_000
  const floats = [array, u32(6), u64(tokens), zeros(4 * tokens)]
  const keys = [
    text('tokens'),
    ...texts(tokens, 10),
    text('scores'),
    ...floats,
    text('types'),
    ...floats,
    text('merges'),
    ...texts(tokens, 12),
  ]
  const { metadata } = await readHeader(withHoles(join(start(0, 4), ...keys), 4e9))
  expect([...metadata.values()].map((value) => (value as unknown[]).length)).toEqual([tokens, tokens, tokens, tokens])
})

test('names from the file are escaped and cut in messages', async () => {
  const name = `\u001b[2J\n"${'x'.repeat(200)}`
  expect(await refusal(join(key(name), u32(13), zeros(9)))).toContain(`(key "\\u001b[2J\\n\\"${'x'.repeat(71)}...", byte`)
})

test('a file cut anywhere is refused', async () => {
  const whole = tinyGguf({ vocabSize: 8, layers: 1 })
  const { tensors } = await readHeader(memorySource(whole))
  const dataStart = Math.min(...[...tensors.values()].map(({ offset }) => offset))
  for (let length = 0; length < dataStart; length++) await refusal(whole.slice(0, length))
  for (const { offset, bytes } of tensors.values()) await refusal(whole.slice(0, offset + bytes - 1))
})
