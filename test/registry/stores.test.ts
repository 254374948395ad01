import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import fs from 'node:fs/promises'
import os, { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeEach, expect, test, vi } from 'vitest'
import { parseModelName, type RemoteName } from '../../dist/registry/names/modelName.js'
import { findLocalModel, listLocalModels, localModel } from '../../dist/registry/stores/localModels.js'
import { OwnStore } from '../../dist/registry/stores/ownStore.js'
import { type StoreFolders, storeFolders } from '../../dist/registry/stores/storeFolders.js'
import { digestOf, ollamaModel } from './ollamaModel.js'

const root = mkdtempSync(join(tmpdir(), 'mixtral-stores-'))
afterAll(() => rmSync(root, { recursive: true }))

let folders: StoreFolders
let count = 0
beforeEach(() => {
  const base = join(root, String(count++))
  folders = { own: join(base, 'own'), ollama: [join(base, 'ollama'), join(base, 'service')], huggingFace: join(base, 'hub') }
})

function write(file: string, content: string | Uint8Array): string {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
  return file
}

/** Fills a store in Ollama's layout. */
function writeOllama(store: string, name: string, model = ollamaModel(), separator = '-'): void {
  write(join(store, 'manifests', ...name.split('/')), model.manifest)
  for (const [digest, blob] of model.blobs) write(join(store, 'blobs', digest.replace(':', separator)), blob)
}

function snapshot(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => `${name} ${statSync(join(folder, name)).mtimeMs} ${statSync(join(folder, name)).size}`)
}

test.each(['-', ':'])('a model in an Ollama store with sha256%s names is used in place, and nothing is written', async (separator) => {
  writeOllama(
    folders.ollama[0]!,
    'registry.ollama.ai/library/mixtral/8x7b',
    ollamaModel({ template: '[INST] {{ .Prompt }} [/INST]' }),
    separator,
  )
  const before = snapshot(folders.ollama[0]!)
  const model = await findLocalModel('mixtral:8x7b', folders)
  expect(model).toMatchObject({ name: 'mixtral:8x7b', store: 'ollama', bytes: 8, layers: { template: '[INST] {{ .Prompt }} [/INST]' } })
  expect(readFileSync(model!.path, 'utf8')).toBe('GGUF....')
  expect(await listLocalModels(folders)).toMatchObject([{ name: 'mixtral:8x7b', store: 'ollama' }])
  expect(snapshot(folders.ollama[0]!)).toEqual(before)
})

test('the second Ollama store, that of the service, is looked at too, and other hosts and namespaces', async () => {
  writeOllama(folders.ollama[1]!, 'registry.ollama.ai/someone/mix/latest')
  writeOllama(folders.ollama[1]!, 'localhost:5000/a/b/c')
  expect((await findLocalModel('someone/mix', folders))?.name).toBe('someone/mix:latest')
  expect((await findLocalModel('localhost:5000/a/b:c', folders))?.store).toBe('ollama')
  expect(await findLocalModel('mix', folders)).toBeUndefined()
})

test('our own store goes before Ollama, and Ollama layers are read from it', async () => {
  writeOllama(folders.ollama[0]!, 'registry.ollama.ai/library/mixtral/latest')
  writeOllama(join(folders.own, 'ollama'), 'registry.ollama.ai/library/mixtral/latest', ollamaModel({ system: 'Be brief.' }))
  expect(await findLocalModel('mixtral', folders)).toMatchObject({ store: 'mixtral', layers: { system: 'Be brief.' } })
})

test('a model whose weights are still coming is not there', async () => {
  const model = ollamaModel()
  writeOllama(folders.ollama[0]!, 'registry.ollama.ai/library/mixtral/latest', model)
  write(join(folders.ollama[0]!, 'blobs', digestOf(model.weights).replace(':', '-')), 'GG')
  expect(await findLocalModel('mixtral', folders)).toBeUndefined()
})

