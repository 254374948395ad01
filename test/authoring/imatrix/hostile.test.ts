// Files that are no importance matrix, or claim what cannot be: refused by name, before anything is allocated.

import fs from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import type { GgufEntry } from '../../../dist/format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import { writeGguf } from '../../../dist/format/gguf/writer.js'
import { type Imatrix, readImatrix, writeImatrix } from '../../../dist/index.js'
import { Folder } from '../quantize/quantizedFile.js'

const folder = new Folder()
const golden = (name: string) => fileURLToPath(new URL(`../../golden/imatrix/${name}`, import.meta.url))
const dat = fs.readFileSync(golden('tiny-mixtral.imatrix.dat'))

/** int32 from numbers, characters from text, float32 from lists. */
function legacy(...parts: (number | string | number[])[]): Buffer {
  return Buffer.concat(
    parts.map((part) =>
      typeof part === 'number'
        ? Buffer.from(Int32Array.of(part).buffer)
        : typeof part === 'string'
          ? Buffer.from(part)
          : Buffer.from(Float32Array.from(part).buffer),
    ),
  )
}

test.each([
  ['nothing', Buffer.alloc(0), /0 bytes/],
  ['a text', Buffer.from('Once upon a time there was'), /entries, expected 1 to 65536/],
  ['no entries', legacy(0, 0), /0 entries/],
  ['a negative count', legacy(-1, 0), /-1 entries/],
  ['a long name', legacy(1, 2 ** 30), /1073741824 bytes of a name/],
  ['a name beyond the end', legacy(1, 100, 'abc'), /a name of 100 bytes, but the file ends after 3/],
  ['no calls', legacy(1, 1, 'a', 0, 1, [1]), /0 calls/],
  ['two billion values', legacy(1, 1, 'a', 1, 2 ** 31 - 1), /2147483647 values/],
  ['values beyond the end', legacy(1, 1, 'a', 1, 100_000_000), /100000000 values, but the file ends after 0/],
  ['the same twice', legacy(2, 1, 'a', 1, 1, [1], 1, 'a', 1, 1, [1]), /a second entry/],
  ['a negative sum', legacy(1, 1, 'a', 1, 2, [1, -1]), /value 1 is -1, expected a finite number/],
  ['not a number', legacy(1, 1, 'a', 1, 1, [Number.NaN]), /value 0 is NaN/],
  ['more than there should be', Buffer.concat([dat, Buffer.alloc(5)]), /5 bytes after the last field/],
  ['a cut', dat.subarray(0, 100_000), /values, but the file ends after/],
])('an old file of %s', async (_, bytes, message) => {
  const path = folder.file('hostile.dat')
  fs.writeFileSync(path, bytes)
  await expect(readImatrix(path)).rejects.toMatchObject({ code: 'GGUF', message: expect.stringMatching(message) })
})

test('every cut of an old file that ends within a field is refused', async () => {
  const path = folder.file('cut.dat')
  const whole = legacy(1, 3, 'abc', 2, 2, [1, 2], 9, 4, 'text')
  // the oldest files end before the number of windows
  for (const length of Array.from({ length: whole.length }, (_, i) => i).filter((i) => i !== whole.length - 12)) {
    fs.writeFileSync(path, whole.subarray(0, length))
    await expect(readImatrix(path), String(length)).rejects.toMatchObject({ code: 'GGUF' })
  }
})

const imatrixType: GgufEntry = ['general.type', 'string', 'imatrix']
const tensor = (name: string, shape: number[], values: number[], type = 'F32') => ({
  name,
  type: ggmlTypeByName(type)!,
  shape,
  pieces: () => [new Uint8Array(Float32Array.from(values).buffer)],
})

