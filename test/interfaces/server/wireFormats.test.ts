// What users of other servers have reported about formats, asked of all routes that write text: one answer, told in six
// ways. Which report is tested where: reportedFaults.test.ts.

import { describe, expect, test } from 'vitest'
import { MixtralModel } from '../../../dist/index.js'
import { chatLogprob } from '../../../dist/interfaces/server/openai/logprobs.js'
import { createApp } from '../../../dist/server.js'
import { capital, endless, type Json, namedEvents, ndjson, sseEvents, until, withServer } from './served.js'

const served = withServer()
const answer = 'The capital of France is Paris.'
const long = 'again and '.repeat(400)

/** A finished answer, whatever its API. */
interface Read {
  readonly text: string
  readonly reason: string
  readonly prompt: number
  readonly written: number
  readonly model: string
}

interface Route {
  readonly path: string
  /** The body that asks for an answer to a text. */
  ask(text: string, asked: { most?: number; stop?: string[]; seed?: number; temperature?: number }): object
  whole(body: Json): Read
  /** The events of a stream, strictly read, and the text of one. */
  events(response: Response): Promise<Json[]>
  textOf(event: Json): string
  /** The event that says why it ended. */
  isEnd(event: Json): boolean
}

const messages = (text: string) => [{ role: 'user', content: text }]
const nativeEvents = async (response: Response): Promise<Json[]> =>
  (await response.text())
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => JSON.parse(event.slice(6)))

const routes: Route[] = [
  {
    path: '/v1/chat/completions',
    ask: (text, { most, ...others }) => ({ messages: messages(text), temperature: 0, ...others, max_tokens: most ?? -1 }),
    whole: ({ choices: [{ message, finish_reason }], usage, model }) => ({
      ...{ text: message.content, reason: finish_reason, prompt: usage.prompt_tokens, written: usage.completion_tokens, model },
    }),
    events: sseEvents,
    textOf: ({ choices }) => choices[0]?.delta.content ?? '',
    isEnd: ({ choices }) => choices[0]?.finish_reason !== null,
  },
  {
    path: '/v1/responses',
    ask: (text, { most, ...others }) => ({ input: text, temperature: 0, ...others, ...(most && { max_output_tokens: most }) }),
    whole: ({ output, status, usage, model }) => ({
      ...{ text: output[0].content[0].text, reason: status === 'completed' ? 'stop' : 'length', prompt: usage.input_tokens },
      ...{ written: usage.output_tokens, model },
    }),
    events: namedEvents,
    textOf: ({ type, delta }) => (type === 'response.output_text.delta' ? delta : ''),
    isEnd: ({ type }) => ['response.completed', 'response.incomplete'].includes(type),
  },
  {
    path: '/v1/messages',
    ask: (text, { most, stop, ...others }) => ({
      ...{ messages: messages(text), temperature: 0, ...others, max_tokens: most ?? 512 },
      ...(stop && { stop_sequences: stop }),
    }),
    whole: ({ content, stop_reason: reason, usage, model }) => ({
      ...{ text: content[0]?.text ?? '', reason: reason === 'max_tokens' ? 'length' : 'stop', written: usage.output_tokens, model },
      prompt: usage.input_tokens + usage.cache_read_input_tokens,
    }),
    events: namedEvents,
    textOf: ({ delta }) => delta?.text ?? '',
    isEnd: ({ type }) => type === 'message_delta',
  },
  {
    path: '/api/chat',
    ask: (text, { most = -1, temperature = 0, ...others }) => ({
      ...{ model: 'demo', messages: messages(text), options: { temperature, ...others, num_predict: most } },
    }),
    whole: ({ message, done_reason: reason, prompt_eval_count: prompt, eval_count: written = 0, model }) => ({
      ...{ text: message.content, reason, prompt, written, model },
    }),
    events: ndjson,
    textOf: ({ message }) => message.content,
    isEnd: ({ done }) => done,
  },
  {
    path: '/v1/completions',
    ask: (text, { most = -1, ...others }) => ({ prompt: `[INST] ${text} [/INST]`, temperature: 0, ...others, max_tokens: most }),
    whole: ({ choices: [{ text, finish_reason }], usage, model }) => ({
      ...{ text, reason: finish_reason, prompt: usage.prompt_tokens, written: usage.completion_tokens, model },
    }),
    events: sseEvents,
    textOf: ({ choices }) => choices[0]?.text ?? '',
    isEnd: ({ choices }) => choices[0]?.finish_reason !== null,
  },
  {
    path: '/completion',
    ask: (text, { most = -1, ...others }) => ({ prompt: `[INST] ${text} [/INST]`, temperature: 0, ...others, n_predict: most }),
    whole: ({ content: text, stop_type, tokens_evaluated: prompt, tokens_predicted: written, model }) => ({
      ...{ text, reason: stop_type === 'limit' ? 'length' : 'stop', prompt, written, model },
    }),
    events: nativeEvents,
    textOf: ({ content }) => content,
    isEnd: ({ stop }) => stop,
  },
]

