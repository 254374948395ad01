// Adapters by name: the layers of an Ollama model, and those of Hugging Face, as a GGUF file or as PEFT writes them.
// What they change is told by logits, beside those of the same adapter by its path.

import { createHash } from 'node:crypto'
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { openGgufs } from '../../dist/format/gguf/openGguf.js'
import { HuggingFace, MixtralModel, OllamaRegistry } from '../../dist/index.js'
import { adapterName } from '../../dist/registry/names/modelName.js'
import { obtainModel, readModelHeader } from '../../dist/registry/obtain.js'
import { findLocalModel, listLocalModels } from '../../dist/registry/stores/localModels.js'
import { OwnStore } from '../../dist/registry/stores/ownStore.js'
import { modulePair, plainPair, writeGgufAdapter, writePeftFolder } from '../runtime/adapters/adapterFiles.js'
import { digestOf, ollamaModel } from './ollamaModel.js'
import { useRegistry } from './useRegistry.js'

const { server, root, newFolder } = useRegistry()
const demo = fileURLToPath(new URL('../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))
const ids = [1, 300, 400, 500]
const commit = '9'.repeat(40)
let [first, second, peft] = ['', '', '']
let model: ReturnType<typeof ollamaModel>

beforeAll(async () => {
  process.env.OLLAMA_MODELS = join(root, 'no-ollama')
  process.env.HF_HUB_CACHE = join(root, 'no-hub')
  process.env.HF_ENDPOINT = `http://${server.host}`
  ;[first, second, peft] = [join(root, 'first.gguf'), join(root, 'second.gguf'), join(root, 'peft')]
  await writeGgufAdapter(first, 8, [{ name: 'blk.1.attn_v.weight', pairs: [plainPair('a', 128, 256, 4, 0.5)] }])
  await writeGgufAdapter(second, 0, [{ name: 'blk.2.attn_q.weight', pairs: [plainPair('b', 256, 256, 4, 0.5)] }])
  await writePeftFolder(peft, modulePair('2.self_attn.v_proj', plainPair('c', 128, 256, 4, 0.5)))
  model = ollamaModel({ system: 'Be brief.', adapter: [readFileSync(first), readFileSync(second)] }, readFileSync(demo))
})
beforeEach(() => {
  process.env.MIXTRAL_HOME = newFolder()
})

async function hashOf(name: string, adapters: readonly (string | { path: string; scale: number })[] = []): Promise<string> {
  await using loaded = await MixtralModel.load(name, { threads: 1, adapters })
  return digestOf(Buffer.from((await loaded.logits(ids)).buffer))
}

/** Adds files of a repository; those of JSON have no SHA-256, as small files of a hub have none, but git's hash. */
function addRepository(files: Record<string, Uint8Array>): void {
  const siblings = Object.entries(files).map(([rfilename, bytes]) => ({
    ...{ rfilename, size: bytes.length, blobId: createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex') },
    ...(!rfilename.endsWith('.json') && { lfs: { sha256: digestOf(bytes).slice('sha256:'.length), size: bytes.length } }),
  }))
  server.answers.set('/api/models/owner/repo/revision/main?blobs=true', JSON.stringify({ sha: commit, siblings }))
  for (const [file, bytes] of Object.entries(files)) server.files.set(`/owner/repo/resolve/${commit}/${file}`, bytes)
}
const peftFiles = (folder = '') => ({
  [`${folder}adapter_config.json`]: readFileSync(join(peft, 'adapter_config.json')),
  [`${folder}adapter_model.safetensors`]: readFileSync(join(peft, 'adapter_model.safetensors')),
})

test('the adapters of an Ollama model are pulled with it', async () => {
  const name = server.addOllama(model)
  await OllamaRegistry.pull(name)
  const { adapters = [], bytes } = (await findLocalModel(name))!
  expect(adapters.map((file) => digestOf(readFileSync(file)))).toEqual([first, second].map((file) => digestOf(readFileSync(file))))
  expect(bytes).toBe([demo, first, second].reduce((sum, file) => sum + readFileSync(file).length, 0))
})

test('they are applied with a scale of 1, those of a caller behind them', async () => {
  const name = server.addOllama(model)
  await OllamaRegistry.pull(name)
  await using loaded = await MixtralModel.load(name, { threads: 1, adapters: [{ path: peft, scale: -2 }] })
  expect(loaded.adapters.map(({ scale }) => scale)).toEqual([1, 1, -2])
  const hash = digestOf(Buffer.from((await loaded.logits(ids)).buffer))
  expect(hash).toBe(await hashOf(demo, [first, second, { path: peft, scale: -2 }]))
  const base = digestOf(Buffer.from((await loaded.logits(ids, { adapters: [] })).buffer))
  expect(base).toBe(await hashOf(demo))
})

test('an Ollama model without adapters of a caller has its own, and its file alone has none', async () => {
  const name = server.addOllama(model)
  const path = await OllamaRegistry.pull(name)
  expect(await hashOf(name)).toBe(await hashOf(demo, [first, second]))
  expect(await hashOf(path)).toBe(await hashOf(demo))
})

test('an adapter that is missing makes a model incomplete, and a damaged one is not kept', async () => {
  const name = server.addOllama(model)
  server.settings.fault = (_, { path }) => ({ corrupt: path.endsWith(digestOf(readFileSync(second))) })
  await expect(OllamaRegistry.pull(name)).rejects.toThrow(/\(adapter\).*SHA-256/)
  expect(await findLocalModel(name)).toBeUndefined()
  delete server.settings.fault
  await OllamaRegistry.pull(name)
  writeFileSync((await findLocalModel(name))!.adapters![1]!, 'short')
  expect(await findLocalModel(name)).toBeUndefined()
})

test('adapters are deleted with their model, unless another one has them', async () => {
  const store = new OwnStore(process.env.MIXTRAL_HOME!)
  const [a, b] = [server.addOllama(model, 'user/a'), server.addOllama(model, 'user/b')]
  await OllamaRegistry.pull(a)
  await OllamaRegistry.pull(b)
  const files = (await findLocalModel(a))!.adapters!
  const parse = (text: string) => ({ kind: 'ollama' as const, host: server.host, namespace: 'user', model: text, tag: 'latest' })
  expect(await store.remove(parse('a'))).toBeLessThan(10_000)
  expect((await findLocalModel(b))!.adapters).toEqual(files)
  await store.remove(parse('b'))
  expect(() => readFileSync(files[0]!)).toThrow('ENOENT')
})

test('headers of adapters are read before anything is downloaded, and from what is here', async () => {
  const name = server.addOllama(model)
  const kinds = async () => (await readModelHeader(name)).adapters.map(({ metadata }) => metadata.get('adapter.type'))
  expect(await kinds()).toEqual(['lora', 'lora'])
  expect(await findLocalModel(name)).toBeUndefined()
  await OllamaRegistry.pull(name)
  expect(await kinds()).toEqual(['lora', 'lora'])
})

const deep = '/a'.repeat(16)
test.each<[what: string, name: string, folder: string, found: string]>([
  ['at the top', 'hf:owner/repo', '', 'hf:owner/repo/adapter_config.json'],
  ['by its configuration', 'hf:owner/repo/adapter_config.json', '', 'hf:owner/repo/adapter_config.json'],
  ['in a folder', 'hf:owner/repo/final/v2', 'final/v2/', 'hf:owner/repo/final/v2/adapter_config.json'],
  ['in many folders', `hf:owner/repo${deep}`, `${deep.slice(1)}/`, `hf:owner/repo${deep}/adapter_config.json`],
])('a PEFT adapter of Hugging Face %s is pulled, applied by its name, listed and deleted', async (_, name, folder, found) => {
  addRepository({ 'README.md': Buffer.from('x'), ...peftFiles(folder) })
  const file = await HuggingFace.pull(adapterName(name))
  expect(basename(file)).toBe('adapter_config.json')
  await using loaded = await MixtralModel.load(demo, { threads: 1, adapters: [peft, file, dirname(file), name] })
  expect(new Set(loaded.adapters.map(({ sha256 }) => sha256)).size).toBe(1)
  expect(await listLocalModels()).toMatchObject([{ name: found, store: 'mixtral', path: file }])
  server.seen.length = 0
  await HuggingFace.pull(adapterName(name))
  expect(server.seen).toHaveLength(1) // the list: nothing has changed
  const local = (await findLocalModel(adapterName(name)))!
  expect(
    await new OwnStore(process.env.MIXTRAL_HOME!).remove({
      kind: 'huggingface',
      owner: 'owner',
      repo: 'repo',
      revision: 'main',
      file: `${folder}adapter_config.json`,
    }),
  ).toBe(local.bytes)
  expect(await listLocalModels()).toEqual([])
})

test.each(['hf:owner/repo', 'hf:owner/repo/a.gguf', 'hf:owner/repo:a.gguf'])(
  'a GGUF adapter of Hugging Face is pulled as %s',
  async (name) => {
    addRepository({ 'a.gguf': readFileSync(first), ...peftFiles('other/') })
    await HuggingFace.pull(name)
    await using loaded = await MixtralModel.load(demo, { threads: 1, adapters: [first, { path: name, scale: 2 }] })
    expect(loaded.adapters[1]).toMatchObject({ scale: 2, sha256: loaded.adapters[0]!.sha256 })
  },
)

test.each<[what: string, files: () => Record<string, Uint8Array>, name: string, says: string]>([
  ['no adapter', () => ({ 'x.txt': Buffer.from('x') }), 'hf:owner/repo/lora', 'hf:owner/repo: it has no file lora/adapter_config.json'],
  ['another folder', () => peftFiles('a/'), 'hf:owner/repo/b', 'it has no file b/adapter_config.json, only a/adapter_config.json'],
  ['folders only', () => peftFiles('a/'), 'hf:owner/repo', 'it has no GGUF files, only a/adapter_config.json'],
  [
    'pickled weights',
    () => ({ 'adapter_config.json': Buffer.from('{}'), 'adapter_model.bin': Buffer.from('x') }),
    'hf:owner/repo',
    'it has no file adapter_model.safetensors: weights of an adapter are read from safetensors only',
  ],
])('a repository with %s is refused in a line', async (_, files, name, says) => {
  addRepository(files())
  await expect(HuggingFace.pull(adapterName(name))).rejects.toMatchObject({ code: 'IO', message: expect.stringContaining(says) })
})

test('a damaged adapter of a hub is not kept', async () => {
  addRepository(peftFiles())
  server.settings.fault = (_, { path }) => ({ corrupt: path.endsWith('.safetensors') })
  await expect(HuggingFace.pull('owner/repo')).rejects.toThrow('SHA-256')
  expect(await findLocalModel('hf:owner/repo')).toBeUndefined()
})

test('the small files of an adapter are checked by the hash that git has of them', async () => {
  addRepository(peftFiles())
  server.settings.fault = (_, { path }) => ({ corrupt: path.endsWith('.json') })
  await expect(HuggingFace.pull('owner/repo')).rejects.toThrow(/adapter_config\.json: the download has git hash \w{40}, expected \w{40}/)
  expect(await findLocalModel('hf:owner/repo')).toBeUndefined()
  delete server.settings.fault
  let said = 0
  await HuggingFace.pull('owner/repo', { onUnverified: () => void said++ })
  expect(said).toBe(0)
})

test('a PEFT adapter is no model: it is refused by its name, here or not', async () => {
  addRepository(peftFiles())
  const refusal = { code: 'MODEL', message: expect.stringContaining("is a LoRA adapter in PEFT's form, expected a model") }
  await expect(obtainModel('hf:owner/repo')).rejects.toMatchObject(refusal)
  await expect(readModelHeader('hf:owner/repo')).rejects.toMatchObject(refusal)
  await HuggingFace.pull('owner/repo')
  await expect(obtainModel('hf:owner/repo')).rejects.toMatchObject(refusal)
  await expect(readModelHeader('hf:owner/repo')).rejects.toMatchObject(refusal)
})

test('a PEFT adapter that is here hides no model of its repository', async () => {
  addRepository(peftFiles())
  await HuggingFace.pull('owner/repo')
  addRepository({ ...peftFiles(), 'a.Q4_K_M.gguf': readFileSync(demo) })
  expect((await readModelHeader('hf:owner/repo')).gguf.metadata.get('general.type')).not.toBe('adapter')
  expect(basename((await obtainModel('hf:owner/repo')).path)).toBe('a.Q4_K_M.gguf')
})

test('a manifest with an adapter twice is refused before any header', async () => {
  const adapter = readFileSync(first)
  const twice = server.addOllama(ollamaModel({ adapter: [adapter, adapter] }, readFileSync(demo)))
  const says = expect.stringContaining('2 adapters, of which 1 are different, expected each once')
  await expect(readModelHeader(twice)).rejects.toMatchObject({ code: 'IO', message: says })
})

/** The beginning of a file whose header has a list that is as long as the memory of a header may be. */
const longList = Buffer.alloc(2 ** 20)
for (const [at, value] of [
  [4, 3],
  [16, 1],
  [24, 1],
  [33, 9],
  [41, 160_000_000],
] as const)
  longList.writeUInt32LE(value, at)
longList.write('GGUF')
longList.write('a', 32)

test('the headers of a model and of its adapters share the memory that one may take', async () => {
  const left = /needs more memory than the (\d+) bytes that the header of this file may take/
  const most = 570_425_344 // of one alone
  const file = join(root, 'long.gguf')
  writeFileSync(file, longList)
  truncateSync(file, 4e9)
  const local: Error = await openGgufs([demo, file]).catch((error) => error)
  const other = ollamaModel({ adapter: longList }, readFileSync(demo))
  server.settings.fault = () => ({ total: '*' })
  const name = server.addOllama({ ...other, manifest: other.manifest.replace(`"size":${longList.length}`, '"size":4000000000') })
  const remote: Error = await readModelHeader(name).catch((error) => error)
  for (const { message } of [local, remote]) {
    expect(message).toMatch(left)
    expect(Number(left.exec(message)![1])).toBeLessThan(most)
  }
})
