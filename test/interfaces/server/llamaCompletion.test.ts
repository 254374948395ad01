import { describe, expect, test } from 'vitest'
import { endless, type Json, until, withServer } from './served.js'

const served = withServer()
const path = '/completion'
const prompt = 'Long ago, in a far away land,'
const greedy = { prompt, temperature: 0, n_predict: 8, seed: 1 }
const ask = (body: object) => served.json(path, body)
const encode = (text: string) => served.model.tokenizer.encodePrompt(text)

/** The events of a stream. Throws for a byte that should not be there; there is no [DONE]. */
async function events(body: object): Promise<Json[]> {
  const response = await served.post(path, { ...body, stream: true })
  if (response.headers.get('content-type') !== 'text/event-stream') throw new Error(await response.text())
  const text = new TextDecoder('utf-8', { fatal: true }).decode(await response.arrayBuffer())
  if (!text.endsWith('\n\n')) throw new Error('the last event does not end')
  const list = text.slice(0, -2).split('\n\n')
  return list
    .filter((event) => event !== ':')
    .map((event) => JSON.parse(/^data: (\{[^\n]*\})$/.exec(event)?.[1] ?? `not an event: ${JSON.stringify(event)}`))
}
/** What stays the same when a request is repeated. */
const lasting = ({ timings, ...answer }: Json) => answer

test('an answer has the fields of the API, with exact counts', async () => {
  const expected = await served.model.generate(prompt, { temperature: 0, maxNewTokens: 8 })
  const found = await ask(greedy)
  const number = expect.any(Number)
  expect(found).toEqual({
    ...{ index: 0, content: expected.text, tokens: [], id_slot: -1, stop: true, model: 'demo' },
    ...{ tokens_predicted: 8, tokens_evaluated: encode(prompt).length, tokens_cached: encode(prompt).length + 8 },
    generation_settings: expect.objectContaining({ n_predict: 8, temperature: 0, top_k: 40, top_p: 0.95, min_p: 0.05, n_ctx: 512 }),
    ...{ prompt: `<s>${prompt}`, has_new_line: false, truncated: false, stop_type: 'limit', stopping_word: '' },
    timings: expect.objectContaining({
      ...{ cache_n: number, prompt_n: number, prompt_ms: number, prompt_per_token_ms: number, prompt_per_second: number },
      ...{ predicted_n: 8, predicted_ms: number, predicted_per_token_ms: number, predicted_per_second: number },
    }),
  })
  expect(found.generation_settings.samplers).toEqual(
    'penalties dry top_n_sigma top_k typ_p top_p min_p xtc temperature adaptive_p'.split(' '),
  )
  expect((await ask({ ...greedy, return_tokens: true })).tokens).toEqual(expected.ids)
  expect(lasting(await served.json('/completions', greedy))).toEqual(lasting(found))
})

test('a stream is the answer in pieces, each with its tokens; the last event has the rest', async () => {
  const body = { ...greedy, n_predict: 20, temperature: 1.5, seed: 5, n_probs: 3 }
  const whole = await ask({ ...body, return_tokens: true })
  const all = await events(body)
  const last = all.at(-1)
  expect(all.slice(0, -1).every(({ stop, index, id_slot }) => stop === false && index === 0 && id_slot === -1)).toBe(true)
  expect(all.map(({ content }) => content).join('')).toBe(whole.content)
  expect(all.flatMap(({ tokens }) => tokens)).toEqual(whole.tokens)
  expect(all.flatMap((event) => event.completion_probabilities ?? [])).toEqual(whole.completion_probabilities)
  const { content, tokens, timings, completion_probabilities: rest, generation_settings: settings, ...figures } = last
  expect(whole).toMatchObject(figures)
  expect(settings).toEqual({ ...whole.generation_settings, stream: true })
  expect(timings.cache_n + timings.prompt_n).toBe(figures.tokens_evaluated)
})

