// What lm-evaluation-harness asks for, replayed: sections of its client are in words beside the expectations.

import { expect, test } from 'vitest'
import { type Json, runtime, withServer } from './served.js'

const served = withServer()
const scored = { model: 'demo', temperature: 0, max_tokens: 1, logprobs: 1, seed: 1234, echo: true }
const ask = async (prompt: unknown, extra = {}) => (await served.json('/v1/completions', { ...scored, prompt, ...extra })).choices
const encode = (text: string) => served.model.tokenizer.encodePrompt(text)

/** float64 log-softmax of a row of logits. */
function logSoftmax(row: Float32Array): Float64Array {
  const most = row.reduce((most, x) => Math.max(most, x), -Infinity)
  let sum = 0
  for (const x of row) sum += Math.exp(x - most)
  return Float64Array.from(row, (x) => x - most - Math.log(sum))
}

test('a prompt of T tokens has T + 1 entries: nothing before the first, each the log-softmax of the logits before it', async () => {
  const ids = encode('The capital of France is Paris. Caf\u00e9 \u{1f600}')
  const [{ text, logprobs, finish_reason: reason }] = await ask(ids)
  const { tokens, token_logprobs: chosen, top_logprobs: tops, text_offset: offsets } = logprobs
  expect([tokens, chosen, tops, offsets].map((list) => list.length)).toEqual(Array(4).fill(ids.length + 1))
  expect([tokens[0], chosen[0], tops[0], offsets[0]]).toEqual(['<s>', null, null, 0])
  expect(['length', 'stop']).toContain(reason)
  const logits = await served.model.logits(ids)
  const width = served.model.config.vocabSize
  for (let i = 1; i < ids.length; i++) {
    const row = logSoftmax(logits.subarray((i - 1) * width, i * width))
    expect(chosen[i]).toBeCloseTo(row[ids[i]!]!, 6)
    const top = row.reduce((best, x, id) => (x > row[best]! ? id : best), 0)
    // is_greedy compares doubles: the token's own number must be the largest exactly where it is the first choice
    expect(chosen[i] === Math.max(...Object.values<number>(tops[i]))).toBe(ids[i] === top)
    expect(tops[i][tokens[i]]).toBe(chosen[i])
  }
  // offsets count code points, as Python does
  const points = [...text]
  expect(offsets[ids.length]).toBe([...'The capital of France is Paris. Caf\u00e9 \u{1f600}'].length)
  for (const [i, token] of tokens.entries()) {
    if (i > 0 && !token.startsWith('bytes:') && !token.startsWith('<')) {
      expect(points.slice(offsets[i], offsets[i] + [...token].length).join('')).toBe(token)
    }
  }
})

test('an end token that is drawn has its entry, and no text', async () => {
  const ids = encode('[INST] What is the capital of France? [/INST] The capital of France is Paris.')
  const [{ text, logprobs, finish_reason: reason }] = await ask(ids)
  expect(logprobs.tokens).toHaveLength(ids.length + 1)
  expect([logprobs.tokens.at(-1), reason]).toEqual(['</s>', 'stop'])
  expect(text.endsWith('Paris.')).toBe(true)
})

test('answers are the same cold, cached, in one request and beside others', async () => {
  const context = encode('[INST] What is the capital of France? [/INST] The capital of France is')
  const prompts = ['Paris', 'Rome', 'a kid', 'the'].map((word) => [
    ...context,
    ...served.model.tokenizer.encode(` ${word}`, { addBos: false }),
  ])
  await served.model.reset()
  const together = await ask(prompts)
  const again = await ask(prompts)
  expect(again).toEqual(together)
  const alone: unknown[] = []
  for (const prompt of prompts) alone.push({ ...(await ask(prompt, { logprobs: 1 }))[0], index: alone.length })
  expect(alone).toEqual(together)
  const crowd = await Promise.all([...prompts, encode('Long ago, in a far away land,')].map((prompt) => ask(prompt)))
  expect(crowd.slice(0, 4).map(([choice], index) => ({ ...choice, index }))).toEqual(together)
})

test.skipIf(runtime).each([
  ['of one token, as in MMLU', 1],
  ['of some tokens, as in HellaSwag', 12],
])('continuations %s of one context compute it once, in one request and in four', async (_, length) => {
  const context = encode('KING RICHARD III:\n'.repeat(20))
  const kinds = Array.from({ length: 4 }, (_, i) => [...context, ...Array.from({ length }, (_, k) => 300 + i + k)])
  let top = 2
  /** How many rows the requests compute, after which nothing is kept of earlier ones. */
  const rowsOf = async (...prompts: unknown[]) => {
    await served.model.reset()
    top++ // what is kept of prompts has its number of entries
    let rows = 0
    const end = served.model.onRouting(() => rows++)
    for (const prompt of prompts) await ask(prompt, { logprobs: top })
    end()
    return rows
  }
  const one = await rowsOf(kinds[0])
  expect(await rowsOf(kinds)).toBeLessThanOrEqual(one * 1.4)
  expect(await rowsOf(...kinds)).toBeLessThanOrEqual(one * 1.4)
})

