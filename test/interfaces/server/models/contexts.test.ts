// Ollama's `num_ctx` with the models of a machine: a model is loaded, or loaded anew, for a longer context where that
// can be.

import { expect, test } from 'vitest'
import type { RequestLog } from '../../../../dist/server.js'
import { capital, endless, type Json, ndjson, until } from '../served.js'
import { model, ownStore, store, useMachine } from './machine.js'

const machine = useMachine()
/** The cache has a context for each answer, so that its bytes follow the context. */
const load = { threads: 1, sequences: 1 }
const logs: RequestLog[] = []

/** A server with a model whose own context is 128 of the 512 tokens that it was trained for. */
async function start(more: object = {}, names = ['ours']): Promise<void> {
  for (const name of names) store(ownStore(), name, model({ params: { num_ctx: 128 }, license: name }))
  logs.length = 0
  machine.events.length = 0
  await machine.start({ load: { ...load, ...more } }, { log: (entry) => entry.method === 'POST' && logs.push(entry) })
}

const generate = (num_ctx: unknown, more: object = {}) =>
  machine.ask('/api/generate', { model: 'ours', prompt: 'a', stream: false, options: { num_ctx, num_predict: 1 }, ...more })
const loaded = async () => (await machine.get('/api/ps')).models.map(({ name, context_length }: Json) => `${name} ${context_length}`)
const events = () => machine.events.map(({ event }) => event)

test('a model is loaded with the context that a request asks for, or the next power of two', async () => {
  await start()
  expect((await generate(200))[0]).toBe(200)
  expect(await loaded()).toEqual(['ours:latest 256'])
  await until(() => logs.length > 0)
  expect(logs[0]).not.toHaveProperty('contextAsked')
})

test('one in memory is loaded anew where nobody uses it, up to what it was trained for, and keeps its context', async () => {
  await start()
  await generate(undefined)
  expect(await loaded()).toEqual(['ours:latest 128'])
  const long = 'word '.repeat(250)
  const messages = [{ role: 'user', content: long }]
  const ask = { model: 'ours', messages, stream: false, options: { num_predict: 1 } }
  expect((await machine.ask('/api/chat', ask))[0]).toBe(400)
  expect((await machine.ask('/api/chat', { ...ask, options: { num_ctx: 100_000, num_predict: 1 } }))[0]).toBe(200)
  expect(await loaded()).toEqual(['ours:latest 512'])
  expect(events()).toEqual(['loaded', 'unloaded', 'loaded'])
  expect((await machine.ask('/api/chat', ask))[0]).toBe(200)
  await generate(128) // a shorter one is no reason to load it again
  await generate(2 ** 40)
  expect((await machine.ask('/api/embed', { model: 'ours', input: 'a', options: { num_ctx: 300 } }))[0]).toBe(200)
  expect(events()).toEqual(['loaded', 'unloaded', 'loaded'])
  // beyond the model itself, a request is told in the log
  await until(() => logs.length === 7)
  expect(logs.map(({ contextAsked }) => contextAsked)).toEqual([undefined, undefined, 100_000, undefined, undefined, 2 ** 40, undefined])
})

test('while others use a model, its context stays', async () => {
  await start({ sequences: 2 })
  const running = await machine.post('/api/generate', {
    model: 'ours',
    prompt: endless,
    raw: true,
    options: { num_predict: 100, temperature: 0 },
  })
  const reader = running.body!.getReader()
  await reader.read()
  expect((await generate(256))[0]).toBe(200)
  expect(await loaded()).toEqual(['ours:latest 128'])
  await until(() => logs.length === 1)
  expect(logs[0]!.contextAsked).toBe(256)
  while (!(await reader.read()).done);
  expect(events()).toEqual(['loaded'])
  expect((await generate(256))[0]).toBe(200)
  expect(await loaded()).toEqual(['ours:latest 256'])
})

test('where the memory does not hold it with all experts, the context stays, and nothing is loaded in vain', async () => {
  await start()
  await generate(undefined)
  const { size } = (await machine.get('/api/ps')).models[0]
  await machine.stop()
  await start({ ram: size + 1000 })
  for (const context of [undefined, 512, 512, 256]) expect((await generate(context))[0]).toBe(200)
  expect([events(), await loaded()]).toEqual([['loaded'], ['ours:latest 128']])
  await machine.stop()
  await start({ ram: size + 1000 })
  for (const context of [512, 512]) expect((await generate(context))[0]).toBe(200)
  expect([events(), await loaded()]).toEqual([['loaded'], ['ours:latest 128']])
})

test('the context and the cache that the server was started with are the most', async () => {
  await start({ contextLength: 192 })
  expect((await generate(512))[0]).toBe(200)
  expect(await loaded()).toEqual(['ours:latest 192'])
  await machine.stop()
  await start({ kvTokens: 256 })
  expect((await generate(512))[0]).toBe(200)
  expect(await loaded()).toEqual(['ours:latest 256'])
})

test.each([[-1], [0], [0.5], ['512'], [null], [{}]])('num_ctx of %j loads nothing anew', async (context) => {
  await start()
  await generate(undefined)
  const [status] = await generate(context)
  expect([200, 400]).toContain(status)
  expect(events()).toEqual(['loaded'])
})

test('requests that come at the same time for several contexts are all answered', async () => {
  await start({ sequences: 4 })
  const answer = 'The capital of France is Paris.'
  const asked = [128, 256, 512, 200, undefined, 400, 512, 130]
  const answers = await Promise.all(
    asked.map(async (num_ctx, i) => {
      const response = await machine.post('/api/chat', {
        model: 'ours',
        messages: capital,
        options: { temperature: 0, num_ctx },
        stream: i % 2 > 0,
      })
      if (i % 2 === 0) return (await response.json()).message.content
      return (await ndjson(response)).map(({ message }) => message.content).join('')
    }),
  )
  expect(answers).toEqual(asked.map(() => answer))
  expect(events().filter((event) => event === 'loaded').length - events().filter((event) => event === 'unloaded').length).toBe(1)
})
