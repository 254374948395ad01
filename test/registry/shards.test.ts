// Pulls of sharded models: a set is of one version, at every moment.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { type HuggingFaceName, parseModelName } from '../../dist/registry/names/modelName.js'
import { HuggingFace, OllamaRegistry } from '../../dist/registry/registries.js'
import { findLocalModel, listLocalModels } from '../../dist/registry/stores/localModels.js'
import { OwnStore } from '../../dist/registry/stores/ownStore.js'
import { ollamaModel } from './ollamaModel.js'
import { randomBytes, randomNumbers } from './randomBytes.js'
import { useRegistry } from './useRegistry.js'

const { server, root, newFolder } = useRegistry()
const child = fileURLToPath(new URL('pullChild.mjs', import.meta.url))

let home: string
let folder: string
beforeAll(() => {
  process.env.HF_HUB_CACHE = join(root, 'no-hub')
  process.env.HF_ENDPOINT = `http://${server.host}`
  process.env.OLLAMA_MODELS = join(root, 'no-ollama')
})
beforeEach(() => {
  home = newFolder()
  process.env.MIXTRAL_HOME = home
  folder = join(home, 'huggingface/owner/repo/main')
})

type Version = readonly Uint8Array[]
const names = ['mix-00001-of-00003.gguf', 'mix-00002-of-00003.gguf', 'mix-00003-of-00003.gguf']
const version = (...seeds: number[]): Version => seeds.map((seed, index) => randomBytes(40_000 + 10_000 * index, seed))
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** Makes a version the repository's newest commit. The files of older ones stay. */
function publish(shards: Version, commit: string, lfs = true): void {
  const siblings = shards.map((bytes, index) => {
    server.files.set(`/owner/repo/resolve/${commit.repeat(40)}/${names[index]}`, bytes)
    return { rfilename: names[index], size: bytes.length, ...(lfs && { lfs: { sha256: sha256(bytes), size: bytes.length } }) }
  })
  server.answers.set('/api/models/owner/repo/revision/main?blobs=true', JSON.stringify({ sha: commit.repeat(40), siblings }))
}

