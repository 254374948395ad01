import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { smallModel, writeCheckpoint } from '../../authoring/convert/sourceModel.js'
import { mixtral } from './mixtral.js'

let folder = ''
let out = ''
beforeAll(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'convert-'))
  out = path.join(folder, 'out.gguf')
  await writeCheckpoint(folder, smallModel, { dtype: 'BF16', shards: 2 })
})
afterAll(() => fs.rm(folder, { recursive: true }))

test('mixtral convert writes a file that runs, and says what is in it', async () => {
  const { code, stdout, stderr } = await mixtral(['convert', folder, out])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const { size } = await fs.stat(out)
  expect(stdout).toBe(`${out}: BF16, 174.5 thousand weights in 23 tensors, ${(size / 1000).toFixed(1)} kB\n`)
  expect((await mixtral(['run', out, 'Once', '-n', '3'])).code).toBe(0)
})

test('--json prints one object', async () => {
  const { code, stdout } = await mixtral(['convert', folder, out, 'f16', '--json'])
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toEqual({ path: out, bytes: (await fs.stat(out)).size, type: 'F16', tensors: 23, weights: 174496, notes: [] })
})

test('Ctrl-C ends the process at once while a tokenizer is read, which nothing else could interrupt', async () => {
  const nodeFlags = ['--import', new URL('interruptWhileReading.mjs', import.meta.url).href]
  const { code, stdout, stderr } = await mixtral(['convert', folder, path.join(folder, 'late.gguf')], { nodeFlags })
  expect({ code, stdout, stderr }).toEqual({ code: null, stdout: '', stderr: '' })
})

test('says that a file is replaced', async () => {
  await fs.writeFile(out, 'older')
  const { code, stderr } = await mixtral(['convert', folder, out])
  expect({ code, stderr }).toEqual({ code: 0, stderr: `${out}: the older file of that name is replaced\n` })
})

test('another type is wrong usage', async () => {
  const { code, stderr } = await mixtral(['convert', folder, out, 'q4_0'])
  expect(code).toBe(2)
  expect(stderr).toContain('TYPE is "q4_0", expected f32, f16, bf16; mixtral quantize makes smaller types')
})

test('a folder without a checkpoint fails in one line', async () => {
  const empty = path.join(folder, 'empty')
  await fs.mkdir(empty)
  const { code, stdout, stderr } = await mixtral(['convert', empty, path.join(empty, 'out.gguf')])
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toBe(`mixtral: ${empty}: no weights, expected model.safetensors, or its shards and model.safetensors.index.json\n`)
  expect(await fs.readdir(empty)).toEqual([])
})
