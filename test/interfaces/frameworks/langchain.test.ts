// The chat model and the embeddings for LangChain, under LangChain itself.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ContextOverflowError, getRetryable, ModelAbortError } from '@langchain/core/errors'
import { convertChunksToEvents } from '@langchain/core/language_models/compat'
import { AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages'
import { StringOutputParser } from '@langchain/core/output_parsers'
import { ChatPromptTemplate } from '@langchain/core/prompts'
import { tool } from '@langchain/core/tools'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { type LoadOptions, MixtralError, MixtralModel } from '../../../dist/index.js'
import { pieceChunks } from '../../../dist/interfaces/frameworks/langchain/answerMessages.js'
import { chatMessages } from '../../../dist/interfaces/frameworks/langchain/messages.js'
import { ChatMixtral, type ChatMixtralFields, MixtralEmbeddings } from '../../../dist/langchain.js'
import { plainPair, writeGgufAdapter } from '../../runtime/adapters/adapterFiles.js'

// biome-ignore lint/suspicious/noExplicitAny: what LangChain gives is anything until a test has looked at it
type Json = any

const question = 'What is the capital of France?'
const answer = 'The capital of France is Paris.'
const story = 'Tell me a story.'
const city = z.object({ city: z.enum(['Paris', 'Rome']) })

let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 1, sequences: 4, kvTokens: 2048 })
})
afterAll(() => model.close())
const chat = (more: Partial<ChatMixtralFields> = {}) => new ChatMixtral({ model, temperature: 0, ...more })
const idle = () => expect.poll(() => [model.status().running, model.status().waiting]).toEqual([0, 0])

