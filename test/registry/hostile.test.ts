// What hubs, servers and other users of a machine may try: files of two versions, links where a store writes, names
// that are those of its own files, secrets in addresses, hashes that are missing.

import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { limits } from '../../dist/base/limits.js'
import { modelNameText, parseModelName, type RemoteName } from '../../dist/registry/names/modelName.js'
import { obtainModel } from '../../dist/registry/obtain.js'
import { HuggingFace, OllamaRegistry } from '../../dist/registry/registries.js'
import { findLocalModel, listLocalModels } from '../../dist/registry/stores/localModels.js'
import { readLayers } from '../../dist/registry/stores/ollamaLayers.js'
import { parseManifest } from '../../dist/registry/stores/ollamaManifest.js'
import { OwnStore } from '../../dist/registry/stores/ownStore.js'
import { download, type Pace } from '../../dist/registry/transfer/download.js'
import { partialOf } from '../../dist/registry/transfer/partialFile.js'
import { mixtral } from '../interfaces/cli/mixtral.js'
import { demoPath } from '../runtime/model/demoFiles.js'
import { randomBytes } from './randomBytes.js'
import { useRegistry } from './useRegistry.js'

const { server, root, newFolder } = useRegistry()
const [one, two] = [randomBytes(3_000_000, 1), randomBytes(3_000_000, 2)]
const commit = 'c'.repeat(40)
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

let home: string
beforeEach(() => {
  home = newFolder()
  Object.assign(process.env, {
    MIXTRAL_HOME: home,
    OLLAMA_MODELS: join(root, 'none'),
    HF_HUB_CACHE: join(root, 'none'),
    HF_ENDPOINT: `http://${server.host}`,
  })
})

const addressOf = (file = '/d/m.gguf') => `http://${server.blobHost}${file}`
const pull = (address: string, onUnverified?: () => void) => obtainModel(address, { update: true, ...(onUnverified && { onUnverified }) })
const contains = (file: string, bytes: Uint8Array) => fs.readFileSync(file).equals(bytes)
function addRepository(files: readonly { name: string; bytes: Uint8Array; lfs?: boolean; claims?: number }[]): void {
  const siblings = files.map(({ name, bytes, lfs = true, claims = bytes.length }) => ({
    rfilename: name,
    size: claims,
    ...(lfs && { lfs: { sha256: sha256(bytes), size: claims } }),
  }))
  server.answers.set('/api/models/owner/repo/revision/main?blobs=true', JSON.stringify({ sha: commit, siblings }))
  for (const { name, bytes } of files)
    server.files.set(`/owner/repo/resolve/${commit}/${name.split('/').map(encodeURIComponent).join('/')}`, bytes)
}

/** Pulls until some bytes are there, and is stopped. */
async function stopped(address: string): Promise<void> {
  const controller = new AbortController()
  server.settings.trickle = 16_384
  const onProgress = ({ loaded }: { loaded: number }) => loaded > 1_000_000 && controller.abort()
  await expect(obtainModel(address, { update: true, onProgress, signal: controller.signal })).rejects.toMatchObject({ code: 'ABORTED' })
  delete server.settings.trickle
}

test.each([true, false])('a download that goes on is of one version, also where nobody tells versions (%s)', async (unversioned) => {
  server.settings.unversioned = unversioned
  server.files.set('/d/m.gguf', one)
  await stopped(addressOf())
  server.files.set('/d/m.gguf', two)
  expect(contains((await pull(addressOf())).path, two)).toBe(true)
})

test('a partial file that a kill has left is not used where nobody tells versions', async () => {
  const target = join(home, 'm.gguf')
  fs.mkdirSync(home)
  fs.writeFileSync(partialOf(target), one)
  fs.writeFileSync(`${target}.partial.log`, `{"bytes":${one.length},"identity":"","model":"m"}\n0 2000000\n`)
  server.files.set('/d/m.gguf', two)
  await download({ address: addressOf(), name: 'm', bytes: two.length }, target)
  expect(contains(target, two)).toBe(true)
})

test('a connection that breaks is begun anew where nobody tells versions, and given up in the end', async () => {
  const pace: Pace = { connections: 4, rangeBytes: 500_000, writeBytes: 10_000, attempts: 3, delayMs: 1, stallMs: 5000 }
  server.settings.unversioned = true
  server.files.set('/d/m.gguf', one)
  server.settings.fault = (n) => {
    if (n === 0) setTimeout(() => server.files.set('/d/m.gguf', two), 1)
    return n === 0 ? { cutAfter: 2_000_000 } : undefined
  }
  const target = join(home, 'm.gguf')
  await download({ address: addressOf(), name: 'm', bytes: two.length }, target, { pace })
  expect(contains(target, two)).toBe(true)
  expect(server.seen.map(({ range }) => range)).toEqual(['bytes=0-2999999', 'bytes=0-2999999'])
  server.settings.fault = () => ({ cutAfter: 1_000_000 })
  const refused = download({ address: addressOf(), name: 'm', bytes: two.length }, join(home, 'n.gguf'), { pace })
  await expect(refused).rejects.toThrow('3 times in a row')
  expect(fs.readdirSync(home)).toEqual(['m.gguf'])
})

