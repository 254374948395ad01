// The models of the AI SDK's provider by themselves: what their interface promises, whatever the SDK makes of it.

import type { LanguageModelV3CallOptions, LanguageModelV3Prompt, LanguageModelV3StreamPart } from '@ai-sdk/provider'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createMixtral, type MixtralProvider } from '../../../dist/ai.js'
import { MixtralError, MixtralModel } from '../../../dist/index.js'
import { callError } from '../../../dist/interfaces/frameworks/ai/callError.js'
import { chatMessages } from '../../../dist/interfaces/frameworks/ai/prompt.js'

let model: MixtralModel
let mixtral: MixtralProvider
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 1, contextLength: 256 })
  mixtral = createMixtral(model)
})
afterAll(() => model.close())

const user = (text: string): LanguageModelV3Prompt => [{ role: 'user', content: [{ type: 'text', text }] }]

async function partsOf(stream: ReadableStream<LanguageModelV3StreamPart>): Promise<LanguageModelV3StreamPart[]> {
  const parts: LanguageModelV3StreamPart[] = []
  for await (const part of stream) parts.push(part)
  return parts
}

test('a model has the name of its file, and the version of its interface', () => {
  const { specificationVersion, provider, modelId, supportedUrls } = mixtral()
  expect([specificationVersion, provider, modelId, supportedUrls]).toEqual(['v3', 'mixtral.chat', 'tiny-mixtral.Q4_K_M', {}])
  expect(mixtral.embeddingModel().provider).toBe('mixtral.embedding')
})

test.each([undefined, {}, [], { demo: 1 }, 'demo'])('%j is no model', (given) => {
  expect(() => createMixtral(given as never)).toThrow(/expected a model/)
})

test('too many tools are refused before the schemas of all are read', async () => {
  const inputSchema = { type: 'object', properties: { a: { type: 'string', pattern: '^(a|b){1,200}$' } } } as const
  const tools = Array.from({ length: 5000 }, (_, i) => ({ type: 'function' as const, name: `f${i}`, inputSchema }))
  const before = performance.now()
  await expect(mixtral().doGenerate({ prompt: user('x'), tools })).rejects.toMatchObject({ code: 'OPTION', statusCode: 400 })
  expect(performance.now() - before).toBeLessThan(5000)
})

test('a schema that is no plain JSON is an error of the call', async () => {
  const round: { type: 'object'; properties: Record<string, object> } = { type: 'object', properties: {} }
  round.properties.again = round
  let deep: object = { type: 'string' }
  for (let i = 0; i < 20_000; i++) deep = { type: 'object', properties: { a: deep } }
  for (const schema of [round, deep]) {
    const asked = mixtral().doGenerate({ prompt: user('x'), responseFormat: { type: 'json', schema } })
    await expect(asked).rejects.toMatchObject({ code: 'OPTION', message: expect.stringContaining('plain JSON') })
  }
})

test('a stream opens and closes its blocks, and ends with one finish', async () => {
  const { stream } = await mixtral().doStream({ prompt: user('What is 7 + 5?'), temperature: 0 })
  const types = (await partsOf(stream)).map(({ type }) => type)
  expect(types.slice(0, 3)).toEqual(['stream-start', 'text-start', 'text-delta'])
  expect(types.slice(-3)).toEqual(['text-delta', 'text-end', 'finish'])
})

test('raw chunks are the pieces of the library', async () => {
  const { stream } = await mixtral().doStream({ prompt: user('What is 7 + 5?'), temperature: 0, includeRawChunks: true })
  const raw = (await partsOf(stream)).flatMap((part) => (part.type === 'raw' ? [part.rawValue as { text: string }] : []))
  expect(raw.map(({ text }) => text).join('')).toBe('7 + 5 = 12.')
})

test('a call is what it was when it was made', async () => {
  const given = (): LanguageModelV3CallOptions => ({
    ...{ prompt: user('Tell me a story.'), temperature: 0, maxOutputTokens: 40, stopSequences: ['zq'] },
    tools: [{ type: 'function', name: 'add', inputSchema: { type: 'object', properties: { a: { type: 'integer' } } } }],
    providerOptions: { mixtral: { bannedWords: ['was'] } },
  })
  const change = (options: LanguageModelV3CallOptions) => {
    ;(options.prompt[0] as { content: { text: string }[] }).content[0]!.text = 'What is 7 + 5?'
    options.prompt.push(...user('?'))
    options.stopSequences![0] = ' '
    options.tools!.length = 0
    ;(options.providerOptions!.mixtral!.bannedWords as string[])[0] = 'a'
  }
  const { content } = await mixtral().doGenerate(given())
  const options = given()
  const changed = mixtral().doGenerate(options)
  change(options)
  expect((await changed).content).toEqual(content)
  const streamed = given()
  const streaming = mixtral().doStream(streamed)
  change(streamed)
  const parts = await partsOf((await streaming).stream)
  const text = parts.flatMap((part) => (part.type === 'text-delta' ? [part.delta] : [])).join('')
  expect([{ type: 'text', text }]).toEqual(content)
  const values = ['a fox', 'a boat']
  const embedding = mixtral.embeddingModel().doEmbed({ values })
  values.reverse()
  expect((await embedding).embeddings[0]).toEqual(Array.from((await model.embed('a fox')).vector))
})

