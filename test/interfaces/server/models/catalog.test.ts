import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Ollama } from 'ollama'
import { describe, expect, test } from 'vitest'
import { LoadableModel } from '../../../../dist/interfaces/server/models/loadableModel.js'
import { LocalOffers } from '../../../../dist/interfaces/server/models/localOffers.js'
import { ModelHeaders } from '../../../../dist/interfaces/server/models/modelHeaders.js'
import { createApp, ModelCatalog } from '../../../../dist/server.js'
import { ollamaModel } from '../../../registry/ollamaModel.js'
import { capital, endless, type Json, ndjson, sseEvents, until } from '../served.js'
import { demoFile, demoPath, load, model, ownStore, store, storeInHub, useMachine } from './machine.js'

const machine = useMachine()
const answer = 'The capital of France is Paris.'
const chat = (name?: string) => ({ model: name, messages: capital, temperature: 0 })
const client = () => new Ollama({ host: machine.running.url })
const names = async () => (await machine.get('/api/ps')).models.map(({ name }: Json) => name)

/** Models in every store. */
function fillStores(): void {
  store(ownStore(), 'ours:8x7b', model())
  store(process.env.OLLAMA_MODELS!, 'theirs', model({ system: 'Be brief.', params: { temperature: 0 } }))
  store(process.env.OLLAMA_MODELS!, 'llama3', ollamaModel({}, Buffer.from('GGUF no Mixtral')))
  storeInHub('owner', 'repo', 'demo.Q4_K_M.gguf')
}

