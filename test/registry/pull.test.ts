import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { modelNameText, parseModelName } from '../../dist/registry/names/modelName.js'
import { obtainModel } from '../../dist/registry/obtain.js'
import { HuggingFace, OllamaRegistry } from '../../dist/registry/registries.js'
import { findLocalModel, listLocalModels } from '../../dist/registry/stores/localModels.js'
import { withLock } from '../../dist/registry/stores/storeLock.js'
import { digestOf, ollamaModel } from './ollamaModel.js'
import { randomBytes, randomNumbers } from './randomBytes.js'
import { useRegistry } from './useRegistry.js'

const { server, root, newFolder } = useRegistry()
const weights = randomBytes(3_000_000)
const model = ollamaModel({ template: '{{ .Prompt }}', params: { stop: ['[INST]'] }, license: 'Apache' }, weights)
const child = fileURLToPath(new URL('pullChild.mjs', import.meta.url))

let home: string
beforeAll(() => {
  process.env.HF_HUB_CACHE = join(root, 'no-hub')
  process.env.HF_ENDPOINT = `http://${server.host}`
})
beforeEach(() => {
  delete process.env.HF_TOKEN
  process.env.OLLAMA_MODELS = join(root, 'no-ollama')
  home = newFolder()
  process.env.MIXTRAL_HOME = home
})

/** All files of the store. */
function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [entry.name] : []))
}

/** What the store holds of a model, and nothing else. */
const wholeStore = (of: typeof model) =>
  [...of.blobs.keys()]
    .map((digest) => digest.replace(':', '-'))
    .concat('latest')
    .sort()

test('an Ollama model is pulled whole: weights, layers, manifest', async () => {
  const name = server.addOllama(model)
  const progress: { loaded: number; total: number }[] = []
  const path = await OllamaRegistry.pull(name, { onProgress: (at) => progress.push(at) })
  expect(readFileSync(path).equals(weights)).toBe(true)
  expect(basename(path)).toBe(digestOf(weights).replace(':', '-'))
  expect(await findLocalModel(name)).toMatchObject({
    store: 'mixtral',
    path,
    layers: { template: '{{ .Prompt }}', params: { stop: ['[INST]'] }, licenses: ['Apache'] },
  })
  const total = [...model.blobs.values()].reduce((sum, blob) => sum + blob.length, 0)
  const file = { name, loaded: model.weights.length, total: model.weights.length, sha256: digestOf(model.weights).slice(7) }
  expect(progress.at(-1)).toEqual({ loaded: total, total, file })
  expect(filesIn(home).sort()).toEqual(wholeStore(model))
})

test('a second pull asks for the manifest only, and a new manifest brings what is new', async () => {
  const name = server.addOllama(model)
  await OllamaRegistry.pull(name)
  server.seen.length = 0
  await OllamaRegistry.pull(name)
  expect(server.seen.map(({ path }) => path)).toEqual(['/v2/user/mixtral/manifests/latest'])

  server.addOllama(ollamaModel({ system: 'New.' }, weights))
  server.sent = 0
  await OllamaRegistry.pull(name)
  expect((await findLocalModel(name))?.layers?.system).toBe('New.')
  expect(server.sent).toBe(4)
  expect(filesIn(home).sort()).toEqual(wholeStore(ollamaModel({ system: 'New.' }, weights)))
})

test('what a new version of a model no longer needs is deleted, unless another model has it', async () => {
  const [a, b] = [server.addOllama(model, 'user/a'), server.addOllama(ollamaModel({ system: 'B' }, weights), 'user/b')]
  await OllamaRegistry.pull(a)
  await OllamaRegistry.pull(b)
  server.addOllama(ollamaModel({}, randomBytes(1000, 9)), 'user/a')
  await OllamaRegistry.pull(a)
  expect(readFileSync((await findLocalModel(b))!.path).equals(weights)).toBe(true)
  server.addOllama(ollamaModel({}, randomBytes(1000, 9)), 'user/b')
  await OllamaRegistry.pull(b)
  expect(filesIn(home).sort()).toEqual([...wholeStore(ollamaModel({}, randomBytes(1000, 9))), 'latest'].sort())
})