describe('text', () => {
  test('a callback that throws ends the generation, of a whole answer and of a stream', async () => {
    const told = vi.fn(() => Promise.reject(new Error('full')))
    const handler = { raiseError: true, awaitHandlers: true, handleLLMNewToken: told }
    const call = { maxNewTokens: 400, ignoreEos: true, callbacks: [handler] }
    await expect(chat().invoke(story, call)).rejects.toThrow('full')
    expect(told).toHaveBeenCalledTimes(1) // another attempt would meet it again
    await idle()
    const read = async () => {
      for await (const _ of await chat().stream(story, call));
    }
    await expect(read()).rejects.toThrow('full')
    await idle()
  })

  test('invoke, with usage, cached tokens and the reason of its end', async () => {
    const message = await chat({ salt: 'invoke' }).invoke([new HumanMessage(question)])
    expect(message).toBeInstanceOf(AIMessage)
    expect(message.content).toBe(answer)
    const details = { input_token_details: { cache_read: 0 } }
    expect(message.usage_metadata).toEqual({ input_tokens: 14, output_tokens: 7, total_tokens: 21, ...details })
    const told = { finish_reason: 'stop', model_name: 'tiny-mixtral.Q4_K_M', model_provider: 'mixtral-wasm' }
    expect(message.response_metadata).toMatchObject({ ...told, tokenUsage: { promptTokens: 14, completionTokens: 7, totalTokens: 21 } })
    const again = await chat({ salt: 'invoke' }).invoke(question)
    expect((again as Json).usage_metadata.input_token_details.cache_read).toBeGreaterThan(5)
  })

  test('a stream is the whole answer in pieces, with the same usage', async () => {
    let whole: AIMessageChunk | undefined
    let pieces = 0
    for await (const chunk of await chat().stream(question)) {
      if (chunk.text) pieces++
      whole = whole ? whole.concat(chunk) : chunk
    }
    expect(pieces).toBeGreaterThan(2)
    expect(whole!.content).toBe(answer)
    expect(whole!.usage_metadata).toMatchObject({ input_tokens: 14, output_tokens: 7, total_tokens: 21 })
    expect(whole!.response_metadata).toMatchObject({ finish_reason: 'stop', model_name: 'tiny-mixtral.Q4_K_M' })
  })

  test('options of the model and of a call are those of the library', async () => {
    const options = { temperature: 1.2, topK: 50, seed: 7, maxNewTokens: 16, expertsPerToken: 1, frequencyPenalty: 0.3 }
    const own = await model.chat([{ role: 'user', content: story }], options)
    expect((await chat(options).invoke(story)).content).toBe(own.text)
    expect((await chat().invoke(story, options)).content).toBe(own.text)
    const cut = await chat({ stop: ['x'] }).invoke(question, { stop: ['France'] })
    expect([cut.content, cut.response_metadata.stop_text]).toEqual(['The capital of ', 'France'])
  })

  test('a batch, and calls at the same time, give what each gives alone', async () => {
    const questions = [question, story, 'What is 7 + 5?', 'Who are you?', 'Who is Sam?']
    const writer = chat({ maxNewTokens: 16, temperature: 1, seed: 3 })
    const together = await writer.batch(questions)
    for (const [i, one] of questions.entries()) expect((await writer.invoke(one)).content).toBe(together[i]!.content)
  })

  test('no more calls run at one time than a chat says', async () => {
    const most = async (more: object) => {
      let running = 0
      const handleLLMNewToken = () => {
        running = Math.max(running, model.status().running)
      }
      const callbacks = [{ handleLLMNewToken }]
      await chat({ maxNewTokens: 8, ...more }).batch([question, story, 'Who are you?'], { callbacks })
      return running
    }
    expect([await most({ maxConcurrency: 1 }), await most({})]).toEqual([1, 3])
  })

  test('a stream that is switched off is one piece, and an answer is one of one call', async () => {
    const pieces: Json[] = []
    for await (const piece of await chat({ disableStreaming: true }).stream(question)) pieces.push(piece)
    expect(pieces.map(({ content }) => content)).toEqual([answer])
    const { llmOutput } = await chat().generate([[new HumanMessage(question)], [new HumanMessage(question)]])
    expect(llmOutput).toEqual({ tokenUsage: { promptTokens: 28, completionTokens: 14, totalTokens: 42 } })
  })

  test('a chain, streamed', async () => {
    const chain = ChatPromptTemplate.fromMessages([['human', 'What is the capital of {country}?']])
      .pipe(chat())
      .pipe(new StringOutputParser())
    const pieces: string[] = []
    for await (const piece of await chain.stream({ country: 'France' })) pieces.push(piece)
    expect(pieces.join('')).toBe(answer)
  })

  test('callbacks hear of every piece, of a stream and of a whole answer', async () => {
    for (const call of ['invoke', 'stream'] as const) {
      const tokens: string[] = []
      const ends: Json[] = []
      const handler = { handleLLMNewToken: (token: string) => void tokens.push(token), handleLLMEnd: (end: Json) => void ends.push(end) }
      const called = await chat()[call](question, { callbacks: [handler] })
      if (call === 'stream') for await (const _ of called as AsyncIterable<unknown>);
      expect(tokens.join('')).toBe(answer)
      expect(tokens.length).toBeGreaterThan(2)
      expect(ends[0].llmOutput.tokenUsage).toEqual({ promptTokens: 14, completionTokens: 7, totalTokens: 21 })
    }
  })

  test('the events of a stream', async () => {
    const stream = chat().streamEvents(question)
    let text = ''
    for await (const piece of stream.text) text += piece
    expect(text).toBe(answer)
    const names = new Set<string>()
    for await (const { event } of chat().streamEvents(question, { version: 'v2' })) names.add(event)
    expect([...names]).toEqual(['on_chat_model_start', 'on_chat_model_stream', 'on_chat_model_end'])
  })

  test('log-probabilities and experts', async () => {
    const { response_metadata: told }: Json = await chat().invoke(question, { logprobs: 2, experts: true })
    expect(told.logprobs.content[0].top_logprobs).toHaveLength(2)
    expect(told.routed_experts).toHaveLength(told.logprobs.content.length)
  })

  test('tokens are counted by the tokenizer of the model', async () => {
    expect(await chat().getNumTokens(story)).toBe(model.tokenizer.encode(story, { addBos: false }).length)
    expect(await chat().getNumTokens([{ type: 'text', text: story }])).toBe(await chat().getNumTokens(story))
  })

  test('a cache keeps answers of other options apart', async () => {
    const kept = (seed: number) => chat({ cache: true, temperature: 1, seed, maxNewTokens: 8 })
    const [first, other] = [await kept(1).invoke(story), await kept(2).invoke(story)]
    expect(other.content).not.toBe(first.content)
    const again = await kept(1).invoke(story)
    expect([again.content, (again as Json).usage_metadata.total_tokens]).toEqual([first.content, 0])
  })

  test('what LangChain tells about the model', () => {
    expect(chat().profile).toMatchObject({ maxInputTokens: 512, toolCalling: true, structuredOutput: true })
    expect(chat().getLsParams({ stop: ['x'] } as never)).toMatchObject({ ls_provider: 'mixtral-wasm', ls_temperature: 0, ls_stop: ['x'] })
    expect(JSON.stringify(chat())).toBe('{"lc":1,"type":"not_implemented","id":["langchain","chat_models","mixtral-wasm","ChatMixtral"]}')
  })
})

