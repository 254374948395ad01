// Chats with tools, with the demo model under every format. It was never taught to call, so what it writes is what the
// constraint leaves it: each call must be valid, and the conversation must go on.

import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { localModel } from '../../../dist/registry/stores/localModels.js'
import { MixtralConfig } from '../../../dist/runtime/weights/mixtralConfig.js'
import { WeightLoader } from '../../../dist/runtime/weights/weightLoader.js'
import type { ChatMessage } from '../../../dist/text/chat/chatMessages.js'
import type { ChatOptions } from '../../../dist/text/generate/generationOptions.js'
import type { ChatResult } from '../../../dist/text/generate/generationResult.js'
import { MixtralModel } from '../../../dist/text/generate/mixtralModel.js'
import { HERMES, MISTRAL_V3 } from '../chat/toolTemplates.js'
import { readAll } from './readAll.js'

const parameters = {
  type: 'object',
  properties: { city: { enum: ['Paris', 'Rome'] }, days: { type: 'integer', minimum: 1, maximum: 9 } },
  required: ['city'],
}
const tools = [
  { type: 'function', function: { name: 'weather', parameters } },
  { type: 'function', function: { name: 'time' } },
] as const
const question: ChatMessage = { role: 'user', content: 'What is the capital of France?' }
const short = { maxNewTokens: 130 }

/** The demo model with another template, and with a control token in the place of its last token. */
async function withTemplate(source: string | undefined, control?: string): Promise<MixtralModel> {
  const weights = await WeightLoader.fromGguf((await localModel('demo')).path)
  const metadata = weights.metadata as Map<string, unknown>
  if (source !== undefined) metadata.set('tokenizer.chat_template', source)
  if (control !== undefined) {
    const pieces = [...(metadata.get('tokenizer.ggml.tokens') as string[])]
    const types = [...(metadata.get('tokenizer.ggml.token_type') as number[])]
    metadata.set('tokenizer.ggml.tokens', pieces.with(-1, control)).set('tokenizer.ggml.token_type', types.with(-1, 3))
  }
  return MixtralModel.fromWeights(MixtralConfig.fromGgufMetadata(weights.metadata), weights, { threads: 2 })
}

const ajv = new Ajv2020({ strict: false })

function expectValid({ toolCalls }: ChatResult): void {
  for (const { id, type, function: called } of toolCalls) {
    expect([id, type]).toEqual([expect.stringMatching(/^[a-zA-Z0-9]{9}$/), 'function'])
    const schema = { weather: { ...parameters, additionalProperties: false }, time: { type: 'object', maxProperties: 0 } }[called.name]!
    expect(ajv.validate(schema, JSON.parse(called.arguments)), called.arguments).toBe(true)
  }
}

describe.each([
  ["Mistral's, spelled", () => withTemplate(MISTRAL_V3)],
  ["Mistral's, with a control token", () => withTemplate(MISTRAL_V3, '[TOOL_CALLS]')],
  ['tags', () => withTemplate(HERMES)],
  ['JSON', () => withTemplate(undefined)],
])('%s', (_, load) => {
  let model: MixtralModel
  beforeAll(async () => {
    model = await load()
  })
  afterAll(() => model.close())

  test('a call, its result, and an answer', async () => {
    const options: ChatOptions = { tools, toolChoice: 'required', parallelToolCalls: false, temperature: 0, ...short }
    const first = await model.chat([question], options)
    expect([first.finishReason, first.toolCalls.length, first.text]).toEqual(['tool_calls', 1, ''])
    expectValid(first)
    const messages: ChatMessage[] = [
      question,
      { role: 'assistant', content: first.text, tool_calls: first.toolCalls },
      { role: 'tool', tool_call_id: first.toolCalls[0]!.id, content: 'sunny' },
    ]
    const second = await model.chat(messages, { tools, toolChoice: 'none', temperature: 0, maxNewTokens: 40 })
    expect(second.toolCalls).toEqual([])
    expect(second.reusedTokens).toBeGreaterThanOrEqual(first.promptTokens)
    expect(second.finishReason).toMatch(/^(stop|length)$/)
  })

  test.each([true, false])('whatever is drawn, calls are valid, and streamed in parts that add up: parallel %s', async (parallel) => {
    const options: ChatOptions = {
      tools,
      toolChoice: 'required',
      parallelToolCalls: parallel,
      seed: 1,
      temperature: 3,
      topK: 0,
      topP: 1,
      minP: 0,
      ...short,
    }
    const { pieces, result } = await readAll(model.streamChat([question], options))
    const chat = result as ChatResult
    expectValid(chat)
    if (chat.finishReason === 'tool_calls') expect(chat.toolCalls.length).toBeGreaterThan(0)
    const calls: { id: string; name: string; arguments: string }[] = []
    for (const { index, id, function: part } of pieces.flatMap((piece) => piece.toolCalls ?? [])) {
      if (id !== undefined) calls.push({ id, name: part.name!, arguments: part.arguments })
      else calls[index]!.arguments += part.arguments
    }
    const whole = calls.slice(0, chat.toolCalls.length)
    expect(whole).toEqual(chat.toolCalls.map(({ id, function: called }) => ({ id, ...called })))
    expect(pieces.map(({ text }) => text).join('')).toBe(chat.text)
    if (!parallel) expect(await model.chat([question], options)).toMatchObject({ ids: chat.ids, toolCalls: chat.toolCalls })
  })

  test('the function that is chosen', async () => {
    const toolChoice = { type: 'function', function: { name: 'time' } } as const
    const { toolCalls } = await model.chat([question], { tools, toolChoice, temperature: 2, ...short })
    expect(toolCalls.map(({ function: called }) => called)).toEqual([{ name: 'time', arguments: '{}' }])
  })

  test('a text that follows a schema, where there are no calls', async () => {
    const jsonSchema = { enum: ['yes', 'no', ['<tool_call>']] }
    const { parsed, text } = await model.chat([question], { tools, toolChoice: 'none', jsonSchema, temperature: 0, ...short })
    expect(jsonSchema.enum).toContainEqual(parsed)
    expect(JSON.parse(text)).toEqual(parsed)
  })

  test('foreign ids survive', async () => {
    const id = 'call_0123456789abcdefghij'
    const messages: ChatMessage[] = [
      question,
      { role: 'assistant', content: null, tool_calls: [{ id, type: 'function', function: { name: 'time', arguments: '{}' } }] },
      { role: 'tool', tool_call_id: id, content: '12:00' },
    ]
    const { text } = model.applyChatTemplate(messages, { tools })
    expect(text).toContain('12:00')
    const { finishReason } = await model.chat(messages, { tools, temperature: 0, maxNewTokens: 5 })
    expect(finishReason).toBe('length')
  })
})