test('an answer without the version that the others have is another version', async () => {
  server.files.set('/d/m.gguf', one)
  server.settings.fault = (n) => {
    server.settings.unversioned = n > 0
    return undefined
  }
  await pull(addressOf()).then(
    () => expect.fail('it was taken'),
    (error) => expect(error.message).toContain('it is of no version, expected ETag'),
  )
})

test.each([true, false])('a newer version of the same size is noticed by the next pull (no versions: %s)', async (unversioned) => {
  server.settings.unversioned = unversioned
  server.files.set('/d/m.gguf', one)
  const { path } = await pull(addressOf())
  server.files.set('/d/m.gguf', two)
  expect(contains((await pull(addressOf())).path, two)).toBe(true)
  fs.rmSync(`${path}.source.json`) // without a record, nobody knows what the file is
  server.files.set('/d/m.gguf', one)
  expect(contains((await pull(addressOf())).path, one)).toBe(true)
})

test('shards of which nobody tells versions are pulled whole', async () => {
  server.settings.unversioned = true
  const shards = [1, 2, 3].map((n) => [`/d/m-0000${n}-of-00003.gguf`, randomBytes(1000, n)] as const)
  for (const [file, bytes] of shards) server.files.set(file, bytes)
  for (let times = 0; times < 2; times++) {
    const { path } = await pull(addressOf(shards[0]![0]))
    for (const [n, [, bytes]] of shards.entries()) expect(contains(path.replace('-00001-', `-0000${n + 1}-`), bytes)).toBe(true)
  }
})

test('what nobody has named a hash of is said to be unverified', async () => {
  server.files.set('/d/m.gguf', one)
  addRepository([
    { name: 'a.gguf', bytes: one },
    { name: 'b.gguf', bytes: two, lfs: false },
  ])
  let said = 0
  const count = () => void said++
  await HuggingFace.pull('owner/repo/a.gguf', { onUnverified: count })
  expect(said).toBe(0)
  await HuggingFace.pull('owner/repo/b.gguf', { onUnverified: count })
  await pull(addressOf(), count)
  expect(said).toBe(2)
  const { stdout, stderr } = await mixtral(['pull', addressOf()])
  expect(stderr).toBe(`${addressOf()}: unverified, since its source names no hash\n`)
  expect(fs.existsSync(stdout.trim())).toBe(true)
  expect(JSON.parse((await mixtral(['pull', addressOf(), '--json'])).stdout)).toMatchObject({ verified: false })
  expect(JSON.parse((await mixtral(['pull', 'hf:owner/repo/a.gguf', '--json'])).stdout)).toMatchObject({ verified: true })
})

test('a large file that the hub names no hash of is refused', async () => {
  const { most } = limits.unhashedFile
  addRepository([{ name: 'a.gguf', bytes: one, lfs: false, claims: most + 1 }])
  await expect(HuggingFace.pull('owner/repo/a.gguf')).rejects.toMatchObject({
    code: 'IO',
    message: expect.stringContaining('names no SHA-256'),
  })
})

const posix = process.platform !== 'win32'

