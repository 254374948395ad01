// The AI SDK, through its provider for servers that speak OpenAI's API.

import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { APICallError, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from 'ai'
import { describe, expect, test } from 'vitest'
import { endless, type Json, withServer } from './served.js'

const served = withServer({ apiKeys: ['secret'] })
const provider = (more: object = {}) =>
  createOpenAICompatible({
    name: 'mixtral',
    baseURL: `${served.server.url}/v1`,
    apiKey: 'secret',
    includeUsage: true,
    supportsStructuredOutputs: true,
    ...more,
  })
const greedy = { temperature: 0, maxRetries: 0 } as const
const question = 'What is the capital of France?'
const answer = 'The capital of France is Paris.'

const city = jsonSchema<{ city: string }>({
  type: 'object',
  properties: { city: { type: 'string', enum: ['Paris', 'Rome'] } },
  required: ['city'],
  additionalProperties: false,
})

describe('text', () => {
  test('a whole answer, with usage and the reason of its end', async () => {
    const { text, finishReason, usage, response } = await generateText({ model: provider()('demo'), prompt: question, ...greedy })
    expect([text, finishReason]).toEqual([answer, 'stop'])
    expect(usage).toMatchObject({ inputTokens: 14, outputTokens: 7, totalTokens: 21 })
    expect(response.modelId).toBe('demo')
  })

  test('a stream is the whole answer in pieces, with the same usage', async () => {
    const { textStream, finishReason, usage } = streamText({ model: provider()('demo'), prompt: question, ...greedy })
    const pieces: string[] = []
    for await (const piece of textStream) pieces.push(piece)
    expect(pieces.length).toBeGreaterThan(2)
    expect([pieces.join(''), await finishReason]).toEqual([answer, 'stop'])
    expect(await usage).toMatchObject({ inputTokens: 14, outputTokens: 7 })
  })

  test('options arrive: a seed, a stop string, a length', async () => {
    const ask = (more: object) =>
      generateText({ model: provider().completionModel('demo'), prompt: 'Long ago,', temperature: 1, maxOutputTokens: 12, ...more })
    const [first, same, other] = [await ask({ seed: 1 }), await ask({ seed: 1 }), await ask({ seed: 2 })]
    expect([first.text === same.text, first.text === other.text, first.finishReason]).toEqual([true, false, 'length'])
    const cut = await generateText({ model: provider()('demo'), prompt: question, stopSequences: ['France'], ...greedy })
    expect([cut.text, cut.finishReason]).toEqual(['The capital of ', 'stop'])
  })
})

describe('structure', () => {
  test('an object follows its schema, whole and streamed', async () => {
    const output = Output.object({ schema: city })
    const whole = await generateText({ model: provider()('demo'), prompt: question, output, ...greedy })
    expect(['Paris', 'Rome']).toContain(whole.output.city)
    const { partialOutputStream, output: last } = streamText({ model: provider()('demo'), prompt: question, output, ...greedy })
    for await (const _ of partialOutputStream);
    expect(await last).toEqual(whole.output)
  })

  test.each(['whole', 'streamed'])('a loop of tools, %s: a call, its result, an answer', async (how) => {
    const asked: string[] = []
    const oneCall = provider({ transformRequestBody: (body: object) => ({ ...body, parallel_tool_calls: false }) })
    const weather = tool({
      description: 'The weather of a city',
      inputSchema: city,
      execute: async ({ city }) => {
        asked.push(city)
        return { celsius: 20 }
      },
    })
    const settings = {
      ...{ model: oneCall('demo'), prompt: question, tools: { weather }, stopWhen: stepCountIs(2), maxOutputTokens: 60, ...greedy },
      prepareStep: ({ stepNumber }: { stepNumber: number }) => ({
        toolChoice: stepNumber === 0 ? ('required' as const) : ('none' as const),
      }),
    }
    const steps: Json = how === 'whole' ? (await generateText(settings)).steps : await streamText(settings).steps
    expect(asked).toHaveLength(1)
    expect(['Paris', 'Rome']).toContain(asked[0])
    expect(steps.map(({ finishReason }: Json) => finishReason)[0]).toBe('tool-calls')
    expect(steps[0].toolCalls).toMatchObject([{ toolName: 'weather', input: { city: asked[0] } }])
    expect(steps[1].usage.inputTokens).toBeGreaterThan(steps[0].usage.inputTokens) // the result has come back
    expect(steps[1].toolCalls).toEqual([])
  })
})

describe('errors', () => {
  test.each([
    ['a wrong key', { apiKey: 'wrong' }, 'demo', 401, 'Invalid API Key'],
    ['an unknown model', {}, 'other', 404, 'does not exist here'],
  ])('%s', async (_, more, model, status, message) => {
    const error: Json = await generateText({ model: provider(more)(model), prompt: question, ...greedy }).catch((error) => error)
    expect(APICallError.isInstance(error)).toBe(true)
    expect([error.statusCode, error.isRetryable]).toEqual([status, false])
    expect(error.message).toContain(message)
  })

  test('a prompt that is too long is an error of a stream, too', async () => {
    let told: Json
    const { textStream } = streamText({
      ...{ model: provider()('demo'), prompt: 'word '.repeat(600), ...greedy },
      onError({ error }) {
        told = error
      },
    })
    for await (const _ of textStream);
    expect([told.statusCode, told.data.error.code]).toEqual([400, 'context_length_exceeded'])
  })

  test('an abort ends the work', async () => {
    const controller = new AbortController()
    const { textStream } = streamText({
      ...{ model: provider({ transformRequestBody: (body: object) => ({ ...body, ignore_eos: true }) }).completionModel('demo') },
      ...{ prompt: endless, abortSignal: controller.signal, ...greedy, maxOutputTokens: 480 },
    })
    let pieces = 0
    for await (const _ of textStream) if (++pieces === 3) controller.abort()
    await served.idle()
    expect(served.logs.at(-1)).toMatchObject({ outcome: 'left' })
  })
})
