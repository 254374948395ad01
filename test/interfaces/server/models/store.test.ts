import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { Ollama } from 'ollama'
import { describe, expect, test } from 'vitest'
import { MixtralModel } from '../../../../dist/index.js'
import { type OllamaName, parseModelName } from '../../../../dist/registry/names/modelName.js'
import { OwnStore } from '../../../../dist/registry/stores/ownStore.js'
import { createApp } from '../../../../dist/server.js'
import { digestOf, ollamaModel } from '../../../registry/ollamaModel.js'
import { plainPair, writeGgufAdapter } from '../../../runtime/adapters/adapterFiles.js'
import { capital, endless, type Json, ndjson, sseEvents, until } from '../served.js'
import { demoFile, load, model, ownStore, store, storeInHub, useMachine } from './machine.js'

const machine = useMachine()
const { server } = machine
const client = () => new Ollama({ host: machine.running.url })
const listed = async () => (await client().list()).models.map(({ name }) => name).filter((name) => name !== 'demo')
const blobs = () => (existsSync(path.join(ownStore(), 'blobs')) ? readdirSync(path.join(ownStore(), 'blobs')) : [])
const weights = digestOf(demoFile).replace(':', '-')

describe('pull', () => {
  test("the client gets Ollama's progress: statuses, digests, bytes; then the model answers", async () => {
    await machine.start()
    const name = server.addOllama(model({ system: 'Be brief.' }))
    const lines: Json[] = []
    for await (const part of await client().pull({ model: name, stream: true })) lines.push(part)
    expect(lines[0]).toEqual({ status: 'pulling manifest' })
    expect(lines.slice(-3)).toEqual(['verifying sha256 digest', 'writing manifest', 'success'].map((status) => ({ status })))
    const digest = digestOf(demoFile)
    const ofWeights = lines.filter((line) => line.digest === digest)
    expect(ofWeights.at(-1)).toEqual({
      status: `pulling ${digest.slice(7, 19)}`,
      digest,
      total: demoFile.length,
      completed: demoFile.length,
    })
    const counts = ofWeights.map(({ completed = 0 }) => completed)
    expect(counts).toEqual([...counts].sort((a, b) => a - b))
    expect(await listed()).toEqual([name])
    const { message } = await client().chat({ model: name, messages: capital, options: { temperature: 0 } })
    expect(message.content).toBe('The capital of France is Paris.')
  })

  test('not streamed it is one object; what is there is pulled at once; the body may say name', async () => {
    await machine.start()
    const name = server.addOllama(model())
    expect(await client().pull({ model: name })).toEqual({ status: 'success' })
    server.sent = 0
    expect(await machine.ask('/api/pull', { name, stream: false })).toEqual([200, { status: 'success' }])
    expect(server.sent).toBe(0)
  })

  test('who asks for the same model shares the download; it goes on for those who stay, and ends with the last', async () => {
    await machine.start({}, { pingSeconds: 0.02 })
    server.settings.trickle = 65_536
    const name = server.addOllama(model())
    const [first, second] = [new AbortController(), new AbortController()]
    const one = await machine.post('/api/pull', { model: name }, { signal: first.signal })
    const other = await machine.post('/api/pull', { model: name }, { signal: second.signal })
    const reader = one.body!.getReader()
    await until(() => server.sent > 200_000)
    await reader.read()
    first.abort()
    await expect(reader.read().then(() => reader.read())).rejects.toThrow()
    expect((await ndjson(other)).at(-1)).toEqual({ status: 'success' })
    expect(server.seen.filter(({ path }) => path.includes('/manifests/'))).toHaveLength(1)

    // one that is left alone ends, and the next resumes it
    const again = server.addOllama(ollamaModel({ system: 'x' }, Buffer.concat([demoFile, Buffer.alloc(2_000_000, 1)])), 'user/other')
    server.sent = 0
    const leaving = new AbortController()
    const left = await machine.post('/api/pull', { model: again }, { signal: leaving.signal })
    await until(() => server.sent > 3_000_000)
    leaving.abort()
    await expect(left.text()).rejects.toThrow()
    const locks = () => blobs().filter((file) => file.includes('~lock'))
    await until(() => locks().length === 0)
    const { sent } = server
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(server.sent).toBe(sent)
    delete server.settings.trickle
    server.seen.length = 0
    expect(await machine.ask('/api/pull', { model: again, stream: false })).toEqual([200, { status: 'success' }])
    const starts = server.seen.flatMap(({ server, range }) => (server === 'blobs' && range ? [Number(/\d+/.exec(range)![0])] : []))
    expect(Math.max(...starts)).toBeGreaterThan(500_000) // it goes on where it was
  })

  test('a silent registry does not silence the stream', async () => {
    await machine.start({}, { pingSeconds: 0.01 })
    let stalled = true
    server.settings.fault = () => (stalled ? { stallAfter: 10 } : undefined)
    const name = server.addOllama(model())
    const leaving = new AbortController()
    const response = await machine.post('/api/pull', { model: name }, { signal: leaving.signal })
    const reader = response.body!.getReader()
    for (let i = 0; i < 5; i++) expect(new TextDecoder().decode((await reader.read()).value)).toMatch(/^(\{"status":"pulling [^\n]*\n)+$/)
    stalled = false
    leaving.abort()
  })

  test('what is not there, what cannot run here, and a registry that fails are told, and the next pull is another one', async () => {
    await machine.start()
    const lines = await ndjson(await machine.post('/api/pull', { model: `${server.host}/user/mixtral` }))
    expect(lines).toEqual([{ status: 'pulling manifest' }, { error: expect.stringContaining('has no model') }])
    await expect(client().pull({ model: `${server.host}/user/mixtral` })).rejects.toThrow('has no model')
    const gemma = Buffer.from(demoFile)
    gemma.write('gemma', gemma.indexOf('llama', gemma.indexOf('general.architecture')))
    server.sent = 0
    const odd = await machine.ask('/api/pull', { model: server.addOllama(ollamaModel({}, gemma), 'user/odd'), stream: false })
    expect(odd).toEqual([400, { error: expect.stringContaining('user/odd:latest cannot run here: ') }])
    expect(server.sent).toBeLessThan(demoFile.length) // its header
    const file = path.join(machine.root, 'adapter.gguf')
    await writeGgufAdapter(file, 8, [{ name: 'blk.1.attn_v.weight', pairs: [plainPair('a', 128, 256, 4)] }])
    const adapter = Buffer.from(readFileSync(file).toString('latin1').replace('lora', 'vera'), 'latin1')
    const adapted = server.addOllama(ollamaModel({ adapter }, demoFile), 'user/adapted')
    const refused = await machine.ask('/api/pull', { model: adapted, stream: false })
    expect(refused).toEqual([400, { error: expect.stringMatching(/user\/adapted:latest cannot run here: .*"vera", expected "lora"/) }])
    expect(server.sent).toBeLessThan(demoFile.length)
    const none = server.addOllama(ollamaModel({}, Buffer.from('no model, but a text of some length')), 'user/none')
    expect(await machine.ask('/api/pull', { model: none, stream: false })).toEqual([500, { error: `pulling ${none} failed (GGUF)` }])
    server.settings.fault = () => ({ corrupt: true })
    const name = server.addOllama(model())
    const [status, { error }] = await machine.ask('/api/pull', { model: name, stream: false })
    expect(status).toBeGreaterThanOrEqual(500)
    expect(error).not.toContain(machine.root)
    delete server.settings.fault
    expect((await machine.ask('/api/pull', { model: name, stream: false }))[0]).toBe(200)
  })

  test('it is off unless only this machine reaches the server, or it is allowed', async () => {
    await machine.start({}, { host: '0.0.0.0' })
    const name = server.addOllama(model())
    const url = `http://127.0.0.1:${machine.running.port}`
    const sentence = 'models are not pulled, copied or deleted here: the server was started without --allow-pull'
    for (const [route, method, body] of [
      ['/api/pull', 'POST', { model: name }],
      ['/api/copy', 'POST', { source: 'a', destination: 'b' }],
      ['/api/delete', 'DELETE', { model: 'a' }],
    ] as const) {
      const response = await fetch(url + route, { method, body: JSON.stringify(body) })
      expect([response.status, await response.json()]).toEqual([403, { error: sentence }])
    }
    expect(server.seen).toEqual([])
    await machine.stop()
    await machine.start({}, { host: '0.0.0.0', allowPull: true })
    const body = JSON.stringify({ model: name, stream: false })
    expect((await fetch(`http://127.0.0.1:${machine.running.port}/api/pull`, { method: 'POST', body })).status).toBe(200)
  })

  test.each([
    ['a path', './x.gguf', 400],
    ['an absolute path', '/etc/passwd', 400],
    ['an address', 'http://127.0.0.1/x.gguf', 400],
    ['an address elsewhere', 'https://example.com/x.gguf', 400],
    ['a file address', 'file:///etc/passwd', 400],
    ['a way out', '../../x', 400],
    ['a private registry', '10.0.0.1/user/model', 403],
    ['this machine', 'localhost:1/user/model', 403],
    ['a metadata service', '169.254.169.254/latest/meta-data', 403],
    ['a digest', 'model@sha256:aa', 400],
    ['nothing', '', 400],
    ['the demo', 'demo', 400],
  ])('%s is no name to pull', async (_, name, status) => {
    await machine.start()
    const found = await machine.ask('/api/pull', { model: name })
    expect([found[0], Object.keys(found[1])]).toEqual([status, ['error']])
    expect((await machine.ask('/api/pull', { model: server.addOllama(model()), insecure: true }))[0]).toBe(400)
    expect(server.seen).toEqual([])
  })
})

describe('copy and delete', () => {
  test('a copy answers by its name; the files stay as long as a name has them', async () => {
    await machine.start()
    store(ownStore(), 'first', model({ system: 'Be brief.' }))
    expect(await client().copy({ source: 'first', destination: 'mine/second:v2' })).toEqual({ status: 'success' })
    expect((await listed()).sort()).toEqual(['first:latest', 'mine/second:v2'])
    // they share what is in memory
    await client().generate({ model: 'first', prompt: '' })
    expect((await client().chat({ model: 'mine/second:v2', messages: capital, options: { temperature: 0 } })).done_reason).toBe('stop')
    expect(machine.events.filter(({ event }) => event === 'loaded')).toHaveLength(1)
    const [status, body] = await machine.ask('/api/delete', { model: 'first' }, 'DELETE')
    expect([status, body]).toEqual([200, ''])
    expect(machine.catalog.loaded).toEqual([])
    expect([await listed(), blobs().includes(weights)]).toEqual([['mine/second:v2'], true])
    expect((await client().chat({ model: 'mine/second:v2', messages: capital, options: { temperature: 0 } })).done_reason).toBe('stop')
    await expect(client().chat({ model: 'first', messages: capital })).rejects.toThrow("model 'first' not found")
    expect(await client().delete({ model: 'mine/second:v2' })).toEqual({ status: 'success' })
    expect([await listed(), blobs()]).toEqual([[], []])
    expect(await machine.ask('/api/delete', { name: 'first' }, 'DELETE')).toEqual([404, { error: "model 'first' not found" }])
  })

  test('a copy replaces what had its name, and its files, unless another name has them', async () => {
    await machine.start()
    store(ownStore(), 'first', model({ system: 'one' }))
    store(ownStore(), 'second', model({ system: 'two' }))
    await client().generate({ model: 'second', prompt: '' })
    const before = blobs().length
    await client().copy({ source: 'FIRST', destination: 'Second' })
    expect([blobs().length, await listed()]).toEqual([before - 1, ['first:latest', 'second:latest']])
    expect(((await client().show({ model: 'second' })) as Json).system).toBe('one')
    expect((await client().generate({ model: 'second', prompt: 'a', options: { num_predict: 1 } })).done).toBe(true)
    await client().copy({ source: 'first', destination: 'first:latest' })
    expect(await listed()).toEqual(['first:latest', 'second:latest'])
  })

  test('a model is deleted after its answers; who waits for it then finds none', async () => {
    await machine.start()
    store(ownStore(), 'first', model())
    const body = { model: 'first', prompt: endless, max_tokens: 200, ignore_eos: true, stream: true }
    const running = await machine.post('/v1/completions', body)
    const deleted = machine.ask('/api/delete', { model: 'first' }, 'DELETE')
    const ask = async () => (await machine.ask('/v1/completions', { ...body, stream: false, max_tokens: 1 }))[0]
    let late = ask() // before it is known that the model goes, it answers
    while ((await late) === 200) late = ask()
    expect((await sseEvents(running)).at(-1).choices[0].finish_reason).toBe('length')
    expect((await deleted)[0]).toBe(200)
    expect(await late).toBe(404)
    expect([machine.catalog.loaded, blobs()]).toEqual([[], []])
  })

  test('a name in other letters is the same model, here too', async () => {
    await machine.start()
    store(ownStore(), 'First', model())
    expect((await machine.ask('/api/delete', { model: 'fIRST' }, 'DELETE'))[0]).toBe(200)
    expect([await listed(), blobs()]).toEqual([[], []])
    store(ownStore(), 'First', model())
    await new OwnStore(process.env.MIXTRAL_HOME!).remove(parseModelName('fIRST') as OllamaName) // as the command does
    expect([await listed(), blobs()]).toEqual([[], []])
  })

  test('models of other programs, and the demo, are not touched', async () => {
    await machine.start()
    store(process.env.OLLAMA_MODELS!, 'theirs', model())
    storeInHub('owner', 'repo', 'demo.Q4_K_M.gguf')
    for (const [name, place] of [
      ['theirs', "in Ollama's store"],
      ['hf:owner/repo/demo.Q4_K_M.gguf', 'in the cache of Hugging Face'],
      ['demo', 'in no store'],
    ]) {
      const deleted = await machine.ask('/api/delete', { model: name }, 'DELETE')
      expect([deleted[0], deleted[1].error]).toEqual([403, expect.stringContaining(`is ${place}: this server cannot delete it`)])
      expect((await machine.ask('/api/copy', { source: name, destination: 'x' }))[0]).toBe(403)
    }
    expect(await listed()).toEqual(['theirs:latest', 'hf:owner/repo/demo.Q4_K_M.gguf'])
  })

  test.each([
    '../../x',
    '/etc/x',
    'https://example.com/x.gguf',
    'hf:owner/repo',
    'demo',
    'a/b/c/d',
    'x:../y',
    'nul',
    'a/com1',
    'x:aux',
    '',
    '\u0000',
  ])('%j is no name for a copy', async (destination) => {
    await machine.start()
    store(ownStore(), 'first', model())
    expect((await machine.ask('/api/copy', { source: 'first', destination }))[0]).toBe(400)
    expect(await listed()).toEqual(['first:latest'])
  })

  test('a server of a list pulls, copies and deletes within it', async () => {
    store(ownStore(), 'first', model())
    store(ownStore(), 'second', model())
    await machine.start({ models: ['first'] })
    expect((await machine.ask('/api/copy', { source: 'first', destination: 'third' }))[0]).toBe(403)
    expect((await machine.ask('/api/pull', { model: 'mixtral' }))[0]).toBe(403)
    expect((await machine.ask('/api/delete', { model: 'second' }, 'DELETE'))[0]).toBe(404)
    expect((await machine.ask('/api/delete', { model: 'first' }, 'DELETE'))[0]).toBe(200)
    expect(await listed()).toEqual([])
  })
})

test('what there is not is 501 by name; and with one model there is no store', async () => {
  await machine.start()
  for (const route of ['create', 'push', 'blobs/sha256:aa']) {
    expect((await machine.ask(`/api/${route}`, {}))[0]).toBe(501)
  }
  const loaded = await MixtralModel.load('demo', load)
  const app = createApp(loaded, { allowPull: true })
  for (const [route, method] of [
    ['pull', 'POST'],
    ['copy', 'POST'],
    ['delete', 'DELETE'],
  ]) {
    const response = await app.fetch(new Request(`http://localhost/api/${route}`, { method: method!, body: '{}' }))
    expect([response.status, await response.json()]).toEqual([501, { error: `/api/${route} is not supported` }])
  }
  await loaded.close()
})

test('the store is not written to by a server that only answers', async () => {
  await machine.start()
  store(ownStore(), 'first', model())
  const file = path.join(ownStore(), 'manifests', 'registry.ollama.ai', 'library', 'first', 'latest')
  const before = readFileSync(file, 'utf8')
  await client().chat({ model: 'first', messages: capital, options: { num_predict: 1 } })
  expect([readFileSync(file, 'utf8'), blobs().length]).toEqual([before, 2])
})