test('a damaged manifest hides no other model, a model without its template is none, the next pull mends both', async () => {
  const [a, b] = [server.addOllama(model, 'user/a'), server.addOllama(model, 'user/b')]
  await OllamaRegistry.pull(a)
  await OllamaRegistry.pull(b)
  writeFileSync(join(home, 'ollama/manifests', server.host, 'user/a/latest'), '{"schema')
  expect((await listLocalModels()).map(({ name }) => name)).toEqual([b])
  rmSync(join(home, 'ollama/blobs', digestOf(Buffer.from('{{ .Prompt }}')).replace(':', '-')))
  expect(await listLocalModels()).toEqual([])
  await OllamaRegistry.pull(a)
  expect((await listLocalModels()).map(({ name }) => name).sort()).toEqual([a, b])
})

test('a token is fetched when the registry wants one, and never leaves for the blob server', async () => {
  server.settings.token = 'open-sesame'
  await OllamaRegistry.pull(server.addOllama(model))
  const tokens = server.seen.filter(({ path }) => path.startsWith('/token'))
  expect(tokens.map(({ path }) => path)).toEqual(['/token?service=test&scope=repository%3Ax%3Apull'])
  expect(server.seen.some(({ authorization }) => authorization === 'Bearer open-sesame')).toBe(true)
  for (const { server: which, authorization } of server.seen) if (which === 'blobs') expect(authorization).toBeUndefined()
})

test('a token that expires in mid-download is fetched again', async () => {
  server.settings.token = 'first'
  server.settings.fault = (n) => {
    if (n === 2) server.settings.token = 'second'
    return n === 5 ? { cutAfter: 1_000_000 } : undefined
  }
  const path = await OllamaRegistry.pull(server.addOllama(model))
  expect(readFileSync(path).equals(weights)).toBe(true)
  expect(server.seen.filter(({ path: asked }) => asked.startsWith('/token'))).toHaveLength(2)
})

test('a registry that refuses its own token is told in one line', async () => {
  const name = server.addOllama(model)
  Object.defineProperty(server.settings, 'token', { get: () => `${Math.random()}`, configurable: true, enumerable: true })
  await expect(OllamaRegistry.pull(name)).rejects.toMatchObject({ code: 'IO', message: expect.stringContaining('does not give out model') })
})

test('a blob whose hash is wrong is not kept, and the model is not there', async () => {
  const name = server.addOllama(model)
  server.settings.fault = (_, { path }) => ({ corrupt: path.endsWith(digestOf(weights)) })
  await expect(OllamaRegistry.pull(name)).rejects.toThrow(/SHA-256 .* it was deleted$/)
  expect(await findLocalModel(name)).toBeUndefined()
  expect(filesIn(home)).not.toContain(digestOf(weights).replace(':', '-'))
})

interface Manifest {
  layers: { size: number; digest: string; mediaType: string }[]
}

test.each<[what: string, change: (manifest: Manifest) => void, says: string]>([
  ['a larger size than the blob has', (manifest) => manifest.layers[0]!.size++, 'has changed'],
  ['a smaller size than the blob has', (manifest) => manifest.layers[0]!.size--, 'has changed'],
  ['another digest', (manifest) => (manifest.layers[0]!.digest = `sha256:${'0'.repeat(64)}`), '404'],
  ['a digest with a path', (manifest) => (manifest.layers[0]!.digest = 'sha256:../../../../tmp/x'), 'digest'],
  ['a projector', (manifest) => (manifest.layers[1]!.mediaType = 'application/vnd.ollama.image.projector'), '"projector"'],
  ['a size that no disk has', (manifest) => (manifest.layers[0]!.size = 2 ** 44), 'needs 17592.19 GB more'],
])('a manifest with %s is refused, and nothing of the model remains', async (_, change, says) => {
  const manifest = JSON.parse(model.manifest)
  change(manifest)
  const name = server.addOllama({ ...model, manifest: JSON.stringify(manifest) })
  await expect(OllamaRegistry.pull(name)).rejects.toThrow(says)
  expect(await findLocalModel(name)).toBeUndefined()
  expect(readdirSync(root).sort()).toEqual(
    readdirSync(root)
      .filter((entry) => /^\d+$/.test(entry))
      .sort(),
  )
})

