// Adapters in requests: `lora` as llama-server has it, on every route that writes, and the list of adapters.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { type LoadOptions, MixtralModel } from '../../../dist/index.js'
import { markOf } from '../../../dist/interfaces/server/modelMark.js'
import { createApp } from '../../../dist/server.js'
import { modulePair, plainPair, writeGgufAdapter, writePeftFolder } from '../../runtime/adapters/adapterFiles.js'

const demo = fileURLToPath(new URL('../../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'mixtral-lora-server-'))
const pairs = (name: string) => [{ name: 'blk.1.attn_v.weight', pairs: [plainPair(name, 128, 256, 4, 0.5)] }]
const [first, second] = [join(folder, 'first.gguf'), join(folder, 'second')]
await writeGgufAdapter(first, 4, pairs('a'))
await writePeftFolder(second, modulePair('2.self_attn.v_proj', plainPair('b', 128, 256, 4, 0.5)))
const model = await MixtralModel.load(demo, { threads: 2, adapters: [first, { path: second, scale: 0 }] })
const app = createApp(model)
afterAll(async () => {
  await app.close()
  await model.close()
  rmSync(folder, { recursive: true })
})

/** As much of an answer as is looked at. */
interface Answer {
  readonly choices: readonly [
    {
      readonly text: string
      readonly message: { readonly content: string }
      readonly logprobs: { readonly token_logprobs: readonly (number | null)[] }
    },
  ]
  readonly content: string
  readonly error: { readonly message: string }
}

async function post(path: string, body: object): Promise<{ status: number; json: Answer }> {
  const response = await app.fetch(new Request(`http://localhost${path}`, { method: 'POST', body: JSON.stringify(body) }))
  return { status: response.status, json: (await response.json()) as Answer }
}

const prompt = 'Once upon a time'
const greedy = { temperature: 0 }
const textOf = async (adapters?: number[]) =>
  (await model.generate(prompt, { ...greedy, maxNewTokens: 24, ...(adapters && { adapters }) })).text
const texts = { loaded: await textOf(), none: await textOf([]), second: await textOf([0, 1]), both: await textOf([1, -1]) }

test('the adapters are listed, without paths of this machine', async () => {
  const response = await app.fetch(new Request('http://localhost/lora-adapters'))
  expect(await response.json()).toEqual([
    { id: 0, path: 'first.gguf', scale: 1, sha256: model.adapters[0]!.sha256 },
    { id: 1, path: 'second', scale: 0, sha256: model.adapters[1]!.sha256 },
  ])
  expect(await post('/lora-adapters', [{ id: 0, scale: 1 }])).toMatchObject({
    status: 501,
    json: { error: { message: expect.stringContaining('each request has its own in the field lora') } },
  })
})

test('a request chooses; without a choice there is what was loaded', async () => {
  expect(new Set(Object.values(texts)).size).toBe(4)
  const asked = [
    [undefined, texts.loaded],
    [null, texts.loaded],
    [[], texts.none],
    [[{ id: 1, scale: 1 }], texts.second],
    [
      [
        { id: 1, scale: -1 },
        { id: 0, scale: 1 },
      ],
      texts.both,
    ],
  ] as const
  const completions = asked.map(([lora]) => post('/v1/completions', { prompt, ...greedy, max_tokens: 24, lora }))
  expect((await Promise.all(completions)).map(({ json }) => json.choices[0].text)).toEqual(asked.map(([, text]) => text))
  const natives = asked.map(([lora]) => post('/completion', { prompt, ...greedy, n_predict: 24, lora }))
  expect((await Promise.all(natives)).map(({ json }) => json.content)).toEqual(asked.map(([, text]) => text))
})

test('chats and scores of prompts are those of the choice', async () => {
  const messages = [{ role: 'user' as const, content: 'Who are you?' }]
  const lora = [{ id: 1, scale: 1 }]
  const chat = await post('/v1/chat/completions', { messages, ...greedy, max_tokens: 12, lora })
  const { text } = await model.chat(messages, { ...greedy, maxNewTokens: 12, adapters: [0, 1] })
  expect(chat.json.choices[0].message.content).toBe(text)
  const echo = async (choice?: object) => {
    const { json } = await post('/v1/completions', { prompt, max_tokens: 0, echo: true, logprobs: 0, ...choice })
    return json.choices[0].logprobs.token_logprobs
  }
  const ids = model.tokenizer.encodePrompt(prompt)
  const scores = async (adapters: number[]) => (await model.score(ids, { adapters })).map(({ logprob }) => logprob)
  expect((await echo({ lora })).slice(1)).toEqual(await scores([0, 1]))
  expect((await echo()).slice(1)).toEqual(await scores([1]))
})

test('embeddings are those of the choice', async () => {
  const vectorOf = async (lora?: object) => {
    const { json } = await post('/v1/embeddings', { input: prompt, ...(lora && { lora }) })
    return (json as unknown as { data: [{ embedding: number[] }] }).data[0].embedding
  }
  const expected = async (adapters: number[]) => Array.from((await model.embed(prompt, { adapters })).vector)
  expect(await vectorOf()).toEqual(await expected([1]))
  expect(await vectorOf([])).toEqual(await expected([]))
  expect(await vectorOf([{ id: 1, scale: 1 }])).toEqual(await expected([0, 1]))
})

test.each([
  [[{ id: 2, scale: 1 }], /lora has id 2, expected one from 0 to 1/],
  [[{ id: -1, scale: 1 }], /lora/],
  [[{ id: 0 }], /lora/],
  [[{ id: 0, scale: '1' }], /lora/],
  [Array.from({ length: 65 }, () => ({ id: 0, scale: 1 })), /lora/],
  ['first', /lora/],
])('%j is refused', async (lora, message) => {
  for (const path of ['/v1/completions', '/completion', '/v1/embeddings']) {
    const { status, json } = await post(path, { prompt, input: prompt, lora })
    expect(status).toBe(400)
    expect(json.error.message).toMatch(message)
  }
})

test('a server with other adapters, or other scales of them, goes on with no stream of this one', async () => {
  const markWith = async (adapters: LoadOptions['adapters']) => {
    await using other = await MixtralModel.load(demo, { threads: 1, contextLength: 64, ...(adapters && { adapters }) })
    return (await markOf(other, 'version')).model
  }
  const usual = [first, { path: second, scale: 0 }]
  const marks = await Promise.all([undefined, usual, [first, second], [first], [second, { path: first, scale: 0 }]].map(markWith))
  expect(new Set(marks).size).toBe(marks.length)
  expect(await markWith(usual)).toBe(marks[1])
})
