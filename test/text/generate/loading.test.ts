// What load takes, and what a loaded model says of itself.

import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { MixtralModel } from '../../../dist/text/generate/mixtralModel.js'
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