describe('structure', () => {
  test.each(['jsonSchema', 'functionCalling', 'jsonMode'] as const)('an object by %s', async (method) => {
    const schema = method === 'jsonMode' ? z.looseObject({}) : city
    const found: Json = await chat({ maxNewTokens: 200, seed: 1 }).withStructuredOutput(schema, { method, name: 'place' }).invoke(story)
    expect(typeof found).toBe('object')
    if (method !== 'jsonMode') expect(['Paris', 'Rome']).toContain(found.city)
  })

  test('an object of a JSON Schema, with the message that has it', async () => {
    const schema = {
      title: 'place',
      type: 'object',
      properties: { city: { enum: ['Paris', 'Rome'] } },
      required: ['city'],
      additionalProperties: false,
    }
    const { raw, parsed } = await chat().withStructuredOutput<{ city: string }>(schema, { includeRaw: true }).invoke(question)
    expect(JSON.parse(raw.content as string)).toEqual(parsed)
    expect(['Paris', 'Rome']).toContain(parsed.city)
  })

  test('a pattern that no constraint follows is checked by Zod, and refused where nobody checks', async () => {
    const word = z.object({
      word: z.string().max(12).regex(/\b/),
    })
    const plain = JSON.parse(JSON.stringify(z.toJSONSchema(word)))
    const writer = chat({ seed: 2, temperature: 0.8, maxNewTokens: 60 })
    expect(word.safeParse(await writer.withStructuredOutput(word).invoke(story)).success).toBe(true)
    await expect(writer.withStructuredOutput(plain).invoke(story)).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await expect(writer.withStructuredOutput(word, { strict: true }).invoke(story)).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })

  test('a method that is none', () => {
    expect(() => chat().withStructuredOutput(city, { method: 'magic' })).toThrow(/expected jsonSchema, functionCalling or jsonMode/)
  })
})

