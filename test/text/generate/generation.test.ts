// Generating with the demo model: what ends a text, what a stream shows, what repeats, and what is refused.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type LoadOptions, MixtralModel } from '../../../dist/index.js'
import type { GenerationOptions } from '../../../dist/text/generate/generationOptions.js'
import { shapes, writeShapeModel } from '../../golden/shapeModel.js'
import { readAll, resultOf } from './readAll.js'

const prompt = '[INST] Who are you? [/INST]' // 11 tokens with BOS
const answer = 'I am a tiny mixture of experts. I have eight experts in every layer, and two of them work on each word.'
const greedy = { temperature: 0 }

let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 2, batchSize: 4 })
})
afterAll(() => model.close())

const run = (options: GenerationOptions, text = prompt) => resultOf(model.stream(text, options))

async function runWith(load: LoadOptions, options: GenerationOptions, text = prompt) {
  await using other = await MixtralModel.load('demo', { threads: 1, ...load })
  return await resultOf(other.stream(text, options))
}

describe('a text ends', () => {
  test('at an end token, which it does not contain', async () => {
    const { text, ids, finishReason } = await run(greedy)
    expect({ text, finishReason }).toEqual({ text: answer, finishReason: 'stop' })
    expect(ids).not.toContain(model.tokenizer.eosId)
    expect(model.tokenizer.decode(ids)).toBe(answer)
  })

  test('after maxNewTokens', async () => {
    const { text, ids, finishReason } = await run({ ...greedy, maxNewTokens: 5 })
    expect({ text, count: ids.length, finishReason }).toEqual({ text: 'I am a tiny mixture', count: 5, finishReason: 'length' })
  })

  test.each<[string | string[], string]>([
    [' tiny', 'I am a'], // one token
    ['xture of exp', 'I am a tiny mi'], // parts of several
    ['I', ''], // the very first
    [['layer', 'eight', 'nothing like it'], 'I am a tiny mixture of experts. I have '],
    [['every layer, and', 'layer'], 'I am a tiny mixture of experts. I have eight experts in every '],
    ['word.', answer.slice(0, -5)], // the last
  ])('before the stop string %j', async (stop, expected) => {
    const { pieces, result } = await readAll(model.stream(prompt, { ...greedy, stop }))
    expect({ text: result.text, finishReason: result.finishReason }).toEqual({ text: expected, finishReason: 'stop' })
    expect(pieces.map(({ text }) => text).join('')).toBe(expected)
  })

  test('whole where a stop string only begins', async () => {
    expect(await run({ ...greedy, stop: 'word. And more' })).toMatchObject({ text: answer, stopText: undefined })
    expect(await run({ ...greedy, stop: ['never', ' mixture'] })).toMatchObject({ finishReason: 'stop', stopText: ' mixture' })
    expect(await run({ ...greedy, stop: ' mixture', maxNewTokens: 3 })).toMatchObject({ finishReason: 'length', stopText: undefined })
    expect((await run({ ...greedy, stop: 'mixture of eggs', maxNewTokens: 6 })).text).toBe('I am a tiny mixture of')
  })

  test('when the context is full', async () => {
    const { text, ids, promptTokens, finishReason } = await runWith({ contextLength: 16 }, greedy)
    expect({ text, promptTokens, finishReason }).toEqual({ text: 'I am a tiny mixture', promptTokens: 11, finishReason: 'context' })
    expect(promptTokens + ids.length).toBe(16)
  })

  test('with its one token when the prompt leaves room for no other', async () => {
    expect(await runWith({ contextLength: 12 }, greedy)).toMatchObject({ text: 'I', finishReason: 'context' })
  })
})

test.each([11, 5])('a prompt that leaves no room in a context of %i is refused', async (contextLength) => {
  await expect(runWith({ contextLength }, greedy)).rejects.toMatchObject({
    code: 'CONTEXT',
    message: `the prompt has 11 tokens, the context has room for ${contextLength} including the answer`,
  })
})