/** The answer in one piece, and as a stream whose text and end are compared with it. */
async function both(route: Route, body: object): Promise<Read> {
  const read = route.whole(await served.json(route.path, { ...body, stream: false }))
  const events = await route.events(await served.post(route.path, { ...body, stream: true }))
  expect(events.map(route.textOf).join('')).toBe(read.text)
  expect(events.map(route.textOf).every((text) => text.isWellFormed())).toBe(true)
  expect(events.filter(route.isEnd).length).toBe(1)
  return read
}

describe.each(routes.map((route) => [route.path, route] as const))('%s', (path, route) => {
  const ask = (asked: Parameters<Route['ask']>[1] = {}, text = capital[0]!.content) => both(route, route.ask(text, asked))

  test('counts are the same in every API, end tokens in none; the model has one name', async () => {
    expect(await ask()).toEqual({ text: answer, reason: 'stop', prompt: 14, written: 7, model: 'demo' })
    const { model } = route.whole(await served.json(path, { ...route.ask('a', { most: 1 }), model: 'demo:latest', stream: false }))
    expect(path === '/api/chat' ? 'demo:latest' : 'demo').toBe(model)
  })

  test('a stop string that is cut across tokens is never seen, nor what follows it', async () => {
    expect(await ask({ stop: ['nce is', 'Rome'] })).toMatchObject({ text: 'The capital of Fra', reason: 'stop' })
    expect(await ask({ stop: ['The'] })).toMatchObject({ text: '', reason: 'stop' })
  })

  test("a stop string of the user's leaves the model its own end", async () => {
    expect(await ask({ stop: ['never said'] })).toMatchObject({ text: answer, reason: 'stop' })
  })

  test('text that is held back for a stop string comes out at a limit', async () => {
    expect(await ask({ stop: [' of France and Spain'], most: 4 })).toMatchObject({ text: 'The capital of France', reason: 'length' })
  })

  test('hot texts have whole characters, and are the same streamed', async () => {
    for (let seed = 0; seed < 2; seed++) {
      const { text } = await ask({ temperature: 5, seed, most: 30 })
      expect(text.isWellFormed()).toBe(true)
    }
  })

  test('a prompt that is too long is refused with its counts, whole and streamed; nothing is cut', async () => {
    for (const stream of [false, true]) {
      const response = await served.post(path, { ...route.ask(long, {}), stream })
      expect(response.status).toBe(400)
      expect(JSON.stringify(await response.json())).toMatch(/has \d{3,} tokens, the context has room for 512/)
    }
  })

  test('where a prompt leaves room for one token, there is one, and the reason is the length', async () => {
    const { prompt } = await ask({ most: 1 }, 'a a')
    const text = `a a${' a'.repeat(511 - prompt)}`
    const found = await ask({}, text)
    expect([found.prompt, found.reason === (found.written === 1 ? 'length' : 'stop')]).toEqual([511, true])
    expect((await served.post(path, { ...route.ask(`${text} a`, {}), stream: true })).status).toBe(400)
  })

  test('an error in mid-stream is told in its form, and the stream has no end beside it', async () => {
    const model = await MixtralModel.load('demo', { threads: 1 })
    const app = createApp(model, { name: 'demo' })
    const body = JSON.stringify({ ...route.ask('KING RICHARD III:', { temperature: 1, seed: 1 }), ignore_eos: true, stream: true })
    const response = await app.fetch(new Request(`http://localhost${path}`, { method: 'POST', body }))
    const text = response.text()
    await until(() => model.status().running > 0)
    await model.close()
    const last = (await text).trimEnd().split('\n').at(-1)!
    expect(JSON.stringify(JSON.parse(last.replace(/^data: /, '')).error)).toContain('the model was closed')
    expect(await text).not.toMatch(/\[DONE\]|"done":true|message_stop|response\.completed|"stop":true/)
  })
})