/** The bytes of all files. Undefined if one is missing, or if they are replaced meanwhile: the first comes last. */
function readAll(files: readonly string[]): Buffer[] | undefined {
  const first = () => {
    const { ino, ctimeMs } = statSync(files[0]!)
    return `${ino} ${ctimeMs}`
  }
  try {
    const before = first()
    const found = files.map((file) => readFileSync(file))
    return first() === before ? found : undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Which of these versions is in the store as a whole; undefined if the set is not complete. Fails for a mixed one. */
function versionHere(versions: readonly Version[]): number | undefined {
  const files = names.map((name) => join(folder, name))
  const found = readAll(files)
  if (!found) return undefined
  const which = versions.findIndex((shards) => shards.every((bytes, index) => found[index]!.equals(bytes)))
  expect(which, 'the shards in the store are of one version').toBeGreaterThanOrEqual(0)
  return which
}

const listAsked = () => server.seen.filter(({ path }) => path.startsWith('/api/models')).length

/** Begins a pull, and waits until it has been told the newest commit. */
async function begin<T>(pull: () => Promise<T>): Promise<{ readonly ended: Promise<T> }> {
  const before = listAsked()
  const ended = pull()
  ended.catch(() => {})
  while (listAsked() === before) await sleep(1)
  return { ended }
}

function pullInChild(name: string) {
  const running = spawn(process.execPath, [child, name], { env: process.env, stdio: 'ignore' })
  const ended = new Promise<number | null>((resolve) => running.on('close', resolve))
  return { ended, kill: () => running.kill('SIGKILL') }
}

test.each<[what: string, old: Version | undefined, first: Version, second: Version]>([
  ['none is here', undefined, version(1, 2, 3), version(4, 5, 6)],
  ['an old one is here', version(7, 8, 9), version(1, 2, 3), version(4, 5, 6)],
  ['one shard is the same in both', version(7, 8, 9), version(1, 2, 3), version(1, 5, 6)],
  ['one shard is new in one, another in the other', version(1, 2, 3), version(4, 2, 3), version(1, 2, 6)],
  ['one of them is here', version(1, 2, 3), version(1, 2, 3), version(4, 5, 6)],
])('two pulls of different commits at the same moment, %s: the result is one of them, whole', async (_, old, first, second) => {
  for (const [delay, lfs] of [
    [0, true],
    [12, false],
    [40, true],
  ] as const) {
    home = newFolder()
    process.env.MIXTRAL_HOME = home
    folder = join(home, 'huggingface/owner/repo/main')
    if (old) {
      publish(old, 'a', lfs)
      await HuggingFace.pull('owner/repo')
    }
    server.settings.trickle = 8192
    publish(first, 'b', lfs)
    const one = await begin(() => HuggingFace.pull('owner/repo'))
    await sleep(delay)
    publish(second, 'c', lfs)
    const other = await begin(() => HuggingFace.pull('owner/repo'))
    let isOver = false
    const both = Promise.all([one.ended, other.ended]).finally(() => {
      isOver = true
    })
    both.catch(() => {})
    const versions = [first, second, ...(old ? [old] : [])]
    while (!isOver) {
      versionHere(versions)
      await sleep(1)
    }
    expect(await both).toEqual(Array(2).fill(join(folder, names[0]!)))
    expect([0, 1]).toContain(versionHere(versions))
    expect(readdirSync(folder).sort()).toEqual(names.flatMap((name) => [name, `${name}.source.json`]))
    delete server.settings.trickle
  }
})

test('processes that pull different commits and are killed leave the old version or a new one, whole, or what the next pull ends', async () => {
  const versions = [version(1, 2, 3), version(4, 5, 6), version(7, 8, 9)]
  const random = randomNumbers(24)
  publish(versions[0]!, 'a')
  await HuggingFace.pull('owner/repo')
  server.settings.trickle = 16_384
  for (let n = 0; n < 4; n++) {
    publish(versions[n % 3]!, 'abc'[n % 3]!)
    const one = await begin(async () => pullInChild('hf:owner/repo'))
    publish(versions[(n + 1) % 3]!, 'abc'[(n + 1) % 3]!)
    const other = await begin(async () => pullInChild('hf:owner/repo'))
    await sleep(random() * 120)
    const running = [await one.ended, await other.ended]
    for (const { kill } of running) kill()
    for (const { ended } of running) await ended
    versionHere(versions)
  }
  delete server.settings.trickle
  publish(versions[1]!, 'b')
  await HuggingFace.pull('owner/repo')
  expect(versionHere(versions)).toBe(1)
  expect(readdirSync(folder).sort()).toEqual(names.flatMap((name) => [name, `${name}.source.json`]))
})

/** A pull that is aborted before it gets the last shard. */
async function cutOff(): Promise<void> {
  const controller = new AbortController()
  server.settings.fault = (_, request) => {
    if (!request.path.includes('00003-of')) return undefined
    controller.abort()
    return { stallAfter: 0 }
  }
  await expect(HuggingFace.pull('owner/repo', { signal: controller.signal })).rejects.toMatchObject({ code: 'ABORTED' })
  delete server.settings.fault
}

test('an update that is cut off leaves the old model; rm clears both away; the next pull goes on, and hashes no shard twice', async () => {
  const [old, next] = [version(1, 2, 3), version(1, 5, 6)]
  publish(old, 'a')
  const path = await HuggingFace.pull('owner/repo')
  publish(next, 'b')
  await cutOff()
  expect((await findLocalModel('hf:owner/repo'))?.path).toBe(path)
  expect(versionHere([old, next])).toBe(0)
  expect(readFileSync(join(folder, `${names[1]}.partial.log`), 'utf8')).toContain(`\nsha256 ${sha256(next[1]!)}\n`)

  await new OwnStore(home).remove(parseModelName('hf:owner/repo') as HuggingFaceName)
  expect(existsSync(join(home, 'huggingface'))).toBe(false)
  expect(await listLocalModels()).toEqual([])
  await cutOff()
  server.sent = 0
  expect(await HuggingFace.pull('owner/repo')).toBe(path)
  expect(versionHere([old, next])).toBe(1)
  expect(server.sent).toBe(next[2]!.length)
})

test('a shard that is deleted while it waits for the others is downloaded again', async () => {
  const shards = version(1, 2, 3)
  publish(shards, 'a')
  await cutOff()
  truncateSync(join(folder, `${names[0]}.partial`), 100)
  await HuggingFace.pull('owner/repo')
  expect(versionHere([shards])).toBe(0)
})

test('two pulls of different versions of one Ollama model leave one of them, whole', async () => {
  const models = [ollamaModel({ template: 'a' }, randomBytes(300_000, 1)), ollamaModel({ template: 'b' }, randomBytes(300_000, 2))]
  for (const delay of [0, 20]) {
    process.env.MIXTRAL_HOME = newFolder()
    server.settings.trickle = 16_384
    const manifests = () => server.seen.filter(({ path }) => path.includes('/manifests/')).length
    const pulls = []
    for (const model of models) {
      const name = server.addOllama(model)
      const before = manifests()
      pulls.push(OllamaRegistry.pull(name))
      while (manifests() === before) await sleep(1)
      await sleep(delay)
    }
    const paths = await Promise.all(pulls)
    const name = server.addOllama(models[0]!)
    const here = await findLocalModel(name)
    expect(paths).toContain(here?.path)
    expect(models.map(({ weights }) => weights)).toContainEqual(new Uint8Array(readFileSync(here!.path)))
    delete server.settings.trickle
  }
})
