// What is refused of requests for the models of a machine: models that cannot run here, once and for all, and what is
// wrong whatever the model is, before a load.

import { ChatOpenAI } from '@langchain/openai'
import OpenAI from 'openai'
import { expect, test } from 'vitest'
import type { RequestLog } from '../../../../dist/server.js'
import { ollamaModel } from '../../../registry/ollamaModel.js'
import { capital, type Json, until } from '../served.js'
import { demoFile, load, model, ownStore, store, useMachine } from './machine.js'

const machine = useMachine()

/** Models that no machine can run: of another architecture, and no model at all. */
function storeOdd(): void {
  const gemma = Buffer.from(demoFile)
  gemma.write('gemma', gemma.indexOf('llama', gemma.indexOf('general.architecture')))
  store(ownStore(), 'gemma', ollamaModel({}, gemma))
  store(ownStore(), 'damaged', ollamaModel({}, Buffer.from('GGUF no Mixtral')))
}

test('a model that cannot run here is final for every client', async () => {
  storeOdd()
  const logs: RequestLog[] = []
  await machine.start({}, { log: (entry) => logs.push(entry) })
  const settings = { baseURL: `${machine.running.url}/v1`, apiKey: 'none' }
  for (const name of ['gemma', 'damaged']) {
    const why = `model "${name}:latest" cannot be loaded`
    const clients = [
      () => new OpenAI(settings).chat.completions.create({ model: name, messages: capital } as Json),
      () => new ChatOpenAI({ model: name, apiKey: 'none', configuration: settings }).invoke('a'),
    ]
    for (const client of clients) {
      logs.length = 0
      await expect(client()).rejects.toThrow(why)
      await until(() => logs.length > 0)
      expect(logs.map(({ status }) => status)).toEqual([400])
    }
    // in the shape of each API
    const message = expect.stringContaining(why)
    const openai = { message, type: 'invalid_request_error', param: 'model', code: 'model_not_supported' }
    for (const [path, body, error] of [
      ['/v1/chat/completions', { messages: capital }, { error: openai }],
      ['/v1/completions', { prompt: 'a' }, { error: openai }],
      ['/v1/embeddings', { input: 'a' }, { error: openai }],
      ['/v1/responses', { input: 'a' }, { error: openai }],
      ['/v1/messages', { messages: capital, max_tokens: 1 }, { type: 'error', error: { type: 'invalid_request_error', message } }],
      ['/completion', { prompt: 'a' }, { error: { code: 400, message, type: 'invalid_request_error' } }],
      ['/tokenize', { content: 'a' }, { error: { code: 400, message } }],
      ['/api/chat', { messages: capital }, { error: message }],
      ['/api/embed', { input: 'a' }, { error: message }],
    ] as const) {
      expect(await machine.ask(path, { model: name, ...body }), path).toMatchObject([400, error])
    }
  }
  expect((await machine.ask('/api/copy', { source: 'hf:a/b', destination: 'c' }))[0]).toBe(404)
})

test('how the server was started may be in the way of a model, which is final too', async () => {
  store(ownStore(), 'ours', model())
  await machine.start({ load: { ...load, kvTokens: 32 } })
  const [status, { error }] = await machine.ask('/api/chat', { model: 'ours', messages: capital })
  expect([status, error]).toEqual([400, 'model "ours:latest" cannot be loaded: kvTokens is 32, expected at least the context\'s 512'])
})

test.each<[string, object, RegExp]>([
  ['/v1/chat/completions', { messages: 5 }, /messages/],
  ['/v1/chat/completions', { messages: [{ role: 'nobody', content: 'a' }] }, /nobody/],
  ['/v1/chat/completions', { messages: capital, temperature: 'hot' }, /temperature/],
  ['/v1/chat/completions', { messages: capital, allowed_token_ids: [1] }, /allowed_token_ids/],
  ['/v1/chat/completions', { messages: capital, tools: [{ type: 'function' }] }, /tool/],
  ['/v1/chat/completions', { messages: capital, tool_choice: 'required' }, /tool_choice/],
  ['/v1/chat/completions', { messages: capital, stream_options: { include_usage: true } }, /stream_options/],
  ['/v1/completions', { prompt: {} }, /prompt/],
  ['/v1/completions', { prompt: 'a', top_p: 7 }, /top_p/],
  ['/v1/completions', { prompt: Array(100).fill('a'), n: 100 }, /100 prompts/],
  ['/v1/responses', { input: 'a', background: true }, /background/],
  ['/v1/responses', { input: [{ type: 'nothing' }] }, /nothing/],
  ['/v1/responses', { input: 'a', max_output_tokens: 0 }, /max_output_tokens/],
  ['/v1/messages', { messages: [], max_tokens: 1 }, /messages/],
  ['/v1/messages', { messages: capital, max_tokens: 1, stop_sequences: 5 }, /stop_sequences/],
  ['/v1/messages', { messages: capital, max_tokens: 1, temperature: -1 }, /temperature/],
  ['/v1/messages/count_tokens', { messages: capital, tools: [{ type: 'custom' }] }, /name/],
  ['/v1/embeddings', { input: [] }, /input/],
  ['/completion', { prompt: [] }, /prompt/],
  ['/completion', { prompt: 'a', min_p: [] }, /min_p/],
  ['/tokenize', {}, /no text/],
  ['/tokenize', { messages: [5] }, /messages/],
  ['/detokenize', { tokens: ['a'] }, /tokens/],
  ['/apply-template', { messages: [{ role: 'user', content: 5 }] }, /message 0|messages/],
  ['/api/chat', { messages: [{ role: 5 }] }, /role/],
  ['/api/chat', { messages: capital, options: { top_p: 'a' } }, /top_p/],
  ['/api/chat', { messages: capital, format: 'xml' }, /format/],
  ['/api/generate', { prompt: 'a', think: true }, /thinking/],
  ['/api/generate', { prompt: 'a', template: 'b' }, /template/],
  ['/api/embed', { input: 5 }, /input/],
  ['/api/embed', { input: 'a', options: { num_predict: 'a' } }, /num_predict/],
  ['/api/embeddings', { prompt: 5 }, /prompt/],
])('%s with %j is refused before its model is loaded', async (path, body, words) => {
  await machine.start({ models: ['demo'] })
  const ask = async () => {
    const [status, { request_id: _, ...answer }] = await machine.ask(path, { model: 'demo', ...body })
    return [status, JSON.stringify(answer)]
  }
  const refused = await ask()
  expect(refused).toEqual([400, expect.stringMatching(words)])
  expect(machine.events).toEqual([])
  expect((await machine.ask('/api/generate', { model: 'demo', stream: false }))[0]).toBe(200)
  expect(await ask()).toEqual(refused)
})