describe('why it ended is told', () => {
  const question = '[INST] What is the capital of France? [/INST]'
  test.each<[string, object, object]>([
    ['eos', { prompt: question }, { stop_type: 'eos', stopping_word: '', truncated: false }],
    [
      'a word',
      { prompt: question, stop: ['Rome', ' France is'] },
      { stop_type: 'word', stopping_word: ' France is', content: 'The capital of' },
    ],
    ['a limit', { prompt: question, n_predict: 2, stop: ['Rome'] }, { stop_type: 'limit', stopping_word: '', content: 'The capital' }],
    ['a full context', { prompt: endless.repeat(80), ignore_eos: true, n_predict: -1 }, { stop_type: 'limit', truncated: true }],
    ['a grammar', { prompt: question, grammar: 'root ::= "yes"' }, { stop_type: 'eos', content: 'yes' }],
  ])('%s', async (_, body, expected) => {
    const whole = await ask({ temperature: 0, ...body })
    expect(whole).toMatchObject(expected)
    const all = await events({ temperature: 0, ...body })
    expect(all.at(-1)).toMatchObject({ ...expected, content: '' })
    expect(all.map(({ content }) => content).join('')).toBe(whole.content)
  })
})

test('a prompt is a text, ids, both mixed, or a list of those', async () => {
  const ids = encode(prompt)
  const expected = lasting(await ask(greedy))
  expect(lasting(await ask({ ...greedy, prompt: ids }))).toEqual(expected)
  expect(lasting(await ask({ ...greedy, prompt: [prompt] }))).toEqual(expected)
  const list = await ask({
    ...greedy,
    prompt: [prompt, ids, ['Long ago,', ...served.model.tokenizer.encode(' in', { addBos: false })], [1, 'The dog']],
  })
  expect(list.map(({ index }: Json) => index)).toEqual([0, 1, 2, 3])
  expect([list[0].content, list[1].content]).toEqual([expected.content, expected.content])
  // BOS comes before a text, and not before an id
  expect(list[2].prompt).toMatch(/^<s>Long ago, *in$/)
  expect(list[3].tokens_evaluated).toBe(encode('The dog').length)
  expect((await ask({ ...greedy, prompt: [300, 'x'] })).prompt).not.toContain('<s>')
  const streamed = await events({ ...greedy, prompt: [prompt, 'The dog'] })
  for (const index of [0, 1]) {
    const own = streamed.filter((event) => event.index === index)
    expect(own.map(({ content }) => content).join('')).toBe(list[index * 3].content)
    expect(own.filter(({ stop }) => stop)).toHaveLength(1)
  }
})

test('control tokens in a prompt count as such', async () => {
  expect((await ask({ ...greedy, prompt: 'a</s>' })).tokens_evaluated).toBe(encode('a').length + 1)
})

describe('probabilities', () => {
  test('n_probs gives so many for each token, with ids and bytes', async () => {
    const { completion_probabilities: all, tokens } = await ask({ ...greedy, n_probs: 10, return_tokens: true })
    expect(all.map(({ id }: Json) => id)).toEqual(tokens)
    for (const { token, bytes, logprob, top_logprobs: top } of all) {
      expect(new TextDecoder().decode(Uint8Array.from(bytes))).toBe(token)
      expect(logprob).toBeLessThanOrEqual(0)
      expect(top).toHaveLength(10)
      expect(top[0].logprob).toBe(logprob)
      expect(Object.keys(top[0])).toEqual(['id', 'token', 'bytes', 'logprob'])
    }
  })

  test('post_sampling_probs gives what the samplers leave, as probabilities', async () => {
    const body = { ...greedy, temperature: 1, top_k: 3, top_p: 1, min_p: 0, seed: 1, n_probs: 5, post_sampling_probs: true }
    const { completion_probabilities: all } = await ask(body)
    for (const { prob, top_probs: top, ...others } of all) {
      expect('logprob' in others).toBe(false)
      expect(prob).toBeGreaterThan(0)
      expect(top.length).toBeLessThanOrEqual(3)
      expect(top.reduce((sum: number, one: Json) => sum + one.prob, 0)).toBeCloseTo(1, 6)
    }
  })
})