test.each([
  ['a model', [['general.type', 'string', 'model']], [tensor('a.in_sum2', [1, 1], [1])], /general.type is "model"/],
  ['no tensor', [imatrixType], [tensor('a', [1, 1], [1])], /0 entries/],
  ['no counts', [imatrixType], [tensor('a.in_sum2', [1, 1], [1])], /"a.counts" is missing/],
  ['too many counts', [imatrixType], [tensor('a.in_sum2', [2, 1], [1, 1]), tensor('a.counts', [1, 2], [1, 1])], /has 2 values/],
  ['halves', [imatrixType], [tensor('a.in_sum2', [2], [1], 'F16'), tensor('a.counts', [1, 1], [1])], /is F16/],
  [
    'a negative',
    [imatrixType],
    [tensor('a.in_sum2', [1, 1], [-1]), tensor('a.counts', [1, 1], [1])],
    /value 0 of tensor "a.in_sum2" is -1/,
  ],
] as const)('a GGUF of %s', async (_, metadata, tensors, message) => {
  const path = folder.file('hostile.gguf')
  await writeGguf(path, { metadata: metadata as never, tensors })
  await expect(readImatrix(path)).rejects.toMatchObject({ code: 'GGUF', message: expect.stringMatching(message) })
})

test.each([
  ['version https://git-lfs.github.com/spec/v1\noid sha256:0\n', /a Git LFS pointer in place of the file/],
  ['<!DOCTYPE html><html>', /a web page in place of the file/],
])('what a download leaves in its place: %j', async (contents, message) => {
  const path = folder.file('pointer.dat')
  fs.writeFileSync(path, contents)
  await expect(readImatrix(path)).rejects.toMatchObject({ code: 'GGUF', message: expect.stringMatching(message) })
})

const entry = (sum: number, count = 1) => ({ columns: 2, sums: Float64Array.of(1, sum), counts: Float64Array.of(count) })
const matrixOf = (entries: [string, ReturnType<typeof entry>][], contextLength: number | undefined = 8): Imatrix => ({
  entries: new Map(entries),
  datasets: [],
  windows: 1,
  contextLength,
})

test.each([
  ['beyond float32', matrixOf([['a', entry(1e39)]]), /has 1e\+39 as value 1 of tensor "a", expected a number from 0/],
  ['beyond float32 once it counts tokens', matrixOf([['a', entry(1e38)]], undefined), /as value 1 of tensor "a"/],
  ['not a number', matrixOf([['a', entry(Number.NaN)]]), /has NaN as value 1/],
  ['negative', matrixOf([['a', entry(-1)]]), /has -1 as value 1/],
  ['a negative count', matrixOf([['a', entry(1, -1)]]), /has -1 as value 0/],
  ['no entries', matrixOf([]), /expected one of collectImatrix or readImatrix/],
  ['an entry without a name', matrixOf([['', entry(1)]]), /expected one of collectImatrix or readImatrix/],
])('nothing is written that could not be read: %s', async (_, matrix, message) => {
  for (const name of ['never.gguf', 'never.dat']) {
    const path = folder.file(name)
    const written = await writeImatrix(path, matrix).then(
      () => readImatrix(path).then(() => 'read'),
      (error) => error,
    )
    if (written === 'read') {
      fs.rmSync(path) // the form does not hold this number, or holds another in its place
      continue
    }
    expect(written).toMatchObject({ code: 'OPTION', message: expect.stringMatching(message) })
    expect(fs.existsSync(path)).toBe(false)
  }
})

test('a GGUF that does not say its window counts tokens all the same', async () => {
  const path = folder.file('no-window.gguf')
  await writeGguf(path, { metadata: [imatrixType], tensors: [tensor('a.in_sum2', [1, 1], [4]), tensor('a.counts', [1, 1], [7])] })
  const { entries, contextLength } = await readImatrix(path)
  expect([entries.get('a')!.counts[0], contextLength]).toEqual([7, 512])
  await writeImatrix(path, { entries, contextLength, datasets: [], windows: 0 })
  expect((await readImatrix(path)).entries.get('a')!.counts[0]).toBe(7)
})

test('a sparse file of any size', async () => {
  const path = folder.file('sparse.dat')
  fs.writeFileSync(path, legacy(1, 1, 'a', 1, 1, [1]))
  fs.truncateSync(path, 2 ** 33)
  await expect(readImatrix(path)).rejects.toMatchObject({ code: 'GGUF', message: expect.stringMatching(/8589934592 bytes/) })
})

test('a file that is not there', async () => {
  await expect(readImatrix(folder.file('none'))).rejects.toMatchObject({ code: 'IO' })
})
