import OpenAI from 'openai'
import { describe, expect, test } from 'vitest'
import { capital, type Json, namedEvents, withServer } from './served.js'

const served = withServer()
const client = () => new OpenAI({ baseURL: `${served.server.url}/v1`, apiKey: 'none', maxRetries: 0 })
const path = '/v1/responses'
const answer = 'The capital of France is Paris.'
const greedy = { model: 'demo', temperature: 0 } as const
const ask = { ...greedy, input: capital[0]!.content }
const parameters = { type: 'object', properties: { city: { enum: ['Paris', 'Rome', 'Oslo'] } }, required: ['city'] }
const tools = [{ type: 'function' as const, name: 'weather', description: 'The weather', parameters, strict: true }]
const allowed = (mode: string, ...names: string[]) => ({
  ...{ type: 'allowed_tools', mode },
  tools: [{ type: 'web_search' }, ...names.map((name) => ({ type: 'function', name }))],
})
const stream = async (body: object): Promise<Json[]> => namedEvents(await served.post(path, { ...body, stream: true }))
/** What stays the same when a request is repeated. */
const lasting = ({ id, created_at, output, usage, ...others }: Json) => ({
  ...others,
  output: output.map(({ id, ...item }: Json) => item),
  usage: [usage.input_tokens, usage.output_tokens],
})

test("an answer has the fields of the API, and OpenAI's client finds its text", async () => {
  const found = (await client().responses.create({ ...ask, metadata: { a: 'b' } })) as Json
  expect(found.output_text).toBe(answer)
  expect(found).toMatchObject({
    ...{ object: 'response', status: 'completed', error: null, incomplete_details: null, model: 'demo', temperature: 0, top_p: 1 },
    ...{ instructions: null, parallel_tool_calls: true, tool_choice: 'auto', tools: [], previous_response_id: null, store: false },
    ...{ text: { format: { type: 'text' } }, metadata: { a: 'b' }, truncation: 'disabled', max_output_tokens: null },
    usage: { input_tokens: 14, output_tokens: 7, total_tokens: 21, output_tokens_details: { reasoning_tokens: 0 } },
  })
  expect(found.output).toEqual([
    {
      ...{ id: expect.stringMatching(/^msg_\w{32}$/), type: 'message', status: 'completed', role: 'assistant' },
      content: [{ type: 'output_text', text: answer, annotations: [], logprobs: [] }],
    },
  ])
  expect(found.id).toMatch(/^resp_\w{32}$/)
})

test('a stream has the events of the API in their order, numbered, and ends with what comes in one piece', async () => {
  const events = await stream(ask)
  const types = events.map(({ type }) => type)
  expect(types.filter((type) => type !== 'response.output_text.delta')).toEqual([
    ...['response.created', 'response.in_progress', 'response.output_item.added', 'response.content_part.added'],
    ...['response.output_text.done', 'response.content_part.done', 'response.output_item.done', 'response.completed'],
  ])
  expect(events.map(({ sequence_number: at }) => at)).toEqual(events.map((_, i) => i))
  const deltas = events.filter(({ type }) => type === 'response.output_text.delta')
  expect(deltas.map(({ delta }) => delta).join('')).toBe(answer)
  const { response } = events.at(-1)
  expect(new Set(deltas.map(({ item_id: id }) => id))).toEqual(new Set([response.output[0].id]))
  expect(events[0].response).toMatchObject({ id: response.id, status: 'in_progress', output: [], usage: null })
  expect(lasting(response)).toEqual(lasting(await served.json(path, ask)))
})

test("the client's own stream gives the whole answer", async () => {
  const final = await client()
    .responses.stream({ ...ask, temperature: 1.5, seed: 3, top_logprobs: 2 } as Json)
    .finalResponse()
  const whole = await served.json(path, { ...ask, temperature: 1.5, seed: 3, top_logprobs: 2 })
  expect(final.output_text).toBe(whole.output[0].content[0].text)
  expect((final.output[0] as Json).content[0].logprobs).toEqual(whole.output[0].content[0].logprobs)
  expect(whole.output[0].content[0].logprobs[0].top_logprobs).toHaveLength(2)
})

