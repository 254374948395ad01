import { describe, expect, test } from 'vitest'
import { capital, type Json, namedEvents, withServer } from './served.js'

const served = withServer()
const path = '/v1/messages'
const answer = 'The capital of France is Paris.'
const ask = { model: 'demo', max_tokens: 60, temperature: 0, messages: capital }
const input_schema = { type: 'object', properties: { city: { enum: ['Paris', 'Rome', 'Oslo'] } }, required: ['city'] }
const tools = [{ name: 'weather', description: 'The weather', input_schema }]
const search = { type: 'web_search_20250305', name: 'web_search' }
const post = (body: object) => served.json(path, body)
const stream = async (body: object): Promise<Json[]> => namedEvents(await served.post(path, { ...body, stream: true }))
const lasting = ({ id, usage, ...others }: Json) => ({ ...others, output: usage.output_tokens })

/** The message that the events of a stream make, as Anthropic's clients put it together. Throws for a wrong order. */
function assembled(events: readonly Json[]): Json {
  let message: Json
  let open = false
  for (const { type, index, ...event } of events) {
    if (type === 'ping') continue
    if (type === 'message_start') message = structuredClone(event.message)
    else if (type === 'content_block_start') {
      if (open || index !== message.content.length) throw new Error('a block begins in the wrong place')
      message.content.push({ ...event.content_block })
      open = true
    } else if (type === 'content_block_delta') {
      const block = message.content[index]
      if (!open || index !== message.content.length - 1) throw new Error('a delta of no block')
      if (event.delta.type === 'text_delta') block.text += event.delta.text
      else block.json = (block.json ?? '') + event.delta.partial_json
    } else if (type === 'content_block_stop') {
      const block = message.content[index]
      if (block.type === 'tool_use') block.input = JSON.parse(block.json)
      delete block.json
      open = false
    } else if (type === 'message_delta') {
      message = { ...message, ...event.delta, usage: event.usage }
    } else if (type !== 'message_stop') throw new Error(`an event ${type}`)
  }
  if (open || events.at(-1).type !== 'message_stop') throw new Error('the stream has no end')
  return message
}

test('an answer has the fields of the API', async () => {
  const found = await post(ask)
  expect(found).toEqual({
    ...{ id: expect.stringMatching(/^msg_\w{32}$/), type: 'message', role: 'assistant', model: 'demo' },
    ...{ content: [{ type: 'text', text: answer }], stop_reason: 'end_turn', stop_sequence: null, usage: expect.any(Object) },
  })
  const { input_tokens: computed, cache_read_input_tokens: cached, ...others } = found.usage
  expect(computed + cached).toBe(14)
  expect(others).toEqual({ cache_creation_input_tokens: 0, output_tokens: 7 })
  expect((await post(ask)).usage.cache_read_input_tokens).toBe(13)
})

test('a stream has the events of the API in their order, and makes the same message', async () => {
  const events = await stream(ask)
  expect(events.map(({ type }) => type).filter((type) => type !== 'content_block_delta')).toEqual([
    ...['message_start', 'content_block_start', 'content_block_stop', 'message_delta', 'message_stop'],
  ])
  expect(events[0].message).toMatchObject({ content: [], stop_reason: null, usage: { input_tokens: 14, output_tokens: 0 } })
  expect(lasting(assembled(events))).toEqual(lasting(await post(ask)))
})

test.each<[string, object, object]>([
  ['a stop sequence', { stop_sequences: ['Rome', ' France'] }, { stop_reason: 'stop_sequence', stop_sequence: ' France' }],
  ['a limit', { max_tokens: 2 }, { stop_reason: 'max_tokens', stop_sequence: null }],
  ['its end', { stop_sequences: ['Rome'] }, { stop_reason: 'end_turn', stop_sequence: null }],
])('why it stopped is told: %s', async (_, extra, expected) => {
  const whole = await post({ ...ask, ...extra })
  expect(whole).toMatchObject(expected)
  expect(lasting(assembled(await stream({ ...ask, ...extra })))).toEqual(lasting(whole))
})

