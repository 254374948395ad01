import { Ollama } from 'ollama'
import OpenAI from 'openai'
import { describe, expect, test } from 'vitest'
import { type Json, until, withServer } from './served.js'

const served = withServer()
const client = () => new OpenAI({ baseURL: `${served.server.url}/v1`, apiKey: 'none', maxRetries: 0 })
const texts = ['The capital of France is Paris.', 'Long ago,', '7 + 5 = 12.']
const path = '/v1/embeddings'
const vectorOf = async (text: string | number[]) => Array.from((await served.model.embed(text)).vector)
const vectors = async (body: object): Promise<number[][]> => (await served.json(path, body)).data.map(({ embedding }: Json) => embedding)

describe('/v1/embeddings', () => {
  test("an answer has the fields of the API, and OpenAI's client reads it", async () => {
    const expected = await vectorOf(texts[0]!)
    const tokens = served.model.tokenizer.encode(texts[0]!).length
    const found = await served.json(path, { model: 'demo', input: texts[0] })
    expect(found).toEqual({
      object: 'list',
      data: [{ object: 'embedding', index: 0, embedding: expected }],
      model: 'demo',
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    })
    // the client asks for base64 unless told otherwise
    const answer = await client().embeddings.create({ model: 'demo', input: texts })
    expect(answer.data.map(({ embedding }) => embedding)).toEqual(await Promise.all(texts.map(vectorOf)))
    expect(answer.data.map(({ index }) => index)).toEqual([0, 1, 2])
    expect(Math.hypot(...answer.data[0]!.embedding)).toBeCloseTo(1, 6)
  })

  test('texts and ids, one and many, are the same vectors, alone and in a batch', async () => {
    const ids = texts.map((text) => served.model.tokenizer.encode(text))
    const expected = await vectors({ input: texts })
    expect(await vectors({ input: ids })).toEqual(expected)
    expect(await vectors({ input: ids[1] })).toEqual([expected[1]])
    expect(await vectors({ input: [texts[2]] })).toEqual([expected[2]])
    const { usage } = await served.json(path, { input: ids })
    expect(usage.prompt_tokens).toBe(ids.flat().length)
  })

  test('base64 is little-endian float32, byte for byte', async () => {
    const { data } = await served.json(path, { input: texts[0], encoding_format: 'base64' })
    const bytes = Buffer.from(data[0].embedding, 'base64')
    const floats = Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i))
    expect(floats).toEqual((await vectors({ input: texts[0], encoding_format: 'float' }))[0])
  })

  test('vectors are the same while others write, and hundreds of inputs are answered', async () => {
    const expected = await vectorOf('a b')
    const writing = served.json('/v1/completions', { prompt: 'KING RICHARD III:\n', max_tokens: 60, ignore_eos: true, temperature: 0 })
    const all = await vectors({ input: Array(300).fill('a b') })
    expect(all).toHaveLength(300)
    expect(all.every((vector) => vector.every((value, i) => value === expected[i]))).toBe(true)
    expect((await writing).usage.completion_tokens).toBe(60)
  })

  test('a request is in the log and in the metrics, as a prompt and not as an answer', async () => {
    const answers = async () => {
      const text = await (await fetch(`${served.server.url}/metrics`)).text()
      return [...text.matchAll(/^mixtral_answers_total\{[^}]*\} (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0)
    }
    const before = await answers()
    await served.post(path, { input: 'a b c' }, { headers: { 'x-request-id': 'vector' } })
    await until(() => served.logs.some(({ id }) => id === 'vector'))
    const entry = served.logs.find(({ id }) => id === 'vector')
    expect(entry).toMatchObject({ route: path, status: 200, outcome: 'done', promptTokens: 4, completionTokens: 0 })
    expect(await answers()).toBe(before)
  })

  test.each<[string, object, number, string | null]>([
    ['no input', {}, 400, 'input'],
    ['an empty list', { input: [] }, 400, 'input'],
    ['an empty text', { input: '' }, 400, 'input'],
    ['an empty text among others', { input: ['a', ''] }, 400, 'input'],
    ['texts beside ids', { input: ['a', 1] }, 400, 'input'],
    ['an id outside the vocabulary', { input: [99_999] }, 400, 'input'],
    ['an input that is too long', { input: ['a', 'again and '.repeat(400)] }, 400, 'input'],
    ['an unknown format', { input: 'a', encoding_format: 'int8' }, 400, 'encoding_format'],
    ['other dimensions', { input: 'a', dimensions: 64 }, 400, 'dimensions'],
    ['dimensions of none', { input: 'a', dimensions: 0 }, 400, 'dimensions'],
    ['another model', { input: 'a', model: 'text-embedding-3-small' }, 404, 'model'],
    ['2049 inputs', { input: Array(2049).fill('a') }, 400, 'input'],
  ])('refused: %s', async (_, body, status, param) => {
    const response = await served.post(path, body)
    const { error } = await response.json()
    expect([response.status, error.param], error.message).toEqual([status, param])
  })

  test('an input that is too long is told with both counts; the dimensions that there are may be named', async () => {
    const { error } = await (await served.post(path, { input: 'again and '.repeat(400) })).json()
    expect(error).toMatchObject({ code: 'context_length_exceeded', n_ctx: 512, n_prompt_tokens: expect.any(Number) })
    const { hiddenSize } = served.model.config
    expect((await vectors({ input: 'a', dimensions: hiddenSize }))[0]).toHaveLength(hiddenSize)
    const full = served.model.tokenizer.encode('a '.repeat(600)).slice(0, 512)
    expect(await vectors({ input: full })).toHaveLength(1)
  })
})