describe('input', () => {
  test('items, parts and instructions are the messages of a chat', async () => {
    const messages = [{ role: 'system', content: 'Be short.' }, ...capital]
    const { choices } = await served.json('/v1/chat/completions', { ...greedy, messages })
    const parts = [
      { type: 'input_text', text: 'What is the capital ' },
      { type: 'input_text', text: 'of France?' },
    ]
    const found = await client().responses.create({
      ...greedy,
      instructions: 'Be short.',
      input: [{ role: 'user', content: parts as Json }],
    })
    expect(found.output_text).toBe(choices[0].message.content)
    const typed = { type: 'message', role: 'user', content: capital[0]!.content }
    expect(lasting(await served.json(path, { ...greedy, input: [typed] }))).toEqual(lasting(await served.json(path, ask)))
  })

  test('a conversation goes on with what came back', async () => {
    const first = await served.json(path, ask)
    const input = [...capital, ...first.output, { role: 'user', content: 'What is 7 + 5?' }]
    const messages = [...capital, { role: 'assistant', content: answer }, { role: 'user', content: 'What is 7 + 5?' }]
    const { choices } = await served.json('/v1/chat/completions', { ...greedy, messages })
    expect((await client().responses.create({ ...greedy, input })).output_text).toBe(choices[0].message.content)
  })
})

describe('functions', () => {
  const body = { ...ask, tools, tool_choice: 'required' as const, parallel_tool_calls: false }

  test('a call is an item, streamed too, and its result comes back', async () => {
    const whole = await client().responses.create(body)
    const [call] = whole.output as Json[]
    expect(whole.output).toHaveLength(1)
    expect(call).toMatchObject({ type: 'function_call', status: 'completed', name: 'weather', call_id: expect.stringMatching(/^\w{9}$/) })
    expect(parameters.properties.city.enum).toContain(JSON.parse(call.arguments).city)
    const events = await stream(body)
    const types = events.map(({ type }) => type).filter((type) => !type.endsWith('.delta'))
    expect(types).toEqual([
      ...['response.created', 'response.in_progress', 'response.output_item.added'],
      ...['response.function_call_arguments.done', 'response.output_item.done', 'response.completed'],
    ])
    expect(events[2].item).toMatchObject({ type: 'function_call', status: 'in_progress', arguments: '', call_id: call.call_id })
    const deltas = events.filter(({ type }) => type === 'response.function_call_arguments.delta')
    expect(deltas.map(({ delta }) => delta).join('')).toBe(call.arguments)
    expect(events.at(-1).response.output).toEqual(whole.output)

    const input = [...capital, call, { type: 'function_call_output', call_id: call.call_id, output: '9 degrees' }]
    const next = await client().responses.create({ ...body, input, tool_choice: 'none' })
    expect(next).toMatchObject({ status: 'completed', output: [{ type: 'message' }] })
  })

  test('several calls and their results are one turn', async () => {
    const calls = ['a', 'b'].map((id) => ({ type: 'function_call', call_id: id, name: 'weather', arguments: '{"city": "Rome"}' }))
    const results = ['a', 'b'].map((id) => ({ type: 'function_call_output', call_id: id, output: [{ type: 'input_text', text: '9' }] }))
    const found = await served.json(path, { ...ask, tools, tool_choice: 'none', input: [...capital, ...calls, ...results] })
    expect(found.status).toBe('completed')
  })

  test('the one that is named is called', async () => {
    const choice = { type: 'function', name: 'weather' }
    expect((await served.json(path, { ...body, tool_choice: choice })).output[0]).toMatchObject({ type: 'function_call', name: 'weather' })
  })

  test.each([6, 16])('a call that a limit has cut before its arguments is none (%i tokens)', async (most) => {
    const found = await served.json(path, { ...body, max_output_tokens: most })
    expect(found).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } })
    expect(found.output.every(({ type }: Json) => type === 'message')).toBe(true)
    const events = await stream({ ...body, max_output_tokens: most })
    expect(events.at(-1).type).toBe('response.incomplete')
    expect(lasting(events.at(-1).response)).toEqual(lasting(found))
  })
})

