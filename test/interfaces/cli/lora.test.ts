// `--lora`: what commands compute with adapters, by path, with a scale, several at once.

import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { convertAdapter, MixtralModel, Reference } from '../../../dist/index.js'
import { adapterChoices, checkAdapterName, mergedText } from '../../../dist/interfaces/cli/adapters.js'
import { roomyPositions } from '../../../dist/interfaces/cli/loading.js'
import { factsOf } from '../../../dist/interfaces/inspect/modelFacts.js'
import { compileKernels } from '../../../dist/runtime/kernels/compile.js'
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

test('trace --reference has the adapters, too', async () => {
  const out = path.join(folder, 'reference')
  const args = ['trace', demo, '--tokens', '1,300,400', '--tensors', 'result_output', '--reference', '--out', out, '--lora', `${peft}:2`]
  expect(await mixtral(args)).toMatchObject({ code: 0 })
  const reference = await Reference.open(demo, { adapters: [{ path: peft, scale: 2 }] })
  const [tensor] = reference.trace([1, 300, 400], { tensors: ['result_output'] })
  const written = await fs.readFile(path.join(out, 'result_output.npy'))
  const { buffer } = tensor!.values
  expect(written.subarray(-buffer.byteLength).equals(Buffer.from(buffer))).toBe(true)
})

test('no command writes over an adapter that it reads', async () => {
  const text = path.join(folder, 'text')
  await fs.writeFile(text, 'Once upon a time, there was a fox. '.repeat(40))
  const weights = path.join(peft, 'adapter_model.safetensors')
  const tokens = ['--tokens', '1,300,400']
  const commands = [
    ['logits', demo, ...tokens, '--out', file],
    ['trace', demo, ...tokens, '--tensors', 'l_out-0', '--out', weights],
    ['trace', demo, ...tokens, '--tensors', 'l_out-0', '--reference', '--out', weights],
    ['perplexity', demo, text, '-c', '64', '--chunks', '1', '--save-logits', weights],
    ['experts', demo, text, '--tokens', '64', '--csv', file],
  ]
  const before = await Promise.all([file, weights].map((name) => fs.readFile(name)))
  for (const command of commands) {
    const { code, stderr } = await mixtral([...command, '--lora', file, '--lora', peft])
    expect([command[0], code, stderr]).toEqual([command[0], 2, expect.stringContaining('is an input, expected another name')])
  }
  expect(await Promise.all([file, weights].map((name) => fs.readFile(name)))).toEqual(before)
})

test('what is wrong with an adapter is told before a model is looked for', async () => {
  for (const adapter of [demo, path.join(folder, 'damaged')]) {
    await fs.mkdir(path.join(folder, 'damaged'), { recursive: true })
    await fs.writeFile(path.join(folder, 'damaged', 'adapter_config.json'), '{"peft_type":"IA3"}')
    const { code, stderr } = await mixtral(['run', path.join(folder, 'no.gguf'), 'a', '--lora', adapter])
    expect([code, stderr]).toEqual([1, expect.stringMatching(/this is no adapter|"IA3", expected "LORA"/)])
  }
})

test.each([
  ['a.gguf', 'a.gguf', undefined],
  ['a.gguf:0.5', 'a.gguf', 0.5],
  ['a.gguf:-1', 'a.gguf', -1],
  ['a.gguf:+2', 'a.gguf', 2],
  ['a.gguf:.5', 'a.gguf', 0.5],
  ['a.gguf:1.', 'a.gguf', 1],
  ['a.gguf:1e-2', 'a.gguf', 0.01],
  ['hf:owner/repo/a.gguf:2E1', 'hf:owner/repo/a.gguf', 20],
  ['a.gguf:half', 'a.gguf:half', undefined],
  ['C:\\a', 'C:\\a', undefined],
])('--lora %s', (text, name, scale) => {
  expect(adapterChoices(text)).toEqual([{ path: name, ...(scale !== undefined && { scale }) }])
})