describe('options', () => {
  test('the same seed is the same text, another another; the seed that was used is told', async () => {
    const body = { ...greedy, temperature: 1.5, n_predict: 20 }
    const first = await ask({ ...body, seed: -1 })
    const { seed } = first.generation_settings
    expect((await ask({ ...body, seed })).content).toBe(first.content)
    expect((await ask({ ...body, seed: seed + 1 })).content).not.toBe(first.content)
    expect((await ask({ ...body, seed: 4_294_967_295 })).generation_settings.seed).not.toBe(4_294_967_295)
  })

  test('a bias has three spellings', async () => {
    const { content, tokens } = await ask({ ...greedy, return_tokens: true })
    const text = served.model.tokenizer.decode([tokens[0]], { continues: true })
    for (const logit_bias of [{ [tokens[0]]: -1000 }, [[tokens[0], false]], [[tokens[0], -1000]], [[text, false]]]) {
      expect((await ask({ ...greedy, logit_bias })).content).not.toBe(content)
    }
  })

  test('a schema and samplers act', async () => {
    expect((await ask({ ...greedy, json_schema: { const: 7 } })).content.trim()).toBe('7')
    const { generation_settings: settings } = await ask({ ...greedy, samplers: ['top_k', 'temperature'], mirostat: 0, typical_p: 0.5 })
    expect(settings).toMatchObject({ samplers: ['top_k', 'temperature'], typical_p: 0.5 })
  })

  test('n_predict of 0 computes the prompt alone, and the next request finds it', async () => {
    await served.model.reset()
    const one = await ask({ ...greedy, n_predict: 0 })
    expect(one).toMatchObject({ content: '', tokens_predicted: 0, tokens_evaluated: encode(prompt).length, stop_type: 'limit' })
    expect((await ask(greedy)).timings).toMatchObject({ cache_n: encode(prompt).length - 1, prompt_n: 1 })
  })

  test('cache_prompt: false computes all of a prompt, with the same answer', async () => {
    const cached = await ask(greedy)
    expect(cached.timings.cache_n).toBeGreaterThan(0)
    const again = await ask({ ...greedy, cache_prompt: false })
    expect(again.timings).toMatchObject({ cache_n: 0, prompt_n: encode(prompt).length })
    expect(lasting(again)).toEqual(lasting(cached))
  })

  test('response_fields picks fields, those inside of others by their paths', async () => {
    const fields = ['content', 'generation_settings/n_predict', 'timings/cache_n', 'missing', 'content/length', '__proto__']
    const answer = await ask({ ...greedy, response_fields: fields })
    expect(Object.keys(answer)).toEqual(['content', 'generation_settings/n_predict', 'timings/cache_n'])
    expect(answer['generation_settings/n_predict']).toBe(8)
  })

  test('the progress of a prompt goes up to its end, before the first piece', async () => {
    await served.model.reset()
    const long = endless.repeat(25)
    await ask({ prompt: endless.repeat(4), n_predict: 1 })
    const all = await events({ ...greedy, prompt: long, return_progress: true })
    const told = all.filter((event) => event.prompt_progress).map((event) => event.prompt_progress)
    expect(told.length).toBeGreaterThan(0)
    expect(all.slice(0, told.length).every((event) => event.prompt_progress)).toBe(true)
    const total = encode(long).length
    expect(told.every((one) => one.total === total && one.cache > 0 && one.processed > one.cache)).toBe(true)
    expect(told.at(-1).processed).toBe(total)
    expect(told.map(({ processed }) => processed)).toEqual(told.map(({ processed }) => processed).sort((a, b) => a - b))
    expect(all.at(-1).timings.cache_n).toBe(told[0].cache)
    expect(all.map(({ content }) => content).join('')).toBe((await ask({ ...greedy, prompt: long })).content)
  })
})