test('limits and formats act', async () => {
  const cut = await served.json(path, { ...ask, max_output_tokens: 3 })
  expect(cut).toMatchObject({ status: 'incomplete', output: [{ status: 'incomplete', content: [{ text: 'The capital of' }] }] })
  const format = { type: 'json_schema', name: 'x', schema: { enum: ['Paris'] }, strict: true }
  expect(JSON.parse((await served.json(path, { ...ask, text: { format } })).output[0].content[0].text)).toBe('Paris')
  const nulls = { instructions: null, tools: null, tool_choice: null, text: null, metadata: null, top_p: null, include: null, user: 'me' }
  const ignored = { store: true, reasoning: { effort: 'low' }, include: ['reasoning.encrypted_content'], service_tier: 'auto' }
  expect((await served.json(path, { ...ask, ...nulls, ...ignored })).output[0].content[0].text).toBe(answer)
})

describe('what Codex and the AI SDK send', () => {
  const others = [{ type: 'web_search' }, { type: 'custom', name: 'apply_patch', format: { type: 'text' } }, { type: 'local_shell' }]
  const tokens = async (body: object) => (await served.json(path, { ...greedy, max_output_tokens: 1, ...body })).usage.input_tokens

  test('tools that are no functions are left out', async () => {
    const found = await served.json(path, { ...ask, tools: others })
    expect(found).toMatchObject({ tools: [], output: [{ content: [{ text: answer }] }], usage: { input_tokens: 14 } })
    const both = await served.json(path, { ...ask, tools: [...others, ...tools], tool_choice: 'required', parallel_tool_calls: false })
    expect(both).toMatchObject({ tools: [{ name: 'weather' }], output: [{ type: 'function_call', name: 'weather' }] })
  })

  test('thoughts and calls of the server are left out of the input, and references to them', async () => {
    const said = { role: 'assistant', content: answer, id: 'msg_1' }
    const plain = [...capital, said, ...capital]
    const full = [
      ...[...capital, { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'x' }, { type: 'web_search_call', id: 'ws_1' }],
      ...[said, { type: 'item_reference', id: 'msg_1' }, { type: 'item_reference', id: 'rs_0' }, ...capital],
    ]
    expect(await tokens({ input: full })).toBe(await tokens({ input: plain }))
  })

  test('a reference to what only its sender has is refused by its name', async () => {
    const response = await served.post(path, { ...ask, input: [...capital, { type: 'item_reference', id: 'msg_7' }] })
    expect([response.status, (await response.json()).error.message]).toEqual([400, expect.stringContaining('"msg_7"')])
  })

  test('calls of custom tools and of a shell are read as calls', async () => {
    const of = (call: object, output: string) => [...capital, call, { type: output, call_id: 'a', output: 'done' }]
    const called = (name: string, given: object) =>
      of({ type: 'function_call', call_id: 'a', name, arguments: JSON.stringify(given) }, 'function_call_output')
    const patch = of({ type: 'custom_tool_call', call_id: 'a', name: 'apply_patch', input: '*** x' }, 'custom_tool_call_output')
    expect(await tokens({ input: patch })).toBe(await tokens({ input: called('apply_patch', { input: '*** x' }) }))
    const action = { type: 'exec', command: ['ls'] }
    const shell = of({ type: 'local_shell_call', call_id: 'a', action }, 'local_shell_call_output')
    expect(await tokens({ input: shell })).toBe(await tokens({ input: called('local_shell', { action }) }))
  })

  test('a refusal is a text', async () => {
    const of = (part: object) => ({ input: [...capital, { role: 'assistant', content: [part] }, ...capital] })
    expect(await tokens(of({ type: 'refusal', refusal: answer }))).toBe(await tokens(of({ type: 'output_text', text: answer })))
  })

  test('allowed tools are the only ones, in chats too', async () => {
    const news = { type: 'function' as const, name: 'news', parameters: { type: 'object', properties: {} } }
    const body = { ...ask, tools: [news, ...tools], parallel_tool_calls: false }
    const { output, usage } = await served.json(path, { ...body, tool_choice: allowed('required', 'weather') })
    expect(output[0]).toMatchObject({ type: 'function_call', name: 'weather' })
    expect(usage.input_tokens).toBe(await tokens({ ...ask, tools }))
    const chatTools = body.tools.map(({ type, ...called }) => ({ type, function: called }))
    const allowed_tools = { mode: 'required', tools: [{ type: 'function', function: { name: 'weather' } }] }
    const chat = { ...greedy, messages: capital, tools: chatTools, tool_choice: { type: 'allowed_tools', allowed_tools } }
    const { choices } = await served.json('/v1/chat/completions', chat)
    expect(choices[0].message.tool_calls[0].function.name).toBe('weather')
    expect((await served.json(path, { ...ask, tools: [news], tool_choice: allowed('auto') })).output[0].content[0].text).toBe(answer)
  })

  test('truncation cuts the oldest turns of what is too long, and nothing else', async () => {
    const turn = (i: number) => [
      { role: 'user', content: `${i} again and again and again` },
      { role: 'assistant', content: 'and again and again' },
    ]
    const system = { role: 'system', content: 'Be short.' }
    const long = [system, ...Array.from({ length: 60 }, (_, i) => turn(i)).flat(), ...capital]
    expect((await served.post(path, { ...ask, input: long })).status).toBe(400)
    const found = await served.json(path, { ...ask, input: long, truncation: 'auto', max_output_tokens: 40 })
    expect(found.truncation).toBe('auto')
    const { input_tokens: kept } = found.usage
    expect(kept).toBeLessThanOrEqual(512 - 40)
    expect(kept).toBeGreaterThan(512 - 40 - 60) // one more turn has no room
    const short = { ...ask, input: [system, ...turn(1), ...capital] }
    expect(lasting(await served.json(path, { ...short, truncation: 'auto' })).usage).toEqual(lasting(await served.json(path, short)).usage)
  })

  test('no input and one token is a look whether the server is there', async () => {
    expect(await served.json(path, { model: 'demo', input: [], max_output_tokens: 1 })).toMatchObject({ object: 'response' })
  })
})