describe('a stream', () => {
  test('shows the text and the tokens of its result, and that is the text of generate', async () => {
    const { pieces, result } = await readAll(model.stream(prompt, greedy))
    expect(pieces.map(({ text }) => text).join('')).toBe(result.text)
    expect(pieces.flatMap(({ ids }) => ids)).toEqual(result.ids)
    expect((await model.generate(prompt, greedy)).text).toBe(result.text)
  })

  test('never cuts a character in two', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mixtral-bytes-'))
    const path = join(folder, 'bytes.gguf')
    await writeShapeModel(shapes[0]!, path) // four of five tokens are bytes
    await using bytes = await MixtralModel.load(path, { threads: 1 })
    rmSync(folder, { recursive: true })
    const wild = { temperature: 5, topK: 0, topP: 1, minP: 0, maxNewTokens: 150 }
    for (const seed of [1, 2, 3]) {
      const { pieces, result } = await readAll(bytes.stream('A', { ...wild, seed }))
      expect(result.text).toBe(bytes.tokenizer.decode(result.ids, { continues: true }))
      expect(pieces.map(({ text }) => text).join('')).toBe(result.text)
    }
  })

  test('tells how the prompt is going, step after step', async () => {
    await model.reset()
    const steps: unknown[] = []
    await run({ maxNewTokens: 3, onProgress: (step) => steps.push(step) })
    expect(steps).toEqual([4, 8, 11].map((loaded) => ({ loaded, total: 11, reused: 0 })))
  })

  test('tells how much of the prompt was known from before', async () => {
    await model.reset()
    expect(await run({ maxNewTokens: 1 })).toMatchObject({ promptTokens: 11, reusedTokens: 0 })
    expect(await run({ maxNewTokens: 1 })).toMatchObject({ promptTokens: 11, reusedTokens: 10 })
    const { prefillSeconds, decodeSeconds } = await run({ maxNewTokens: 2 }, 'Once upon')
    expect(prefillSeconds).toBeGreaterThan(0)
    expect(decodeSeconds).toBeGreaterThan(0)
  })
})

describe('sampling', () => {
  const varied = { temperature: 1.5, topK: 0, topP: 1, minP: 0, maxNewTokens: 30 }
  const story = 'Once upon a time'

  test('with the same seed writes the same text, whatever the threads, batches and banks', async () => {
    const { ids } = await run({ ...varied, seed: 42 }, story)
    expect((await run({ ...varied, seed: 42 }, story)).ids).toEqual(ids)
    expect((await runWith({ threads: 3, batchSize: 1, bankBytes: 1 }, { ...varied, seed: 42 }, story)).ids).toEqual(ids)
  })

  test('with other seeds writes other texts', async () => {
    const texts = new Set<string>()
    for (const seed of [1, 2, 3, 4, 2 ** 40]) texts.add((await run({ ...varied, seed }, story)).text)
    expect(texts.size).toBe(5)
  })

  test('without a seed tells the one it took, which repeats the text', async () => {
    const first = await run(varied, story)
    expect((await run({ ...varied, seed: first.seed }, story)).ids).toEqual(first.ids)
    expect((await run(varied, story)).seed).not.toBe(first.seed)
  })

  test('at temperature 0, or with one token to choose from, is greedy with any seed', async () => {
    expect((await run({ temperature: 0, seed: 5 })).text).toBe(answer)
    expect((await run({ temperature: 2, topK: 1, seed: 6 })).text).toBe(answer)
  })

  test('with a repetition penalty avoids what was said', async () => {
    const { text } = await run({ ...greedy, repetitionPenalty: 5 })
    expect(text).not.toBe(answer)
    expect(text.match(/experts/g)?.length ?? 0).toBeLessThan(2)
  })
})

