// Drafts whose removal fails; how files are written otherwise is in test/format/gguf/writing.test.ts.

import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { DraftFile } from '../../dist/base/files/draftFile.js'

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

test('what was published is not looked at again', async () => {
  const draft = await sealed()
  await draft.publish()
  failing('statSync')
  await draft.discard()
  expect(fs.readdirSync(folder)).toEqual(['a'])
})
