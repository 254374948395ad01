// Sets of shards, made from the demo model.

import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { GgufEntry } from '../../../dist/format/gguf/encodeHeader.js'
import type { Gguf } from '../../../dist/format/gguf/gguf.js'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { GgufWriter } from '../../../dist/format/gguf/writer.js'

const demoPath = 'models/tiny-mixtral.Q4_K_M.gguf'
let demo: Gguf
let demoBytes: Buffer
let folder = ''
let shards: string[] = []

beforeAll(async () => {
  demo = await openGguf(demoPath)
  demoBytes = await fs.readFile(demoPath)
})
beforeEach(async () => {
  await removeFolder()
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'gguf-shards-'))
  shards = [1, 2, 3].map((number) => path.join(folder, `demo-0000${number}-of-00003.gguf`))
  for (const number of [0, 1, 2]) await writeShard(shards[number]!, number)
})
afterAll(removeFolder)

async function removeFolder() {
  if (folder) await fs.rm(folder, { recursive: true })
}

/** Writes a third of the demo model; `split` replaces the split keys, `from` the third. */
async function writeShard(file: string, number: number, split: Record<string, number> = {}, from = number) {
  const keys = { 'split.no': number, 'split.count': 3, 'split.tensors.count': demo.tensors.size, ...split }
  const metadata: GgufEntry[] = Object.entries(keys).map(([key, value]) => [key, 'uint16', value])
  if (number === 0) for (const [key, value] of demo.metadata) metadata.push([key, demo.metadataTypes.get(key)!, value])
  const tensors = [...demo.tensors.values()].slice(from * 21, (from + 1) * 21)
  const writer = await GgufWriter.create(file, { metadata, tensors })
  for (const { offset, bytes } of tensors) await writer.write(demoBytes.subarray(offset, offset + bytes))
  await writer.close()
}

const refused = (file: string, message: string) =>
  expect(openGguf(file)).rejects.toMatchObject({ code: 'GGUF', message: expect.stringContaining(message) })

test.each([0, 1, 2])('shard %i opens the whole set', async (number) => {
  const gguf = await openGguf(shards[number]!)
  expect(gguf.files.map((file) => file.path)).toEqual(shards)
  for (const [key, value] of demo.metadata) expect(gguf.metadata.get(key)).toEqual(value)
  expect(gguf.tensors.size).toBe(demo.tensors.size)
  const contents = await Promise.all(shards.map((file) => fs.readFile(file)))
  for (const [name, { file, offset, bytes }] of gguf.tensors) {
    const original = demo.tensors.get(name)!
    expect(
      contents[file]!.subarray(offset, offset + bytes).equals(demoBytes.subarray(original.offset, original.offset + original.bytes)),
    ).toBe(true)
  }
})

test('a missing shard is named', async () => {
  await fs.rm(shards[1]!)
  await refused(shards[0]!, `${shards[0]}: cannot open ${shards[1]}: ENOENT`)
  await refused(shards[2]!, '(shard 2 of 3)')
})

test('a shard in the place of another is refused', async () => {
  await fs.copyFile(shards[2]!, shards[1]!)
  await refused(shards[0]!, `${shards[1]}: 2, expected 1 in this file of the set (key "split.no")`)
})

test('a file of a larger set is refused', async () => {
  await writeShard(shards[1]!, 1, { 'split.count': 4 })
  await refused(shards[0]!, `${shards[1]}: 4, expected 3 in this file of the set (key "split.count")`)
})

test('a file of a set with other tensors is refused', async () => {
  await writeShard(shards[2]!, 2, { 'split.tensors.count': 64 })
  await refused(shards[0]!, `${shards[2]}: 64, expected 63 in this file of the set (key "split.tensors.count")`)
})

test('a tensor in two shards is refused', async () => {
  await writeShard(shards[2]!, 2, {}, 1)
  await refused(shards[0]!, `${shards[2]}: also in ${shards[1]}, expected in one file of the set (tensor "blk.`)
})

test('a set with fewer tensors than it says is refused', async () => {
  for (const number of [0, 1, 2]) await writeShard(shards[number]!, number, { 'split.tensors.count': 64 })
  await refused(shards[0]!, `${shards[0]}: says 64, but the set of 3 has 63 tensors (key "split.tensors.count")`)
})

test('a file without split keys under a shard name is refused', async () => {
  await fs.copyFile(demoPath, shards[0]!)
  await refused(shards[0]!, `${shards[0]}: no value, expected 3 in this file of the set (key "split.count")`)
})

test('a shard under another name is refused, and the message says how shards are named', async () => {
  const renamed = path.join(folder, 'renamed.gguf')
  await fs.rename(shards[0]!, renamed)
  await refused(renamed, '3, expected 1 in this file of the set; shards are found by their names, NAME-00001-of-00003.gguf and so on')
})

test('a set that gguf-split has merged into one file opens, whatever its other keys say', async () => {
  const merged = path.join(folder, 'merged.gguf')
  for (const split of [{ 'split.count': 0 }, { 'split.count': 0, 'split.no': 2, 'split.tensors.count': 7 }] as Record<string, number>[]) {
    await writeShard(merged, 0, split)
    expect((await openGguf(merged)).tensors.size).toBe(21)
  }
  await writeShard(shards[1]!, 1, { 'split.count': 0 })
  await refused(shards[0]!, '0, expected 3 in this file of the set')
})

test.each(['a.gguf-split-a', 'a.gguf-split-b', 'a.gguf.part1of2', 'a.gguf.part-00', 'a.gguf.01', 'a.gguf.aa', 'A.GGUF.Part2'])(
  '%s is named as a part that has to be joined',
  async (name) => {
    const part = path.join(folder, name)
    for (const bytes of [demoBytes.subarray(0, 500_000), demoBytes.subarray(500_000, 600_000)]) {
      await fs.writeFile(part, bytes)
      await refused(part, `${part}: a part of ${name.slice(0, 6)}, expected the whole: join the parts`)
    }
    await fs.writeFile(part, demoBytes) // a whole file may have any name
    expect((await openGguf(part)).tensors.size).toBe(demo.tensors.size)
  },
)

test('a shard name with a number outside its set is refused', async () => {
  await refused(path.join(folder, 'demo-00004-of-00003.gguf'), 'shard number 4, expected 1 to 3 (file name)')
})

test('what cannot be opened is an IO error', async () => {
  await expect(openGguf(path.join(folder, 'none.gguf'))).rejects.toMatchObject({
    code: 'IO',
    message: expect.stringContaining('none.gguf'),
  })
  await expect(openGguf(folder)).rejects.toMatchObject({ code: 'IO', message: `cannot open ${folder}: not a file` })
})