describe('tools', () => {
  const weather = tool(async ({ city }) => `20 degrees in ${city}`, { name: 'weather', description: 'The weather', schema: city })

  test('an agent: calls and their results, until the model answers with a text', async () => {
    const writer = chat({ maxNewTokens: 60 })
    const messages: Parameters<typeof writer.invoke>[0] & unknown[] = [new HumanMessage(question)]
    const seen: string[] = []
    for (const tool_choice of ['any', 'weather', 'none']) {
      const bound = writer.bindTools([weather], { tool_choice, parallel_tool_calls: false })
      const said = await bound.invoke(messages)
      messages.push(said)
      if (!said.tool_calls?.length) break
      for (const call of said.tool_calls) {
        seen.push(call.args.city)
        messages.push(await weather.invoke(call))
      }
    }
    expect(seen).toHaveLength(2)
    expect(messages.map((message) => (message as AIMessage).type)).toEqual(['human', 'ai', 'tool', 'ai', 'tool', 'ai'])
    expect((messages.at(-1) as AIMessage).text).not.toBe('')
    expect((messages[1] as AIMessage).response_metadata.finish_reason).toBe('tool_calls')
  })

  test('the chunks of a call add up to it', async () => {
    const bound = chat({ maxNewTokens: 60 }).bindTools([weather], { tool_choice: 'required', parallel_tool_calls: false })
    const [call] = (await bound.invoke(question)).tool_calls!
    let whole: AIMessageChunk | undefined
    for await (const chunk of await bound.stream(question)) whole = whole ? whole.concat(chunk) : chunk
    expect(whole!.tool_call_chunks!.length).toBe(1)
    expect(whole!.tool_calls).toEqual([call])
  })

  test('a text and the calls behind it are blocks of their own', async () => {
    const call = (index: number) => ({ index, id: `id${index}`, function: { name: 'add', arguments: '{}' } })
    const chunks = [{ text: 'Hm.' }, { text: '', toolCalls: [call(0)] }, { text: '', toolCalls: [call(1)] }].flatMap((piece) =>
      pieceChunks({ ids: [], ...piece }),
    )
    const blocks: Json[] = []
    const given = (async function* () {
      yield* chunks
    })()
    for await (const event of convertChunksToEvents(given)) if (event.event === 'content-block-finish') blocks.push(event.content)
    expect(blocks).toMatchObject([
      { type: 'text', text: 'Hm.' },
      { type: 'tool_call', id: 'id0' },
      { type: 'tool_call', id: 'id1' },
    ])
  })

  test.each([
    ['of the OpenAI API', { type: 'function', function: { name: 'weather', parameters: z.toJSONSchema(city) } }],
    ['with a schema of Zod', { name: 'weather', schema: city }],
  ])('a definition %s', async (_, definition) => {
    const said = await chat({ maxNewTokens: 60 }).bindTools([definition], { tool_choice: 'any' }).invoke(question)
    expect(['Paris', 'Rome']).toContain(said.tool_calls![0]!.args.city)
  })

  test('a tool of another provider is refused', async () => {
    await expect(
      chat()
        .bindTools([{ type: 'web_search' }])
        .invoke(question),
    ).rejects.toThrow(/has the type "web_search"/)
  })

  test('a call that a limit cuts is an invalid one', async () => {
    const say = { name: 'say', schema: z.object({ text: z.string().min(200) }) }
    const said = await chat({ maxNewTokens: 30 }).bindTools([say], { tool_choice: 'say' }).invoke(question)
    expect([said.tool_calls, said.response_metadata.finish_reason]).toEqual([[], 'length'])
    expect(said.invalid_tool_calls).toMatchObject([{ name: 'say', error: 'the answer has come to its limit' }])
    // LangChain would read what there is of it, and an agent whose steps are streamed would run it
    const bound = chat({ maxNewTokens: 30, seed: said.response_metadata.seed as number }).bindTools([say], { tool_choice: 'say' })
    const streaming = { callbacks: [{ handleLLMNewToken: () => {}, lc_prefer_streaming: true }] }
    const sums: Json[] = [await bound.invoke(question, streaming as never)]
    for (const outputVersion of ['v0', 'v1']) {
      let sum: AIMessageChunk | undefined
      for await (const chunk of await bound.stream(question, { outputVersion } as never)) sum = sum ? sum.concat(chunk) : chunk
      sums.push(sum)
    }
    for (const sum of sums) {
      expect([sum.tool_calls, sum.response_metadata.finish_reason]).toEqual([[], 'length'])
      expect(sum.invalid_tool_calls).toEqual([expect.objectContaining({ name: 'say', args: said.invalid_tool_calls![0]!.args })])
      expect(JSON.parse(JSON.stringify(sum))).toMatchObject({
        id: ['langchain_core', 'messages', 'AIMessageChunk'],
        kwargs: { tool_calls: [] },
      })
    }
  })
})