describe('what is wrong or missing is refused by name, also where a stream was asked for', () => {
  test.each<[string, object, number, string | null]>([
    ['no input', { input: undefined }, 400, 'input'],
    ['no items', { input: [] }, 400, 'input'],
    ['an image', { input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }] }, 400, 'input.0.content.0'],
    ['a role that is none', { input: [{ role: 'pirate', content: 'x' }] }, 400, null],
    ['an item of another type', { input: [{ type: 'item_reference', id: 'x' }] }, 400, 'input.0'],
    ['a call without a name', { input: [{ type: 'function_call', call_id: 'x' }] }, 400, 'input.0'],
    ['an earlier response', { previous_response_id: 'resp_1' }, 400, 'previous_response_id'],
    ['a conversation', { conversation: 'conv_1' }, 400, 'conversation'],
    ['work in the background', { background: true }, 400, 'background'],
    ['a stored prompt', { prompt: { id: 'pmpt_1' } }, 400, 'prompt'],
    ['truncation of no kind', { truncation: 'some' }, 400, 'truncation'],
    ['a call of tools that were left out', { tools: [{ type: 'web_search' }], tool_choice: 'required' }, 400, 'tool_choice'],
    ['a function without a name', { tools: [{ type: 'web_search' }, { type: 'function' }] }, 400, 'tools.1.name'],
    ['an allowed tool that is none', { tools, tool_choice: allowed('required', 'news') }, 400, 'tool_choice'],
    ['allowed tools without a mode', { tools, tool_choice: { ...allowed('auto', 'weather'), mode: null } }, 400, 'tool_choice'],
    ['too much, cut to its last turn', { truncation: 'auto', input: 'again and '.repeat(400) }, 400, null],
    ['a limit of 0', { max_output_tokens: 0 }, 400, 'max_output_tokens'],
    ['a format that is none', { text: { format: { type: 'xml' } } }, 400, 'text.format'],
    ['a schema that is none', { text: { format: { type: 'json_schema', schema: { type: 'x' } } } }, 400, null],
    ['a format without a schema', { text: { format: { type: 'json_schema', name: 'x' } } }, 400, 'text.format'],
    ['a call without tools', { tool_choice: 'required' }, 400, 'tool_choice'],
    ['another model', { model: 'gpt-5' }, 404, 'model'],
    ['too much', { input: 'again and '.repeat(400) }, 400, null],
  ])('%s', async (_, extra, status, param) => {
    for (const streams of [false, true]) {
      const response = await served.post(path, { ...ask, stream: streams, ...extra })
      const { error } = await response.json()
      expect([response.status, error.param], error.message).toEqual([status, param])
    }
  })
})
