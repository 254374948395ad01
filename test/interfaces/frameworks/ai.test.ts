// The provider for the AI SDK under the SDK itself. Its next version wants a newer Node than the package does, so it is
// no dependency: MIXTRAL_TEST_AI is a folder in which another version of `ai` is installed. test/everywhere has one.

import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createMixtral, type MixtralProvider } from '../../../dist/ai.js'
import { MixtralError, MixtralModel } from '../../../dist/index.js'

// biome-ignore lint/suspicious/noExplicitAny: what an SDK gives is anything until a test has looked at it
type Json = any

const question = 'What is the capital of France?'
const answer = 'The capital of France is Paris.'
const story = 'Tell me a story.'
const messages = (content: string) => [{ role: 'user', content }]
const greedy = { temperature: 0, maxRetries: 2 } as const

let model: MixtralModel
let mixtral: MixtralProvider
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 1, sequences: 4, kvTokens: 2048 })
  mixtral = createMixtral({ demo: model })
})
afterAll(() => model.close())

const { MIXTRAL_TEST_AI: elsewhere } = process.env
const versions = ['ai', ...(elsewhere ? [pathToFileURL(join(elsewhere, 'node_modules/ai/dist/index.js')).href] : [])]

describe.each(versions)('%s', (version) => {
  let sdk: typeof import('ai')
  beforeAll(async () => {
    sdk = await import(/* @vite-ignore */ version)
  })

  const city = () =>
    sdk.jsonSchema<{ city: string }>({
      type: 'object',
      properties: { city: { type: 'string', enum: ['Paris', 'Rome'] } },
      required: ['city'],
      additionalProperties: false,
    })

  describe('text', () => {
    test('a whole answer is that of the library, with usage and the reason of its end', async () => {
      const salt = `whole ${version}`
      const settings = { model: mixtral('demo'), prompt: question, ...greedy, providerOptions: { mixtral: { salt } } }
      const first = await sdk.generateText(settings)
      expect([first.text, first.finishReason, first.warnings]).toEqual([answer, 'stop', []])
      expect(first.usage).toMatchObject({ inputTokens: 14, outputTokens: 7, totalTokens: 21 })
      expect(first.usage.inputTokenDetails).toMatchObject({ noCacheTokens: 14, cacheReadTokens: 0 })
      expect(first.response.modelId).toBe('demo')
      const second = await sdk.generateText(settings)
      const { cacheReadTokens, noCacheTokens } = second.usage.inputTokenDetails
      expect(cacheReadTokens).toBeGreaterThan(5)
      expect(cacheReadTokens! + noCacheTokens!).toBe(14)
    })

    test('a stream is the whole answer in pieces, with the same usage', async () => {
      const { textStream, finishReason, usage, warnings } = sdk.streamText({ model: mixtral(), prompt: question, ...greedy })
      const pieces: string[] = []
      for await (const piece of textStream) pieces.push(piece)
      expect(pieces.length).toBeGreaterThan(2)
      expect([pieces.join(''), await finishReason, await warnings]).toEqual([answer, 'stop', []])
      expect(await usage).toMatchObject({ inputTokens: 14, outputTokens: 7 })
    })

    test('settings arrive: the text is that of the library with the same options', async () => {
      const settings = { temperature: 1.2, topP: 0.8, topK: 50, presencePenalty: 0.5, frequencyPenalty: 0.25, seed: 7 }
      const { text, finishReason } = await sdk.generateText({ model: mixtral(), prompt: story, ...settings, maxOutputTokens: 24 })
      const own = await model.chat(messages(story), { ...settings, maxNewTokens: 24 })
      expect([text, finishReason]).toEqual([own.text, 'length'])
      const other = await sdk.generateText({ model: mixtral(), prompt: story, ...settings, seed: 8, maxOutputTokens: 24 })
      expect(other.text).not.toBe(text)
      const cut = await sdk.generateText({ model: mixtral(), prompt: question, stopSequences: ['France'], ...greedy })
      expect([cut.text, cut.finishReason]).toEqual(['The capital of ', 'stop'])
      expect(cut.providerMetadata?.mixtral).toMatchObject({ stopText: 'France' })
    })

    test('system messages and earlier turns are part of the prompt', async () => {
      const turns = [
        { role: 'user' as const, content: question },
        { role: 'assistant' as const, content: answer },
        { role: 'user' as const, content: 'What is 7 + 5?' },
      ]
      const { text, usage } = await sdk.generateText({ model: mixtral(), system: 'Be brief.', messages: turns, ...greedy })
      const own = await model.chat([{ role: 'system', content: 'Be brief.' }, ...turns], { temperature: 0 })
      expect([text, usage.inputTokens]).toEqual([own.text, own.promptTokens])
    })

    test('calls at the same time get what each gets alone', async () => {
      const prompts = [question, story, 'What is 7 + 5?', 'Who are you?', 'Once upon a time', 'Who is Sam?']
      const ask = (prompt: string, seed: number) => sdk.generateText({ model: mixtral(), prompt, seed, maxOutputTokens: 20 })
      const together = await Promise.all(prompts.map(ask))
      for (const [i, prompt] of prompts.entries()) expect((await ask(prompt, i)).text).toBe(together[i]!.text)
    })
  })

  describe('options of our own', () => {
    test('experts, samplers and constraints', async () => {
      const providerOptions = { mixtral: { expertsPerToken: 1, minP: 0.2, repetitionPenalty: 1.3, regex: '[a-z ]{5,30}' } }
      const { text } = await sdk.generateText({ model: mixtral(), prompt: story, ...greedy, maxOutputTokens: 12, providerOptions })
      const own = await model.chat(messages(story), { temperature: 0, maxNewTokens: 12, ...providerOptions.mixtral })
      expect(text).toBe(own.text)
      expect(text).toMatch(/^[a-z ]{5,30}$/)
    })

    test('log-probabilities, experts and the seed are told', async () => {
      const providerOptions = { mixtral: { logprobs: 2, experts: true } }
      const settings = { model: mixtral(), prompt: question, temperature: 0, seed: 5, providerOptions }
      const told: Json = (await sdk.generateText(settings)).providerMetadata?.mixtral
      expect(told).toMatchObject({ seed: 5, folded: false })
      expect(told.logprobs).toHaveLength(8)
      expect(told.logprobs[0].top_logprobs).toHaveLength(2)
      expect(told.routed_experts).toHaveLength(8)
      expect(told.routed_experts[0]).toHaveLength(model.config.layers)
      expect(told.routed_experts[0][0]).toHaveLength(2)
      const streamed = sdk.streamText(settings)
      await streamed.consumeStream()
      const { prefillSeconds: _, decodeSeconds: __, ...rest }: Json = (await streamed.providerMetadata)!.mixtral
      expect(told).toMatchObject(rest)
    })

    test('a name that is none is refused with what is meant', async () => {
      const providerOptions = { mixtral: { experts_per_token: 1 } }
      const asking = sdk.generateText({ model: mixtral(), prompt: question, providerOptions })
      await expect(asking).rejects.toThrow(/unknown option experts_per_token.*did you mean expertsPerToken/)
    })
  })

  describe('objects', () => {
    test('an object follows its schema, whole and streamed', async () => {
      const output = sdk.Output.object({ schema: city() })
      const whole = await sdk.generateText({ model: mixtral(), prompt: question, output, ...greedy })
      expect(['Paris', 'Rome']).toContain(whole.output.city)
      const { partialOutputStream, output: last } = sdk.streamText({ model: mixtral(), prompt: question, output, ...greedy })
      for await (const _ of partialOutputStream);
      expect(await last).toEqual(whole.output)
    })

    test('generateObject and streamObject', async () => {
      const settings = { model: mixtral(), prompt: question, schema: city(), ...greedy }
      const { object, warnings } = await sdk.generateObject(settings)
      expect(['Paris', 'Rome']).toContain(object.city)
      expect(warnings).toEqual([])
      const streamed = sdk.streamObject(settings)
      for await (const _ of streamed.partialObjectStream);
      expect(await streamed.object).toEqual(object)
    })

    test('a list of objects, and a choice', async () => {
      const schema = z.object({ name: z.string().max(8), age: z.number().int().min(1).max(99) })
      const settings = { model: mixtral(), prompt: story, seed: 3, maxOutputTokens: 200 }
      const { output } = await sdk.generateText({ ...settings, output: sdk.Output.array({ element: schema }) })
      expect(Array.isArray(output)).toBe(true)
      const chosen = await sdk.generateText({ ...settings, output: sdk.Output.choice({ options: ['sad', 'happy'] }) })
      expect(['sad', 'happy']).toContain(chosen.output)
    })

    test('JSON without a schema', async () => {
      const { output } = await sdk.generateText({
        model: mixtral(),
        prompt: story,
        seed: 1,
        maxOutputTokens: 300,
        output: sdk.Output.json(),
      })
      expect(typeof output).toBe('object')
    })

    test('a pattern that no constraint follows is left out with a warning, and checked by the SDK', async () => {
      const schema = z.object({
        word: z.string().max(12).regex(/\b/),
      })
      const { output, warnings } = await sdk.generateText({
        ...{ model: mixtral(), prompt: story, output: sdk.Output.object({ schema }), maxOutputTokens: 60, seed: 2 },
      })
      expect(schema.safeParse(output).success).toBe(true)
      expect(warnings).toMatchObject([{ type: 'unsupported', feature: 'responseFormat.schema', details: expect.stringContaining('\\b') }])
    })
  })

  describe('tools', () => {
    const weather = (asked: string[]) =>
      sdk.tool({
        description: 'The weather of a city',
        inputSchema: city(),
        execute: async ({ city }) => {
          asked.push(city)
          return { celsius: 20 }
        },
      })
    const choices = ['required', { type: 'tool', toolName: 'weather' }, 'none'] as const

    test.each(['whole', 'streamed'])('a loop of three steps, %s: two calls, their results, an answer', async (how) => {
      const asked: string[] = []
      const settings = {
        ...{ model: mixtral(), prompt: question, tools: { weather: weather(asked) }, stopWhen: sdk.stepCountIs(3), ...greedy },
        ...{ maxOutputTokens: 60, providerOptions: { mixtral: { parallelToolCalls: false } } },
        prepareStep: ({ stepNumber }: { stepNumber: number }) => ({ toolChoice: choices[stepNumber]! }),
      }
      const steps: Json = how === 'whole' ? (await sdk.generateText(settings)).steps : await sdk.streamText(settings).steps
      expect(asked).toHaveLength(2)
      expect(steps.map(({ finishReason }: Json) => finishReason).slice(0, 2)).toEqual(['tool-calls', 'tool-calls'])
      expect(steps[0].toolCalls).toMatchObject([{ toolName: 'weather', input: { city: asked[0] } }])
      expect(steps[1].toolCalls).toMatchObject([{ toolName: 'weather', input: { city: asked[1] } }])
      expect(steps[0].toolCalls[0].toolCallId).not.toBe(steps[1].toolCalls[0].toolCallId)
      expect(steps[1].usage.inputTokens).toBeGreaterThan(steps[0].usage.inputTokens) // the result has come back
      expect(steps[2].toolCalls).toEqual([])
      expect(steps[2].text).not.toBe('')
    })

    test('an agent of the SDK', async () => {
      const asked: string[] = []
      const agent = new sdk.ToolLoopAgent({
        ...{ model: mixtral(), tools: { weather: weather(asked) }, stopWhen: sdk.stepCountIs(2), temperature: 0, maxOutputTokens: 60 },
        providerOptions: { mixtral: { parallelToolCalls: false } },
        prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? 'required' : 'none' }),
      })
      const { text, steps } = await agent.generate({ prompt: question })
      expect([asked.length, steps.length, text !== '']).toEqual([1, 2, true])
    })

    test('the input of a call is streamed, and is the input of the call', async () => {
      const { fullStream } = sdk.streamText({
        ...{ model: mixtral(), prompt: question, tools: { weather: weather([]) }, toolChoice: 'required', ...greedy },
        providerOptions: { mixtral: { parallelToolCalls: false } },
      })
      const parts: Json[] = []
      for await (const part of fullStream) parts.push(part)
      const of = (type: string) => parts.filter((part) => part.type === type)
      const text = of('tool-input-delta').map(({ delta }) => delta)
      expect([of('tool-input-start').length, of('tool-input-end').length, of('tool-call').length]).toEqual([1, 1, 1])
      expect(text.length).toBeGreaterThan(1)
      expect(of('tool-call')[0].input).toEqual(JSON.parse(text.join('')))
      expect(of('tool-call')[0].toolCallId).toBe(of('tool-input-start')[0].id)
    })

    test('keywords that calls may break, and tools of other providers, are warned of', async () => {
      const inputSchema = z.object({ word: z.string().regex(/\bfox\b/) })
      const { warnings } = await sdk.generateText({
        ...{ model: mixtral(), prompt: question, ...greedy, maxOutputTokens: 3, headers: { 'x-key': '1' } },
        tools: {
          mail: sdk.tool({ inputSchema, inputExamples: [{ input: { word: 'fox' } }] }),
          search: { type: 'provider', id: 'other.search', args: {}, inputSchema } as Json,
        },
        toolChoice: 'none',
      })
      const features = (warnings ?? []).map((warning: Json) => warning.feature)
      expect(features).toEqual([
        'inputExamples of the tool mail',
        'inputSchema of the tool mail',
        expect.stringContaining('other.search'),
        'headers',
      ])
    })
  })

  describe('embeddings', () => {
    test('one, and many in their order, are those of the library', async () => {
      const values = ['a red boat', 'a fox', 'The owl met the fox at the river.', 'a fox', 'x', 'Sam was very afraid.']
      const one = await sdk.embed({ model: mixtral.embeddingModel('demo'), value: values[0]! })
      const many = await sdk.embedMany({ model: mixtral.embeddingModel(), values })
      const own = await Promise.all(values.map((value) => model.embed(value)))
      expect(many.embeddings).toEqual(own.map(({ vector }) => Array.from(vector)))
      expect(one.embedding).toEqual(many.embeddings[0])
      expect(many.usage.tokens).toBe(own.reduce((sum, { tokens }) => sum + tokens, 0))
    })
  })

  describe('ends and errors', () => {
    const long = 'word '.repeat(600)
    const idle = () => expect.poll(() => [model.status().running, model.status().waiting]).toEqual([0, 0])

    test('an abort ends a stream, and the work', async () => {
      const controller = new AbortController()
      const aborted: Json[] = []
      const { fullStream } = sdk.streamText({
        ...{ model: mixtral(), prompt: story, ...greedy, providerOptions: { mixtral: { ignoreEos: true } } },
        ...{ abortSignal: controller.signal, onAbort: (event: Json) => void aborted.push(event), onError: () => {} },
      })
      let pieces = 0
      const types = new Set<string>()
      for await (const { type } of fullStream) {
        types.add(type)
        if (type === 'text-delta' && ++pieces === 3) controller.abort()
      }
      expect([types.has('abort'), types.has('error'), aborted.length]).toEqual([true, false, 1])
      await idle()
    })

    test('an abort ends a whole answer, and embeddings', async () => {
      const controller = new AbortController()
      const asking = sdk.generateText({
        ...{ model: mixtral(), prompt: story, ...greedy, abortSignal: controller.signal },
        providerOptions: { mixtral: { ignoreEos: true } },
      })
      setTimeout(() => controller.abort(), 20)
      await expect(asking).rejects.toMatchObject({ name: 'AbortError' })
      const embedding = sdk.embedMany({ model: mixtral.embeddingModel(), values: [story], abortSignal: AbortSignal.abort() })
      await expect(embedding).rejects.toMatchObject({ name: 'AbortError' })
      await idle()
    })

    test('a prompt that is too long is an error of the call, and not tried again', async () => {
      const error: Json = await sdk.generateText({ model: mixtral(), prompt: long, ...greedy }).catch((error) => error)
      expect(error).toBeInstanceOf(MixtralError)
      expect(sdk.APICallError.isInstance(error)).toBe(true)
      expect(error).toMatchObject({ code: 'CONTEXT', statusCode: 400, isRetryable: false, contextLength: 512 })
      let told: Json
      const { textStream } = sdk.streamText({
        ...{ model: mixtral(), prompt: long, ...greedy },
        onError({ error }) {
          told = error
        },
      })
      for await (const _ of textStream);
      expect(told.code).toBe('CONTEXT')
      const embedding = sdk.embed({ model: mixtral.embeddingModel(), value: long, maxRetries: 0 })
      await expect(embedding).rejects.toMatchObject({ code: 'CONTEXT', statusCode: 400 })
    })

    test('a closed model', async () => {
      const closed = await MixtralModel.load('demo', { threads: 1 })
      await closed.close()
      const error: Json = await sdk.generateText({ model: createMixtral(closed)(), prompt: question, ...greedy }).catch((error) => error)
      expect(sdk.APICallError.isInstance(error)).toBe(true)
      expect(error).toMatchObject({ code: 'CLOSED', statusCode: 503, isRetryable: false })
    })

    test('a file in the prompt is refused', async () => {
      const content = [{ type: 'file' as const, mediaType: 'image/png', data: new Uint8Array([1]) }]
      const asking = sdk.generateText({ model: mixtral(), messages: [{ role: 'user', content }], ...greedy })
      const error: Json = await asking.catch((error) => error)
      expect(sdk.UnsupportedFunctionalityError.isInstance(error)).toBe(true)
      expect(error.message).toContain('image/png')
    })

    test('a name that no model has', () => {
      const error = (make: () => unknown) => {
        try {
          return make()
        } catch (error) {
          return error
        }
      }
      expect(sdk.NoSuchModelError.isInstance(error(() => mixtral('other')))).toBe(true)
      expect(sdk.NoSuchModelError.isInstance(error(() => mixtral.imageModel('demo')))).toBe(true)
      const registry = sdk.createProviderRegistry({ mixtral })
      expect(registry.languageModel('mixtral:demo').modelId).toBe('demo')
      expect(registry.embeddingModel('mixtral:demo').modelId).toBe('demo')
    })
  })
})