test('layers are read as Ollama means them', async () => {
  const params = { stop: ['[INST]'], temperature: 0.5, num_ctx: 2048 }
  const messages = [{ role: 'user', content: 'hi' }]
  writeOllama(folders.ollama[0]!, 'registry.ollama.ai/library/m/latest', ollamaModel({ params, messages, license: ['MIT', 'and more'] }))
  expect((await findLocalModel('m', folders))?.layers).toEqual({ params, messages, licenses: ['MIT', 'and more'] })
})

test('values of parameters that are none are left out or kept as texts, and the model stays', async () => {
  writeOllama(
    folders.ollama[0]!,
    'registry.ollama.ai/library/m/latest',
    ollamaModel({ params: { seed: null, stop: [1], top_k: {} } as object }),
  )
  expect((await findLocalModel('m', folders))?.layers?.params).toEqual({ stop: '[1]', top_k: '{}' })
  writeOllama(folders.ollama[0]!, 'registry.ollama.ai/library/m/latest', ollamaModel({ params: null as unknown as object }))
  expect((await findLocalModel('m', folders))?.layers?.params).toEqual({})
})

test("Ollama's names are the same in any case, and an exact one goes first", async () => {
  writeOllama(folders.ollama[0]!, 'registry.ollama.ai/Someone/My-Mixtral/Q4_K_M')
  expect((await findLocalModel('someone/my-mixtral:q4_k_m', folders))?.name).toBe('Someone/My-Mixtral:Q4_K_M')
  writeOllama(folders.ollama[0]!, 'registry.ollama.ai/someone/my-mixtral/q4_k_m')
  expect((await findLocalModel('someone/my-mixtral:q4_k_m', folders))?.name).toBe('someone/my-mixtral:q4_k_m')
  expect(await findLocalModel('someone/my-mixtral:q4_k_s', folders)).toBeUndefined()
})

test.each([
  ['projector', 'UNSUPPORTED', 'mix:latest has a layer of type "projector"'],
  ['tensor', 'UNSUPPORTED', '"tensor"'],
])('a model with a layer of type %s is refused by its name', async (kind, code, says) => {
  writeOllama(folders.ollama[0]!, 'registry.ollama.ai/library/mix/latest', ollamaModel({ [kind]: 'x' }))
  await expect(findLocalModel('mix', folders)).rejects.toMatchObject({ code, message: expect.stringContaining(says) })
})

const digest = `sha256:${'a'.repeat(64)}`
const layer = { mediaType: 'application/vnd.ollama.image.model', digest, size: 1 }
const config = { mediaType: 'application/vnd.docker.container.image.v1+json', digest, size: 1 }
test.each<[what: string, manifest: unknown, says: string]>([
  ['no JSON', '{', 'not JSON'],
  ['a list', [], 'not an object'],
  ['another schema', { schemaVersion: 1 }, 'schemaVersion is 1, expected 2'],
  ['no layers', { schemaVersion: 2, config, layers: [] }, 'no layers'],
  ['too many layers', { schemaVersion: 2, config, layers: Array(65).fill(layer) }, '65 layers'],
  ['no model', { schemaVersion: 2, config, layers: [{ ...layer, mediaType: 'application/vnd.ollama.image.license' }] }, '0 model layers'],
  ['two models', { schemaVersion: 2, config, layers: [layer, layer] }, '2 model layers'],
  ['a digest that is a path', { schemaVersion: 2, config, layers: [{ ...layer, digest: 'sha256:../../../etc/passwd' }] }, 'etc/passwd'],
  ['another hash', { schemaVersion: 2, config, layers: [{ ...layer, digest: 'md5:00' }] }, 'digest'],
  ['a negative size', { schemaVersion: 2, config, layers: [{ ...layer, size: -1 }] }, 'size'],
  ['a size beyond any disk', { schemaVersion: 2, config, layers: [{ ...layer, size: 1e300 }] }, 'size'],
  ['a size that is a text', { schemaVersion: 2, config, layers: [{ ...layer, size: '1' }] }, 'size'],
  ['no config', { schemaVersion: 2, layers: [layer] }, 'config'],
  [
    'a huge template',
    { schemaVersion: 2, config, layers: [layer, { mediaType: 'application/vnd.ollama.image.template', digest, size: 2 ** 30 }] },
    'template',
  ],
])('a manifest with %s is refused in one line', async (_, manifest, says) => {
  write(
    join(folders.ollama[0]!, 'manifests/registry.ollama.ai/library/m/latest'),
    typeof manifest === 'string' ? manifest : JSON.stringify(manifest),
  )
  await expect(findLocalModel('m', folders)).rejects.toMatchObject({
    code: 'IO',
    message: expect.stringMatching(/^the manifest of m:latest is wrong: .+$/),
  })
  await expect(findLocalModel('m', folders)).rejects.toThrow(says)
  expect(await listLocalModels(folders)).toEqual([])
})