test('a model that does not exist is told with near names', async () => {
  await expect(OllamaRegistry.pull(`${server.host}/library/mixtral:nothing`)).rejects.toThrow(
    `${server.host} has no model ${server.host}/library/mixtral:nothing`,
  )
})

test('a registry that nobody answers for is told after a few attempts', async () => {
  await expect(OllamaRegistry.pull('localhost:1/a/b')).rejects.toThrow(
    /^localhost:1\/a\/b:latest: the connection to localhost:1 failed: .+, 5 times in a row$/,
  )
})

test('a model in the local Ollama store is not pulled', async () => {
  const theirs = join(home, 'theirs')
  process.env.OLLAMA_MODELS = theirs
  const name = server.addOllama(model)
  const manifest = join(theirs, 'manifests', server.host, 'user/mixtral/latest')
  mkdirSync(dirname(manifest), { recursive: true })
  mkdirSync(join(theirs, 'blobs'))
  writeFileSync(manifest, model.manifest)
  for (const [digest, blob] of model.blobs) writeFileSync(join(theirs, 'blobs', digest), blob)
  expect(await OllamaRegistry.pull(name)).toBe(join(theirs, 'blobs', digestOf(weights)))
  expect(server.seen).toEqual([])
})

const commit = 'c'.repeat(40)
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** Adds a Hugging Face repository with these files. */
function addRepository(files: Record<string, Uint8Array>, { owner = 'owner', revision = 'main', lfs = true, sha = commit } = {}): void {
  const siblings = Object.entries(files).map(([rfilename, bytes]) => ({
    rfilename,
    size: bytes.length,
    ...(lfs && { lfs: { sha256: sha256(bytes), size: bytes.length } }),
  }))
  server.answers.set(`/api/models/${owner}/repo/revision/${revision}?blobs=true`, JSON.stringify({ sha, siblings }))
  for (const [file, bytes] of Object.entries(files)) server.files.set(`/${owner}/repo/resolve/${sha}/${file}`, bytes)
}

test('a Hugging Face model is pulled by file or by quantization', async () => {
  const [q4, q8] = [randomBytes(1000, 4), randomBytes(2000, 8)]
  addRepository({ 'README.md': randomBytes(10), 'mix.Q4_K_M.gguf': q4, 'mix.Q8_0.gguf': q8 })
  expect(readFileSync(await HuggingFace.pull('hf:owner/repo/mix.Q8_0.gguf')).equals(q8)).toBe(true)
  expect(readFileSync(await HuggingFace.pull('owner/repo:Q4_K_M')).equals(q4)).toBe(true)
  expect((await listLocalModels()).map(({ name }) => name).sort()).toEqual(['hf:owner/repo/mix.Q4_K_M.gguf', 'hf:owner/repo/mix.Q8_0.gguf'])
  server.seen.length = 0
  await HuggingFace.pull('owner/repo:q4_k_m')
  expect(server.seen).toHaveLength(1)
})

test('a file of which the hub knows no hash goes on in its commit, and begins anew in another', async () => {
  const stopped = async () => {
    const controller = new AbortController()
    const onProgress = ({ loaded }: { loaded: number }) => loaded > 1_000_000 && controller.abort()
    server.settings.trickle = 16_384
    await expect(HuggingFace.pull('owner/repo', { signal: controller.signal, onProgress })).rejects.toMatchObject({ code: 'ABORTED' })
    delete server.settings.trickle
    server.sent = 0
  }
  addRepository({ 'mix.gguf': weights }, { lfs: false })
  await stopped()
  const path = await HuggingFace.pull('owner/repo')
  expect(readFileSync(path).equals(weights)).toBe(true)
  expect(server.sent).toBeLessThan(2_000_000)
  expect(JSON.parse(readFileSync(`${path}.source.json`, 'utf8')).version).toBe(`commit ${commit}`)

  addRepository({ 'mix.gguf': randomBytes(3_000_000, 5) }, { lfs: false, sha: 'd'.repeat(40) })
  await stopped()
  addRepository({ 'mix.gguf': randomBytes(3_000_000, 6) }, { lfs: false, sha: 'e'.repeat(40) })
  expect(readFileSync(await HuggingFace.pull('owner/repo')).equals(randomBytes(3_000_000, 6))).toBe(true)
  expect(server.sent).toBe(3_000_000)
})