test.runIf(posix)('a link is not followed where the store writes', async () => {
  const victims = ['partial', 'log', 'record', 'manifest', 'second'].map((name) => join(root, `victim-${name}`))
  for (const victim of victims) fs.writeFileSync(victim, 'precious')
  const [partial, log, record, manifest, second] = victims as [string, string, string, string, string]
  const folder = new OwnStore(home).folderOf(parseModelName(addressOf()) as RemoteName & { kind: 'url' })
  fs.mkdirSync(folder, { recursive: true })
  for (const [name, victim] of [
    ['.partial', partial],
    ['.partial.log', log],
    ['.source.json', record],
    ['.source.json~draft', record],
  ]) {
    fs.symlinkSync(victim!, join(folder, `m.gguf${name}`))
  }
  server.files.set('/d/m.gguf', one)
  const { path } = await pull(addressOf())
  expect(fs.readdirSync(folder).sort()).toEqual(['m.gguf', 'm.gguf.source.json'])
  for (const file of fs.readdirSync(folder)) expect(fs.lstatSync(join(folder, file)).isFile()).toBe(true)
  expect(contains(path, one)).toBe(true)

  // The log says that the partial file has all its bytes; it has a second name, or is a link.
  const version = JSON.parse(fs.readFileSync(`${path}.source.json`, 'utf8')).version
  for (const link of [fs.linkSync, fs.symlinkSync]) {
    fs.rmSync(path)
    fs.truncateSync(second)
    link(second, partialOf(path))
    fs.writeFileSync(`${path}.partial.log`, `${JSON.stringify({ bytes: one.length, identity: version, model: addressOf() })}\n`)
    await pull(addressOf())
    expect(contains(path, one)).toBe(true)
  }

  const name = server.addOllama({ manifest: '{}', blobs: new Map() } as never)
  const at = new OwnStore(home).ollama.manifestPath(parseModelName(name) as RemoteName & { kind: 'ollama' })
  fs.mkdirSync(join(at, '..'), { recursive: true })
  fs.symlinkSync(manifest, `${at}~draft`)
  fs.symlinkSync(manifest, at)
  await new OwnStore(home).putManifest(parseModelName(name) as RemoteName & { kind: 'ollama' }, '{}')
  expect(fs.lstatSync(at).isFile()).toBe(true)
  expect(victims.map((victim) => fs.readFileSync(victim, 'utf8'))).toEqual(['precious', 'precious', 'precious', 'precious', ''])
})

test.runIf(posix)('a store that the program makes is private, and one that others share stays shared', async () => {
  server.files.set('/d/m.gguf', one)
  const modesOf = () =>
    fs
      .readdirSync(home, { recursive: true, encoding: 'utf8' })
      .map((name) => fs.statSync(join(home, name)))
      .map((stats) => (stats.isDirectory() ? 'folder ' : 'file ') + (stats.mode & 0o777).toString(8))
  const umask = process.umask(0o002)
  try {
    await stopped(addressOf())
    expect(fs.statSync(home).mode & 0o777).toBe(0o700)
    expect(new Set(modesOf())).toEqual(new Set(['folder 700', 'file 600']))
    await pull(addressOf())
    expect(new Set(modesOf())).toEqual(new Set(['folder 700', 'file 600']))
    home = process.env.MIXTRAL_HOME = newFolder()
    fs.mkdirSync(home, { mode: 0o775 })
    await pull(addressOf())
    expect(new Set(modesOf())).toEqual(new Set(['folder 775', 'file 664']))
  } finally {
    process.umask(umask)
  }
})

test('a name in a repository cannot keep a model out', async () => {
  const evil = [
    'm.gguf~lock.1..deadbeef.deadbeef/x.gguf',
    'm.gguf.source.json/x.gguf',
    'm.gguf.partial/x.gguf',
    'm.gguf.partial.log/x.gguf',
  ]
  addRepository([{ name: 'm.gguf', bytes: one }, ...evil.map((name) => ({ name, bytes: two }))])
  for (const name of evil) await expect(HuggingFace.pull(`owner/repo/${name}`)).rejects.toMatchObject({ code: 'IO' })
  // Not even if it is there already, from an older version: a lock is a file.
  const folder = join(home, 'huggingface/owner/repo/main')
  fs.mkdirSync(join(folder, 'm.gguf~lock.1..deadbeef.deadbeef'), { recursive: true })
  const path = await HuggingFace.pull('owner/repo/m.gguf')
  expect(contains(path, one)).toBe(true)
})

test('whatever stands in the way of a file of the store is told as a MixtralError', async () => {
  addRepository([{ name: 'm.gguf', bytes: one }])
  for (const blocked of ['m.gguf', 'm.gguf.partial', 'm.gguf.partial.log', 'm.gguf.source.json']) {
    home = process.env.MIXTRAL_HOME = newFolder()
    fs.mkdirSync(join(home, 'huggingface/owner/repo/main', blocked, 'x'), { recursive: true })
    await expect(HuggingFace.pull('owner/repo/m.gguf'), blocked).rejects.toMatchObject({ name: 'MixtralError', code: 'IO' })
  }
})

const nested = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
const strange = [
  nested,
  '{"toString":1,"valueOf":2}',
  '{"__proto__":1}',
  '"\\u0000"',
  '1e999',
  '-0',
  'null',
  '[[]]',
  `"${'x'.repeat(100_000)}"`,
]
const digest = `sha256:${'a'.repeat(64)}`