test.each([
  ['params', '[1]', 'expected an object'],
  ['params', '{', 'not JSON'],
  ['messages', '[{"role":"tool","content":""}]', 'expected a list'],
])('a %s layer with %s is refused', async (kind, text, says) => {
  writeOllama(folders.ollama[0]!, 'registry.ollama.ai/library/m/latest', ollamaModel({ [kind]: text }))
  await expect(findLocalModel('m', folders)).rejects.toMatchObject({ code: 'IO', message: expect.stringContaining(says) })
})

/** Fills the Hugging Face cache as huggingface_hub does, with links. */
function writeHub(revision: string, commit: string, files: Record<string, string>): void {
  const repository = join(folders.huggingFace, 'models--owner--repo')
  write(join(repository, 'refs', revision), commit)
  for (const [file, content] of Object.entries(files)) {
    const blob = write(join(repository, 'blobs', createHash('sha256').update(content).digest('hex')), content)
    const link = join(repository, 'snapshots', commit, file)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(blob, link)
  }
}

test('a model in the Hugging Face cache is used in place, by file, by quantization and by commit', async () => {
  writeHub('main', 'c0ffee', { 'mix.Q4_K_M.gguf': '1234', 'mix.Q8_0.gguf': '12345678', 'README.md': '' })
  const before = snapshot(folders.huggingFace)
  for (const name of ['hf:owner/repo/mix.Q4_K_M.gguf', 'hf:owner/repo:q4_k_m', 'hf:owner/repo@c0ffee:Q4_K_M']) {
    expect(await findLocalModel(name, folders)).toMatchObject({
      store: 'huggingface',
      bytes: 4,
      path: expect.stringContaining('mix.Q4_K_M.gguf'),
    })
  }
  expect(await findLocalModel('hf:owner/repo:Q6_K', folders)).toBeUndefined()
  expect(await findLocalModel('hf:owner/repo@other:Q4_K_M', folders)).toBeUndefined()
  expect((await listLocalModels(folders)).map(({ name }) => name)).toEqual(['hf:owner/repo/mix.Q4_K_M.gguf', 'hf:owner/repo/mix.Q8_0.gguf'])
  expect(snapshot(folders.huggingFace)).toEqual(before)
})

test('a cache with many files is listed in the time of its files', async () => {
  const count = 1500
  writeHub('main', 'c0ffee', Object.fromEntries(Array.from({ length: count }, (_, index) => [`mix.${index}.gguf`, 'x'])))
  const before = process.cpuUsage()
  expect(await listLocalModels(folders)).toHaveLength(count)
  const { user, system } = process.cpuUsage(before)
  expect((user + system) / 1e6).toBeLessThan(6) // each file read the folder and looked at all names again
}, 60_000)