test("lm-eval's gguf client: no model, a text, ten entries, the greedy token by its name", async () => {
  const { choices } = await served.json('/v1/completions', {
    prompt: 'The capital of France is Paris',
    logprobs: 10,
    temperature: 0.0,
    max_tokens: 1,
    echo: true,
  })
  const { tokens, top_logprobs: tops, text_offset: offsets } = choices[0].logprobs
  expect(Object.keys(tops.at(-1)).length).toBeGreaterThanOrEqual(10)
  const best = Object.entries<number>(tops.at(-1)).reduce((best, other) => (other[1] > best[1] ? other : best))
  expect(tokens.at(-1)).toBe(best[0])
  expect(offsets.at(-1)).toBe('The capital of France is Paris'.length)
})

test('generate_until: stop strings, and a text at its index', async () => {
  const body = {
    prompt: [encode('Once upon a time'), encode('Long ago')],
    model: 'demo',
    max_tokens: 256,
    temperature: 0,
    stop: ['.', '</s>'],
    seed: 1234,
  }
  const { choices } = await served.json('/v1/completions', body)
  expect(choices.map(({ index, finish_reason }: Json) => [index, finish_reason])).toEqual([
    [0, 'stop'],
    [1, 'stop'],
  ])
  expect(choices.every(({ text }: Json) => text.length > 0 && !text.includes('.'))).toBe(true)
})

test('tokenize and detokenize speak with both kinds of clients', async () => {
  const { tokenizer } = served.model
  const llama = await served.json('/tokenize', { content: 'Once upon a time', add_special: true })
  expect(llama).toEqual({ tokens: tokenizer.encode('Once upon a time') })
  expect(await served.json('/tokenize', { content: 'Once upon' })).toEqual({ tokens: tokenizer.encode('Once upon', { addBos: false }) })
  const vllm = await served.json('/tokenize', { prompt: 'Once upon a time', add_special_tokens: false })
  expect(vllm).toEqual({ count: 4, max_model_len: 512, tokens: tokenizer.encode('Once upon a time', { addBos: false }), token_strs: null })
  expect((await served.json('/tokenize', { prompt: '<s>', add_special_tokens: false })).tokens).toEqual([1])
  const { tokens } = await served.json('/tokenize', { content: '\u{1f600}', with_pieces: true })
  expect(tokens.at(-1).piece).toEqual([0x80])
  expect(await served.json('/detokenize', { tokens: vllm.tokens })).toEqual({ content: 'Once upon a time', prompt: 'Once upon a time' })
  expect((await served.post('/detokenize', { tokens: [99999] })).status).toBe(400)
})

test('sums over continuations are those of float64 log-softmax to 1e-6, and the bytes are the same cold, cached, batched', async () => {
  const context = encode('KING RICHARD III:\n'.repeat(8))
  const endings = [' Now is the winter of our discontent', ' The capital of France', ' 7 + 5 = 12.', ' Caf\u00e9 \u{1f600}']
  const prompts = endings.map((text) => [...context, ...served.model.tokenizer.encode(text, { addBos: false, continues: true })])
  /** The choices of an answer, as they are on the wire. */
  const bytes = async (prompt: unknown) => {
    const text = await (await served.post('/v1/completions', { ...scored, prompt })).text()
    return text.slice(text.indexOf('"choices":'), text.indexOf(',"usage":'))
  }
  await served.model.reset()
  const batched = await bytes(prompts)
  expect(await bytes(prompts)).toBe(batched)
  const width = served.model.config.vocabSize
  const { choices } = JSON.parse(`{${batched}}`)
  for (const [i, ids] of prompts.entries()) {
    await served.model.reset()
    const cold = await bytes(ids)
    expect(await bytes(ids)).toBe(cold)
    expect(JSON.parse(`{${cold}}`).choices[0]).toEqual({ ...choices[i], index: 0 })
    const logits = await served.model.logits(ids)
    let sum = 0
    for (let at = context.length; at < ids.length; at++) sum += logSoftmax(logits.subarray((at - 1) * width, at * width))[ids[at]!]!
    const told = choices[i].logprobs.token_logprobs.slice(context.length, -1).reduce((total: number, one: number) => total + one, 0)
    expect(Math.abs(told - sum)).toBeLessThan(1e-6)
  }
})