test('an answer of no text has no blocks', async () => {
  const body = { ...ask, stop_sequences: ['The'] }
  expect(await post(body)).toMatchObject({ content: [], stop_reason: 'stop_sequence' })
  expect(assembled(await stream(body)).content).toEqual([])
})

test('system and blocks are those of a chat; what tokens there are is counted', async () => {
  const messages = [{ role: 'system', content: 'Be short.' }, ...capital]
  const { choices, usage } = await served.json('/v1/chat/completions', { temperature: 0, messages })
  const text = capital[0]!.content
  const blocks = [{ role: 'user', content: [...text].map((letter) => ({ type: 'text', text: letter })) }]
  const system = [
    { type: 'text', text: 'Be ', cache_control: { type: 'ephemeral' } },
    { type: 'text', text: 'short.' },
  ]
  for (const asked of [{ system: 'Be short.' }, { system, messages: blocks }]) {
    expect((await post({ ...ask, ...asked })).content).toEqual([{ type: 'text', text: choices[0].message.content }])
    const body = { model: 'demo', messages: capital, ...asked }
    expect(await served.json(`${path}/count_tokens`, body)).toEqual({ input_tokens: usage.prompt_tokens })
  }
  const more = await served.json(`${path}/count_tokens`, { messages: capital, tools })
  expect(more.input_tokens).toBeGreaterThan(14)
  expect(Object.keys(more)).toEqual(['input_tokens'])
})

describe('tools', () => {
  const body = { ...ask, tools, tool_choice: { type: 'any', disable_parallel_tool_use: true } }

  test('a call is a block, streamed too, and its result comes back', async () => {
    const whole = await post(body)
    expect(whole).toMatchObject({ stop_reason: 'tool_use', content: [{ type: 'tool_use', name: 'weather' }] })
    const [call] = whole.content
    expect(input_schema.properties.city.enum).toContain(call.input.city)
    const events = await stream(body)
    expect(events.find(({ type }) => type === 'content_block_start').content_block).toEqual({ ...call, input: {} })
    expect(lasting(assembled(events))).toEqual(lasting(whole))
    const { input_tokens: computed, cache_read_input_tokens: cached } = whole.usage
    expect(events[0].message.usage.input_tokens).toBe(computed + cached)
    const result = { type: 'tool_result', tool_use_id: call.id, content: [{ type: 'text', text: '9 degrees' }] }
    const messages = [...capital, { role: 'assistant', content: whole.content }, { role: 'user', content: [result] }]
    const next = await post({ ...body, messages, tool_choice: { type: 'none' } })
    expect(next.stop_reason).toBe('end_turn')
    const chat = [
      ...capital,
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: call.id, type: 'function', function: { name: 'weather', arguments: JSON.stringify(call.input) } }],
      },
      { role: 'tool', tool_call_id: call.id, content: '9 degrees' },
    ]
    const chatTools = [{ type: 'function', function: { name: 'weather', description: 'The weather', parameters: input_schema } }]
    const { choices } = await served.json('/v1/chat/completions', { temperature: 0, messages: chat, tools: chatTools, tool_choice: 'none' })
    expect(next.content[0].text).toBe(choices[0].message.content)
  })

  test('a text may come before a call, and a message may have several calls', async () => {
    const calls = ['a', 'b'].map((id) => ({ type: 'tool_use', id, name: 'weather', input: { city: 'Rome' } }))
    const results = ['a', 'b'].map((id) => ({ type: 'tool_result', tool_use_id: id, content: '9' }))
    const said = [{ type: 'text', text: 'Let me see.' }, ...calls]
    const messages = [
      ...capital,
      { role: 'assistant', content: said },
      { role: 'user', content: [...results, { type: 'text', text: 'And?' }] },
    ]
    expect((await post({ ...body, messages, tool_choice: { type: 'none' } })).content[0].type).toBe('text')
  })

  test('the one that is named is called; a schema may be asked for', async () => {
    expect((await post({ ...body, tool_choice: { type: 'tool', name: 'weather' } })).content[0].name).toBe('weather')
    const format = { type: 'json_schema', schema: { const: 'x' } }
    expect((await post({ ...ask, output_config: { format } })).content[0].text).toBe('"x"')
  })
})

