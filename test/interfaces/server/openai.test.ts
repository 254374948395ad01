import OpenAI from 'openai'
import { describe, expect, test } from 'vitest'
import { capital, endless, type Json, sseEvents, withServer } from './served.js'

const served = withServer()
const client = () => new OpenAI({ baseURL: `${served.server.url}/v1`, apiKey: 'none', maxRetries: 0 })
const greedy = { model: 'demo', temperature: 0 } as const
const chat = { ...greedy, messages: capital as [{ role: 'user'; content: string }] }

/** What stays the same when a request is repeated. */
const lasting = ({ id, created, ...others }: Json) => others

describe('chats', () => {
  test('an answer has the fields of the API', async () => {
    const answer = await client().chat.completions.create(chat)
    expect(lasting(answer)).toEqual({
      object: 'chat.completion',
      model: 'demo',
      system_fingerprint: expect.stringMatching(/^mixtral-wasm-/),
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'The capital of France is Paris.', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: expect.objectContaining({
        ...{ prompt_tokens: 14, completion_tokens: 7, total_tokens: 21 },
        prompt_tokens_details: { cached_tokens: expect.any(Number) },
      }),
    })
    expect(answer.id).toMatch(/^chatcmpl-\w{32}$/)
  })

  test('a stream has one role chunk, a finish chunk and a usage chunk, of one id', async () => {
    const body = { ...chat, stream: true, stream_options: { include_usage: true } }
    const events = await sseEvents(await served.post('/v1/chat/completions', body))
    expect(new Set(events.map(({ id, created, model }) => `${id} ${created} ${model}`)).size).toBe(1)
    expect(events[0].choices).toEqual([{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }])
    expect(events.filter(({ choices }) => choices[0]?.delta.role)).toHaveLength(1)
    expect(events.at(-2).choices).toEqual([{ index: 0, delta: {}, finish_reason: 'stop' }])
    expect(events.slice(0, -1).every(({ usage }) => usage === null)).toBe(true)
    expect(events.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 14, completion_tokens: 7, total_tokens: 21 } })
    expect(events.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe('The capital of France is Paris.')
  })

  test("the client's own stream gives what the whole answer gives, with log-probabilities", async () => {
    const body = { ...chat, temperature: 3, seed: 5, logprobs: true, top_logprobs: 3, n: 2, max_tokens: 20 }
    const whole = await client().chat.completions.create(body)
    const streamed = await client().chat.completions.stream(body).finalChatCompletion()
    const plain = ({ choices }: Json) =>
      choices.map(({ message, logprobs, finish_reason }: Json) => [message.content, logprobs.content, finish_reason])
    expect(plain(streamed)).toEqual(plain(whole))
    for (const { message, logprobs } of whole.choices) {
      const bytes = logprobs!.content!.flatMap(({ bytes }) => bytes!)
      expect(new TextDecoder().decode(Uint8Array.from(bytes))).toBe(message.content)
      expect(logprobs!.content!.every(({ top_logprobs }) => top_logprobs.length === 3)).toBe(true)
    }
    expect(whole.choices[0]!.message.content).not.toBe(whole.choices[1]!.message.content)
    const { choices } = await client().chat.completions.create({ ...body, n: 1, seed: 6 })
    expect(plain({ choices })[0]).toEqual(plain(whole)[1])
  })

  test('calls of tools come in parts, and are the same in one piece', async () => {
    const parameters = { type: 'object', properties: { city: { enum: ['Paris', 'Rome', 'Oslo'] } }, required: ['city'] }
    const tools = [{ type: 'function' as const, function: { name: 'weather', parameters } }]
    const body = { ...chat, tools, tool_choice: 'required' as const, parallel_tool_calls: false }
    const whole = await client().chat.completions.create(body)
    const [choice] = whole.choices
    expect(choice).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } })
    const [call] = choice!.message.tool_calls as Json[]
    expect(call).toMatchObject({ type: 'function', function: { name: 'weather' } })
    expect(JSON.parse(call.function.arguments)).toHaveProperty('city')

    const events = await sseEvents(await served.post('/v1/chat/completions', { ...body, stream: true }))
    const deltas = events.flatMap(({ choices }) => choices[0].delta.tool_calls ?? [])
    expect(deltas[0]).toEqual({ index: 0, id: call.id, type: 'function', function: { name: 'weather', arguments: '' } })
    expect(deltas.slice(1).every((delta) => !('id' in delta) && delta.index === 0)).toBe(true)
    expect(deltas.map((delta) => delta.function.arguments).join('')).toBe(call.function.arguments)
    const { choices } = await client().chat.completions.stream(body).finalChatCompletion()
    expect(choices[0]!.message.tool_calls).toMatchObject([{ id: call.id, function: { arguments: call.function.arguments } }])

    const result = { role: 'tool' as const, tool_call_id: call.id, content: '9 degrees' }
    const messages = [...chat.messages, { ...choice!.message, refusal: null }, result] as Json
    expect((await client().chat.completions.create({ ...body, messages, tool_choice: 'none' })).choices[0]!.finish_reason).toBe('stop')
  })

  test.each([
    ['json_schema', { response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { enum: ['Paris'] } } } }, '"Paris"'],
    ['json_object with a schema', { response_format: { type: 'json_object', schema: { const: { a: 1 } } } }, /^\{\s*"a":\s*1\s*\}$/],
    ['grammar', { grammar: 'root ::= "yes"' }, 'yes'],
    ['regex', { regex: 'no+', max_tokens: 4 }, /^no+$/],
    ['a schema of llama-server', { json_schema: { const: 7 } }, '7'],
    ['text', { response_format: { type: 'text' } }, 'The capital of France is Paris.'],
  ])('an answer follows %s', async (_, extra, expected) => {
    const { choices } = await served.json('/v1/chat/completions', { ...chat, ...extra })
    if (typeof expected === 'string') expect(choices[0].message.content).toBe(expected)
    else expect(choices[0].message.content).toMatch(expected)
  })

  test('null means not given, and unknown fields are ignored', async () => {
    const nulls = { stop: null, seed: null, tools: null, response_format: null, max_tokens: null, top_p: null, logit_bias: null, n: null }
    const body = {
      ...chat,
      ...nulls,
      tool_choice: null,
      stream_options: null,
      user: 'me',
      metadata: { a: 1 },
      frequency_penalty: null,
      tools: [],
      n_probs: 0,
      add_generation_prompt: true,
    }
    expect((await served.json('/v1/chat/completions', body)).choices[0].message.content).toBe('The capital of France is Paris.')
  })

  test('an answer that has begun goes on, and a template shows what the model reads', async () => {
    const messages = [...capital, { role: 'assistant', content: ' The capital of' }]
    const { choices } = await served.json('/v1/chat/completions', { ...chat, messages })
    expect(choices[0].message.content).toBe(' France is Paris.')
    expect(await served.json('/apply-template', { messages: capital })).toEqual({
      prompt: '<s>[INST] What is the capital of France? [/INST]',
    })
    expect((await served.post('/apply-template', { messages: [] })).status).toBe(400)
  })

  test('stop strings, biases and limits act', async () => {
    const ask = async (extra: object) => (await served.json('/v1/chat/completions', { ...chat, ...extra })).choices[0]
    expect(await ask({ stop: [' France'] })).toMatchObject({ message: { content: 'The capital of' }, finish_reason: 'stop' })
    expect(await ask({ max_completion_tokens: 2 })).toMatchObject({ finish_reason: 'length' })
    const { tokenizer } = served.model
    const [paris] = tokenizer.encode('Paris', { addBos: false })
    expect((await ask({ logit_bias: { [paris!]: -100 } })).message.content).not.toContain('Paris')
  })
})

