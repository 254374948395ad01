import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { smallModel, writeCheckpoint } from '../../authoring/convert/sourceModel.js'
import { modulePair, plainPair, writePeftFolder } from '../../runtime/adapters/adapterFiles.js'
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

test('a PEFT folder becomes a GGUF adapter, which inspect shows', async () => {
  const peft = path.join(folder, 'my-lora')
  const file = path.join(folder, 'my-lora.gguf')
  await writePeftFolder(peft, [
    ...modulePair('0.self_attn.q_proj', plainPair('q', 32, 32, 4)),
    ...modulePair('1.self_attn.q_proj', plainPair('r', 32, 32, 4)),
    ...modulePair('1.block_sparse_moe.experts.2.w2', plainPair('d', 32, 48, 4)),
  ])
  const { code, stdout, stderr } = await mixtral(['convert', peft, file, 'bf16', '--base', folder])
  const note = 'experts of 1 matrices have different ranks, or no change: zeros stand for what is missing\n'
  expect({ code, stderr }).toEqual({ code: 0, stderr: note })
  const { size } = await fs.stat(file)
  expect(stdout).toBe(`${file}: adapter with alpha 8, 1.8 thousand weights in 6 tensors, ${(size / 1000).toFixed(1)} kB\n`)

  const shown = await mixtral(['inspect', file])
  expect(shown).toMatchObject({ code: 0, stderr: '' })
  const lines = shown.stdout.split('\n').map((line) => line.trim().replaceAll(/ {2,}/g, ' '))
  expect(lines).toContain('changes, with alpha 8')
  expect(lines).toContain('attn_q 2 4 2 BF16 512 1.0 kB')
  expect(lines).toContain('ffn_down 1 4 4 2 BF16 1.3 thousand 2.6 kB')
  expect(shown.stdout).not.toContain('cannot run here')
  const json = JSON.parse((await mixtral(['inspect', file, '--json'])).stdout)
  expect(json).toMatchObject({
    runs: false,
    adapter: { alpha: 8, matrices: [{ name: 'attn_q', layers: 2, ranks: [4], scales: [2] }, { experts: 4 }] },
  })
})

test('an adapter wants a model that is known, and a checkpoint no base', async () => {
  const peft = path.join(folder, 'unknown-lora')
  await writePeftFolder(peft, modulePair('0.self_attn.q_proj', plainPair('q', 32, 32, 4)))
  const unknown = await mixtral(['convert', peft, path.join(folder, 'never.gguf')])
  expect(unknown.code).toBe(2)
  expect(unknown.stderr).toContain("--base is not given, expected a GGUF file or a checkpoint's folder")
  const { code, stderr } = await mixtral(['convert', folder, path.join(folder, 'never.gguf'), '--base', 'demo'])
  expect(code).toBe(2)
  expect(stderr).toContain('--base is given, expected an adapter with it')
  const absent = await mixtral(['convert', path.join(folder, 'absent'), path.join(folder, 'never.gguf'), '--base', 'demo'])
  expect([absent.code, absent.stderr]).toEqual([1, expect.stringContaining('expected that of a PEFT adapter')])
})