describe('what Claude Code sends', () => {
  const count = async (body: object) => (await served.json(`${path}/count_tokens`, body)).input_tokens

  test('a system message among the messages is one of a chat', async () => {
    const messages = [...capital, { role: 'assistant', content: answer }, { role: 'system', content: 'Be short.' }, ...capital]
    const { choices, usage } = await served.json('/v1/chat/completions', { temperature: 0, messages })
    const blocks = messages.map((one) => (one.role === 'system' ? { ...one, content: [{ type: 'text', text: one.content }] } : one))
    for (const asked of [messages, blocks]) {
      expect((await post({ ...ask, messages: asked })).content).toEqual([{ type: 'text', text: choices[0].message.content }])
      expect(await count({ messages: asked })).toBe(usage.prompt_tokens)
    }
  })

  test.each<[string, object]>([
    ['an effort', { output_config: { effort: 'high' } }],
    ['no format', { output_config: {} }],
    ['a format that is null', { output_config: { format: null } }],
    ['adaptive thinking', { thinking: { type: 'adaptive' } }],
    ['thinking with a budget', { thinking: { type: 'enabled', budget_tokens: 1024 } }],
    ['what to forget', { context_management: { edits: [{ type: 'clear_thinking_20251015', keep: 'all' }] } }],
    ['tools of the server', { tools: [search, { type: 'mcp_toolset', mcp_server_name: 'x' }] }],
  ])('%s is no reason to refuse, and changes nothing', async (_, extra) => {
    expect((await post({ ...ask, ...extra })).content).toEqual([{ type: 'text', text: answer }])
    expect(await count({ messages: capital, ...extra })).toBe(14)
  })

  test("functions beside the server's tools are all that the model sees", async () => {
    expect(await count({ messages: capital, tools: [search, ...tools] })).toBe(await count({ messages: capital, tools }))
    const body = { ...ask, tools: [search, ...tools], tool_choice: { type: 'any' } }
    expect((await post(body)).content[0]).toMatchObject({ type: 'tool_use', name: 'weather' })
  })

  test("thoughts and the server's calls in what was said are left out", async () => {
    const said = [
      ...[
        { type: 'thinking', thinking: 'Hm.', signature: 'x' },
        { type: 'redacted_thinking', data: 'x' },
      ],
      ...[
        { type: 'server_tool_use', id: 's', name: 'web_search', input: {} },
        { type: 'web_search_tool_result', tool_use_id: 's', content: [] },
      ],
      { type: 'text', text: answer },
    ]
    const of = (content: unknown) => [...capital, { role: 'assistant', content }, ...capital]
    expect(await count({ messages: of(said) })).toBe(await count({ messages: of(answer) }))
    expect((await post({ ...ask, messages: of(said) })).content).toEqual((await post({ ...ask, messages: of(answer) })).content)
  })

  test('a result may name the tools that were found', async () => {
    const of = (content: unknown) => [
      ...capital,
      { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'weather', input: {} }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', content }] },
    ]
    const references = ['weather', 'news'].map((tool_name) => ({ type: 'tool_reference', tool_name }))
    expect(await count({ messages: of(references), tools })).toBe(await count({ messages: of('weather\nnews\n'), tools }))
  })

  test('the older name of a format is honored', async () => {
    const output_format = { type: 'json_schema', schema: { const: 'x' } }
    expect((await post({ ...ask, output_format })).content[0].text).toBe('"x"')
    const output_config = { format: { type: 'json_schema', schema: { const: 'y' } } }
    expect((await post({ ...ask, output_format, output_config })).content[0].text).toBe('"y"')
  })
})