describe('completions', () => {
  const completions = '/v1/completions'

  test('a list of prompts, of texts or ids, has answers in its order, n to each', async () => {
    const texts = ['Long ago,', 'Once upon a time', 'The dog']
    const ids = texts.map((text) => served.model.tokenizer.encodePrompt(text))
    const body = { ...greedy, max_tokens: 5, n: 2 }
    const fromTexts = await client().completions.create({ ...body, prompt: texts })
    const fromIds = await client().completions.create({ ...body, prompt: ids })
    expect(fromTexts.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5])
    expect(fromTexts.choices).toEqual(fromIds.choices)
    for (const [i, text] of texts.entries()) {
      expect(fromTexts.choices[2 * i + 1]!.text).toBe((await served.model.generate(text, { temperature: 0, maxNewTokens: 5 })).text)
    }
    expect(fromTexts.usage).toMatchObject({ prompt_tokens: ids.flat().length, completion_tokens: expect.any(Number) })
    const one = await client().completions.create({ ...body, n: 1, prompt: ids[0]! })
    expect(one.choices).toHaveLength(1)
  })

  test('what is streamed is what comes in one piece', async () => {
    const body = { prompt: ['Long ago,', 'Caf\u00e9 \u{1f600}'], max_tokens: 12, n: 2, seed: 3, temperature: 1.3, logprobs: 2, echo: true }
    const whole = await served.json(completions, body)
    const events = await sseEvents(await served.post(completions, { ...body, stream: true, stream_options: { include_usage: true } }))
    for (const { index, text, logprobs, finish_reason } of whole.choices) {
      const own = events.flatMap(({ choices }) => choices.filter((choice: Json) => choice.index === index))
      expect(own.map((choice) => choice.text).join('')).toBe(text)
      for (const key of ['tokens', 'token_logprobs', 'top_logprobs', 'text_offset']) {
        expect(own.flatMap((choice) => choice.logprobs?.[key] ?? [])).toEqual(logprobs[key])
      }
      expect(own.map((choice) => choice.finish_reason).filter(Boolean)).toEqual([finish_reason])
    }
    expect(events.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: whole.usage.completion_tokens } })
  })

  test('16 tokens are the default, 0 gives the prompt alone', async () => {
    expect((await served.json(completions, { ...greedy, prompt: endless })).usage.completion_tokens).toBe(16)
    const { choices, usage } = await served.json(completions, { ...greedy, prompt: 'Long ago', max_tokens: 0, echo: true })
    expect([choices[0].text, choices[0].finish_reason, usage.completion_tokens]).toEqual(['Long ago', 'length', 0])
  })
})