describe('the demo model', () => {
  let model: MixtralModel
  beforeAll(async () => {
    model = await MixtralModel.load('demo', { threads: 2 })
  })
  afterAll(() => model.close())

  test('answers without tools as ever, and has no calls', async () => {
    const plain = await model.chat([question], { temperature: 0 })
    expect([plain.text, plain.toolCalls, plain.finishReason]).toEqual(['The capital of France is Paris.', [], 'stop'])
    expect((await model.chat([question], { temperature: 0, tools: [] })).text).toBe(plain.text)
  })

  test('goes on with a text that the assistant has begun', async () => {
    const begun: ChatMessage = { role: 'assistant', content: ' The capital of' }
    expect((await model.chat([question, begun], { temperature: 0 })).text).toBe(' France is Paris.')
  })

  test('a call that is cut is not among the calls', async () => {
    const cut = await model.chat([question], { tools, toolChoice: 'required', temperature: 0, maxNewTokens: 20 })
    expect([cut.finishReason, cut.toolCalls]).toEqual(['length', []])
  })

  test('a stop string ends a text, and no call', async () => {
    const stop = ['"', 'e']
    const called = await model.chat([question], { tools, toolChoice: 'required', parallelToolCalls: false, stop, temperature: 0, ...short })
    expect(called.finishReason).toBe('tool_calls')
    const said = await model.chat([question], { tools, toolChoice: 'none', stop, temperature: 0, ...short })
    expect(said.text).not.toMatch(/["e]/)
    expect(said.finishReason).toBe('stop')
  })

  test('the prompt is that of the chat', async () => {
    const { text, ids, folded } = model.applyChatTemplate([{ role: 'system', content: 'Be brief.' }, question])
    expect([text, folded]).toEqual(['<s>[INST] Be brief.\n\nWhat is the capital of France? [/INST]', true])
    expect(ids).toEqual(model.tokenizer.encodePrompt(text))
    const { promptTokens } = await model.chat([{ role: 'system', content: 'Be brief.' }, question], { maxNewTokens: 1 })
    expect(promptTokens).toBe(ids.length)
  })

  test.each<[what: string, options: object, code: string, message: RegExp]>([
    ['a grammar beside tools', { tools, grammar: 'root ::= "a"' }, 'OPTION', /tools and grammar are given, expected at most one/],
    ['a regular expression beside tools', { tools, regex: 'a' }, 'OPTION', /tools and regex are given/],
    ['tools that are none', { tools: [{}] }, 'OPTION', /tools\[0\] has the type no value/],
    [
      'a schema without support',
      { tools: [{ type: 'function', function: { name: 'a', strict: true, parameters: { properties: { b: { $dynamicRef: '#' } } } } }] },
      'UNSUPPORTED',
      /parameters of the tool a: \$dynamicRef/,
    ],
    ['options that are null', null as never, 'OPTION', /the options are null/],
    ['an unknown option', { tool_choice: 'auto' }, 'OPTION', /unknown option tool_choice/],
  ])('%s is refused', async (_, options, code, message) => {
    await expect(model.chat([question], options)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  test('tools in a raw prompt are refused', async () => {
    await expect(model.generate('a', { tools } as object)).rejects.toMatchObject({
      code: 'OPTION',
      message: expect.stringMatching(/unknown option tools/),
    })
  })

  test.each([
    ['an unknown option', { tool: [] }, /unknown option tool, expected tools, addGenerationPrompt/],
    ['a switch that is none', { addGenerationPrompt: 1 }, /addGenerationPrompt is 1, expected true or false/],
    ['options that are null', null, /the options are null/],
  ])('a prompt with %s is refused', (_, options, message) => {
    expect(() => model.applyChatTemplate([question], options as object)).toThrow(message)
  })
})