test('control tokens in what users say are text; in raw prompts they count', async () => {
  const count = async (content: string) => (await served.json('/v1/messages/count_tokens', { messages: messages(content) })).input_tokens
  expect((await count('a</s>b')) - (await count('ab'))).toBeGreaterThan(1) // the control token is one
  const raw = (await served.json('/v1/completions', { prompt: 'a</s>', max_tokens: 1 })).usage.prompt_tokens
  expect(raw).toBe(served.model.tokenizer.encode('a').length + 1)
})

test('a prompt has one BOS, however it comes', async () => {
  const { prompt } = await served.json('/apply-template', { messages: capital })
  for (const path of ['/v1/completions', '/completion']) {
    const counts = []
    for (const text of [prompt, prompt.replace('<s>', '')]) {
      const found = await served.json(path, { prompt: text, max_tokens: 1, n_predict: 1 })
      counts.push(found.usage?.prompt_tokens ?? found.tokens_evaluated)
    }
    expect(counts).toEqual([14, 14])
  }
})

test('an answer that is cut says so: the reason is null until then, and never empty', async () => {
  const body = { ...routes[0]!.ask(endless, { most: 5 }), stream: true }
  const reasons = (await sseEvents(await served.post('/v1/chat/completions', body))).map(({ choices }) => choices[0].finish_reason)
  expect(reasons.slice(0, -1).every((reason) => reason === null)).toBe(true)
  expect(reasons.at(-1)).toBe('length')
})

test('calls are counted through: 0, 1, 2', async () => {
  const parameters = { type: 'object', properties: { city: { type: 'string', enum: ['Paris', 'Rome'] } }, required: ['city'] }
  const tools = [{ type: 'function', function: { name: 'weather', description: 'The weather', parameters } }]
  // with this seed the demo model, which has not learned to call, calls three times
  const body = { messages: capital, tools, temperature: 2, top_p: 0.9, top_k: 40, max_tokens: 120, seed: 9 }
  const whole = await served.json('/v1/chat/completions', body)
  expect(whole.choices[0].message.tool_calls).toHaveLength(3)
  const events = await sseEvents(await served.post('/v1/chat/completions', { ...body, stream: true }))
  const deltas = events.flatMap(({ choices }) => choices[0].delta.tool_calls ?? [])
  const begun = deltas.filter((delta) => 'id' in delta)
  expect(begun.map(({ index }) => index)).toEqual([0, 1, 2])
  for (const [i, call] of whole.choices[0].message.tool_calls.entries()) {
    const own = deltas.filter(({ index }) => index === i)
    expect(own.map((delta) => delta.function.arguments).join('')).toBe(call.function.arguments)
    expect(JSON.parse(call.function.arguments)).toHaveProperty('city')
  }
  expect(events.some(({ choices }) => choices[0].delta.content === '')).toBe(true) // the role's chunk alone
  expect(events.filter(({ choices }) => choices[0].delta.content === '')).toHaveLength(1)
})