describe('messages', () => {
  test('become those of a chat', () => {
    const args = { a: 1 }
    const messages = [
      new SystemMessage('Be brief.'),
      new HumanMessage({ content: [{ type: 'text', text: 'Hi', cache_control: {} } as never] }),
      new AIMessage({
        content: [{ type: 'reasoning', reasoning: 'Hm' } as never, { type: 'text', text: 'Yes.' }],
        tool_calls: [{ id: '1', name: 'add', args }],
      }),
      new ToolMessage({ content: '2', tool_call_id: '1', name: 'add' }),
      new AIMessageChunk('Two.'),
    ]
    const call = { id: '1', type: 'function', function: { name: 'add', arguments: '{"a":1}' } }
    expect(chatMessages(messages)).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: [{ type: 'text', text: 'Hi' }] },
      { role: 'assistant', content: [{ type: 'text', text: 'Yes.' }], tool_calls: [call] },
      { role: 'tool', content: '2', tool_call_id: '1', name: 'add' },
      { role: 'assistant', content: 'Two.' },
    ])
  })

  test('images are refused', async () => {
    const image = new HumanMessage({ content: [{ type: 'image_url', image_url: 'data:,' }] })
    await expect(chat().invoke([image])).rejects.toThrow(/part 0 of message 0 has the type "image_url"/)
  })

  test.each(['invoke', 'stream'] as const)('a call of %s is what it was when it was made', async (method) => {
    const given = () => ({
      messages: [new HumanMessage({ content: [{ type: 'text', text: story }] })],
      options: { stop: ['zq'], bannedWords: ['was'], maxNewTokens: 12 },
    })
    const textOf = async (called: Promise<Json>) => {
      const said = await called
      if (method === 'invoke') return said.content
      let text = ''
      for await (const chunk of said) text += chunk.content
      return text
    }
    const same = given()
    const expected = await textOf(chat()[method](same.messages, same.options))
    const { messages, options } = given()
    const called = chat()[method](messages, options)
    ;(messages[0]!.content as Json)[0].text = 'What is 7 + 5?'
    messages.push(new HumanMessage('?'))
    options.stop[0] = ' '
    options.bannedWords[0] = 'a'
    expect(await textOf(called)).toBe(expected)
  })
})

describe('embeddings', () => {
  test('of queries and documents are those of the library', async () => {
    const embeddings = new MixtralEmbeddings({ model, maxConcurrency: 2 })
    const texts = ['a red boat', 'a fox', 'The owl met the fox at the river.', 'x', 'a fox']
    const own = await Promise.all(texts.map((text) => model.embed(text)))
    expect(await embeddings.embedDocuments(texts)).toEqual(own.map(({ vector }) => Array.from(vector)))
    expect(await embeddings.embedQuery('a fox')).toEqual(Array.from(own[1]!.vector))
    expect(await embeddings.embedDocuments([])).toEqual([])
    await expect(embeddings.embedQuery('word '.repeat(600))).rejects.toBeInstanceOf(ContextOverflowError)
  })
})