test('a call that a limit cuts is told, and is no call', async () => {
  const { stream } = await mixtral().doStream({
    ...{ prompt: user('What is 7 + 5?'), temperature: 0, maxOutputTokens: 30, toolChoice: { type: 'required' } },
    tools: [
      {
        type: 'function',
        name: 'say',
        inputSchema: { type: 'object', properties: { text: { type: 'string', minLength: 200 } }, required: ['text'] },
      },
    ],
  })
  const parts = await partsOf(stream)
  const types = new Set(parts.map(({ type }) => type))
  expect([types.has('tool-input-start'), types.has('tool-input-end'), types.has('tool-call')]).toEqual([true, true, false])
  const finish = parts.at(-1) as Extract<LanguageModelV3StreamPart, { type: 'finish' }>
  expect(finish.finishReason).toEqual({ unified: 'length', raw: 'length' })
  expect(finish.providerMetadata!.mixtral!.cutCall).toMatchObject({ function: { name: 'say' } })
})

test.each([
  ['high', ['reasoning']],
  ['none', []],
  ['provider-default', []],
])('reasoning, which ai 7 asks for: %s', async (reasoning, features) => {
  const asked = { prompt: user('Hi'), maxOutputTokens: 1, reasoning }
  const { warnings } = await mixtral().doGenerate(asked)
  expect(warnings.map((warning) => 'feature' in warning && warning.feature)).toEqual(features)
})

test('a full context is a limit', async () => {
  const { finishReason } = await mixtral().doGenerate({
    ...{ prompt: user('Tell me a story.'), temperature: 0, providerOptions: { mixtral: { ignoreEos: true } } },
  })
  expect(finishReason).toEqual({ unified: 'length', raw: 'context' })
})

test('cancelling a stream ends the work, also before its first part', async () => {
  const asked = { prompt: user('Tell me a story.'), temperature: 0, providerOptions: { mixtral: { ignoreEos: true } } }
  const { stream } = await mixtral().doStream(asked)
  await stream.cancel()
  await expect.poll(() => model.status().running).toBe(0)
})

test('only what another attempt may find otherwise is tried again', () => {
  const marks = (code: 'IO' | 'CONTEXT' | 'CLOSED' | 'THREAD' | 'OPTION') => {
    const { statusCode, isRetryable } = callError(new MixtralError(code, 'x')) as { statusCode: number; isRetryable: boolean }
    return [code, statusCode, isRetryable]
  }
  expect(marks('IO')).toEqual(['IO', 500, true])
  expect(marks('CONTEXT')).toEqual(['CONTEXT', 400, false])
  expect(marks('CLOSED')).toEqual(['CLOSED', 503, false])
  expect(marks('THREAD')).toEqual(['THREAD', 500, false])
  const aborted = new MixtralError('ABORTED', 'x')
  expect(Object.keys(callError(aborted) as object)).not.toContain('isRetryable')
  expect(callError('x')).toBe('x')
})