test('white space in JSON is bounded, however much a model likes it', async () => {
  const { tokenizer } = served.model
  const blanks = Array.from({ length: tokenizer.vocabSize }, (_, id) => id).filter((id) => {
    const bytes = tokenizer.bytes(id)
    return bytes.length > 0 && bytes.every((byte) => byte === 0x20 || byte === 0x0a)
  })
  expect(blanks.length).toBeGreaterThan(1)
  const logit_bias = Object.fromEntries(blanks.map((id) => [id, 100]))
  const schema = { type: 'object', properties: { a: { type: 'integer' }, b: { type: 'boolean' } }, required: ['a', 'b'] }
  const body = { messages: capital, temperature: 1, seed: 2, max_tokens: 200, logit_bias, response_format: { type: 'json_object', schema } }
  const { choices } = await served.json('/v1/chat/completions', body)
  expect(choices[0].finish_reason).toBe('stop')
  expect(JSON.parse(choices[0].message.content)).toHaveProperty('b')
})

test('minus infinity is a number in JSON', () => {
  const entry = { id: 1, token: 'a', bytes: [97], logprob: -Infinity }
  expect(JSON.parse(JSON.stringify(chatLogprob({ ...entry, top: [entry] })))).toMatchObject({
    logprob: -9999,
    top_logprobs: [{ logprob: -9999 }],
  })
})

test('the prompt of a conversation that is over asks for no answer', async () => {
  const said = [...capital, { role: 'assistant', content: 'Paris.' }]
  const { prompt } = await served.json('/apply-template', { messages: said, add_generation_prompt: false })
  expect(prompt).toBe(served.model.applyChatTemplate(said as Json, { addGenerationPrompt: false }).text)
  expect(prompt).not.toBe((await served.json('/apply-template', { messages: said })).prompt)
})

test('what is cached is used again and again, and all of a prompt but one token may be', async () => {
  await served.model.reset()
  const cached = async () =>
    (await served.json('/v1/chat/completions', { messages: capital, temperature: 0 })).usage.prompt_tokens_details.cached_tokens
  expect([await cached(), await cached(), await cached()]).toEqual([0, 13, 13])
})

test('a salt keeps the beginnings of its callers apart, embeddings and prompts that are only read too', async () => {
  const { atOnce } = await import('../../../dist/base/timeSlice.js')
  const { embeddingRuns } = await import('../../../dist/interfaces/server/streams/embeddingRuns.js')
  const ids = served.model.tokenizer.encodePrompt(endless.repeat(9))
  const call = { signal: new AbortController().signal, onAccepted: () => {}, salt: 'a' }
  const [run] = atOnce(embeddingRuns([ids], { model: served.model } as Json))
  await served.model.reset()
  expect(await run!(call).next()).toMatchObject({ done: true, value: { promptTokens: ids.length } })
  const reused = async (salt: string) => (await served.model.session({ ids, salt }).generate({ maxNewTokens: 1 })).reusedTokens
  expect([await reused(''), await reused('a')]).toEqual([0, ids.length - 1])
  // a field of vLLM's, on a route that has a salt of its own where nothing is to be cached
  for (const more of [{}, { cache_prompt: false }, { n_predict: 0 }]) {
    const found = await served.json('/completion', { prompt: ids, n_predict: 1, cache_salt: 'b', ...more })
    expect(found.tokens_evaluated).toBe(ids.length)
  }
})

test('the progress of a prompt is told in chats, before the first text', async () => {
  await served.model.reset()
  const body = { messages: messages(endless.repeat(20)), temperature: 0, max_tokens: 3, stream: true }
  const plain = await sseEvents(await served.post('/v1/chat/completions', body))
  await served.model.reset()
  const events = await sseEvents(await served.post('/v1/chat/completions', { ...body, return_progress: true }))
  const told = events.flatMap((event) => event.prompt_progress ?? [])
  expect(told.length).toBeGreaterThan(0)
  expect(told.at(-1).processed).toBe(told.at(-1).total)
  const texts = (list: Json[]) => list.map(({ choices }) => choices[0].delta.content ?? '').join('')
  expect(texts(events)).toBe(texts(plain))
})