describe("Ollama's embeddings", () => {
  const ollama = () => new Ollama({ host: served.server.url })

  test('embed has a vector for each text, counts and a duration', async () => {
    const found = await ollama().embed({ model: 'demo', input: texts })
    expect(found).toEqual({
      model: 'demo',
      embeddings: await Promise.all(texts.map(vectorOf)),
      total_duration: expect.any(Number),
      prompt_eval_count: texts.reduce((sum, text) => sum + served.model.tokenizer.encode(text).length, 0),
    })
    expect((await ollama().embed({ model: 'demo:latest', input: texts[0]! })).embeddings).toEqual(found.embeddings.slice(0, 1))
    expect((await served.json('/api/embed', { model: 'demo', input: '' })).embeddings).toEqual([])
  })

  test('the older form has one', async () => {
    const { embedding } = await ollama().embeddings({ model: 'demo', prompt: texts[0]! })
    expect(embedding).toEqual(await vectorOf(texts[0]!))
    expect(await served.json('/api/embeddings', { model: 'demo' })).toEqual({ embedding: [] })
  })

  test('a text that is too long is cut, or refused where the request says so', async () => {
    const long = 'again and '.repeat(400)
    await expect(ollama().embed({ model: 'demo', input: long, truncate: false })).rejects.toThrow(
      /\d+ tokens, the context has room for 512/,
    )
    const { embeddings, prompt_eval_count: count } = await ollama().embed({ model: 'demo', input: long })
    expect(count).toBe(512)
    expect(embeddings[0]).toEqual(await vectorOf(served.model.tokenizer.encode(long).slice(0, 512)))
  })

  test.each<[string, object, number, RegExp]>([
    ['no model', { input: 'a' }, 400, /model is required/],
    ['another model', { model: 'nomic-embed-text', input: 'a' }, 404, /model 'nomic-embed-text' not found/],
    ['numbers', { model: 'demo', input: [1, 2] }, 400, /input/],
    ['other dimensions', { model: 'demo', input: 'a', dimensions: 64 }, 400, /dimensions is not supported/],
    ['a duration that is none', { model: 'demo', input: 'a', keep_alive: 'soon' }, 400, /keep_alive/],
  ])('refused: %s', async (_, body, status, message) => {
    const response = await served.post('/api/embed', body)
    expect([response.status, (await response.json()).error]).toEqual([status, expect.stringMatching(message)])
  })
})
