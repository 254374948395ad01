// What load takes, and what a loaded model says of itself.

import { closeSync, copyFileSync, mkdtempSync, openSync, rmSync, statSync, truncateSync, utimesSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { MixtralConfig, MixtralModel, WeightLoader } from '../../../dist/index.js'
import { demoPath } from '../../runtime/model/demoFiles.js'

test.each([pathToFileURL(demoPath()), pathToFileURL(demoPath()).href])('the URL of a file is its path', async (address) => {
  await using model = await MixtralModel.load(address, { threads: 1 })
  expect(model.notes).toEqual([])
})

test.each(['file://elsewhere/model.gguf', 'file:%zz', new URL('file:///no/such/model.gguf'), new URL('https://a.example/model.gguf')])(
  '%s is refused with an IO error',
  async (address) => {
    await expect(MixtralModel.load(address)).rejects.toMatchObject({ name: 'MixtralError', code: 'IO' })
  },
)

test('a context past the training is said', async () => {
  await using model = await MixtralModel.load(demoPath(), { threads: 1, contextLength: 1000 })
  expect(model.notes).toEqual(['the context of 1000 tokens is longer than the 512 that the model was trained on: texts get worse there'])
})

describe('a file that changes between header and load', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mixtral-changing-'))
  afterAll(() => rmSync(folder, { recursive: true }))

  test.each<[string, (file: string) => void]>([
    ['written in place', (file) => writeAt(file, 5_000_000)],
    [
      'written in place, with its old time',
      (file) => {
        const { atime, mtime } = statSync(file)
        writeAt(file, 5_000_000)
        utimesSync(file, atime, mtime)
      },
    ],
    ['cut', (file) => truncateSync(file, 6_000_000)],
    [
      'replaced',
      (file) => {
        rmSync(file)
        copyFileSync(demoPath(), file)
      },
    ],
  ])('%s is refused', async (_, change) => {
    const file = join(folder, 'model.gguf')
    copyFileSync(demoPath(), file)
    const weights = await WeightLoader.fromGguf(file)
    const config = MixtralConfig.fromGgufMetadata(weights.metadata)
    await sleep(10) // file systems count time in steps
    change(file)
    await expect(MixtralModel.fromWeights(config, weights, { threads: 1 })).rejects.toMatchObject({
      code: 'IO',
      message: expect.stringContaining('changed'),
    })
  })
})

function writeAt(file: string, offset: number): void {
  const descriptor = openSync(file, 'r+')
  writeSync(descriptor, 'abcd', offset)
  closeSync(descriptor)
}
