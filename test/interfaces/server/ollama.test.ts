import { Ollama } from 'ollama'
import { describe, expect, test } from 'vitest'
import { capital, endless, type Json, ndjson, until, withServer } from './served.js'

const served = withServer({ pingSeconds: 0.02 })
const client = () => new Ollama({ host: served.server.url })
const greedy = { model: 'demo', options: { temperature: 0 } }
const chat = { ...greedy, messages: capital }
const answer = 'The capital of France is Paris.'
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/

const whole = async (path: string, body: object): Promise<Json> => served.json(path, { ...body, stream: false })

describe('answers', () => {
  test('a chat has text, reason, counts, and durations in nanoseconds', async () => {
    const found = await client().chat({ ...chat, stream: false })
    const count = expect.any(Number)
    expect(found).toEqual({
      ...{ model: 'demo', created_at: expect.stringMatching(RFC3339), message: { role: 'assistant', content: answer } },
      ...{ done: true, done_reason: 'stop', total_duration: count, prompt_eval_duration: count, eval_duration: count },
      ...{ prompt_eval_count: 14, eval_count: 7 },
    })
    const { total_duration: total, prompt_eval_duration: prompt, eval_duration: decoding } = found
    expect([total, prompt, decoding].every(Number.isInteger)).toBe(true)
    expect(total).toBeGreaterThanOrEqual(prompt + decoding)
  })

  test('a stream is the default, a line is an object, the last has the figures', async () => {
    const response = await served.post('/api/chat', chat)
    expect(response.headers.get('content-type')).toBe('application/x-ndjson')
    const lines = await ndjson(response)
    expect(lines.every(({ model, created_at }) => model === 'demo' && RFC3339.test(created_at))).toBe(true)
    expect(lines.map(({ message }) => message.content).join('')).toBe(answer)
    expect(lines.map(({ done }) => done)).toEqual([...Array(lines.length - 1).fill(false), true])
    expect(lines.at(-1)).toMatchObject({ message: { content: '' }, done_reason: 'stop', prompt_eval_count: 14, eval_count: 7 })
  })

  test("the client's stream of a text is the text in one piece, with log-probabilities", async () => {
    const body = {
      model: 'demo',
      prompt: endless,
      raw: true,
      options: { num_predict: 20, seed: 3, temperature: 1.5 },
      logprobs: true,
      top_logprobs: 2,
    }
    const one = await whole('/api/generate', body)
    expect([one.done_reason, one.eval_count, one.logprobs.length]).toEqual(['length', 20, 20])
    expect(Object.keys(one.logprobs[0])).toEqual(['token', 'logprob', 'bytes', 'top_logprobs'])
    let text = ''
    const logprobs: Json[] = []
    for await (const part of await client().generate({ ...body, stream: true } as Json)) {
      const { response, logprobs: some = [] } = part as Json
      text += response
      logprobs.push(...some)
    }
    expect([text, logprobs]).toEqual([one.response, one.logprobs])
  })

  test('a prompt goes through the template, with a system message', async () => {
    const { response } = await client().generate({ ...greedy, prompt: capital[0]!.content, stream: false })
    expect(response).toBe(answer)
    const both = await whole('/api/generate', { ...greedy, prompt: 'What is 7 + 5?', system: 'Be short.' })
    const messages = [
      { role: 'system', content: 'Be short.' },
      { role: 'user', content: 'What is 7 + 5?' },
    ]
    expect(both.response).toBe((await whole('/api/chat', { ...greedy, messages })).message.content)
  })

  test('format is JSON, or follows a schema', async () => {
    expect(JSON.parse((await whole('/api/chat', { ...chat, format: { enum: ['Paris'] } })).message.content)).toBe('Paris')
    const { message } = await whole('/api/chat', { ...chat, format: 'json', options: { temperature: 0, num_predict: 200 } })
    expect(message.content).toMatch(/^\{/)
    for (const format of ['', null]) expect((await whole('/api/chat', { ...chat, format })).message.content).toBe(answer)
  })

  test('calls of tools have an object of arguments, and their results come back', async () => {
    const parameters = { type: 'object', properties: { city: { type: 'string', enum: ['Paris', 'Rome'] } }, required: ['city'] }
    const tools = [{ type: 'function' as const, function: { name: 'weather', description: 'The weather', parameters } }]
    // with this seed the demo model, which has not learned to call, calls three times
    const options = { temperature: 2, top_p: 0.9, min_p: 0, num_predict: 120, seed: 9 }
    const settings = { temperature: 2, topP: 0.9, minP: 0, maxNewTokens: 120, seed: 9 }
    const { toolCalls } = await served.model.chat(capital as Json, { tools, ...settings })
    const expected = toolCalls.map(({ id, function: { name, arguments: given } }, index) => ({
      id,
      function: { index, name, arguments: JSON.parse(given) },
    }))
    expect(expected).toHaveLength(3)
    const one = await whole('/api/chat', { ...chat, options, tools })
    expect(one).toMatchObject({ message: { role: 'assistant', content: '', tool_calls: expected }, done: true })
    const lines = await ndjson(await served.post('/api/chat', { ...chat, options, tools }))
    expect(lines.flatMap(({ message }) => message.tool_calls ?? [])).toEqual(expected)
    const messages = [
      ...capital,
      { role: 'assistant', content: '', tool_calls: [{ function: { name: 'weather', arguments: { city: 'Paris' } } }] },
      { role: 'tool', tool_name: 'weather', content: '9 degrees' },
    ]
    expect((await client().chat({ ...greedy, messages, tools: tools as Json, stream: false })).done_reason).toBe('stop')
  })

  test('nothing to write loads; a model that was given stays loaded', async () => {
    expect(await served.json('/api/generate', { model: 'demo' })).toMatchObject({ response: '', done: true, done_reason: 'load' })
    expect(await served.json('/api/chat', { model: 'demo', messages: [] })).toMatchObject({ message: { content: '' }, done_reason: 'load' })
    expect(await served.json('/api/generate', { model: 'demo', keep_alive: 0 })).toMatchObject({ done_reason: 'load' })
    expect(await served.json('/api/generate', { model: 'demo', keep_alive: '1h30m' })).toMatchObject({ done_reason: 'load' })
  })
})

describe('models', () => {
  test('version, tags, ps and show, as the client reads them', async () => {
    const { version } = await (await fetch(`${served.server.url}/api/version`)).json()
    const [major, minor, patch] = version.split('.').map(Number)
    expect([major, minor, patch].every(Number.isInteger) && major * 1e6 + minor * 1e3 + patch >= 6_004).toBe(true) // VS Code wants 0.6.4
    expect((await (await fetch(`${served.server.url}/props`)).json()).build_info).toMatch(/^mixtral-wasm \d+\.\d+\.\d+$/)
    const { models } = await client().list()
    const details = {
      parent_model: '',
      format: 'gguf',
      family: 'llama',
      families: ['llama'],
      parameter_size: '11.7M',
      quantization_level: 'Q4_K_M',
    }
    expect(models).toMatchObject([
      { name: 'demo', model: 'demo', digest: expect.stringMatching(/^[\da-f]{64}$/), size: expect.any(Number), details },
    ])
    const { models: running } = await client().ps()
    expect(running).toMatchObject([{ model: 'demo', size_vram: 0, context_length: 512, details }])
    expect(Number.isNaN(Date.parse(running[0]!.expires_at as unknown as string))).toBe(false)
    const shown = (await client().show({ model: 'demo:latest' })) as Json
    expect(shown).toMatchObject({
      details,
      capabilities: ['completion', 'tools'],
      model_info: { 'general.architecture': 'llama', 'llama.expert_count': 8 },
    })
    expect(shown.model_info['general.parameter_count']).toBeGreaterThan(11e6)
    expect(shown.model_info['general.basename']).toMatch(/\w/)
    expect(shown.model_info['tokenizer.ggml.tokens']).toBeNull()
    expect(shown.template).toContain('[INST]')
    expect(JSON.stringify([models, running, shown])).not.toContain(process.cwd())
  })

  test.each(['pull', 'push', 'create', 'copy'])('%s is refused by name', async (name) => {
    const response = await served.post(`/api/${name}`, { model: 'demo' })
    expect([response.status, await response.json()]).toEqual([501, { error: `/api/${name} is not supported` }])
  })
})

describe('errors', () => {
  test.each<[string, string, object, number, string]>([
    ['chat', 'another model', { model: 'llama3', messages: capital }, 404, "model 'llama3' not found"],
    ['chat', 'no model', { model: undefined, messages: capital }, 400, 'model is required'],
    ['chat', 'thinking', { ...chat, think: true }, 400, '"demo" does not support thinking'],
    ['chat', 'an option out of range', { ...chat, options: { repeat_penalty: -1 } }, 400, 'repeat_penalty is -1'],
    ['chat', 'a format that is none', { ...chat, format: 'xml' }, 400, 'format'],
    ['chat', 'an image', { ...greedy, messages: [{ role: 'user', content: 'x', images: ['aa'] }] }, 400, 'images'],
    [
      'chat',
      'a prompt that is too long',
      { ...greedy, messages: [{ role: 'user', content: 'again '.repeat(600) }] },
      400,
      'has room for 512',
    ],
    ['chat', 'a time that is none', { ...chat, keep_alive: 'soon' }, 400, 'keep_alive'],
    ['generate', 'a suffix', { ...greedy, prompt: 'a', suffix: 'b' }, 400, 'does not support insert'],
    ['generate', 'raw with a system message', { ...greedy, prompt: 'a', raw: true, system: 'b' }, 400, 'raw mode does not support'],
    ['generate', 'a template', { ...greedy, prompt: 'a', template: '{{ .Prompt }}' }, 400, 'template is not supported'],
    ['show', 'another model', { model: '../x' }, 404, "model '../x' not found"],
  ])('%s: %s', async (path, _, body, status, text) => {
    const response = await served.post(`/api/${path}`, body)
    const found = await response.json()
    expect([response.status, Object.keys(found)]).toEqual([status, ['error']])
    expect(found.error).toContain(text)
  })

  test('the client raises them, and its abort ends the work', async () => {
    await expect(client().chat({ model: 'x', messages: capital })).rejects.toThrow("model 'x' not found")
    const ollama = client()
    const stream = await ollama.generate({ model: 'demo', prompt: endless, raw: true, options: { num_predict: -1 }, stream: true })
    await expect(
      (async () => {
        for await (const { response } of stream) if (response) ollama.abort()
      })(),
    ).rejects.toThrow()
    await until(async () => (await served.status()).running === 0)
  })

  test('a context beyond what there is becomes that, and the log tells', async () => {
    const options = { temperature: 0, num_ctx: 32_768 }
    expect((await whole('/api/chat', { ...chat, options })).message.content).toBe(answer)
    await until(() => served.logs.some(({ contextAsked }) => contextAsked === 32_768))
    const long = { ...chat, options, messages: [{ role: 'user', content: 'again '.repeat(600) }] }
    expect(await (await served.post('/api/chat', long)).json()).toEqual({ error: expect.stringContaining('has room for 512') })
    expect((await served.post('/api/embed', { model: 'demo', input: 'a', options: { num_ctx: 9999 } })).status).toBe(200)
  })

  test('roles and names of models have no case, and a limit of 0 is none', async () => {
    const messages = [{ role: 'User', content: capital[0]!.content }]
    const body = { model: 'DEMO:Latest', messages, options: { temperature: 0, num_predict: 0 } }
    expect((await whole('/api/chat', body)).message.content).toBe(answer)
    expect((await served.json('/api/show', { model: 'Demo' })).details.format).toBe('gguf')
  })

  test('unknown options are ignored', async () => {
    const options = { temperature: 0, num_gpu: 1, num_thread: 8, num_keep: 4, invented: 'yes', num_predict: -1, seed: -1 }
    expect((await whole('/api/chat', { ...chat, options, truncate: true, user: 'me' })).message.content).toBe(answer)
  })
})