test('a set of shards is found by any shard, and only when complete', async () => {
  const shard = (n: number) => `Q4_K_M/mix-0000${n}-of-00002.gguf`
  writeHub('main', 'c0ffee', { [shard(1)]: 'aa', [shard(2)]: 'bbb' })
  for (const name of [`hf:owner/repo/${shard(2)}`, 'hf:owner/repo:Q4_K_M', 'hf:owner/repo']) {
    expect(await findLocalModel(name, folders)).toMatchObject({ bytes: 5, path: expect.stringContaining(shard(1)) })
  }
  rmSync(join(folders.huggingFace, 'models--owner--repo/snapshots/c0ffee', shard(2)))
  expect(await findLocalModel('hf:owner/repo:Q4_K_M', folders)).toBeUndefined()
})

test('removing a model keeps the blobs that another one shares, and leaves no empty folders', async () => {
  const own = new OwnStore(folders.own)
  const license = ['MIT']
  writeOllama(own.ollama.root, 'registry.ollama.ai/library/m/a', ollamaModel({ license }))
  writeOllama(own.ollama.root, 'registry.ollama.ai/library/m/b', ollamaModel({ license, system: 'S' }))
  await own.remove({ kind: 'ollama', host: 'registry.ollama.ai', namespace: 'library', model: 'm', tag: 'b' })
  expect((await findLocalModel('m:a', folders))?.layers?.licenses).toEqual(license)
  expect(await findLocalModel('m:b', folders)).toBeUndefined()
  await own.remove({ kind: 'ollama', host: 'registry.ollama.ai', namespace: 'library', model: 'm', tag: 'a' })
  expect(readdirSync(folders.own)).toEqual([])
})

test('a removal that was stopped is an unfinished model, and can be gone on with', async () => {
  const own = new OwnStore(folders.own)
  const name = { kind: 'ollama', host: 'registry.ollama.ai', namespace: 'library', model: 'm', tag: 'a' } as const
  writeOllama(own.ollama.root, 'registry.ollama.ai/library/m/a', ollamaModel({ license: ['MIT'] }))
  const path = (await own.findOllama(name))!.path
  const rm = vi.spyOn(fs, 'rm').mockImplementation(async (file) => {
    if (String(file).includes('manifests')) throw new Error('EIO')
    rmSync(file as string, { force: true })
  })
  await expect(own.remove(name)).rejects.toMatchObject({ code: 'IO' })
  rm.mockRestore()
  expect(existsSync(path)).toBe(false)
  expect(await own.unfinished()).toEqual([{ name: 'm:a', bytes: 0, total: expect.any(Number) }])
  await own.remove(name)
  expect(await own.unfinished()).toEqual([])
  expect(readdirSync(folders.own)).toEqual([])
})

test('a set of shards with holes is an unfinished model, and is deleted as one', async () => {
  const own = new OwnStore(folders.own)
  const shard = (n: number) => `mix-0000${n}-of-00004.gguf`
  const address = (n: number) => `https://example.com/a/${shard(n)}`
  const places: [folder: string, name: string, first: number][] = [
    [join('huggingface', 'owner', 'repo', 'main', 'Q4'), `hf:owner/repo/Q4/${shard(1)}`, 3],
    [join('url', 'example.com', 'x'), address(2), 2],
  ]
  for (const [folder, name, first] of places) {
    for (const n of [first, 4]) {
      write(join(folders.own, folder, shard(n)), 'abcde')
      const record = { address: address(n), bytes: 5, sha256: 'a'.repeat(64) }
      write(join(folders.own, folder, `${shard(n)}.source.json`), JSON.stringify(record))
    }
    expect(await own.list()).toEqual([])
    expect(await own.unfinished()).toEqual([{ name, bytes: 10, total: 20 }])
    expect(await own.remove(parseModelName(name) as RemoteName)).toBe(10)
    expect(readdirSync(folders.own)).toEqual([])
  }
})

test('the path of an existing file goes before a name, and a missing one is named', async () => {
  const file = write(join(root, 'mixtral'), 'x')
  expect(await findLocalModel(file, folders)).toMatchObject({ store: 'file', path: file, bytes: 1 })
  await expect(findLocalModel(join(root, 'none.gguf'), folders)).rejects.toThrow('none.gguf')
  expect((await findLocalModel('demo', folders))?.bytes).toBeGreaterThan(7e6)
})