test('shards are pulled together, into one folder', async () => {
  const shards = { 'Q4/mix-00001-of-00002.gguf': randomBytes(500, 1), 'Q4/mix-00002-of-00002.gguf': randomBytes(700, 2) }
  addRepository(shards, { revision: 'v2' })
  const path = await HuggingFace.pull('owner/repo@v2/Q4/mix-00002-of-00002.gguf')
  expect(path).toBe(join(home, 'huggingface/owner/repo/v2/Q4/mix-00001-of-00002.gguf'))
  expect(readFileSync(path.replace('00001', '00002')).equals(shards['Q4/mix-00002-of-00002.gguf'])).toBe(true)
  expect(await listLocalModels()).toMatchObject([{ name: 'hf:owner/repo@v2/Q4/mix-00001-of-00002.gguf', bytes: 1200 }])
})

test('a file that is new in the repository is pulled again, of the same size or not', async () => {
  addRepository({ 'mix.gguf': randomBytes(1000, 1) })
  await HuggingFace.pull('owner/repo')
  addRepository({ 'mix.gguf': randomBytes(1000, 2) })
  expect(readFileSync(await HuggingFace.pull('owner/repo')).equals(randomBytes(1000, 2))).toBe(true)
})

test('HF_TOKEN opens the hub and is not sent on to the file server', async () => {
  process.env.HF_TOKEN = 'hf_secret'
  server.settings.token = 'hf_secret'
  addRepository({ 'mix.gguf': randomBytes(1000) })
  await HuggingFace.pull('owner/repo')
  for (const { server: which, authorization } of server.seen)
    expect(authorization).toBe(which === 'registry' ? 'Bearer hf_secret' : undefined)
})