describe('what is wrong or missing is refused by name, also where a stream was asked for', () => {
  test.each<[string, object, number, string, RegExp]>([
    ['no messages', { messages: [] }, 400, 'invalid_request_error', /messages/],
    ['a role that is none', { messages: [{ role: 'tool', content: 'x' }] }, 400, 'invalid_request_error', /messages\.0\.role/],
    ['an image', { messages: [{ role: 'user', content: [{ type: 'image', source: {} }] }] }, 400, 'invalid_request_error', /"image"/],
    ['thinking of no kind', { thinking: { type: 'deep' } }, 400, 'invalid_request_error', /thinking\.type/],
    ['a tool without a name', { tools: [{ input_schema }] }, 400, 'invalid_request_error', /tools\.0\.name/],
    ['a format that is none', { output_format: { type: 'xml' } }, 400, 'invalid_request_error', /^output_format: expected/],
    ['a format that is none', { output_config: { format: { type: 'xml' } } }, 400, 'invalid_request_error', /^output_config\.format/],
    ['a choice of tools that were left out', { tools: [search], tool_choice: { type: 'any' } }, 400, 'invalid_request_error', /tool/],
    ['MCP', { mcp_servers: [{}] }, 400, 'invalid_request_error', /mcp_servers/],
    ['a choice without tools', { tool_choice: { type: 'any' } }, 400, 'invalid_request_error', /tool/],
    ['a choice without a name', { tools, tool_choice: { type: 'tool' } }, 400, 'invalid_request_error', /tool_choice\.name/],
    ['a limit of 0', { max_tokens: 0 }, 400, 'invalid_request_error', /max_tokens/],
    ['stop sequences that are none', { stop_sequences: [''.padStart(2000)] }, 400, 'invalid_request_error', /stop/],
    ['another model', { model: 'claude-sonnet-4-5' }, 404, 'not_found_error', /claude-sonnet-4-5/],
    ['too much', { messages: [{ role: 'user', content: 'again and '.repeat(400) }] }, 400, 'invalid_request_error', /\d+ tokens.*512/],
  ])('%s', async (_, extra, status, type, message) => {
    for (const streams of [false, true]) {
      const response = await served.post(path, { ...ask, stream: streams, ...extra }, { headers: { 'x-request-id': 'req_1' } })
      const expected = { type: 'error', error: { type, message: expect.stringMatching(message) }, request_id: 'req_1' }
      expect([response.status, await response.json()]).toEqual([status, expected])
    }
  })

  test('fields that ask for nothing pass', async () => {
    const nothing = {
      system: null,
      tools: [],
      thinking: { type: 'disabled' },
      metadata: { user_id: 'me' },
      mcp_servers: [],
      container: null,
    }
    expect((await post({ ...ask, ...nothing, top_k: 5, service_tier: 'auto' })).content[0].text).toBe(answer)
  })
})

test("the list of models has the shape of the API whose version a header names, and llama-server's and vLLM's fields without", async () => {
  const get = async (at: string, headers: Record<string, string>) => (await fetch(served.server.url + at, { headers })).json()
  const model = { type: 'model', id: 'demo', display_name: 'demo', created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) }
  const version = { 'anthropic-version': '2023-06-01' }
  expect(await get('/v1/models', version)).toEqual({ data: [model], has_more: false, first_id: 'demo', last_id: 'demo' })
  expect(await get('/v1/models/demo', version)).toEqual(model)
  const { object, data, models } = await get('/v1/models', {})
  expect([object, data]).toMatchObject(['list', [{ id: 'demo', object: 'model', max_model_len: 512, meta: { n_ctx: 512 } }]])
  expect(models).toMatchObject([{ name: 'demo', model: 'demo', capabilities: ['completion', 'tools'], details: { format: 'gguf' } }])
})