describe('names', () => {
  test('all that the command knows are listed, what cannot run is not; nothing is loaded for that', async () => {
    fillStores()
    await machine.start()
    const all = ['ours:8x7b', 'theirs:latest', 'hf:owner/repo/demo.Q4_K_M.gguf', 'demo']
    const { data } = await machine.get('/v1/models')
    expect(data.map(({ id }: Json) => id)).toEqual(all)
    expect(data[0]).toMatchObject({ object: 'model', meta: { n_ctx_train: 512, n_vocab: 2048, size: demoFile.length } })
    expect(data[0].meta).not.toHaveProperty('n_ctx')
    const { models } = await client().list()
    expect(models.map(({ name }) => name)).toEqual(all)
    const digest = expect.stringMatching(/^[\da-f]{64}$/)
    expect(models[1]).toMatchObject({ model: 'theirs:latest', size: demoFile.length, digest, details: { quantization_level: 'Q4_K_M' } })
    const shown = (await client().show({ model: 'theirs' })) as Json
    expect(shown).toMatchObject({
      system: 'Be brief.',
      parameters: expect.stringContaining('temperature'),
      details: { parameter_size: '11.7M' },
    })
    expect(shown.model_info['llama.expert_count']).toBe(8)
    const { id } = await machine.get(`/v1/models/${encodeURIComponent('hf:owner/repo:Q4_K_M')}`)
    expect(id).toBe('hf:owner/repo/demo.Q4_K_M.gguf')
    expect(JSON.stringify([data, models, shown])).not.toContain(machine.root)
    expect([machine.events, await names()]).toEqual([[], []])
  })

  test('a model answers by each of its names, and tells the one of the list', async () => {
    fillStores()
    await machine.start()
    for (const [asked, name] of [
      ['theirs', 'theirs:latest'],
      ['THEIRS:latest', 'theirs:latest'], // as Ollama has it
      ['hf:owner/repo:Q4_K_M', 'hf:owner/repo/demo.Q4_K_M.gguf'],
      ['demo:latest', 'demo'],
    ]) {
      const [status, body] = await machine.ask('/v1/chat/completions', { ...chat(asked), max_tokens: 3 })
      expect([asked, status, body.model]).toEqual([asked, 200, name])
      expect((await client().generate({ model: asked!, prompt: 'a', options: { num_predict: 1 } })).model).toBe(asked)
    }
    expect(await names()).toEqual(['demo', 'hf:owner/repo/demo.Q4_K_M.gguf', 'theirs:latest'])
  })

  test('paths, addresses and names without a model are 404 in the shape of the API; a missing one is 400 where it is needed', async () => {
    fillStores()
    await machine.start()
    const path = demoPath.pathname
    for (const asked of [
      'nobody',
      path,
      `file://${path}`,
      './x.gguf',
      'https://example.com/x.gguf',
      '../../etc/passwd',
      'a/b/c/d/e',
      '\u0000',
    ]) {
      expect(await machine.ask('/api/chat', { model: asked, messages: capital })).toEqual([404, { error: `model '${asked}' not found` }])
      expect(await machine.ask('/api/show', { model: asked })).toEqual([404, { error: `model '${asked}' not found` }])
      const [status, { error }] = await machine.ask('/v1/chat/completions', chat(asked))
      expect([status, error.code, error.type]).toEqual([404, 'model_not_found', 'not_found_error'])
    }
    expect(await machine.ask('/api/chat', { messages: capital })).toEqual([400, { error: 'model is required' }])
    const [status, { error }] = await machine.ask('/v1/chat/completions', chat())
    expect([status, error.param, error.message]).toEqual([400, 'model', expect.stringContaining('expected one of 3, such as ours:8x7b')])
    expect((await machine.ask('/v1/chat/completions', { ...chat(), model: 5 }))[0]).toBe(400)
    expect((await machine.ask('/api/chat', { model: 'demo', messages: capital, keep_alive: {} }))[0]).toBe(400)
    expect(machine.events).toEqual([])
    // with one in memory it is clear what is meant
    expect((await machine.ask('/v1/chat/completions', chat('theirs')))[1].choices[0].message.content).toBe(answer)
    expect((await machine.ask('/v1/chat/completions', chat()))[1].model).toBe('theirs:latest')
  })

  test('a request without a name means the demo where there is nothing else, and the only model beside it', async () => {
    await machine.start()
    expect((await machine.ask('/v1/chat/completions', chat()))[1].model).toBe('demo')
    await machine.stop()
    store(ownStore(), 'ours:8x7b', model())
    await machine.start()
    expect((await machine.ask('/v1/chat/completions', chat()))[1].model).toBe('ours:8x7b')
  })

  test('a list restricts what is offered; only it has paths', async () => {
    fillStores()
    await machine.start({ models: [demoPath.pathname, 'theirs', 'hf:owner/repo:Q4_K_M'] })
    const { data } = await machine.get('/v1/models')
    expect(data.map(({ id }: Json) => id)).toEqual(['tiny-mixtral.Q4_K_M', 'theirs:latest', 'hf:owner/repo:Q4_K_M'])
    for (const asked of ['tiny-mixtral.Q4_K_M', 'tiny-mixtral.Q4_K_M:latest', 'theirs', 'hf:owner/repo/demo.Q4_K_M.gguf']) {
      expect((await machine.ask('/v1/chat/completions', { ...chat(asked), max_tokens: 1 }))[0]).toBe(200)
    }
    for (const asked of ['ours:8x7b', 'demo', demoPath.pathname, 'tiny-mixtral.Q4_K_M.gguf/x']) {
      expect((await machine.ask('/v1/chat/completions', chat(asked)))[0]).toBe(404)
    }
    await expect(ModelCatalog.open({ models: ['nobody'] })).rejects.toMatchObject({ code: 'IO' })
    await expect(ModelCatalog.open({ models: [] })).rejects.toMatchObject({ code: 'OPTION' })
  })
})