describe('a raw prompt', () => {
  test('has one BOS, written or not', async () => {
    const plain = await run(greedy)
    await model.reset()
    const written = await run(greedy, `<s>${prompt}`)
    expect(written).toMatchObject({ promptTokens: plain.promptTokens, ids: plain.ids })
    expect(model.tokenizer.encodePrompt(`<s>${prompt}`)).toEqual(model.tokenizer.encodePrompt(prompt))
  })

  test('may be a conversation with control tokens', async () => {
    const text = '[INST] What is the opposite of hot? [/INST] The opposite of hot is cold.</s> [INST] What is 3 times 4? [/INST]'
    expect((await run(greedy, text)).text).toBe('3 * 4 = 12.')
  })

  test('may be empty: the text begins after BOS', async () => {
    expect(await run({ seed: 1, maxNewTokens: 4 }, '')).toMatchObject({ promptTokens: 1, reusedTokens: 0, finishReason: 'length' })
  })

  test('must be a string', async () => {
    const call = model.generate(undefined as unknown as string)
    await expect(call).rejects.toMatchObject({ code: 'OPTION', message: 'the prompt is no value, expected a string' })
  })
})

describe('chat', () => {
  const user = (content: string) => ({ role: 'user' as const, content })
  const question = user('What is the capital of France?')

  test('answers in the format of the file', async () => {
    const result = await model.chat([question], greedy)
    expect(result).toMatchObject({ text: 'The capital of France is Paris.', finishReason: 'stop', folded: false })
    expect((await model.generate('[INST] What is the capital of France? [/INST]', greedy)).text).toBe(result.text)
  })

  test('keeps what it knows of the conversation', async () => {
    const first = await model.chat([question], greedy)
    const messages = [question, { role: 'assistant' as const, content: ` ${first.text}` }, user('What is 7 + 5?')]
    const second = await model.chat(messages, greedy)
    expect(second.text).toBe('7 + 5 = 12.')
    expect(second.reusedTokens).toBeGreaterThanOrEqual(first.promptTokens)
  })

  test('folds a system message into the first question, and says so', async () => {
    const folded = await model.chat([{ role: 'system', content: 'Be brief.' }, question], greedy)
    const written = await model.chat([user(`Be brief.\n\n${question.content}`)], greedy)
    expect([folded.folded, written.folded]).toEqual([true, false])
    expect({ text: folded.text, promptTokens: folded.promptTokens }).toEqual({ text: written.text, promptTokens: written.promptTokens })
  })

  test('takes control tokens in a message for text', async () => {
    const { pieces, result } = await readAll(model.streamChat([user('</s><s>')], { maxNewTokens: 1 }))
    expect(pieces.length).toBeGreaterThan(0)
    expect(result.promptTokens).toBeGreaterThan((await model.chat([user('')], { maxNewTokens: 1 })).promptTokens + 2)
  })

  test('streams the same answer, and returns it in the end', async () => {
    const { pieces, result } = await readAll(model.streamChat([question], greedy))
    expect(pieces.map(({ text }) => text).join('')).toBe('The capital of France is Paris.')
    expect(result).toMatchObject({ text: 'The capital of France is Paris.', folded: false, finishReason: 'stop' })
  })

  test('refuses messages that the template refuses, and goes on', async () => {
    await expect(model.chat([{ role: 'assistant', content: 'Paris.' }, question])).rejects.toMatchObject({ code: 'TEMPLATE' })
    await expect(model.chat([])).rejects.toMatchObject({ code: 'TEMPLATE' })
    expect((await model.chat([question], greedy)).text).toBe('The capital of France is Paris.')
  })
})

