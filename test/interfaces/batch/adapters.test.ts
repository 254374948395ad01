// A batch for a model with adapters: what is known of it without loading it is what is known when it is.

import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MixtralModel } from '../../../dist/index.js'
import { batchModel, headerMark } from '../../../dist/interfaces/batch/batchModel.js'
import { plainPair, writeGgufAdapter } from '../../runtime/adapters/adapterFiles.js'

const demo = fileURLToPath(new URL('../../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))
let [folder, file] = ['', '']
beforeAll(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'mixtral-batch-lora-'))
  file = path.join(folder, 'a.gguf')
  await writeGgufAdapter(file, 8, [{ name: 'blk.1.attn_v.weight', pairs: [plainPair('a', 128, 256, 4, 0.5)] }])
})
afterAll(() => fs.rm(folder, { recursive: true }))

test('the marks of a model with adapters are those of its header and theirs', async () => {
  const marks = []
  for (const adapters of [[], [file], [{ path: file, scale: 0.5 }]]) {
    const { name: _, ...expected } = await headerMark(demo, { adapters })
    await using model = await MixtralModel.load(demo, { threads: 1, adapters })
    expect(await batchModel(model)).toMatchObject(expected)
    marks.push(expected.model)
  }
  expect(new Set(marks).size).toBe(3)
})
