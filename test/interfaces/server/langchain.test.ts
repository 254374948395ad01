// LangChain's chat model for OpenAI's API.

import { HumanMessage, SystemMessage, type ToolMessage } from '@langchain/core/messages'
import { tool } from '@langchain/core/tools'
import { ChatOpenAI, type ChatOpenAIFields, OpenAI } from '@langchain/openai'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { endless, type Json, withServer } from './served.js'

const served = withServer()
const settings = (more: object = {}): ChatOpenAIFields => ({
  ...{ model: 'demo', apiKey: 'none', temperature: 0, maxRetries: 0, configuration: { baseURL: `${served.server.url}/v1` } },
  ...more,
})
const chat = (more: object = {}) => new ChatOpenAI(settings(more))
const question = 'What is the capital of France?'
const answer = 'The capital of France is Paris.'
const city = z.object({ city: z.enum(['Paris', 'Rome']) })

describe('text', () => {
  test('invoke, with usage and the reason of its end', async () => {
    const message = await chat().invoke([new HumanMessage(question)])
    expect(message.content).toBe(answer)
    expect(message.usage_metadata).toMatchObject({ input_tokens: 14, output_tokens: 7, total_tokens: 21 })
    expect(message.response_metadata).toMatchObject({ finish_reason: 'stop', model_name: 'demo' })
  })

  test('a stream is the whole answer in pieces, with the same usage at its end', async () => {
    const pieces: string[] = []
    let usage: Json
    for await (const chunk of await chat().stream(question)) {
      if (chunk.text) pieces.push(chunk.text)
      usage = chunk.usage_metadata ?? usage
    }
    expect(pieces.length).toBeGreaterThan(2)
    expect(pieces.join('')).toBe(answer)
    expect(usage).toMatchObject({ input_tokens: 14, output_tokens: 7 })
  })

  test('a batch gives what each gives alone', async () => {
    const questions = [question, 'What is 7 + 5?', 'Tell me a story.']
    const model = chat({ maxTokens: 12 })
    const together = await model.batch(questions)
    for (const [i, one] of questions.entries()) expect((await model.invoke(one)).content).toBe(together[i]!.content)
  })

  test('system messages, log-probabilities, several answers', async () => {
    const model = chat({ logprobs: true, topLogprobs: 2, n: 2, temperature: 1, modelKwargs: { seed: 3 }, maxTokens: 8 })
    const { generations } = await model.generate([[new SystemMessage('Be brief.'), new HumanMessage(question)]])
    expect(generations[0]).toHaveLength(2)
    const { logprobs }: Json = generations[0]![0]!.generationInfo
    expect(logprobs.content[0].top_logprobs).toHaveLength(2)
  })

  test('the model of texts', async () => {
    const model = new OpenAI({ ...(settings({ maxTokens: 6 }) as object) } as Json)
    const text = await model.invoke('Once upon a time')
    expect(text).toBe((await served.model.generate('Once upon a time', { temperature: 0, maxNewTokens: 6 })).text)
  })
})

describe('structure', () => {
  test.each(['jsonSchema', 'functionCalling', 'jsonMode'] as const)('an object by %s', async (method) => {
    const model = chat({ maxTokens: 60 }).withStructuredOutput(method === 'jsonMode' ? z.looseObject({}) : city, { method, name: 'place' })
    const found: Json = await model.invoke(question)
    expect(typeof found).toBe('object')
    if (method !== 'jsonMode') expect(['Paris', 'Rome']).toContain(found.city)
  })

  test('a loop of tools: a call, its result, an answer; a stream of calls adds up to them', async () => {
    const weather = tool(async ({ city }) => `20 degrees in ${city}`, { name: 'weather', description: 'The weather', schema: city })
    const bound = chat({ maxTokens: 60 }).bindTools([weather], { tool_choice: 'required', parallel_tool_calls: false })
    const first = await bound.invoke(question)
    expect(first.tool_calls).toHaveLength(1)
    const [call] = first.tool_calls!
    const result: ToolMessage = await weather.invoke(call!)
    expect([result.content, result.tool_call_id]).toEqual([`20 degrees in ${call!.args.city}`, call!.id])
    const last = await chat({ maxTokens: 20 })
      .bindTools([weather], { tool_choice: 'none' })
      .invoke([new HumanMessage(question), first, result])
    expect(last.tool_calls).toEqual([])
    let whole: Json
    for await (const chunk of await bound.stream(question)) whole = whole ? whole.concat(chunk) : chunk
    expect(whole.tool_calls.map(({ name, args }: Json) => [name, args])).toEqual([['weather', call!.args]])
  })
})

describe('errors', () => {
  test('an unknown model, and a prompt that is too long', async () => {
    await expect(chat({ model: 'other' }).invoke(question)).rejects.toMatchObject({ status: 404, code: 'model_not_found' })
    const long = chat().invoke('word '.repeat(600))
    await expect(long).rejects.toThrow(/the prompt has \d+ tokens/)
  })

  test('an abort ends the work', async () => {
    const controller = new AbortController()
    const model = chat({ modelKwargs: { ignore_eos: true } })
    const reading = (async () => {
      for await (const { text } of await model.stream(endless, { signal: controller.signal })) if (text) controller.abort()
    })()
    await expect(reading).rejects.toThrow()
    await served.idle()
    expect(served.logs.at(-1)).toMatchObject({ outcome: 'left' })
  })
})