describe('prompts', () => {
  const call = (toolCallId: string) => ({ type: 'tool-call' as const, toolCallId, toolName: 'add', input: { a: 1 } })
  const called = (id: string) => ({ id, type: 'function', function: { name: 'add', arguments: '{"a":1}' } })
  const result = (toolCallId: string, output: object) => ({ type: 'tool-result' as const, toolCallId, toolName: 'add', output }) as never

  test('every kind of result is a text of a tool', () => {
    const outputs = [
      { type: 'text', value: 'a' },
      { type: 'json', value: { b: 1 } },
      { type: 'error-text', value: 'c' },
      { type: 'error-json', value: ['d'] },
      { type: 'execution-denied', reason: 'no' },
      { type: 'execution-denied' },
      {
        type: 'content',
        value: [
          { type: 'text', text: 'e' },
          { type: 'text', text: 'f' },
        ],
      },
    ]
    const prompt: LanguageModelV3Prompt = [
      { role: 'assistant', content: [{ type: 'text', text: 'Hm.' }, ...outputs.map((_, i) => call(`id${i}`))] },
      { role: 'tool', content: outputs.map((output, i) => result(`id${i}`, output)) },
    ]
    const [said, ...results] = chatMessages(prompt, () => {})
    expect(said).toEqual({ role: 'assistant', content: 'Hm.', tool_calls: outputs.map((_, i) => called(`id${i}`)) })
    expect(results.map(({ content }) => content)).toEqual([
      'a',
      '{"b":1}',
      'c',
      '["d"]',
      'no',
      'The execution of the tool was denied.',
      'ef',
    ])
    expect(results[0]).toEqual({ role: 'tool', tool_call_id: 'id0', name: 'add', content: 'a' })
  })

  test('results in the message of the assistant part it', () => {
    const content = [call('id0'), result('id0', { type: 'text', value: '2' }), { type: 'text' as const, text: 'Two.' }]
    expect(chatMessages([{ role: 'assistant', content }], () => {})).toEqual([
      { role: 'assistant', content: '', tool_calls: [called('id0')] },
      { role: 'tool', tool_call_id: 'id0', name: 'add', content: '2' },
      { role: 'assistant', content: 'Two.' },
    ])
  })

  test('thoughts of other models are left out with a warning', async () => {
    const { warnings } = await mixtral().doGenerate({
      prompt: [
        ...user('Hi'),
        {
          role: 'assistant',
          content: [
            { type: 'reasoning', text: 'Hm' },
            { type: 'text', text: 'Hi.' },
          ],
        },
        ...user('Hi'),
      ],
      maxOutputTokens: 1,
    })
    expect(warnings).toMatchObject([{ type: 'unsupported', feature: 'reasoning in the prompt' }])
  })

  test('the input of a call that another model has written is an object, or is left out with a warning', () => {
    const left: string[] = []
    const inputs = [{ a: 1 }, '{"a": 1}', undefined, '{"a": ', 'a', [1], 7]
    const content = inputs.map((input, i) => ({ ...call(`id${i}`), input }))
    const [said] = chatMessages([{ role: 'assistant', content }], (what) => left.push(what))
    const texts = said!.tool_calls!.map(({ function: { arguments: text } }) => text)
    expect(texts).toEqual(['{"a":1}', '{"a":1}', '{}', '{}', '{}', '{}', '{}'])
    expect(left).toEqual(Array.from({ length: 4 }, () => 'the input of a call of add that is no object'))
  })

  test('a file that is a text is one, in a prompt and in a result', () => {
    const text = 'Grüße'
    const base64 = Buffer.from(text).toString('base64')
    const file = { type: 'file' as const, mediaType: 'text/markdown' }
    const value = [{ type: 'text', text: 'a' }, { type: 'file-data', data: base64, mediaType: 'text/plain' }] // biome-ignore format: one line
    const prompt: LanguageModelV3Prompt = [
      { role: 'user', content: [{ ...file, data: Buffer.from(text) }, { ...file, data: base64 }] }, // biome-ignore format: one line
      { role: 'tool', content: [result('id0', { type: 'content', value }), result('id1', { type: 'json', value: undefined })] },
    ]
    const [asked, ...results] = chatMessages(prompt, () => {})
    expect(asked!.content).toEqual(Array.from({ length: 2 }, () => ({ type: 'text', text })))
    expect(results.map(({ content }) => content)).toEqual([`a${text}`, 'null'])
    const linked = [{ role: 'user' as const, content: [{ ...file, data: new URL('https://x.test/a') }] }]
    expect(() => chatMessages(linked, () => {})).toThrow(/a file of the type text\/markdown/)
  })

  test('an image in a result is refused', () => {
    const prompt = [{ role: 'tool' as const, content: [result('id0', { type: 'content', value: [{ type: 'image-url', url: 'x' }] })] }]
    expect(() => chatMessages(prompt, () => {})).toThrow(/image-url in the result of a tool/)
  })
})

test('options of ours have the choice of adapters: of this model there are none', async () => {
  const providerOptions = { mixtral: { adapters: [1] } }
  const refused = { code: 'OPTION', message: expect.stringContaining('adapters has 1 numbers, expected at most 0') }
  await expect(mixtral().doGenerate({ prompt: user('x'), providerOptions })).rejects.toMatchObject(refused)
  await expect(mixtral.embeddingModel().doEmbed({ values: ['x'], providerOptions })).rejects.toMatchObject(refused)
  await mixtral().doGenerate({ prompt: user('x'), maxOutputTokens: 1, providerOptions: { mixtral: { adapters: [] } } })
})