test('a folder is told where no model has its name, and no model where the name is written in full', async () => {
  const before = process.cwd()
  mkdirSync(join(root, 'beside', 'mix'), { recursive: true })
  mkdirSync(join(root, 'beside', 'mix:v1'))
  process.chdir(join(root, 'beside'))
  try {
    for (const find of [findLocalModel, localModel]) {
      await expect(find('mix', folders)).rejects.toThrow(
        '"mix" is a folder, expected a GGUF file, or mix:latest for the model of that name',
      )
    }
    expect(await findLocalModel('mix:latest', folders)).toBeUndefined()
    expect(await findLocalModel('mix:v1', folders)).toBeUndefined()
    writeOllama(folders.ollama[0]!, 'registry.ollama.ai/library/mix/latest')
    expect(await findLocalModel('mix', folders)).toMatchObject({ name: 'mix:latest', store: 'ollama' })
  } finally {
    process.chdir(before)
  }
})

test('a path that leads nowhere is told with near files', async () => {
  const file = write(join(root, 'near', 'mixtral-8x7b.Q4_K_M.gguf'), '')
  await expect(localModel(file.replace('Q4_K_M', 'Q4KM'), folders)).rejects.toThrow('did you mean mixtral-8x7b.Q4_K_M.gguf?')
})

test('what is not here is told with near names, of this machine too', async () => {
  writeOllama(folders.ollama[0]!, 'registry.ollama.ai/someone/my-mixtral/v1')
  await expect(localModel('mixtral:8x7', folders)).rejects.toThrow('did you mean mixtral:8x7b')
  await expect(localModel('someone/my-mixtrall:v1', folders)).rejects.toThrow('did you mean someone/my-mixtral:v1?')
  await expect(localModel('mixtral:8x7b', folders)).rejects.toThrow(/`mixtral pull mixtral:8x7b` fetches it$/)
  await expect(localModel('dmeo', folders)).rejects.toThrow('did you mean demo?')
})

test('environment variables move the stores', () => {
  const env = { MIXTRAL_HOME: '/m', OLLAMA_MODELS: '/o', HF_HOME: '/h' }
  expect(storeFolders(env, 'linux', '/home/a')).toEqual({ own: '/m', ollama: ['/o'], huggingFace: '/h/hub' })
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is a shell's
  const spelled = { HF_HUB_CACHE: '$D/${E}/hub$F', D: '/d', E: 'e', OLLAMA_MODELS: ' "/o p" ' }
  expect(storeFolders(spelled, 'linux', '/home/a')).toMatchObject({ ollama: ['/o p'], huggingFace: '/d/e/hub$F' })
  expect(storeFolders({ HF_HOME: '~/hf' }, 'linux', '/home/a').huggingFace).toBe('/home/a/hf/hub')
  expect(storeFolders({ HF_HUB_CACHE: '/c' }, 'linux', '/home/a')).toEqual({
    own: '/home/a/.cache/mixtral-wasm',
    ollama: ['/home/a/.ollama/models', '/usr/share/ollama/.ollama/models'],
    huggingFace: '/c',
  })
  expect(storeFolders({ HUGGINGFACE_HUB_CACHE: '/old', HF_HOME: '/h' }, 'linux', '/home/a').huggingFace).toBe('/old')
  expect(storeFolders({}, 'darwin', '/Users/a').own).toBe('/Users/a/Library/Caches/mixtral-wasm')
})

test('no home folder is no reason to fail', () => {
  vi.spyOn(os, 'homedir').mockImplementation(() => {
    throw new Error('uv_os_homedir returned ENOENT')
  })
  expect(storeFolders({}, 'linux').own).toMatch(/mixtral-wasm-\w+/)
  vi.restoreAllMocks()
})