describe('what is wrong is said with a status, also where a stream was asked for', () => {
  const long = [{ role: 'user', content: 'again and '.repeat(400) }]
  test.each<[string, object, number, string | null]>([
    ['messages: []', { messages: [] }, 400, 'messages'],
    ['messages as a text', { messages: 'hello' }, 400, 'messages'],
    ['messages of numbers', { messages: [123] }, 400, 'messages.0'],
    ['a role that is none', { messages: [{ role: 'pirate', content: 'x' }] }, 400, null],
    ['an image', { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] }, 400, null],
    ['a prompt that is too long', { messages: long }, 400, null],
    ['top_p of 3', { top_p: 3 }, 400, 'top_p'],
    ['n of 0', { n: 0 }, 400, 'n'],
    ['n of a million', { n: 1_000_000 }, 400, 'n'],
    ['max_tokens of 0', { max_tokens: 0 }, 400, 'max_tokens'],
    ['top_logprobs without logprobs', { top_logprobs: 2 }, 400, 'top_logprobs'],
    ['a format that is none', { response_format: { type: 'xml' } }, 400, 'response_format'],
    ['a grammar that is none', { grammar: 'root ::= (' }, 400, null],
    ['a seed that is a text', { seed: '1' }, 400, 'seed'],
    [
      'a choice of a tool that is none',
      { tools: [{ type: 'function', function: { name: 'f' } }], tool_choice: 'maybe' },
      400,
      'tool_choice',
    ],
    ['another model', { model: 'gpt-4o' }, 404, 'model'],
    ['functions', { functions: [{}] }, 400, 'functions'],
    ['audio', { modalities: ['audio'] }, 400, 'modalities'],
    ['a required call without tools', { tool_choice: 'required' }, 400, 'tool_choice'],
    ['a template', { chat_template: '{{ messages }}' }, 400, 'chat_template'],
    ['allowed tokens', { allowed_token_ids: [1] }, 400, 'allowed_token_ids'],
    ['echo', { echo: true }, 400, 'echo'],
  ])('%s', async (_, extra, status, param) => {
    for (const stream of [false, true]) {
      const response = await served.post('/v1/chat/completions', { ...chat, stream, ...extra })
      const { error } = await response.json()
      expect([response.status, error.param], error.message).toEqual([status, param])
      expect(error.type).toMatch(/_error$/)
      expect(error.message).not.toMatch(/dist\/|node_modules|at \w+ \(/)
    }
  })

  test('a prompt that is too long is told with both counts', async () => {
    const { error } = await (await served.post('/v1/chat/completions', { ...chat, messages: long })).json()
    expect(error).toMatchObject({ code: 'context_length_exceeded', n_ctx: 512 })
    expect(error.n_prompt_tokens).toBeGreaterThan(512)
  })

  test.each<[string, object, number]>([
    ['an id outside the vocabulary', { prompt: [5000] }, 400],
    ['no prompt', {}, 400],
    ['an empty list', { prompt: [] }, 400],
    ['numbers beside texts', { prompt: ['a', 1] }, 400],
    ['best_of', { prompt: 'a', best_of: 3 }, 400],
    ['a suffix', { prompt: 'a', suffix: 'b' }, 400],
    ['a thousand prompts, n of 2', { prompt: Array(1000).fill('a'), n: 2 }, 400],
    ['logprobs of 21', { prompt: 'a', logprobs: 21 }, 400],
  ])('completions: %s', async (_, body, status) => {
    expect((await served.post('/v1/completions', body)).status).toBe(status)
  })

  test("OpenAI's client raises its own errors", async () => {
    await expect(client().chat.completions.create({ ...chat, top_p: 3 })).rejects.toThrow(OpenAI.BadRequestError)
    await expect(client().chat.completions.create({ ...chat, model: 'other' })).rejects.toThrow(OpenAI.NotFoundError)
    await expect(client().chat.completions.create({ ...chat, top_p: 3, stream: true })).rejects.toThrow(OpenAI.BadRequestError)
  })
})