describe('an option', () => {
  test.each<[object, string]>([
    [{ maxTokens: 5 }, 'unknown option maxTokens, expected maxNewTokens, stop, stopIds'],
    [{ top_p: 0.5 }, 'unknown option top_p, expected'],
    [{ maxNewTokens: 0 }, 'maxNewTokens is 0, expected a whole number from 1'],
    [{ maxNewTokens: 2.5 }, 'maxNewTokens is 2.5, expected'],
    [{ maxNewTokens: '5' }, 'maxNewTokens is "5", expected'],
    [{ temperature: -0.1 }, 'temperature is -0.1, expected a number from 0'],
    [{ temperature: Number.NaN }, 'temperature is NaN, expected'],
    [{ topK: 1.5 }, 'topK is 1.5, expected a whole number from 0'],
    [{ topP: 1.1 }, 'topP is 1.1, expected a number from 0 to 1'],
    [{ minP: -1 }, 'minP is -1, expected'],
    [{ repetitionPenalty: 0 }, 'repetitionPenalty is 0, expected'],
    [{ seed: -1 }, 'seed is -1, expected a whole number from 0'],
    [{ seed: 'x' }, 'seed is "x", expected'],
    [{ stop: '' }, 'stop has "", expected'],
    [{ stop: ['a', 5] }, 'stop has 5, expected'],
    [{ stop: 5 }, 'stop is 5, expected a string or a list of strings'],
    [{ signal: 'now' }, 'signal is not an AbortSignal'],
    [{ onProgress: true }, 'onProgress is not a function'],
  ])('%j is refused by name', async (options, message) => {
    const refusal = { name: 'MixtralError', code: 'OPTION', message: expect.stringContaining(message) }
    await expect(model.generate(prompt, options)).rejects.toMatchObject(refusal)
    await expect(model.chat([{ role: 'user', content: 'Hello' }], options)).rejects.toMatchObject(refusal)
  })

  test('of logits is refused by name', async () => {
    const refused = (options: object) => expect(model.logits([1], options)).rejects
    await refused({ temperature: 0 }).toMatchObject({
      code: 'OPTION',
      message: 'unknown option temperature, expected expertsPerToken, adapters, signal, onProgress',
    })
    await refused({ onProgress: 5 }).toMatchObject({ code: 'OPTION', message: 'onProgress is not a function' })
  })
})

describe('logits', () => {
  test.each<[readonly number[], string, string]>([
    [[], 'OPTION', 'no tokens, expected at least one'],
    [[1, 2048], 'TOKENIZER', 'token 1 has id 2048, expected a whole number below 2048'],
    [[-1], 'TOKENIZER', 'token 0 has id -1, expected'],
    [[1, 1.5], 'TOKENIZER', 'token 1 has id 1.5, expected'],
    [[1, undefined as unknown as number], 'TOKENIZER', 'token 1 has id no value, expected'],
    [new Array(513).fill(1), 'CONTEXT', '513 tokens, the context has room for 512'],
  ])('of tokens that cannot be are refused', async (ids, code, message) => {
    const refusal = { code, message: expect.stringContaining(message) }
    await expect(model.logits(ids)).rejects.toMatchObject(refusal)
    await expect(model.evaluate(ids)).rejects.toMatchObject(refusal)
  })

  test('of a full context are given', async () => {
    const logits = await model.logits(new Array(512).fill(3))
    expect(logits.length).toBe(512 * 2048)
    expect(logits.every(Number.isFinite)).toBe(true)
  })
})

test('of a full context and the token after it, that token has a score, too', async () => {
  const tokens = Array.from({ length: 513 }, (_, i) => 3 + (i % 97))
  const scored = await model.score(tokens, { from: 512 })
  const logits = await model.evaluate(tokens.slice(0, -1))
  const most = Math.max(...logits)
  const sum = logits.reduce((all, logit) => all + Math.exp(logit - most), 0)
  expect(scored).toHaveLength(1)
  expect(Math.abs(scored[0]!.logprob - (logits[tokens[512]!]! - most - Math.log(sum)))).toBeLessThan(1e-9)
  await expect(model.score([...tokens, 3])).rejects.toMatchObject({
    code: 'CONTEXT',
    message: '514 tokens, the context has room for 512, and one more that is not run',
    promptTokens: 514,
    contextLength: 512,
  })
})
