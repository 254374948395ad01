// Drafts whose removal fails, and those that the disk has no room for; how files are written otherwise is in
// test/format/gguf/writing.test.ts.

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { DraftFile } from '../../dist/base/files/draftFile.js'
import { ggmlTypeByName } from '../../dist/format/gguf/ggmlType.js'
import { GgufDraft } from '../../dist/format/gguf/ggufDraft.js'

let folder: string

beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'mixtral-draft-'))
})

afterEach(() => {
  vi.restoreAllMocks()
  syncBuiltinESMExports()
  fs.rmSync(folder, { recursive: true })
})

/** The function of node:fs fails from now on, as by a disk that does. */
function failing(name: 'rmSync' | 'statSync') {
  vi.spyOn(fs, name).mockImplementation(() => {
    throw new Error('EIO')
  })
  syncBuiltinESMExports()
}

async function sealed(): Promise<DraftFile> {
  const draft = await DraftFile.create(join(folder, 'a'), 1)
  await draft.write(Uint8Array.of(7), 0)
  await draft.seal()
  return draft
}

test.each(['rmSync', 'statSync'] as const)('a draft that %s cannot remove throws nothing, and is tried again', async (name) => {
  const draft = await sealed()
  failing(name)
  await draft.discard() // in a `finally`, where an error would hide the first one
  expect(draft.remove()).toBe(false)
  vi.restoreAllMocks()
  syncBuiltinESMExports()
  expect(draft.remove()).toBe(true)
  expect(fs.readdirSync(folder)).toEqual([])
})

/** The disk has this many bytes free from now on. */
function diskWith(free: () => number, blocks = 1000) {
  vi.spyOn(fs.promises, 'statfs').mockImplementation(async () => ({ bavail: free(), bsize: 1, blocks }) as never)
  syncBuiltinESMExports()
}

test('a file that the disk has no room for is refused before it is begun', async () => {
  diskWith(() => 99)
  await expect(DraftFile.create(join(folder, 'a'), 100)).rejects.toMatchObject({
    code: 'IO',
    message: expect.stringMatching(/a needs 100 bytes more at .*, where 99 bytes are free$/),
  })
  expect(fs.readdirSync(folder)).toEqual([])
  diskWith(() => 0, 0) // a system that does not tell
  await (await DraftFile.create(join(folder, 'a'), 100)).discard()
})

test('the draft of a killed process goes before the room is counted', async () => {
  const ended = spawnSync(process.execPath, ['-e', '']).pid
  const abandoned = join(folder, `a.gguf.draft.${ended}.0123abcd`)
  fs.writeFileSync(abandoned, 'what filled the disk')
  diskWith(() => (fs.existsSync(abandoned) ? 0 : 1e9))
  const plan = { metadata: [], tensors: [{ name: 't', type: ggmlTypeByName('F32')!, shape: [4] }] }
  const draft = await GgufDraft.create(join(folder, 'a.gguf'), plan)
  await draft.discard()
  expect(fs.readdirSync(folder)).toEqual([])
})

test('a signal that comes while the disk takes the last bytes leaves no file', async () => {
  const plan = { metadata: [], tensors: [{ name: 't', type: ggmlTypeByName('F32')!, shape: [4] }] }
  const stop = new AbortController()
  const draft = await GgufDraft.create(join(folder, 'a.gguf'), plan)
  const publishing = draft.publish(stop.signal)
  stop.abort()
  await expect(publishing).rejects.toMatchObject({ code: 'ABORTED' })
  await draft.discard()
  expect(fs.readdirSync(folder)).toEqual([])
})

test('what was published is not looked at again', async () => {
  const draft = await sealed()
  await draft.publish()
  failing('statSync')
  await draft.discard()
  expect(fs.readdirSync(folder)).toEqual(['a'])
})
