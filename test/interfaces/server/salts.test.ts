import { expect, test } from 'vitest'
import { createApp } from '../../../dist/server.js'
import { type Json, withServer } from './served.js'

const served = withServer({}, { kvTokens: 4096 })
const prompt = 'Once upon a time, there was a child who lived in a house at the end of a long road, and who wanted to know everything.'

const apps = new Map<string, ReturnType<typeof createApp>>()
async function ask(path: string, body: object, { key, keys = ['one', 'two'] }: { key?: string; keys?: string[] } = {}): Promise<Json> {
  const name = keys.join()
  apps.set(name, apps.get(name) ?? createApp(served.model, { name: 'demo', apiKeys: keys }))
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` }
  const response = await apps
    .get(name)!
    .fetch(new Request(`http://localhost${path}`, { method: 'POST', body: JSON.stringify(body), headers }))
  return response.json()
}
const cached = async (body: object, who: Parameters<typeof ask>[2] = {}) =>
  (await ask('/v1/completions', { prompt, max_tokens: 1, temperature: 0, ...body }, who)).usage.prompt_tokens_details.cached_tokens

test('callers of one key share beginnings, callers of different keys do not', async () => {
  await served.model.reset()
  expect(await cached({}, { key: 'one' })).toBe(0)
  expect(await cached({}, { key: 'one' })).toBeGreaterThan(0)
  expect(await cached({}, { key: 'two' })).toBe(0)
  expect(await cached({}, { key: 'two' })).toBeGreaterThan(0)
})

test('cache_salt keeps callers of one key apart, in chats and in lists of log-probabilities too', async () => {
  await served.model.reset()
  expect(await cached({ cache_salt: 'a' }, { keys: [] })).toBe(0)
  expect(await cached({ cache_salt: 'b' }, { keys: [] })).toBe(0)
  expect(await cached({}, { keys: [] })).toBe(0)
  expect(await cached({ cache_salt: 'b' }, { keys: [] })).toBeGreaterThan(0)
  expect(await cached({ cache_salt: 'b' }, { key: 'one' })).toBe(0)
  const chat = async (salt: string) =>
    (await ask('/v1/chat/completions', { messages: [{ role: 'user', content: prompt }], max_tokens: 1, cache_salt: salt }, { keys: [] }))
      .usage.prompt_tokens_details.cached_tokens
  expect([await chat('c'), await chat('d')]).toEqual([0, 0])
  expect(await chat('c')).toBeGreaterThan(0)
})

test('kept scores of a prompt are of one salt; their numbers are the same with any', async () => {
  await served.model.reset()
  const echo = (salt: string) =>
    ask('/v1/completions', { prompt, max_tokens: 1, temperature: 0, echo: true, logprobs: 3, cache_salt: salt }, { keys: [] })
  const rows = async (salt: string) => {
    const before = served.model.status().steps
    const { choices } = await echo(salt)
    return { steps: served.model.status().steps - before, logprobs: choices[0].logprobs }
  }
  const [first, again, other] = [await rows('a'), await rows('a'), await rows('b')]
  expect(again.steps).toBeLessThan(first.steps)
  expect(other.steps).toBe(first.steps)
  expect([again.logprobs, other.logprobs]).toEqual([first.logprobs, first.logprobs])
})

test.each([[''], [1], [[]], ['x'.repeat(1001)]])('cache_salt %# is refused', async (salt) => {
  expect(await ask('/v1/completions', { prompt, cache_salt: salt }, { keys: [] })).toMatchObject({ error: { param: 'cache_salt' } })
})

test('a score of the library shares the cache with calls of its salt alone, and has the same bits', async () => {
  const ids = served.model.tokenizer.encodePrompt(prompt)
  const plain = await served.model.score(ids)
  expect(await served.model.score(ids, { salt: 'mine' })).toEqual(plain)
  await expect(served.model.score(ids, { salt: 1 as never })).rejects.toMatchObject({ code: 'OPTION' })
})