describe('loads', () => {
  test('requests for one model share a load, and a model that cannot run says why to all, again and again', async () => {
    fillStores()
    await machine.start()
    const all = await Promise.all(Array.from({ length: 5 }, () => machine.ask('/v1/chat/completions', chat('theirs'))))
    expect(all.map(([status, body]) => [status, body.choices[0].message.content])).toEqual(Array(5).fill([200, answer]))
    expect(machine.events.filter(({ event }) => event === 'loaded')).toHaveLength(1)
    const failed = await Promise.all(Array.from({ length: 3 }, () => machine.ask('/api/chat', { model: 'llama3', messages: capital })))
    for (const [status, { error }] of failed) expect([status, error]).toEqual([400, 'model "llama3:latest" cannot be loaded: GGUF'])
    store(process.env.OLLAMA_MODELS!, 'llama3', model())
    expect((await machine.ask('/api/chat', { model: 'llama3', messages: capital, stream: false }))[0]).toBe(200)
  })

  test('while a model is loaded, streams have headers and signs of life, health answers, and an error is of its API', async () => {
    fillStores()
    await machine.start({}, { pingSeconds: 0.001 })
    const stream = await machine.post('/v1/chat/completions', { ...chat('theirs'), stream: true })
    const lines = machine.post('/api/chat', { model: 'theirs', messages: capital, options: { temperature: 0 } })
    const whole = await machine.post('/v1/chat/completions', chat('theirs'))
    expect((await machine.get('/health')).status).toBe('ok')
    const text = await stream.text()
    expect(text).toMatch(/^(:\n\n)+data: \{[^\n]*"role":"assistant"/)
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
    const objects = await ndjson(await lines)
    expect(objects.map(({ message }) => message.content).join('')).toBe(answer)
    expect(objects.slice(0, -1).every(({ done, model }) => !done && model === 'theirs')).toBe(true)
    expect(await whole.text()).toMatch(/^ +\{"id"/)

    const bad = await machine.post('/v1/chat/completions', { ...chat('llama3'), stream: true })
    expect(await sseEvents(bad)).toEqual([{ error: expect.objectContaining({ message: 'model "llama3:latest" cannot be loaded: GGUF' }) }])
    const badLines = await ndjson(await machine.post('/api/generate', { model: 'llama3', prompt: 'a' }))
    expect(badLines.at(-1)).toEqual({ error: 'model "llama3:latest" cannot be loaded: GGUF' })
    const badWhole = await machine.post('/api/generate', { model: 'llama3', prompt: 'a', stream: false })
    expect(JSON.parse(await badWhole.text())).toEqual({ error: 'model "llama3:latest" cannot be loaded: GGUF' })
    const late = await machine.post('/api/chat', { model: 'nobody', messages: capital })
    expect((await late.text()).trimEnd().split('\n').at(-1)).toBe('{"error":"model \'nobody\' not found"}')
  })

  test('the queue is bounded while a model is loaded, and who leaves then frees a place', async () => {
    store(ownStore(), 'ours', model())
    await machine.start({ load: { ...load, sequences: 1 } }, { maxQueue: 1, pingSeconds: 0.001 })
    const leaving = new AbortController()
    const first = machine.post('/v1/chat/completions', chat('ours'), { signal: leaving.signal })
    const second = machine.post('/v1/chat/completions', chat('ours'))
    const third = await Promise.race([1, 2, 3].map(() => machine.post('/v1/chat/completions', chat('ours'))))
    expect([third.status, third.headers.get('retry-after')]).toEqual([503, '2'])
    expect((await machine.post('/v1/chat/completions', chat('nobody'))).status).toBe(404) // it takes no place
    leaving.abort()
    await expect(first.then((response) => response.text())).rejects.toThrow()
    expect(JSON.parse(await (await second).text()).choices[0].message.content).toBe(answer)
  })
})

test("Ollama's answers tell how long a request waited for its model", async () => {
  fillStores()
  await machine.start()
  const ask = { model: 'ours:8x7b', messages: capital, options: { num_predict: 2 } }
  const first: Json = await client().chat(ask)
  expect(first.load_duration).toBeGreaterThan(1e6)
  const { load_duration: load, prompt_eval_duration: prompt, eval_duration: drawn } = first
  expect(first.total_duration).toBeGreaterThanOrEqual(load + prompt + drawn)
  const second: Json = await client().chat(ask)
  expect(second.load_duration).toBeUndefined()
  expect(second.total_duration).toBeGreaterThan(0)
})

const thrown = (): never => {
  throw new Error('mine')
}

test.each([
  ['throws', () => thrown()],
  ['is rejected', async () => thrown()],
])('a listener that %s ends no load, and options are checked before there is one', async (_, listen) => {
  const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
  let calls = 0
  const catalog = await ModelCatalog.open({
    models: ['demo'],
    load,
    onEvent() {
      calls++
      return listen()
    },
  })
  const app = createApp(catalog)
  const body = JSON.stringify(chat())
  expect((await app.fetch(new Request('http://localhost/v1/chat/completions', { method: 'POST', body }))).status).toBe(200)
  await catalog.close()
  expect([calls, (await warned).message]).toEqual([1, expect.stringContaining('mine')])
  for (const options of [
    { load: { threads: 0 } },
    { load: { ram: 1.5 } },
    { load: { name: 'x' } },
    { keepAliveSeconds: -1 },
    { keepAliveSeconds: Number.NaN },
    { models: 'demo' },
    { models: [''] },
    { onEvent: 1 },
    { unknown: 1 },
  ]) {
    await expect(ModelCatalog.open(options as Json)).rejects.toMatchObject({ code: 'OPTION' })
  }
})

test('a model is loaded where the system does not tell its memory, and not where its options do not fit it', async () => {
  const offers = await LocalOffers.open(['demo'])
  const found = (await offers.find('demo'))!
  const told = { loaded() {}, failed() {}, unloaded() {} }
  const { signal } = new AbortController()
  const inMemory = await new LoadableModel(found, load, new ModelHeaders(), told).load(Infinity, signal)
  expect(inMemory.served.model.memory.totalBytes).toBe(inMemory.bytes)
  await inMemory.close()
  await expect(new LoadableModel(found, { ...load, kvTokens: 32 }, new ModelHeaders(), told).load(1e9, signal)).rejects.toMatchObject({
    status: 400,
    message: 'model "demo" cannot be loaded: kvTokens is 32, expected at least the context\'s 512',
  })
})

describe('keep_alive', () => {
  test('an empty request loads, and unloads with 0; ps tells size and end', async () => {
    store(ownStore(), 'ours', model())
    await machine.start()
    expect(await client().generate({ model: 'ours', prompt: '' })).toMatchObject({ done: true, done_reason: 'load', response: '' })
    const [shown] = (await client().ps()).models
    expect(shown).toMatchObject({ name: 'ours:latest', size_vram: 0, context_length: 512 })
    expect(shown!.size).toBeGreaterThan(demoFile.length)
    const left = Date.parse(shown!.expires_at as unknown as string) - Date.now()
    expect(left).toBeGreaterThan(240_000)
    expect(left).toBeLessThan(300_001)
    expect(await client().generate({ model: 'ours', prompt: '', keep_alive: 0 })).toMatchObject({ done: true, done_reason: 'unload' })
    expect(await names()).toEqual([])
    expect(machine.events.map(({ event }) => event)).toEqual(['loaded', 'unloaded'])
    // what is not in memory is not loaded for that
    expect(await client().chat({ model: 'ours', messages: [], keep_alive: '0s' })).toMatchObject({ done_reason: 'unload' })
    expect(machine.events).toHaveLength(2)
    await expect(client().generate({ model: 'nobody', prompt: '', keep_alive: 0 })).rejects.toThrow("model 'nobody' not found")
  })

  test('a number, a duration, 0 and a negative one say how long it stays', async () => {
    await machine.start({ keepAliveSeconds: 0.05 })
    const generate = (keep_alive?: string | number) =>
      client().generate({ model: 'demo', prompt: 'a', options: { num_predict: 1 }, ...(keep_alive !== undefined && { keep_alive }) })
    const end = async () => (Date.parse((await machine.get('/api/ps')).models[0].expires_at) - Date.now()) / 1000
    const isAbout = (seconds: number, expected: number) => {
      expect(seconds).toBeGreaterThan(expected * 0.9)
      expect(seconds).toBeLessThanOrEqual(expected)
    }
    await generate('1h30m')
    isAbout(await end(), 5400)
    await generate(600)
    isAbout(await end(), 600)
    await generate()
    isAbout(await end(), 600)
    await generate(-1)
    expect(await end()).toBeGreaterThan(200 * 365 * 86_400)
    await generate(0)
    await until(() => machine.events.some(({ event }) => event === 'unloaded'))
    await machine.ask('/v1/chat/completions', { ...chat('demo'), max_tokens: 1 })
    await until(() => machine.events.filter(({ event }) => event === 'unloaded').length === 2)
  })
})

describe('memory', () => {
  test('what was used least recently leaves for another one, but not while it answers', async () => {
    for (const name of ['one', 'two', 'three']) store(ownStore(), name, model({ system: name }))
    await machine.start()
    await client().generate({ model: 'one', prompt: '' })
    const { size } = (await client().ps()).models[0]!
    await machine.stop()
    machine.events.length = 0
    await machine.start({ load: { ...load, ram: size * 2 + 1000 } })
    await client().generate({ model: 'one', prompt: '' })
    const running = await machine.post('/v1/completions', {
      model: 'two',
      prompt: endless,
      max_tokens: 300,
      ignore_eos: true,
      stream: true,
    })
    await client().generate({ model: 'one', prompt: '' })
    await client().generate({ model: 'two', prompt: '' })
    await client().generate({ model: 'three', prompt: '' })
    expect((await names()).sort()).toEqual(['three:latest', 'two:latest'])
    const events = await sseEvents(running)
    expect(events.at(-1).choices[0].finish_reason).toBe('length')
    const loaded = () => machine.events.map(({ event, model }) => `${event} ${model.split(':')[0]}`)
    expect(loaded()).toEqual(['loaded one', 'loaded two', 'unloaded one', 'loaded three'])
  })

  test('a model that does not fit runs with experts on disk; one that cannot is 503 with a reason', async () => {
    store(ownStore(), 'ours', model())
    await machine.start({ load: { ...load, ram: 10_000_000 } })
    expect((await machine.ask('/v1/chat/completions', chat('ours')))[1].choices[0].message.content).toBe(answer)
    expect((await machine.get('/api/ps')).models[0].size).toBeLessThanOrEqual(10_000_000)
    await machine.stop()
    await machine.start({ load: { ...load, ram: 100_000 } })
    const [status, { error }] = await machine.ask('/v1/chat/completions', chat('ours'))
    expect([status, error.type]).toEqual([503, 'unavailable_error'])
    expect(error.message).toContain('model "ours:latest" cannot be loaded: 100.0 kB of memory, expected at least')
  })

  test('the memory of what was unloaded is free again', async () => {
    for (const name of ['one', 'two']) store(ownStore(), name, model({ system: name }))
    const child = fileURLToPath(new URL('memoryChild.mjs', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, [child])
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.map(({ reason, loaded }) => [reason, loaded])).toEqual(Array(12).fill(['unload', 0]))
    // each of them took more than its file
    expect(Math.max(...lines.map(({ bytes }) => bytes)) - lines[3].bytes).toBeLessThan(5 * demoFile.length)
  })
})

describe('the end', () => {
  test('it waits for what runs, and ends loads, whose requests are told', async () => {
    for (const name of ['one', 'two']) store(ownStore(), name, model({ system: name }))
    await machine.start()
    const running = await machine.post('/v1/completions', {
      model: 'one',
      prompt: endless,
      max_tokens: 100,
      ignore_eos: true,
      stream: true,
    })
    const waiting = machine.ask('/v1/chat/completions', chat('two'))
    await new Promise((resolve) => setTimeout(resolve, 15))
    const closed = machine.running.close()
    const [status, body] = await waiting
    if (status !== 200) expect([status, body.error.message]).toEqual([503, 'the server is shutting down'])
    expect((await sseEvents(running)).at(-1)).toMatchObject({ choices: [{ finish_reason: 'length' }] })
    await closed
  })

  test('metrics count on over models that come and go; props and slots are of the one in memory', async () => {
    await machine.start()
    expect((await fetch(`${machine.running.url}/props`)).status).toBe(503)
    const steps = async () => Number(/^mixtral_steps_total (\d+)$/m.exec(await (await fetch(`${machine.running.url}/metrics`)).text())![1])
    expect(await steps()).toBe(0)
    await machine.ask('/v1/chat/completions', chat('demo'))
    expect((await machine.get('/props')).model_alias).toBe('demo')
    expect(await machine.get('/slots?model=demo')).toHaveLength(4)
    const before = await steps()
    await client().generate({ model: 'demo', prompt: '', keep_alive: 0 })
    expect(await steps()).toBe(before)
    const text = await (await fetch(`${machine.running.url}/metrics`)).text()
    expect(text).toContain('\nmixtral_kv_usage_ratio 0\n')
    expect(text).toContain('\nmixtral_model_loads_total{outcome="loaded"} 1\n')
    expect(text).toContain('\nmixtral_models_loaded 0\n')
  })
})