test.each(['HUGGING_FACE_HUB_TOKEN', 'HF_TOKEN_PATH', 'HF_HOME'])('the token of %s opens the hub, too', async (variable) => {
  const folder = mkdtempSync(join(tmpdir(), 'hub-token-'))
  writeFileSync(join(folder, 'token'), 'hf_stored\n')
  const value = { HUGGING_FACE_HUB_TOKEN: 'hf_stored', HF_TOKEN_PATH: join(folder, 'token'), HF_HOME: folder }[variable]!
  vi.stubEnv(variable, value)
  server.settings.token = 'hf_stored'
  addRepository({ 'mix.gguf': randomBytes(1000) })
  await HuggingFace.pull('owner/repo')
  expect(server.seen.some(({ authorization }) => authorization === 'Bearer hf_stored')).toBe(true)
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

test.each(['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'])('with %s nothing is asked of the hub', async (variable) => {
  addRepository({ 'mix.gguf': randomBytes(1000) })
  vi.stubEnv(variable, '1')
  await expect(HuggingFace.pull('owner/repo')).rejects.toThrow(`hf:owner/repo is not on this machine, and ${variable} is set`)
  expect(server.seen).toEqual([])
  vi.stubEnv(variable, '0')
  await HuggingFace.pull('owner/repo')
  vi.unstubAllEnvs()
})

test.each<[what: string, name: string, says: string]>([
  ['a file that is not there', 'owner/repo/mix.Q4_K_S.gguf', 'it has no file mix.Q4_K_S.gguf; did you mean mix.Q4_K_M.gguf'],
  ['a quantization that is not there', 'owner/repo:Q5_K_M', 'it has no Q5_K_M, only Q4_K_M, Q8_0'],
  [
    'neither file nor quantization where there are two',
    'owner/repo',
    'it has 2 models, expected hf:owner/repo:Q4_K_M or hf:owner/repo/FILE',
  ],
  ['a repository that does not exist', 'owner/none', 'hf:owner/none does not exist'],
])('a Hugging Face name with %s is told so', async (_, name, says) => {
  const api = { 'mix.Q4_K_M.gguf': randomBytes(10), 'mix.Q8_0.gguf': randomBytes(10) }
  addRepository(api)
  server.answers.set(
    '/api/models/owner/repo/revision/main?blobs=true',
    server.answers.get('/api/models/owner/repo/revision/main?blobs=true')!,
  )
  await expect(HuggingFace.pull(name)).rejects.toMatchObject({ code: 'IO', message: expect.stringContaining(says) })
})

test('a repository that needs a token says so', async () => {
  server.settings.token = 'secret'
  addRepository({ 'mix.gguf': randomBytes(10) })
  await expect(HuggingFace.pull('owner/repo')).rejects.toThrow('hf:owner/repo does not exist, or it may need a token in HF_TOKEN')
})

test('a repository that does not exist is told with near ones of its owner, and of its name', async () => {
  const ids = (...names: string[]) => JSON.stringify(names.map((id) => ({ id })))
  server.answers.set('/api/models?filter=gguf&author=TheBloke&limit=1000', ids('TheBloke/Mixtral-8x7B-v0.1-GGUF', 'TheBloke/other', '../x'))
  server.answers.set('/api/models?filter=gguf&search=Mixtral-8x7B-v01-GGUF&limit=100', ids('TheBlok/Mixtral-8x7B-v01-GGUF'))
  await expect(HuggingFace.pull('hf:TheBloke/Mixtral-8x7B-v01-GGUF:Q4_K_M')).rejects.toThrow(
    'hf:TheBloke/Mixtral-8x7B-v01-GGUF does not exist, or not in this revision; ' +
      'did you mean hf:TheBlok/Mixtral-8x7B-v01-GGUF, hf:TheBloke/Mixtral-8x7B-v0.1-GGUF?',
  )
  server.answers.set('/api/models?filter=gguf&author=TheBloke&limit=1000', '{"no": "list"}')
  server.answers.delete('/api/models?filter=gguf&search=Mixtral-8x7B-v01-GGUF&limit=100')
  await expect(HuggingFace.pull('hf:TheBloke/Mixtral-8x7B-v01-GGUF:Q4_K_M')).rejects.toThrow(/not in this revision$/)
})

test.each([
  '../../../../escaped.Q4_K_M.gguf',
  '/etc/escaped.Q4_K_M.gguf',
  'a/../../../../../escaped.Q4_K_M.gguf',
  'a\\..\\escaped.Q4_K_M.gguf',
  './escaped.Q4_K_M.gguf',
])('a hub that lists the file %j has no such file, and nothing is written', async (file) => {
  addRepository({ [file]: randomBytes(10) })
  await expect(HuggingFace.pull('owner/repo:Q4_K_M')).rejects.toThrow('it has no GGUF files')
  expect(filesIn(home)).toEqual([])
  addRepository({ [file]: randomBytes(10), 'mix.Q4_K_M.gguf': randomBytes(1000) })
  expect(await HuggingFace.pull('owner/repo:Q4_K_M')).toBe(join(home, 'huggingface/owner/repo/main/mix.Q4_K_M.gguf'))
})

test.each<[what: string, answer: unknown, says: string]>([
  ['no JSON', '<html>', 'it is not JSON'],
  ['nothing', 'null', 'it has no commit'],
  ['a commit that is a path', { sha: '../../etc', siblings: [] }, 'it has no commit'],
  ['no files', { sha: commit }, 'it has no list of files'],
  ['a file without a size', { sha: commit, siblings: [{ rfilename: 'a.gguf' }] }, 'the size of "a.gguf" is no value'],
  ['a negative size', { sha: commit, siblings: [{ rfilename: 'a.gguf', size: -1 }] }, 'the size of "a.gguf" is -1'],
  [
    'a hash that is none',
    { sha: commit, siblings: [{ rfilename: 'a.gguf', size: 1, lfs: { sha256: 'x', size: 1 } }] },
    'the SHA-256 of "a.gguf"',
  ],
  ['files that are none', { sha: commit, siblings: [null, 7, {}] }, 'it has no GGUF files'],
])('a hub that answers with %s is told so in one line', async (_, answer, says) => {
  server.answers.set('/api/models/owner/repo/revision/main?blobs=true', typeof answer === 'string' ? answer : JSON.stringify(answer))
  await expect(HuggingFace.pull('owner/repo')).rejects.toMatchObject({ code: 'IO', message: expect.stringMatching(/^[^\n]+$/) })
  await expect(HuggingFace.pull('owner/repo')).rejects.toThrow(says)
  expect(filesIn(home)).toEqual([])
})

test('an option that is unknown or of the wrong kind is refused', async () => {
  const options = (all: object) => OllamaRegistry.pull('mixtral', all)
  await expect(options({ onprogress() {} })).rejects.toMatchObject({ code: 'OPTION', message: expect.stringContaining('onprogress') })
  await expect(options({ signal: {} })).rejects.toThrow('signal is not an AbortSignal')
  await expect(options({ onProgress: 1 })).rejects.toThrow('onProgress is not a function')
  await expect(OllamaRegistry.pull(undefined as unknown as string)).rejects.toThrow('the name is no value, expected a string')
})

test('a repository whose list is open and whose files are not says what may open them', async () => {
  addRepository({ 'mix.gguf': randomBytes(10) })
  server.settings.fault = () => ({ status: 403 })
  await expect(HuggingFace.pull('owner/repo')).rejects.toThrow('answered 403 Forbidden; it may need a token in HF_TOKEN')
  process.env.HF_TOKEN = 'hf_other'
  await expect(HuggingFace.pull('owner/repo')).rejects.toThrow('HF_TOKEN does not open it: accept its terms at huggingface.co')
})

const pullUrl = (url: string) => obtainModel(url, { update: true })

test('a plain address is pulled, listed and found again', async () => {
  const bytes = randomBytes(100_000)
  server.files.set('/models/mix.gguf?v=1', bytes)
  const url = `http://${server.blobHost}/models/mix.gguf?v=1`
  const { path } = await pullUrl(url)
  expect(readFileSync(path).equals(bytes)).toBe(true)
  const name = modelNameText(parseModelName(url))
  expect(await listLocalModels()).toMatchObject([{ name, path }])
  expect(await findLocalModel(name)).toMatchObject({ path, store: 'mixtral' })
  expect(await findLocalModel(url)).toMatchObject({ path, store: 'mixtral' })
  await expect(pullUrl(`http://${server.blobHost}/none.gguf`)).rejects.toThrow('there is no http://')
})

/** Runs a pull in another process; `kill` ends it without warning. */
function pullInChild(name: string) {
  const running = spawn(process.execPath, [child, name], { env: process.env })
  let output = ''
  running.stdout.on('data', (text) => {
    output += text
  })
  const ended = new Promise<{ output: string; code: number | null }>((resolve) =>
    running.on('close', (code) => resolve({ output: output.trim(), code })),
  )
  return { ended, kill: () => running.kill('SIGKILL') }
}

test('killed at 20 random moments, the file is right or absent, and the next pull goes on', async () => {
  const large = ollamaModel({}, randomBytes(12_000_000, 3))
  const name = server.addOllama(large)
  server.settings.trickle = 16_384
  const random = randomNumbers(20)
  const path = join(home, 'ollama/blobs', digestOf(large.weights).replace(':', '-'))
  for (let n = 0; n < 20; n++) {
    const running = pullInChild(name)
    await sleep(60 + random() * 300)
    running.kill()
    await running.ended
    if (existsSync(path)) expect(readFileSync(path).equals(large.weights)).toBe(true)
  }
  const { output, code } = await pullInChild(name).ended
  expect({ output, code }).toEqual({ output: path, code: 0 })
  expect(readFileSync(path).equals(large.weights)).toBe(true)
  expect(filesIn(home).sort()).toEqual(wholeStore(large))
  expect(server.sent).toBeLessThan(12_000_000 + 21 * 1_200_000)
})

test('whatever a kill left beside the files of a model, the next pull clears away', async () => {
  const name = server.addOllama(model)
  const path = await OllamaRegistry.pull(name)
  const manifest = join(home, 'ollama/manifests', server.host, 'user/mixtral/latest')
  const pid = spawnSync(process.execPath, ['-e', '']).pid
  let host = ''
  await withLock(path, {}, async () => {
    host = readdirSync(dirname(path))
      .find((file) => file.includes('~lock'))!
      .split('.')[3]!
  })
  const dead = `~lock.${pid}.1.${host}.0123abcd`
  const leftovers: [what: string, leave: () => void][] = [
    ['before the draft of the manifest was renamed', () => writeFileSync(`${manifest}~draft`, model.manifest.slice(0, 100))],
    ['after the manifest was written', () => writeFileSync(manifest + dead, '')],
    ['after the file had its name', () => writeFileSync(path + dead, '')],
    ['before the log was deleted', () => writeFileSync(`${path}.partial.log`, '{}\n')],
    ['while wrong bytes were deleted', () => writeFileSync(`${path}.partial`, 'x')],
    [
      'while it came, twice',
      () => {
        rmSync(path)
        for (const end of [dead, dead.replace('0123', '4567'), '.partial', '.partial.log']) writeFileSync(path + end, '')
      },
    ],
  ]
  for (const [what, leave] of leftovers) {
    leave()
    await listLocalModels()
    await OllamaRegistry.pull(name)
    expect(filesIn(home).sort(), what).toEqual(wholeStore(model))
    expect(readFileSync(path).equals(weights)).toBe(true)
  }
})

test('a draft of a record that a kill left is replaced', async () => {
  addRepository({ 'mix.gguf': randomBytes(1000) })
  const folder = join(home, 'huggingface/owner/repo/main')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'mix.gguf.source.json~draft'), '{"addr')
  await HuggingFace.pull('owner/repo')
  expect(readdirSync(folder).sort()).toEqual(['mix.gguf', 'mix.gguf.source.json'])
})

