// How files come to be: under another name until all of them is there, in shards if asked, and not at all if anything
// fails.

import { spawn } from 'node:child_process'
import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DraftFile } from '../../../dist/base/files/draftFile.js'
import type { GgufEntry } from '../../../dist/format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { writeGguf } from '../../../dist/format/gguf/writer.js'

let folder = ''
let target = ''
beforeEach(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'writing-'))
  target = path.join(folder, 'model.gguf')
})
afterEach(() => fs.rm(folder, { recursive: true }))
const names = async () => (await fs.readdir(folder)).sort()

const metadata: GgufEntry[] = [
  ['general.architecture', 'string', 'llama'],
  ['general.alignment', 'uint32', 64],
]

/** `count` tensors of 4 n weights, each weight its number; `during` runs before the last piece. */
function numbered(count: number, during: () => unknown = () => {}) {
  return Array.from({ length: count }, (_, n) => ({
    name: `t${n}`,
    type: ggmlTypeByName('F32')!,
    shape: [4, n + 1],
    async *pieces() {
      const bytes = new Uint8Array(new Float32Array(4 * (n + 1)).fill(n).buffer)
      yield bytes.subarray(0, 6)
      if (n === count - 1) await during()
      yield bytes.subarray(6)
    },
  }))
}

async function expectNumbered(file: string, count: number) {
  const { tensors, files } = await openGguf(file)
  const contents = await Promise.all(files.map((each) => fs.readFile(each.path)))
  expect([...tensors.keys()]).toEqual(numbered(count).map(({ name }) => name))
  for (const [n, { file: at, offset, bytes }] of [...tensors.values()].entries()) {
    expect(offset % 64).toBe(0)
    expect(new Float32Array(new Uint8Array(contents[at]!.subarray(offset, offset + bytes)).buffer)).toEqual(
      new Float32Array(4 * (n + 1)).fill(n),
    )
  }
}

test('a file has its name only when all of it is there, and takes the place of an older one', async () => {
  await fs.writeFile(target, 'older')
  const seen: unknown[] = []
  await writeGguf(target, { metadata, tensors: numbered(3, async () => seen.push(await names(), await fs.readFile(target, 'utf8'))) })
  expect(seen).toEqual([['model.gguf', expect.stringMatching(/^model\.gguf\.draft\.\d+\.[0-9a-f]{8}$/)], 'older'])
  expect(await names()).toEqual(['model.gguf'])
  await expectNumbered(target, 3)
})

test('shards hold as many tensors as fit, and read back as one model', async () => {
  await writeGguf(target, { metadata, tensors: numbered(5) }, { shardBytes: 80 }) // tensors of 16, 32, 48, 64 and 80 bytes
  expect(await names()).toEqual([1, 2, 3, 4].map((n) => `model-0000${n}-of-00004.gguf`))
  await expectNumbered(path.join(folder, 'model-00003-of-00004.gguf'), 5)
  const gguf = await openGguf(path.join(folder, 'model-00001-of-00004.gguf'))
  expect([...gguf.tensors.values()].map(({ file }) => file)).toEqual([0, 0, 1, 2, 3])
  const split = { 'split.no': 0, 'split.count': 4, 'split.tensors.count': 5 }
  expect(Object.fromEntries(gguf.metadata)).toEqual({ 'general.architecture': 'llama', 'general.alignment': 64, ...split })
  expect(gguf.metadataTypes.get('split.no')).toBe('uint16')
})

test('a set of one shard is still a set', async () => {
  await writeGguf(target, { metadata, tensors: numbered(2) }, { shardBytes: 1e6 })
  expect(await names()).toEqual(['model-00001-of-00001.gguf'])
  await expectNumbered(path.join(folder, 'model-00001-of-00001.gguf'), 2)
})

test.each([undefined, 80])('what fails in the middle leaves what was there before, and nothing else (shards of %s)', async (shardBytes) => {
  await fs.writeFile(target, 'older')
  const failing = numbered(5, () => {
    throw new Error('no more data')
  })
  await expect(writeGguf(target, { metadata, tensors: failing }, { ...(shardBytes && { shardBytes }) })).rejects.toThrow('no more data')
  expect(await names()).toEqual(['model.gguf'])
  expect(await fs.readFile(target, 'utf8')).toBe('older')
})

test('an aborted call leaves nothing', async () => {
  const controller = new AbortController()
  const writing = writeGguf(target, { metadata, tensors: numbered(3, () => controller.abort()) }, { signal: controller.signal })
  await expect(writing).rejects.toMatchObject({ code: 'ABORTED' })
  expect(await names()).toEqual([])
})

test('a tensor with too few bytes is refused, and leaves nothing', async () => {
  const short = [{ ...numbered(1)[0]!, pieces: () => [new Uint8Array(12)] }, ...numbered(2).slice(1)]
  await expect(writeGguf(target, { metadata, tensors: short })).rejects.toThrow('too few bytes were made (tensor "t0")')
  expect(await names()).toEqual([])
})

test('a file that the disk has no room for is refused before a byte is made', async () => {
  const huge = { name: 'huge', type: ggmlTypeByName('F32')!, shape: [2 ** 20, 2 ** 20, 1024], pieces: () => [new Uint8Array(4)] }
  await expect(writeGguf(target, { metadata, tensors: [huge] })).rejects.toMatchObject({
    code: 'IO',
    message: expect.stringMatching(/model\.gguf needs [\d.]+ GB more at .*, where [\d.]+ GB are free/),
  })
  expect(await names()).toEqual([])
})

test('a folder or a device of the name is refused, and stays', async () => {
  await expect(writeGguf(folder, { metadata, tensors: [] })).rejects.toThrow('something of that name that is no file')
  await expect(writeGguf('/dev/null', { metadata, tensors: [] })).rejects.toMatchObject({ code: 'IO' })
  expect((await fs.stat('/dev/null')).isCharacterDevice()).toBe(true)
})

test('the draft of a killed process makes way', async () => {
  const killed = spawn(process.execPath, ['-e', ''])
  await new Promise((resolve) => killed.on('close', resolve))
  await fs.writeFile(`${target}.draft.${killed.pid}.0123abcd`, 'half a file')
  const others = [`model.gguf.draft`, `model.gguf.draft.${process.pid}.0123abcd`]
  for (const name of others) await fs.writeFile(path.join(folder, name), 'of somebody else')
  await writeGguf(target, { metadata, tensors: numbered(2) })
  expect(await names()).toEqual(['model.gguf', ...others])
  await expectNumbered(target, 2)
})

test('of two that write the same file, each writes a whole one, and the last to end wins', async () => {
  const first = await DraftFile.create(target, 3)
  const second = await DraftFile.create(target, 3)
  await first.write(new Uint8Array([1, 1, 1]), 0)
  await second.write(new Uint8Array([2, 2, 2]), 0)
  await first.seal()
  await second.seal()
  await second.publish()
  expect([...(await fs.readFile(target))]).toEqual([2, 2, 2])
  await first.publish()
  expect([...(await fs.readFile(target))]).toEqual([1, 1, 1])
  expect(await names()).toEqual(['model.gguf'])
})

test('a process that exits takes its drafts along', async () => {
  const script = `
    import { DraftFile } from ${JSON.stringify(new URL('../../../dist/base/files/draftFile.js', import.meta.url).href)}
    await DraftFile.create(process.argv[1], 1000)
    process.exit(7)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, target])
  expect(await new Promise((resolve) => child.on('close', resolve))).toBe(7)
  expect(await names()).toEqual([])
})
