// Streams that go on elsewhere: ids of events, and what a server makes of one that comes back. Replicas in processes of
// their own, behind nginx, are in replicas.test.ts.

import { describe, expect, test } from 'vitest'
import { MixtralModel } from '../../../dist/index.js'
import { readsClock } from '../../../dist/interfaces/server/modelMark.js'
import { createApp, ModelCatalog, serve } from '../../../dist/server.js'
import { capital, endless, type Json, type Started, until, withServer } from './served.js'

const served = withServer({ pingSeconds: 0.02 })
const weather = {
  type: 'function',
  function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
}

interface Event {
  readonly id: string | undefined
  /** All of it but its id. */
  readonly text: string
}

interface Asked {
  readonly lastEventId?: string | undefined
  readonly at?: Pick<Started, 'url'>
}

function ask(path: string, body: object, { lastEventId, at = served.server }: Asked = {}): Promise<Response> {
  const headers = { accept: 'text/event-stream', ...(lastEventId !== undefined && { 'last-event-id': lastEventId }) }
  return fetch(at.url + path, { method: 'POST', headers, body: JSON.stringify({ stream: true, ...body }) })
}

/** The events of a stream; signs of life are left out, and numbers that hang on the prefix cache. */
async function eventsOf(response: Response): Promise<Event[]> {
  const text = await response.text()
  if (response.status !== 200) throw new Error(`${response.status} ${text}`)
  const events = text.slice(0, -2).split('\n\n')
  return events
    .filter((event) => event !== ':' && event !== 'event: ping\ndata: {"type":"ping"}')
    .map((event) => {
      const [, id, rest = event] = /^id: (\S+)\n(.*)$/s.exec(event) ?? []
      return { id, text: rest.replace(/"(cached_tokens|cache_read_input_tokens|input_tokens)":\d+/g, '"$1":0') }
    })
}

const refusal = async (response: Response): Promise<[number, Json]> => [response.status, (await response.json()).error]

const routes: [path: string, what: string, body: object][] = [
  ['/v1/chat/completions', 'a text', { messages: capital, temperature: 1.5 }],
  ['/v1/chat/completions', 'a call', { messages: capital, tools: [weather], tool_choice: 'required', temperature: 1, max_tokens: 40 }],
  ['/v1/chat/completions', 'log-probabilities and experts', { messages: capital, logprobs: true, return_routed_experts: true, seed: 3 }],
  ['/v1/chat/completions', 'a conversation that is over', { messages: capital, add_generation_prompt: false, max_tokens: 9 }],
  ['/v1/completions', 'a text', { prompt: endless, max_tokens: 40, stream_options: { include_usage: true } }],
  ['/v1/completions', 'an echo with log-probabilities', { prompt: endless, echo: true, logprobs: 1, max_tokens: 6 }],
  ['/v1/responses', 'a text', { input: 'What is the capital of France?' }],
  ['/v1/messages', 'a text', { messages: capital, max_tokens: 50 }],
  [
    '/v1/messages',
    'a call',
    { messages: capital, tools: [{ name: 'weather', input_schema: {} }], tool_choice: { type: 'any' }, max_tokens: 50 },
  ],
]