test('of two pulls at once one waits for the other, and the bytes come once', async () => {
  const name = server.addOllama(model)
  server.settings.trickle = 16_384
  const waited: number[] = []
  const running = pullInChild(name)
  while (!server.seen.some(({ path }) => path.endsWith(digestOf(weights)))) await sleep(5)
  const [path, { output }] = await Promise.all([OllamaRegistry.pull(name, { onWait: (pid) => waited.push(pid) }), running.ended])
  expect(output).toBe(path)
  expect(waited).toHaveLength(1)
  expect(server.sent).toBe([...model.blobs.values()].reduce((sum, blob) => sum + blob.length, 0))
})

test('an aborted pull is ABORTED, and so is one that waits for a lock', async () => {
  const name = server.addOllama(model)
  server.settings.trickle = 16_384
  const [first, second] = [new AbortController(), new AbortController()]
  const pulling = OllamaRegistry.pull(name, { signal: first.signal })
  while (!server.seen.some(({ path }) => path.endsWith(digestOf(weights)))) await sleep(5)
  const waiting = OllamaRegistry.pull(name, { signal: second.signal, onWait: () => second.abort() })
  await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' })
  first.abort()
  await expect(pulling).rejects.toMatchObject({ code: 'ABORTED' })
  expect(filesIn(home).some((file) => file.includes('~lock'))).toBe(false)
})