test('what names no adapter is refused without asking a registry', async () => {
  const bare = await fs.mkdtemp(path.join(folder, 'names'))
  await fs.cp(peft, path.join(bare, 'my-lora'), { recursive: true })
  const inIt = (name: string) => path.join(bare, name)
  const near = { code: 'IO', message: expect.stringMatching(/^no adapter ".*my-lor", expected a GGUF file, .*; did you mean my-lora\?$/) }
  await expect(checkAdapterName(inIt('my-lor'))).rejects.toMatchObject(near)
  for (const name of ['', 'style', 'style:latest', inIt('no.gguf'), '1.5'])
    await expect(checkAdapterName(name)).rejects.toMatchObject({ code: 'IO', message: expect.stringMatching(/^no adapter "/) })
  for (const scale of ['', 'half', 'NaN']) {
    const problem = { code: 'OPTION', message: expect.stringContaining(`my-lora" is "${scale}", expected a number`) }
    await expect(checkAdapterName(`${inIt('my-lora')}:${scale}`)).rejects.toMatchObject(problem)
  }
  for (const name of [inIt('my-lora'), file, 'demo', 'hf:owner/repo', 'https://example.org/a.gguf'])
    await expect(checkAdapterName(name)).resolves.toBeUndefined()
})

test('commands that look at a model without adapters refuse the flag', async () => {
  for (const command of ['verify', 'inspect']) {
    const { code, stderr } = await mixtral([command, '--lora', file])
    expect([code, stderr]).toEqual([2, `mixtral: unknown option "--lora"; mixtral ${command} --help shows which there are\n`])
  }
})

test('the loss beside a change of nothing is no number, and is not told as one', () => {
  const tensor = (name: string, change: number) => ({ name, weights: 4, change, loss: 0.5 })
  expect(mergedText([tensor('a', 0)])).toBe(
    'merged into 1 tensor, which nothing changes: the products of all factors are 0, as before a training',
  )
  expect(mergedText([tensor('a', 0), tensor('b', 1)])).toMatch(/^merged into 2 tensors: changed by 0\.707 .*; most in "b", 50 %$/)
})

test('an adapter in the place of a model is called one', async () => {
  const bare = await fs.mkdtemp(path.join(folder, 'bare'))
  await fs.cp(peft, path.join(bare, 'my-lora'), { recursive: true })
  for (const name of [peft, 'my-lora', './my-lora']) {
    const { code, stderr } = await mixtral(['run', name, 'a'], { cwd: bare })
    expect([code, stderr]).toEqual([1, expect.stringContaining('is the folder of an adapter, expected the model that it is applied to')])
  }
  const { stderr } = await mixtral(['run', file, 'a'])
  expect(stderr).toContain(`${file}: metadata key "general.type"`)
  expect(stderr).toContain('this is an adapter to one, and goes with --lora')
  const weights = path.join(peft, 'adapter_model.safetensors') // stands for its folder
  const { stderr: told, code } = await mixtral(['run', demo, 'a', '-n', '1', '--lora', weights])
  expect([code, told]).toEqual([0, expect.stringContaining(`with the adapter ${peft}`)])
})

test('what a command applies is told, in JSON as fields', async () => {
  const args = ['run', demo, 'a', '-n', '1', '--temperature', '0', '--lora', file, '--lora', `${peft}:0.5`]
  const { stderr } = await mixtral(args)
  expect(stderr).toContain(`with the adapter ${file}\nwith 0.5 of the adapter ${peft}\n`)
  const json = await mixtral([...args, '--json', '--kv', 'q8'])
  expect(json.stderr).not.toContain('adapter')
  expect(JSON.parse(json.stdout)).toMatchObject({
    adapters: [
      { path: file, scale: 1 },
      { path: peft, scale: 0.5 },
    ],
    kv: 'q8',
  })
})

test('the model that an adapter names is told: attention of Mistral 7B is as wide as that of 8x7B', async () => {
  const [named, gguf, odd] = ['named', 'named.gguf', 'odd'].map((name) => path.join(folder, name)) as [string, string, string]
  const pair = modulePair('2.self_attn.v_proj', plainPair('b', 128, 256, 4, 0.5))
  await writePeftFolder(named, pair, { base_model_name_or_path: 'mistralai/Mistral-7B-v0.1' })
  await convertAdapter(named, gguf, { base: demo })
  await writePeftFolder(odd, pair, { base_model_name_or_path: 'x\u001b[2J' })
  const args = ['run', demo, 'a', '-n', '1', ...[named, gguf, odd].flatMap((one) => ['--lora', one])]
  const { stderr } = await mixtral(args)
  for (const one of [named, gguf]) expect(stderr).toContain(`the adapter ${one}, which is to "mistralai/Mistral-7B-v0.1"\n`)
  expect(stderr).not.toContain('\u001b[2J')
})

test('a server chooses a KV cache beside its adapters, so that no expert leaves memory for it', async () => {
  const { build } = await compileKernels()
  const gguf = await openGguf(demo)
  const { memoryBytes } = factsOf(gguf, { build, options: { threads: 1, kvTokens: 8 * 512 } }).needs!
  const positions = (ram: number, ...lora: { path: string }[]) => roomyPositions(demo, { threads: 1, ram, parallel: 8, json: true, lora })
  expect(await positions(memoryBytes)).toBe(8 * 512)
  for (const one of [file, peft]) {
    expect(await positions(memoryBytes, { path: one })).toBe(4 * 512)
    expect(await positions(memoryBytes + 20_000, { path: one })).toBe(8 * 512)
  }
})