describe('a stream that is lost', () => {
  test.each(routes)('goes on at another server behind any of its events: %s, %s', async (path, _, body) => {
    const other = await served.start({ name: 'demo' })
    const whole = await eventsOf(await ask(path, body))
    expect(whole.length).toBeGreaterThan(3)
    const { length } = whole
    for (const i of [0, 1, 2, length >> 1, length - 3, length - 2]) {
      const rest = await eventsOf(await ask(path, body, { lastEventId: whole[i]!.id, at: other }))
      expect(rest).toEqual(whole.slice(i + 1))
    }
    // who has all of it is told to stop, and nothing is written again
    const { steps } = served.model.status()
    const nothing = await ask(path, body, { lastEventId: whole[length - 1]!.id, at: other })
    expect([nothing.status, await nothing.text()]).toEqual([204, ''])
    expect(served.model.status().steps).toBe(steps)
    const another = await ask(path, { ...body, top_p: 0.5 }, { lastEventId: whole[length - 1]!.id, at: other })
    expect(await refusal(another)).toMatchObject([400, { message: expect.stringContaining('begun for another request') }])
  })

  test.each([
    ['/v1/chat/completions', { messages: capital, n: 3, temperature: 1.5 }],
    ['/v1/completions', { prompt: ['Once upon', endless], n: 2, echo: true, max_tokens: 12, seed: 5 }],
  ])('goes on with each of several answers: %s', async (path, body) => {
    /** Of each answer its events; and the end, which belongs to none. */
    const byAnswer = (events: readonly Event[]) => {
      const texts = events.map(({ text }) => text)
      const indices = texts.map((text) => (text === 'data: [DONE]' ? 4 : JSON.parse(text.slice(6)).choices[0].index))
      return [0, 1, 2, 3, 4].map((index) => texts.filter((_, i) => indices[i] === index))
    }
    const whole = await eventsOf(await ask(path, body))
    for (const at of [0, 4, whole.length >> 1, whole.length - 2]) {
      const rest = await eventsOf(await ask(path, body, { lastEventId: whole[at]!.id }))
      expect(byAnswer([...whole.slice(0, at + 1), ...rest])).toEqual(byAnswer(whole))
    }
  })

  test('may be lost again, before all answers are where they were: ids tell of all what has come', async () => {
    const body = { prompt: 'Once upon a time', n: 3, max_tokens: 20, ignore_eos: true, seed: 2 }
    const [{ id }] = (await eventsOf(await ask('/v1/completions', body))) as [Event]
    const countsOf = (one: Event) => one.id!.split('.')[7]!.split('-').map(Number)
    const rest = await eventsOf(await ask('/v1/completions', body, { lastEventId: id!.split('.').with(7, '1-15-0-0').join('.') }))
    for (const one of rest) expect(countsOf(one)[1]).toBeGreaterThanOrEqual(15)
  })

  test('may be lost again: ids of what goes on are those of the whole', async () => {
    const body = { prompt: endless, max_tokens: 30 }
    const whole = await eventsOf(await ask('/v1/completions', body))
    const rest = await eventsOf(await ask('/v1/completions', body, { lastEventId: whole[9]!.id }))
    expect(rest.map(({ id }) => id)).toEqual(whole.slice(10).map(({ id }) => id))
  })

  test('gets signs of life while it is written again, and the log tells', async () => {
    const body = { prompt: endless, max_tokens: -1, ignore_eos: true }
    const whole = await eventsOf(await ask('/v1/completions', body))
    const text = await (await ask('/v1/completions', body, { lastEventId: whole.at(-3)!.id })).text()
    expect(text.slice(0, text.indexOf('id: '))).toMatch(/^(:\n\n){3,}$/)
    await until(() => served.logs.some(({ resumed, outcome }) => resumed && outcome === 'done'))
  })

  test('goes on at a server of many models, which loads the model for it', async () => {
    const path = '/v1/chat/completions'
    const body = { model: 'demo', messages: capital }
    const events: Event[][] = []
    for (const lastEventId of [() => undefined, () => events[0]![4]!.id]) {
      const models = await ModelCatalog.open({ models: ['demo'], load: { threads: 1 } })
      const server = await serve(models, { port: 0 })
      events.push(await eventsOf(await ask(path, body, { at: server, lastEventId: lastEventId() })))
      await server.close()
      await models.close()
    }
    expect(events[1]).toEqual(events[0]!.slice(5))
  })

  test('goes on elsewhere where its server has no more time for it', async () => {
    const body = { prompt: endless, max_tokens: 80, ignore_eos: true, n: 4 }
    const ending = await served.start({ name: 'demo', graceSeconds: 0 })
    const response = await ask('/v1/completions', body, { at: ending })
    const [now, all] = response.body!.tee()
    const reader = now.getReader()
    await reader.read()
    void reader.cancel()
    await ending.close()
    const begun = await eventsOf(new Response(all))
    const error = begun.pop()!
    expect(error.id).toBeUndefined()
    expect(JSON.parse(error.text.slice(6)).error).toMatchObject({ type: 'unavailable_error' })
    const rest = await eventsOf(await ask('/v1/completions', body, { lastEventId: begun.at(-1)!.id }))
    const reasons = rest.filter(({ text }) => /"finish_reason":"/.test(text))
    expect(reasons).toHaveLength(4)
    const again = await eventsOf(await ask('/v1/completions', body, { lastEventId: begun[0]!.id }))
    const sorted = (events: readonly Event[]) => events.map(({ text }) => text).toSorted()
    expect(sorted([...begun.slice(1), ...rest])).toEqual(sorted(again))
  })

  test('has a seed of its own where none is given', async () => {
    const body = { prompt: endless, temperature: 2, max_tokens: 20 }
    const [one, other] = [await eventsOf(await ask('/v1/completions', body)), await eventsOf(await ask('/v1/completions', body))]
    const written = (events: readonly Event[]) =>
      events.map(({ text }) => JSON.parse(text.slice(6).replace('[DONE]', '{}')).choices?.[0].text)
    expect(written(one)).not.toEqual(written(other))
  })
})

describe('ids', () => {
  test('go to those who say that they read event streams, on every event', async () => {
    const body = { messages: capital, stream: true }
    expect(await (await served.post('/v1/chat/completions', body)).text()).not.toContain('id: ')
    const headers = { accept: 'application/json, text/event-stream' }
    const events = await eventsOf(await served.post('/v1/chat/completions', body, { headers }))
    expect(new Set(events.map(({ id }) => id)).size).toBe(events.length)
    expect(events.at(-1)).toMatchObject({ id: expect.any(String), text: 'data: [DONE]' })
  })

  test('are not given where more than 16 answers are asked for', async () => {
    const [first] = await eventsOf(await ask('/v1/completions', { prompt: 'x', n: 17, max_tokens: 1 }))
    expect(first!.id).toBeUndefined()
  })
})

describe('an id is refused by name', () => {
  const path = '/v1/chat/completions'
  const body = { messages: capital, temperature: 1, seed: 11 }
  const idOf = async () => (await eventsOf(await ask(path, body)))[4]!.id!
  /** The id with one of its parts changed. */
  const changed = (id: string, part: number, value: string) => id.split('.').with(part, value).join('.')

  test.each([
    ['another body', { ...body, temperature: 0.9 }, 'other_request'],
    ['another seed', { ...body, seed: 12 }, 'other_request'],
    ['no seed', { ...body, seed: undefined }, 'other_request'],
    ['another order of fields', { seed: 11, temperature: 1, messages: capital }, 'other_request'],
    ['no stream', { ...body, stream: false }, 'not_resumable'],
  ])('with %s', async (_, other, code) => {
    expect(await refusal(await ask(path, other, { lastEventId: await idOf() }))).toMatchObject([400, { code, param: 'Last-Event-ID' }])
  })

  test.each([
    ['model', 4, 'deadbeef', 'other_model'],
    ['arithmetic', 5, 'deadbeef', 'other_numerics'],
    ['request', 6, 'A'.repeat(16), 'other_request'],
    ['letters', 1, 'a'.repeat(20), 'other_request'],
    ['time', 2, '1', 'other_request'],
    ['seed', 3, '1', 'other_request'],
    ['number of answers', 7, '1-2-3', 'other_request'],
  ])('of another %s', async (_, part, value, code) => {
    const answer = await refusal(await ask(path, body, { lastEventId: changed(await idOf(), part, value) }))
    expect(answer).toMatchObject([400, { code, param: 'Last-Event-ID', type: 'invalid_request_error' }])
  })

  test('that counts more events than there are, in the stream', async () => {
    const events = await eventsOf(await ask(path, body, { lastEventId: changed(await idOf(), 7, '9999999-0') }))
    expect(JSON.parse(events.at(-1)!.text.slice(6)).error).toMatchObject({
      code: 'other_request',
      message: expect.stringContaining('9999999'),
    })
    await served.idle()
  })

  test('by a server of another name, or with another context', async () => {
    const other = await served.start({ name: 'another' })
    expect((await refusal(await ask(path, body, { lastEventId: await idOf(), at: other })))[1].code).toBe('other_model')
    const model = await MixtralModel.load('demo', { threads: 1, contextLength: 256 })
    const app = createApp(model, { name: 'demo' })
    const headers = { 'last-event-id': await idOf() }
    const request = new Request(`http://localhost${path}`, { method: 'POST', headers, body: JSON.stringify({ stream: true, ...body }) })
    expect((await refusal(await app.fetch(request)))[1].code).toBe('other_numerics')
    await app.close()
    await model.close()
  })

  test.each(['/completion', '/v1/embeddings', '/api/chat', '/tokenize'])('at %s, whose answers do not go on', async (route) => {
    const response = await ask(route, { model: 'demo' }, { lastEventId: await idOf() })
    expect([response.status, await response.text()]).toEqual([400, expect.stringContaining('cannot be resumed')])
  })

  test('at another route of the same body', async () => {
    const text = { prompt: 'x', messages: capital, max_tokens: 5, seed: 1 }
    const [{ id }] = (await eventsOf(await ask(path, text))) as [Event]
    expect((await refusal(await ask('/v1/completions', text, { lastEventId: id })))[1].code).toBe('other_request')
  })

  test('where it is no id of ours: nothing of it is told', async () => {
    const id = await idOf()
    const hostile = [
      ...[
        '0',
        '-1',
        'null',
        '../../etc/passwd',
        '<script>alert(1)</script>',
        '\xff\xfe',
        '%00%0a',
        '$(id)',
        'm1',
        'm2.x',
        `${id}.1`,
        ` ${id}x`,
      ],
      ...[id.toUpperCase(), id.slice(0, -1), id.slice(1), `${id},${id}`, 'm1.'.repeat(3000), `${'0'.repeat(300)}${id}`, '9'.repeat(9000)],
      ...[changed(id, 3, 'zzzzzzzzzzz'), changed(id, 3, '1_5'), changed(id, 3, '-5'), changed(id, 2, '')],
      ...[changed(id, 7, '1'), changed(id, 7, '-1'), changed(id, 7, '1-NaN'), changed(id, 7, '1e9-1'), changed(id, 7, '99999999-1')],
      ...[changed(id, 7, Array(18).fill('1').join('-')), changed(id, 7, `1${'-1'.repeat(2000)}`)],
    ]
    for (const lastEventId of hostile) {
      const [status, error] = await refusal(await ask(path, body, { lastEventId }))
      expect([lastEventId, status, error]).toEqual([
        lastEventId,
        400,
        {
          ...{ code: 'invalid_last_event_id', param: 'Last-Event-ID', type: 'invalid_request_error' },
          message: 'Last-Event-ID: expected the id of an event of a stream of this server, or of its replica',
        },
      ])
    }
  })

  test('where the template writes the time', () => {
    const gguf = (template: string) => ({ gguf: { metadata: new Map([['tokenizer.chat_template', template]]) }, layers: undefined }) as Json
    expect([gguf('{{ messages }}'), gguf('{{ strftime_now("%H") }}')].map(readsClock)).toEqual([false, true])
    expect(readsClock({ ...gguf(''), layers: { template: '{{ currentDate }}' } })).toBe(true)
  })
})
