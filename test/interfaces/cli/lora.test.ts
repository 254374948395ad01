// `--lora`: what commands compute with adapters, by path, with a scale, several at once.

import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MixtralModel } from '../../../dist/index.js'
import { modulePair, plainPair, writeGgufAdapter, writePeftFolder } from '../../runtime/adapters/adapterFiles.js'
import { mixtral } from './mixtral.js'

const demo = fileURLToPath(new URL('../../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))
let folder = ''
let [file, peft] = ['', '']
beforeAll(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'mixtral-cli-lora-'))
  ;[file, peft] = [path.join(folder, 'a.gguf'), path.join(folder, 'b')]
  await writeGgufAdapter(file, 4, [{ name: 'blk.1.attn_v.weight', pairs: [plainPair('a', 128, 256, 4, 0.5)] }])
  await writePeftFolder(peft, modulePair('2.self_attn.v_proj', plainPair('b', 128, 256, 4, 0.5)))
})
afterAll(() => fs.rm(folder, { recursive: true }))

test('run writes the text of the adapters, each by its scale', async () => {
  const args = ['run', demo, 'Once upon a time', '--temperature', '0', '-n', '20', '--json']
  const textOf = async (...more: string[]) => JSON.parse((await mixtral([...args, ...more])).stdout).text
  await using model = await MixtralModel.load(demo, { threads: 1, adapters: [{ path: file, scale: 0.5 }, peft] })
  const { text } = await model.generate('Once upon a time', { temperature: 0, maxNewTokens: 20 })
  expect(await textOf('--lora', `${file}:0.5`, '--lora', peft)).toBe(text)
  expect(await textOf()).not.toBe(text)
})

test('logits are those of the adapter, and a wrong one is told in a line', async () => {
  const out = path.join(folder, 'logits')
  const { code } = await mixtral(['logits', demo, '--tokens', '1,300,400', '--out', out, '--lora', `${peft}:-2`])
  expect(code).toBe(0)
  await using model = await MixtralModel.load(demo, { threads: 1, adapters: [{ path: peft, scale: -2 }] })
  expect(Buffer.compare(await fs.readFile(out), Buffer.from((await model.logits([1, 300, 400])).buffer))).toBe(0)
  const missing = await mixtral(['run', demo, 'a', '--lora', path.join(folder, 'none.gguf')])
  expect(missing.code).toBe(1)
  expect(missing.stderr).toContain('none.gguf')
  const model2 = await mixtral(['run', demo, 'a', '--lora', demo])
  expect(model2.stderr).toContain('this is no adapter')
  expect((await mixtral(['serve', '--lora', file])).stderr).toContain('--lora goes with a MODEL')
})