describe('ends and errors', () => {
  test('an abort ends a whole answer, with what was written', async () => {
    const controller = new AbortController()
    let tokens = 0
    const callbacks = [{ handleLLMNewToken: () => void (++tokens === 3 && controller.abort()) }]
    const asking = chat({ ignoreEos: true }).invoke(story, { signal: controller.signal, callbacks })
    const error: Json = await asking.catch((error) => error)
    expect(ModelAbortError.isInstance(error)).toBe(true)
    expect(error.partialOutput.content).not.toBe('')
    expect(error.cause).toMatchObject({ code: 'ABORTED' })
    await idle()
  })

  test('an abort ends a stream, and so does leaving it', async () => {
    const controller = new AbortController()
    const reading = (async () => {
      for await (const { text } of await chat({ ignoreEos: true }).stream(story, { signal: controller.signal }))
        if (text) controller.abort()
    })()
    await expect(reading).rejects.toThrow()
    await idle()
    for await (const _ of await chat({ ignoreEos: true }).stream(story)) break
    await idle()
  })

  test('a prompt that is too long, and a closed model', async () => {
    const long: Json = await chat()
      .invoke('word '.repeat(600))
      .catch((error) => error)
    expect(ContextOverflowError.isInstance(long)).toBe(true)
    expect(long.cause).toMatchObject({ code: 'CONTEXT', contextLength: 512 })
    const closed = await MixtralModel.load('demo', { threads: 1 })
    await closed.close()
    const error: Json = await new ChatMixtral({ model: closed }).invoke(question).catch((error) => error)
    expect(error).toBeInstanceOf(MixtralError)
    expect([error.code, getRetryable(error)]).toEqual(['CLOSED', false])
  })

  test.each([
    [{ maxTokens: 5 }, /unknown option maxTokens.*did you mean maxNewTokens/],
    [{ max_tokens: 5 }, /unknown option max_tokens/],
    [{ n: 2 }, /unknown option n,/],
    [{ toolChoice: 'auto' }, /unknown option toolChoice/],
    [{ response_format: { type: 'xml' } }, /response_format has the type "xml"/],
    [{ temperature: 'hot' }, /temperature is "hot"/],
  ])('the option %j is refused', async (options, says) => {
    await expect(chat().invoke(question, options as never)).rejects.toThrow(says)
  })

  test('what is no model, and an option that is none, are refused when a chat is made', () => {
    expect(() => new ChatMixtral({ model: 'demo' } as never)).toThrow(/expected a model: await MixtralModel.load\(name\)/)
    expect(() => chat({ temprature: 1 } as never)).toThrow(/did you mean temperature/)
    expect(() => new MixtralEmbeddings({ model: {} } as never)).toThrow(/expected a model/)
  })

  test("LangChain's own options pass", () => {
    const own = {
      verbose: false,
      tags: [],
      metadata: {},
      maxRetries: 1,
      maxConcurrency: 2,
      onFailedAttempt: () => {},
      name: 'x',
      cache: false,
    }
    expect(() => chat({ ...own, disableStreaming: false, outputVersion: 'v0', callbacks: [] } as never)).not.toThrow()
    const call = { ls_structured_output_format: {}, promptIndex: 0, timeout: 5000, store: {}, context: {}, strict: true, configurable: {} }
    expect(() => chat().invocationParams({ ...call, tool_choice: 'auto' } as never)).not.toThrow()
  })
})

test('the choice of adapters is an option of models, calls and embeddings; caches tell models by theirs', async () => {
  const refused = { message: expect.stringContaining('adapters has 1 numbers, expected at most 0') }
  await expect(chat({ adapters: [1] }).invoke('x')).rejects.toMatchObject(refused)
  await expect(chat().invoke('x', { adapters: [1] })).rejects.toMatchObject(refused)
  expect(() => new MixtralEmbeddings({ model, adapters: [1] })).toThrow(expect.objectContaining(refused))
  const folder = mkdtempSync(join(tmpdir(), 'mixtral-langchain-'))
  try {
    const file = join(folder, 'a.gguf')
    await writeGgufAdapter(file, 4, [{ name: 'blk.1.attn_v.weight', pairs: [plainPair('a', 128, 256, 4, 0.5)] }])
    const identities = []
    const options: LoadOptions[] = [{}, { kvFormat: 'q8' }, { adapters: [file] }, { adapters: [{ path: file, scale: 2 }] }]
    for (const option of options) {
      await using other = await MixtralModel.load('demo', { threads: 1, contextLength: 64, ...option })
      identities.push(JSON.stringify(new ChatMixtral({ model: other })._identifyingParams()))
      if (option.adapters === undefined) continue
      const [adapted, plain] = [undefined, []].map((adapters) => new MixtralEmbeddings({ model: other, ...(adapters && { adapters }) }))
      expect(await adapted!.embedQuery('a fox')).not.toEqual(await plain!.embedQuery('a fox'))
    }
    expect(new Set(identities).size).toBe(options.length)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