const run = (command: string, ...args: string[]) => spawnSync(command, args).status === 0

/** A disk of a megabyte, where that can be had. */
function smallDisk(): boolean {
  mkdirSync(home)
  return run('mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', home)
}

test('a disk that is too small is told before a byte of the weights is asked for', async (context) => {
  if (!smallDisk()) return context.skip()
  try {
    await expect(OllamaRegistry.pull(server.addOllama(model))).rejects.toThrow(/needs 3\.0 MB more at .*, where 1\.\d MB are free$/)
    expect(server.sent).toBe(0)
  } finally {
    run('umount', home)
  }
})

test('a disk that fills up while the file comes is told, and the pull goes on when there is room', async (context) => {
  if (!smallDisk()) return context.skip()
  try {
    const name = server.addOllama(ollamaModel({}, weights.subarray(0, 900_000)))
    server.settings.fault = () => {
      writeFileSync(join(home, 'other'), new Uint8Array(300_000)) // another program is faster
      return undefined
    }
    await expect(OllamaRegistry.pull(name)).rejects.toMatchObject({ code: 'IO', message: expect.stringContaining('ENOSPC') })
    expect(await findLocalModel(name)).toBeUndefined()
    delete server.settings.fault
    rmSync(join(home, 'other'))
    expect(readFileSync(await OllamaRegistry.pull(name))).toHaveLength(900_000)
  } finally {
    run('umount', home)
  }
})
