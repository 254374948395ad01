// A model by any name: what is on this machine is taken as it is, what is not is judged by its header before it is
// pulled.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { MixtralModel } from '../../dist/index.js'
import { type ModelHeader, obtainModel, readModelHeader } from '../../dist/registry/obtain.js'
import { ollamaModel } from './ollamaModel.js'
import { useRegistry } from './useRegistry.js'

const { server, root, newFolder } = useRegistry()
const demo = readFileSync(new URL('../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))
const model = ollamaModel({ system: 'Be brief.', params: { num_ctx: 64 } }, demo)

let name: string
beforeAll(() => {
  process.env.OLLAMA_MODELS = join(root, 'no-ollama')
  process.env.HF_HUB_CACHE = join(root, 'no-hub')
})
beforeEach(() => {
  process.env.MIXTRAL_HOME = newFolder()
  name = server.addOllama(model)
})

const manifestRequests = () => server.seen.filter(({ path }) => path.includes('/manifests/')).length

test('a model that is not here is judged by its header and its layers, then pulled, and its source is asked once', async () => {
  const headers: ModelHeader[] = []
  const loaded: number[] = []
  const local = await obtainModel(name, {
    beforePull: (header) => {
      headers.push(header)
      expect(existsSync(process.env.MIXTRAL_HOME!)).toBe(false)
    },
    onProgress: (progress) => loaded.push(progress.loaded),
  })
  expect(headers).toMatchObject([{ name, local: undefined, layers: { system: 'Be brief.' } }])
  expect(headers[0]!.gguf.metadata.get('general.architecture')).toBe('llama')
  expect(headers[0]!.bytes).toBe([...model.blobs.values()].reduce((sum, { length }) => sum + length, 0))
  expect(local).toMatchObject({ name, store: 'mixtral', bytes: demo.length, layers: { system: 'Be brief.' } })
  expect(readFileSync(local.path).equals(demo)).toBe(true)
  expect(loaded.at(-1)).toBe(headers[0]!.bytes)
  expect(manifestRequests()).toBe(1)
})

test('what the judge throws ends the call, with nothing of the weights downloaded', async () => {
  const tooLarge = new Error('too large')
  const judge = async () => {
    throw tooLarge
  }
  await expect(obtainModel(name, { beforePull: judge })).rejects.toBe(tooLarge)
  expect(existsSync(process.env.MIXTRAL_HOME!)).toBe(false)
})

test('a model that is here is neither judged nor asked for, unless it is to be updated', async () => {
  const first = await obtainModel(name)
  server.seen.length = 0
  const judge = () => {
    throw new Error('must not be called')
  }
  expect(await obtainModel(name, { beforePull: judge })).toEqual(first)
  expect(server.seen).toEqual([])
  server.addOllama(ollamaModel({ system: 'Be long.' }, demo))
  expect(await obtainModel(name, { beforePull: judge, update: true })).toMatchObject({ layers: { system: 'Be long.' } })
  expect(manifestRequests()).toBe(1)
})

test('a model that was found is loaded without another look-up of its name, and with its layers', async () => {
  const local = await obtainModel(name)
  await using loaded = await MixtralModel.load({ ...local, name: 'no model has this name' })
  expect(loaded.contextLength).toBe(64)
})

test('a header is the same from the source and from the disk', async () => {
  const remote = await readModelHeader(name)
  const path = (await obtainModel(name)).path
  const local = await readModelHeader(name)
  expect(remote.local).toBeUndefined()
  expect(local.local?.path).toBe(path)
  expect([...local.gguf.tensors.keys()]).toEqual([...remote.gguf.tensors.keys()])
  expect(local.layers).toEqual(remote.layers)
})

test('a signal that has fired ends the call, for a model that is here too', async () => {
  const signal = AbortSignal.abort('no longer needed')
  for (const text of [name, 'demo']) {
    await expect(obtainModel(text, { signal })).rejects.toMatchObject({ code: 'ABORTED', cause: 'no longer needed' })
  }
})

test('a name that is near one on this machine, and that its source does not have or cannot be asked for, is told so', async () => {
  await obtainModel(name)
  const near = `; did you mean ${name}?`
  const mistyped = name.replace('mixtral', 'mixtrall')
  await expect(obtainModel(mistyped)).rejects.toThrow(near)
  await expect(readModelHeader(mistyped)).rejects.toMatchObject({ code: 'IO', message: expect.stringContaining(near) })
  await expect(obtainModel('localhost:1/other')).rejects.toThrow(/^(?!.*did you mean)/)
})