test('more requests than places are all answered, while /slots shows work', async () => {
  let busy = 0
  const watch = (async () => {
    while (busy === 0) {
      const slots = await (await fetch(`${served.server.url}/slots`)).json()
      busy = slots.filter(({ is_processing }: Json) => is_processing).length
    }
  })()
  const bodies = Array.from({ length: 6 }, (_, i) => ({
    prompt: `${i} ${prompt}`,
    temperature: 0,
    seed: 1,
    n_predict: 60,
    ignore_eos: true,
  }))
  const together = await Promise.all(bodies.map(ask))
  await watch
  for (const [i, body] of bodies.entries()) expect(lasting(await ask(body))).toEqual(lasting(together[i]))
})

test('of random alternations of prompts, evaluated and cached tokens are all of them', async () => {
  const prompts = [prompt, `${prompt} there`, endless, `${endless}${endless}`, 'The dog']
  for (let i = 0; i < 15; i++) {
    const { timings, tokens_evaluated: all } = await ask({ prompt: prompts[(i * 7) % 5], n_predict: 3 })
    expect(timings.cache_n + timings.prompt_n).toBe(all)
  }
})

test('a client that leaves frees its part of the cache', async () => {
  const leaving = new AbortController()
  const response = await served.post(path, { prompt: endless, ignore_eos: true, stream: true }, { signal: leaving.signal })
  await response.body!.getReader().read()
  leaving.abort()
  const { kvTokens } = served.model.status()
  await until(() => served.model.status().running === 0 && served.model.status().kvFree === kvTokens)
})

describe("what is wrong is said in llama-server's shape, also where a stream was asked for", () => {
  test.each<[string, object, number]>([
    ['no prompt', {}, 400],
    ['an empty list', { prompt: [] }, 400],
    ['a list in a list in a list', { prompt: [[[1]]] }, 400],
    ['an id outside the vocabulary', { prompt: [99_999] }, 400],
    ['an image', { prompt: { prompt_string: 'a', multimodal_data: ['x'] } }, 400],
    ['n_probs of 21', { prompt: 'a', n_probs: 21 }, 400],
    ['two prompts, one too long', { prompt: ['a', 'again and '.repeat(400)] }, 400],
    ['a grammar that is none', { prompt: 'a', grammar: 'root ::= (' }, 400],
    ['a schema beside a grammar', { prompt: 'a', grammar: 'root ::= "a"', json_schema: {} }, 400],
    ['several answers', { prompt: 'a', n_cmpl: 2 }, 400],
    ['several answers, by the other name', { prompt: 'a', n: 2 }, 400],
    ['a limit of time', { prompt: 'a', t_max_predict_ms: 10 }, 400],
    ['LoRA', { prompt: 'a', lora: [{ id: 0, scale: 1 }] }, 400],
    ['another model', { prompt: 'a', model: 'other' }, 404],
  ])('%s', async (_, body, status) => {
    for (const stream of [false, true]) {
      const response = await served.post(path, { ...body, stream })
      const { error } = await response.json()
      expect([response.status, error.code], error.message).toEqual([status, status])
    }
  })

  test('a prompt that is too long has both counts', async () => {
    const response = await served.post(path, { prompt: 'again and '.repeat(400), stream: true })
    expect((await response.json()).error).toMatchObject({
      type: 'exceed_context_size_error',
      n_ctx: 512,
      n_prompt_tokens: expect.any(Number),
    })
  })
})

test.each(['/completion', '/v1/completions'])('%s: a stream begins with an event, without a comment before it', async (route) => {
  const response = await served.post(route, { prompt: 'a', max_tokens: 2, stream: true })
  expect(await response.text()).toMatch(/^data: \{/)
})

test('/tokenize has the tokens of a chat, as vLLM has them', async () => {
  const messages = [{ role: 'user', content: 'What is the capital of France?' }]
  const ids = [...served.model.applyChatTemplate(messages as Json).ids]
  expect(await served.json('/tokenize', { messages })).toEqual({ count: ids.length, max_model_len: 512, tokens: ids, token_strs: null })
})