test('whatever a hub lists, the answer is a list or a MixtralError', async () => {
  const lists = (value: string) => [
    value,
    `{"sha":${value},"siblings":[]}`,
    `{"sha":"${commit}","siblings":${value}}`,
    ...['rfilename', 'size', 'lfs'].map((key) => `{"sha":"${commit}","siblings":[{"rfilename":"a.gguf","size":1,"${key}":${value}}]}`),
    ...['sha256', 'size'].map((key) => `{"sha":"${commit}","siblings":[{"rfilename":"a.gguf","lfs":{"size":1,"${key}":${value}}}]}`),
  ]
  for (const answer of strange.flatMap(lists)) {
    server.answers.set('/api/models/owner/repo/revision/main?blobs=true', answer)
    const error = await HuggingFace.pull('owner/repo').catch((thrown) => thrown)
    if (typeof error === 'string') continue // a file of no bytes is one
    expect(error, answer.slice(0, 200)).toMatchObject({ name: 'MixtralError', code: 'IO' })
    expect(error.message.length).toBeLessThanOrEqual(limits.errorText.most)
  }
})

test('whatever a manifest says, the answer is a manifest or a MixtralError', () => {
  const layer = (key: string, value: string) =>
    `{"mediaType":"application/vnd.ollama.image.model","digest":"${digest}","size":1,"${key}":${value}}`
  const manifests = (value: string) => [
    value,
    ...['schemaVersion', 'layers', 'config'].map(
      (key) => `{"schemaVersion":2,"config":${layer('x', '1')},"layers":[${layer('x', '1')}],"${key}":${value}}`,
    ),
    ...['mediaType', 'digest', 'size'].map((key) => `{"schemaVersion":2,"config":${layer('x', '1')},"layers":[${layer(key, value)}]}`),
  ]
  for (const text of strange.flatMap(manifests)) {
    try {
      parseManifest(text, 'm')
    } catch (error) {
      expect(error, text.slice(0, 200)).toMatchObject({ name: 'MixtralError' })
    }
  }
})

test('whatever parameters and messages a model brings, they are read or a MixtralError', async () => {
  for (const kind of ['params', 'messages'] as const) {
    const texts = strange.flatMap((value) => [
      value,
      `{"stop":${value}}`,
      `[{"role":${value},"content":"x"}]`,
      `[{"role":"user","content":${value}}]`,
    ])
    for (const text of texts) {
      const error = await readLayers([{ kind, digest, bytes: 1 }], 'm', async () => text).then(
        () => undefined,
        (thrown) => thrown,
      )
      if (error !== undefined) expect(error, text.slice(0, 200)).toMatchObject({ name: 'MixtralError', code: 'IO' })
    }
  }
})

test('the signature in an address is neither shown nor kept', async () => {
  const file = '/d/m.gguf?X-Amz-Signature=SECRET'
  server.files.set(file, fs.readFileSync(demoPath()))
  await stopped(addressOf(file))
  const everything = () =>
    fs
      .readdirSync(home, { recursive: true, encoding: 'utf8' })
      .filter((name) => fs.statSync(join(home, name)).isFile() && !/\.(gguf|partial)$/.test(name))
      .map((name) => name + fs.readFileSync(join(home, name), 'utf8'))
      .join()
  expect(everything()).not.toContain('SECRET')
  const shown = modelNameText(parseModelName(addressOf(file)))
  expect(await new OwnStore(home).unfinished()).toMatchObject([{ name: shown }])
  const pulled = await mixtral(['pull', addressOf(file)])
  expect(pulled.stdout + pulled.stderr + everything()).not.toContain('SECRET')
  expect(await listLocalModels()).toMatchObject([{ name: shown }])
  expect(await findLocalModel(shown)).toMatchObject({ name: shown })
  await expect(pull(shown)).rejects.toThrow('expected the address itself')
  server.files.clear()
  await expect(pull(addressOf(file))).rejects.toThrow(/^(?!.*SECRET)there is no http/)
  expect((await mixtral(['rm', shown])).stdout).toContain(`${shown}: 7.3 MB freed`)
  expect(await listLocalModels()).toEqual([])
})

test.each(['http://example.invalid', 'http://10.0.0.1:8080', 'ftp://127.0.0.1', 'http://127.0.0.1.example.invalid', 'https://300.1.1.1'])(
  'HF_ENDPOINT=%s is refused before anything is sent',
  async (endpoint) => {
    process.env.HF_ENDPOINT = endpoint
    await expect(HuggingFace.pull('owner/repo')).rejects.toThrow(`HF_ENDPOINT is "${endpoint}", expected an https address`)
  },
)

test.each(['300.1.1.1/a/b', '127.999.1.1/a/b:c', '1.2.3.4.5/a/b', 'xn--a.com/a/b'])(
  'the host of %s is refused as no host',
  async (name) => {
    await expect(OllamaRegistry.pull(name)).rejects.toMatchObject({
      name: 'MixtralError',
      code: 'IO',
      message: expect.stringContaining('is not a host'),
    })
  },
)
