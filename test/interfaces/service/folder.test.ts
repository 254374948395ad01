// The folder of a server that was somebody's before, or was changed by somebody.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test, vi } from 'vitest'
import { clientOf, contentOf, filesIn, sent, withStores } from './storing.js'

const storing = withStores()

test('what is not of a server stays in a folder of its names', async () => {
  const folder = storing.folder('used')
  const others = ['files/notes.txt', 'files/a.json~old', 'files/sub/x', 'uploads/mine.bin', 'batches/mine/x', 'batches/notes']
  const left = [`files/file-${'1'.repeat(32)}`, `files/file-${'2'.repeat(32)}.json~0a0a0a0a`, `uploads/${crypto.randomUUID()}`]
  for (const name of [...others, ...left]) {
    mkdirSync(path.join(folder, path.dirname(name)), { recursive: true })
    writeFileSync(path.join(folder, name), 'x')
  }
  const server = await storing.start(folder)
  expect(filesIn(folder)).toEqual(others.toSorted())
  await server.close()
})

test('a record that cannot be read is left out, and what belongs to it stays', async () => {
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  const folder = storing.folder('damaged')
  const first = await storing.start(folder)
  const { id } = await sent(clientOf(first), 'precious')
  await first.close()
  const record = path.join(folder, 'files', `${id}.json`)
  const whole = readFileSync(record)
  const batch = `batch_${'0'.repeat(32)}`
  mkdirSync(path.join(folder, 'batches', batch))
  writeFileSync(path.join(folder, 'batches', `${batch}.json`), '{"of":"a later version"}')
  for (const text of ['{', '{"of":"a later version"}', ' '.repeat(2_000_000)]) {
    writeFileSync(record, text)
    const server = await storing.start(folder)
    expect((await clientOf(server).files.list()).data).toEqual([])
    await server.close()
  }
  expect(warned).toHaveBeenCalledTimes(6)
  warned.mockRestore()
  expect(existsSync(path.join(folder, 'batches', batch))).toBe(true)
  writeFileSync(record, whole)
  const again = await storing.start(folder)
  expect(await contentOf(clientOf(again), id)).toBe('precious')
})
