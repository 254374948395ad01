// Many clients of many models on a machine with memory for two: what they get, and what is left at the end.

import { readdirSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { capital } from '../served.js'
import { load, model, ownStore, store, useMachine } from './machine.js'

const machine = useMachine()
const answer = 'The capital of France is Paris.'
const names = ['one', 'two', 'three']

type Act = { readonly name: string; readonly what: string; readonly wait: number; readonly keep: number | string | undefined }

const acts = fc.array(
  fc.record({
    name: fc.constantFrom(...names),
    what: fc.constantFrom('chat', 'chat', 'stream', 'leave', 'load', 'unload', 'tokenize'),
    wait: fc.integer({ min: 0, max: 60 }),
    keep: fc.constantFrom(undefined, 0, '10ms', -1),
  }),
  { minLength: 30, maxLength: 30 },
)

/** What a client gets, in a word. */
async function run({ name, what, wait, keep }: Act): Promise<string> {
  await new Promise((resolve) => setTimeout(resolve, wait * 4))
  const chat = { model: name, messages: capital, options: { temperature: 0 }, ...(keep !== undefined && { keep_alive: keep }) }
  if (what === 'tokenize') {
    const [status, { tokens }] = await machine.ask('/tokenize', { model: name, content: 'Once upon a time' })
    return status === 200 && tokens.length === 4 ? 'right' : `tokenize ${status}`
  }
  if (what === 'load' || what === 'unload') {
    const body = { model: name, ...(what === 'unload' && { keep_alive: 0 }), stream: false }
    const [status, { done_reason: reason }] = await machine.ask('/api/generate', body)
    return status === 200 && reason === what ? 'right' : `${what} ${status} ${reason}`
  }
  const leaving = new AbortController()
  if (what === 'leave') setTimeout(() => leaving.abort(), wait)
  try {
    const response = await machine.post('/api/chat', { ...chat, stream: what === 'stream' }, { signal: leaving.signal })
    const lines = (await response.text()).trim().split('\n')
    const text = lines.map((line) => JSON.parse(line).message?.content ?? line).join('')
    return response.status === 200 && text === answer ? 'right' : `${what} ${response.status} ${text}`
  } catch (error) {
    return leaving.signal.aborted ? 'right' : String(error)
  }
}

test('everybody gets the right answer, nothing is in memory twice or left there, no thread stays', async () => {
  for (const name of names) store(ownStore(), name, model({ license: name }))
  await machine.start()
  await machine.ask('/api/generate', { model: 'one', stream: false })
  const { size } = (await machine.get('/api/ps')).models[0]
  await machine.stop()
  const threads = () => (process.platform === 'linux' ? readdirSync('/proc/self/task').length : 0)
  const before = threads()
  const [given] = fc.sample(acts, {
    numRuns: 1,
    ...(fc.readConfigureGlobal().seed !== undefined && { seed: fc.readConfigureGlobal().seed! }),
  })
  machine.events.length = 0
  await machine.start({ load: { ...load, ram: size * 2 + 1000 }, keepAliveSeconds: 0.02 }, { pingSeconds: 0.05 })
  let health = 0
  let watching = true
  const watch = (async () => {
    while (watching) {
      if ((await machine.get('/health')).status === 'ok') health++
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })()
  const found = await Promise.all(given!.map(run))
  watching = false
  await watch
  expect(found).toEqual(Array(30).fill('right'))
  await machine.stop()
  const inMemory = new Set<string>()
  for (const { event, model: name } of machine.events) {
    expect([name, event === 'loaded', inMemory.has(name)]).toEqual([name, event === 'loaded', event !== 'loaded'])
    if (event === 'loaded') inMemory.add(name)
    else inMemory.delete(name)
    expect(inMemory.size).toBeLessThanOrEqual(2)
  }
  expect([inMemory.size, machine.catalog.loaded]).toEqual([0, []])
  expect(threads()).toBeLessThanOrEqual(before)
  expect(health).toBeGreaterThan(5)
})
