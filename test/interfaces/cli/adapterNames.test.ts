// Adapters by name on the command line: what is pulled, shown and applied, of an Ollama model and of Hugging Face, and
// which commands take --lora.

import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { MixtralModel, quantizeModel } from '../../../dist/index.js'
import { digestOf, ollamaModel } from '../../registry/ollamaModel.js'
import { useRegistry } from '../../registry/useRegistry.js'
import { modulePair, plainPair, writeGgufAdapter, writePeftFolder } from '../../runtime/adapters/adapterFiles.js'
import { mixtral } from './mixtral.js'

const { server, root, newFolder } = useRegistry()
const demo = fileURLToPath(new URL('../../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))
const commit = '9'.repeat(40)
const tokens = '1,300,400,500'
let [gguf, peft, env]: [string, string, Record<string, string>] = ['', '', {}]

beforeAll(async () => {
  ;[gguf, peft] = [join(root, 'a.gguf'), join(root, 'b')]
  await writeGgufAdapter(gguf, 8, [{ name: 'blk.1.attn_v.weight', pairs: [plainPair('a', 128, 256, 4, 0.5)] }])
  await writePeftFolder(peft, modulePair('2.self_attn.v_proj', plainPair('b', 128, 256, 4, 0.5)))
})
beforeEach(() => {
  env = {
    MIXTRAL_HOME: newFolder(),
    OLLAMA_MODELS: join(root, 'no-ollama'),
    HF_HUB_CACHE: join(root, 'no-hub'),
    HF_ENDPOINT: `http://${server.host}`,
  }
  const files = {
    'style.gguf': readFileSync(gguf),
    'model.Q4_K_M.gguf': readFileSync(demo),
    'peft/adapter_config.json': readFileSync(join(peft, 'adapter_config.json')),
    'peft/adapter_model.safetensors': readFileSync(join(peft, 'adapter_model.safetensors')),
    'dora/adapter_config.json': Buffer.from('{"use_dora": true}'),
    'dora/adapter_model.safetensors': readFileSync(join(peft, 'adapter_model.safetensors')),
    'other.gguf': Buffer.from(readFileSync(gguf).toString('latin1').replace('lora', 'vera'), 'latin1'),
  }
  const siblings = Object.entries(files).map(([rfilename, bytes]) => ({
    ...{ rfilename, size: bytes.length },
    ...(!rfilename.endsWith('.json') && { lfs: { sha256: digestOf(bytes).slice('sha256:'.length), size: bytes.length } }),
  }))
  server.answers.set('/api/models/owner/repo/revision/main?blobs=true', JSON.stringify({ sha: commit, siblings }))
  for (const [file, bytes] of Object.entries(files)) server.files.set(`/owner/repo/resolve/${commit}/${file}`, bytes)
})

const run = (...args: string[]) => mixtral(args, { env })
/** Runs a command, which must succeed. */
async function done(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await run(...args)
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
  return { stdout, stderr }
}
async function truth(adapters: readonly (string | { path: string; scale: number })[]): Promise<Buffer> {
  await using model = await MixtralModel.load(demo, { threads: 1, adapters })
  return Buffer.from((await model.logits(tokens.split(',').map(Number))).buffer)
}

test('--lora pulls an adapter of Hugging Face by its name, and the number behind the last colon is its scale', async () => {
  const out = join(root, 'pulled')
  const lora = ['--lora', 'hf:owner/repo/style.gguf:0.5', '--lora', 'hf:owner/repo/peft:-2']
  const { stderr } = await done('logits', 'demo', '--tokens', tokens, '--out', out, ...lora)
  expect(stderr).toMatch(/hf:owner\/repo\/style\.gguf: [\d.]+ kB to download; a LoRA adapter\n/)
  const adapters = [
    { path: gguf, scale: 0.5 },
    { path: peft, scale: -2 },
  ]
  expect(readFileSync(out)).toEqual(await truth(adapters))
})

test.each(['1e999', '1e-60', '2000000'])('a scale of %s is refused before anything is downloaded', async (scale) => {
  const { code, stderr } = await run('run', 'hf:owner/repo:Q4_K_M', 'a', '--lora', `hf:owner/repo/style.gguf:${scale}`)
  expect([code, stderr]).toEqual([2, expect.stringContaining('the scale of adapter 0 is')])
  expect(existsSync(join(env.MIXTRAL_HOME!, 'huggingface'))).toBe(false)
})

test('adapters are listed and deleted by their names', async () => {
  await done('pull', 'hf:owner/repo/style.gguf')
  const { stdout, stderr } = await done('pull', 'hf:owner/repo/peft/adapter_config.json')
  expect(stdout).toBe(`${join(env.MIXTRAL_HOME!, 'huggingface/owner/repo/main/peft/adapter_config.json')}\n`)
  expect(stderr).toContain('to download; a LoRA adapter')
  expect((await done('list')).stdout).toMatch(/^hf:owner\/repo\/peft\/adapter_config\.json .*\nhf:owner\/repo\/style\.gguf .*\n$/)
  expect((await done('rm', 'hf:owner/repo/peft/adapter_config.json')).stdout).toMatch(/ freed\n$/)
})

test('a model is no adapter, and an adapter no model: nothing of either is downloaded', async () => {
  const model = await run('run', 'demo', 'a', '--lora', 'hf:owner/repo:Q4_K_M:1')
  expect(model.stderr).toMatch(/general\.type.*expected "adapter": this is no adapter/)
  const adapter = await run('run', 'hf:owner/repo/peft/adapter_config.json', 'a')
  expect(adapter.stderr).toContain("is a LoRA adapter in PEFT's form, expected a model, to which it can be added")
  expect(existsSync(join(env.MIXTRAL_HOME!, 'huggingface'))).toBe(false)
})

test.each([
  ['dora/adapter_config.json', 'hf:owner/repo/dora/adapter_config.json: true, expected none: DoRA scales'],
  ['other.gguf', 'hf:owner/repo/other.gguf: metadata key "adapter.type": "vera", expected "lora"'],
])('an adapter of another kind, %s, is refused before it is downloaded, and kept by pull alone', async (file, why) => {
  const { code, stderr } = await run('run', 'demo', 'a', '--lora', `hf:owner/repo/${file}`)
  expect([code, stderr]).toEqual([1, expect.stringContaining(why)])
  expect(existsSync(join(env.MIXTRAL_HOME!, 'huggingface'))).toBe(false)
  const pulled = await done('pull', `hf:owner/repo/${file}`)
  expect(pulled.stderr).toContain(`to download; a LoRA adapter, which cannot be applied here: ${why}`)
  expect(existsSync(pulled.stdout.trim())).toBe(true)
})

const withAdapter = () => server.addOllama(ollamaModel({ adapter: readFileSync(gguf), system: 'Be brief.' }, readFileSync(demo)))

test('the adapters of an Ollama model are shown', async () => {
  const name = withAdapter()
  expect((await done('show', name)).stdout).toMatch(/\nadapters\n {2}[\d.]+ kB, rank 4 of attn_v\n/)
  expect(JSON.parse((await done('show', name, '--json')).stdout).adapters).toMatchObject([{ alpha: 8, matrices: [{ name: 'attn_v' }] }])
  const inspected = (await done('inspect', name)).stdout
  expect(inspected).toMatch(/\nadapter 1 changes, with alpha 8\n/)
  expect(inspected).toMatch(/\n {2}adapters +[\d.]+ kB\n/)
})

test('the adapters of an Ollama model are pulled and applied', async () => {
  const out = join(root, 'applied')
  await done('logits', withAdapter(), '--tokens', tokens, '--out', out, '--lora', `${peft}:2`)
  expect(readFileSync(out)).toEqual(await truth([gguf, { path: peft, scale: 2 }]))
})

test('quantize merges the adapters of an Ollama model', async () => {
  const name = withAdapter()
  await done('pull', name)
  const [copy, own] = [join(root, 'copy.gguf'), join(root, 'own.gguf')]
  expect((await done('quantize', name, copy, 'copy')).stderr).toContain('merged into 1 tensor: ')
  await quantizeModel(demo, own, 'copy', { adapters: [gguf] })
  expect(readFileSync(copy).equals(readFileSync(own))).toBe(true)
})

test('batch answers with the adapters, and verify knows their results', async () => {
  const folder = mkdtempSync(join(root, 'batch-'))
  const [input, out] = ['in', 'out'].map((name) => join(folder, `${name}.jsonl`)) as [string, string]
  const body = { prompt: 'Once upon a time', max_tokens: 8, temperature: 0 }
  writeFileSync(input, `${JSON.stringify({ custom_id: 'a', method: 'POST', url: '/v1/completions', body })}\n`)
  await done('batch', input, out, '--model', demo, '--lora', gguf)
  await using model = await MixtralModel.load(demo, { threads: 1, adapters: [gguf] })
  const { text } = await model.generate(body.prompt, { temperature: 0, maxNewTokens: 8 })
  expect(JSON.parse(readFileSync(out, 'utf8')).response.body.choices[0].text).toBe(text)
  expect((await model.generate(body.prompt, { temperature: 0, maxNewTokens: 8, adapters: [] })).text).not.toBe(text)
  expect((await done('batch', 'verify', out, '--input', input, '--model', demo, '--lora', gguf)).stdout).toContain('right: 1 of 1')
  const wrong = await run('batch', 'verify', out, '--input', input, '--model', demo)
  expect(wrong.code).toBe(1)
  expect(wrong.stderr).toContain('which is loaded')
})

test('an importance matrix is that of the model with the adapters', async () => {
  const folder = mkdtempSync(join(root, 'imatrix-'))
  const text = join(folder, 'text.txt')
  writeFileSync(text, 'Once upon a time, there was a child. '.repeat(20))
  const collect = async (name: string, ...more: string[]) => {
    const out = join(folder, `${name}.dat`)
    await done('imatrix', demo, text, out, '-c', '32', '--chunks', '1', ...more)
    return readFileSync(out)
  }
  expect((await collect('a', '--lora', gguf)).equals(await collect('b'))).toBe(false)
})

test.each(['verify', 'inspect', 'tokenize'])('%s has no adapters, and says so', async (command) => {
  const { code, stderr } = await run(command, 'demo', '--lora', gguf)
  expect(code).toBe(2)
  expect(stderr).toContain('unknown option "--lora"')
})
