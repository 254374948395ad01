// What clients of other servers send, and what it means there.

import { describe, expect, test } from 'vitest'
import { capital, type Json, withServer } from './served.js'

const served = withServer()
const path = '/v1/chat/completions'
const chat = { messages: capital, temperature: 0, max_tokens: 40 }
const answer = 'The capital of France is Paris.'

async function said(extra: object): Promise<string> {
  return (await served.json(path, { ...chat, ...extra })).choices[0].message.content
}

async function refusal(route: string, body: object): Promise<Json> {
  const response = await served.post(route, body)
  const { error } = (await response.json()) as Json
  return [response.status, error.param ?? null, error.message ?? error]
}

describe('top_k below 0 takes all tokens', () => {
  test.each<[string, object]>([
    [path, { ...chat, top_k: -1 }],
    ['/v1/completions', { prompt: 'a', max_tokens: 2, top_k: -1 }],
    ['/v1/responses', { input: 'a', max_output_tokens: 2, top_k: -1 }],
    ['/v1/messages', { messages: capital, max_tokens: 2, top_k: -1 }],
    ['/completion', { prompt: 'a', n_predict: 2, top_k: -5 }],
    ['/api/generate', { model: 'demo', prompt: 'a', stream: false, options: { top_k: -1, num_predict: 2 } }],
    ['/api/chat', { model: 'demo', messages: capital, stream: false, options: { top_k: -1, num_predict: 2 } }],
  ])('%s', async (route, body) => {
    await served.json(route, body)
  })

  test('as 0 does', async () => {
    const sampled = { prompt: 'Once', max_tokens: 20, seed: 5 }
    const [all, negative] = await Promise.all([0, -1].map((top_k) => served.json('/v1/completions', { ...sampled, top_k })))
    expect(negative.choices[0].text).toBe(all.choices[0].text)
  })
})

describe('a wrong option has the name that the request gives it', () => {
  test.each<[string, object, string]>([
    [path, { ...chat, repetition_penalty: 0 }, 'repetition_penalty'],
    [path, { ...chat, repeat_penalty: 0 }, 'repeat_penalty'],
    [path, { ...chat, max_tokens: undefined, n_predict: 0 }, 'n_predict'],
    [path, { ...chat, max_tokens: undefined, max_completion_tokens: 0 }, 'max_completion_tokens'],
    ['/v1/completions', { prompt: 'a', top_k: 1.5 }, 'top_k'],
    ['/v1/completions', { prompt: 'a', repetition_penalty: 0 }, 'repetition_penalty'],
    ['/v1/completions', { prompt: 'a', min_p: 2 }, 'min_p'],
    ['/v1/responses', { input: 'a', repeat_penalty: 0 }, 'repeat_penalty'],
    ['/v1/completions', { prompt: 'a', json_schema: 5 }, 'json_schema'],
  ])('%s', async (route, body, name) => {
    expect(await refusal(route, body)).toEqual([400, name, expect.stringMatching(new RegExp(`^${name} is `))])
  })

  test.each(['top_k', 'repeat_penalty', 'min_p'])('/completion: %s', async (name) => {
    const [status, , message] = await refusal('/completion', { prompt: 'a', [name]: 0.001, ...(name === 'min_p' && { min_p: 2 }) })
    expect([status, message]).toEqual([400, expect.stringMatching(new RegExp(`^${name} is `))])
  })
})

describe("vLLM's structured outputs", () => {
  const schema = { type: 'object', properties: { city: { enum: ['Paris', 'Rome'] } }, required: ['city'], additionalProperties: false }
  const json = /^\{\s*"city"\s*:\s*"(Paris|Rome)"\s*\}$/

  test.each<[string, object, RegExp]>([
    ['json', { structured_outputs: { json: schema } }, json],
    ['json as a text', { structured_outputs: { json: JSON.stringify(schema) } }, json],
    ['an object', { structured_outputs: { json_object: true }, max_tokens: 30 }, /^\{/],
    ['regex', { structured_outputs: { regex: '[0-9]{3}' } }, /^\d{3}$/],
    ['choice', { structured_outputs: { choice: ['a.b(c)', '[x]|y'] } }, /^(a\.b\(c\)|\[x\]\|y)$/],
    ['grammar', { structured_outputs: { grammar: 'root ::= "yes" | "no"' } }, /^(yes|no)$/],
    ['nothing', { structured_outputs: { json: null, json_object: false, disable_any_whitespace: false } }, /^The capital/],
    ['guided_choice', { guided_choice: ['north', 'south'] }, /^(north|south)$/],
    ['guided_grammar', { guided_grammar: 'root ::= "yes" | "no"' }, /^(yes|no)$/],
    ['guided_json as a text', { guided_json: JSON.stringify(schema) }, json],
  ])('%s', async (_, extra, expected) => {
    expect(await said(extra)).toMatch(expected)
  })

  test.each<[string, object, string]>([
    ['two of them', { structured_outputs: { regex: 'a', choice: ['b'] } }, 'structured_outputs.choice'],
    [
      'one beside another field',
      { structured_outputs: { regex: 'a' }, response_format: { type: 'json_object' } },
      'structured_outputs.regex',
    ],
    ['tags', { structured_outputs: { structural_tag: '{}' } }, 'structured_outputs.structural_tag'],
    ['a choice of nothing', { structured_outputs: { choice: [] } }, 'structured_outputs.choice'],
    ['a text that is no schema', { structured_outputs: { json: '{' } }, 'structured_outputs.json'],
    ['no object', { structured_outputs: 'a' }, 'structured_outputs'],
  ])('refused: %s', async (_, extra, param) => {
    expect((await refusal(path, { ...chat, ...extra })).slice(0, 2)).toEqual([400, param])
  })
})

describe('a schema without a type is one of objects where it names properties', () => {
  const schema = { properties: { a: { const: 1 } }, required: ['a'], additionalProperties: false }
  const object = /^\{\s*"a"\s*:\s*1\s*\}$/

  test('in chats', async () => {
    expect(await said({ response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } })).toMatch(object)
    expect(await said({ json_schema: { items: { const: 2 }, minItems: 1, maxItems: 1 } })).toMatch(/^\[\s*2\s*\]$/)
  })

  test('in the other APIs', async () => {
    const ollama = { model: 'demo', messages: capital, stream: false, format: schema }
    expect((await served.json('/api/chat', ollama)).message.content).toMatch(object)
    const format = { type: 'json_schema', name: 'x', schema }
    const { output } = await served.json('/v1/responses', { input: 'a', text: { format } })
    expect(output[0].content[0].text).toMatch(object)
    const { content } = await served.json('/v1/messages', { messages: capital, max_tokens: 50, output_config: { format } })
    expect(content[0].text).toMatch(object)
  })
})

describe('arguments of the template', () => {
  test('those that mean nothing to it are ignored', async () => {
    expect(await said({ chat_template_kwargs: { enable_thinking: false, reasoning_effort: 'low' } })).toBe(answer)
  })

  test('a conversation that is over is no question', async () => {
    const messages = [...capital, { role: 'assistant', content: answer }]
    const { usage } = await served.json(path, { ...chat, messages, add_generation_prompt: false })
    const { ids } = served.model.applyChatTemplate(messages, { addGenerationPrompt: false })
    expect(usage.prompt_tokens).toBe(ids.length)
    const inside = await served.json(path, { ...chat, messages, chat_template_kwargs: { add_generation_prompt: false } })
    expect(inside.usage).toMatchObject({ prompt_tokens: ids.length })
    const { prompt } = await served.json('/apply-template', { messages, chat_template_kwargs: { add_generation_prompt: false } })
    expect(prompt).toMatch(/<\/s>$/)
  })

  test('a last message of the assistant goes on', async () => {
    const messages = [...capital, { role: 'assistant', content: ' The capital of' }]
    expect(await said({ messages, add_generation_prompt: false, continue_final_message: true })).toBe(' France is Paris.')
  })

  test.each<[string, object, string]>([
    ['tools', { chat_template_kwargs: { tools: [{}] } }, 'chat_template_kwargs.tools'],
    ['a switch that is none', { chat_template_kwargs: { add_generation_prompt: 'no' } }, 'chat_template_kwargs.add_generation_prompt'],
    ['a question that is to go on', { continue_final_message: true }, 'continue_final_message'],
  ])('refused: %s', async (_, extra, param) => {
    expect((await refusal(path, { ...chat, ...extra })).slice(0, 2)).toEqual([400, param])
  })
})

describe('successive messages of one role', () => {
  const messages = [...capital, { role: 'user', content: 'Be brief.' }]

  test.each<[string, object]>([
    [path, { ...chat, messages }],
    ['/v1/messages', { messages, max_tokens: 2 }],
    ['/v1/responses', { input: messages, max_output_tokens: 2 }],
    ['/api/chat', { model: 'demo', messages, stream: false, options: { num_predict: 2 } }],
    [`${path}`, { ...chat, messages: [{ role: 'system', content: 'Be brief.' }] }],
  ])('%s', async (route, body) => {
    await served.json(route, body)
  })

  test('are one', async () => {
    const { prompt } = await served.json('/apply-template', { messages })
    expect(prompt).toBe(`<s>[INST] ${capital[0]!.content}\n\nBe brief. [/INST]`)
  })
})

test('what asks for nothing is accepted', async () => {
  expect(await said({ best_of: 1, stream_options: { include_usage: false } })).toBe(answer)
  expect((await refusal(path, { ...chat, best_of: 2 })).slice(0, 2)).toEqual([400, 'best_of'])
  expect((await refusal(path, { ...chat, stream_options: { include_usage: true } })).slice(0, 2)).toEqual([400, 'stream_options'])
})

test('a compressed body is the fault of the request', async () => {
  const response = await served.post(path, chat, { headers: { 'content-encoding': 'gzip' } })
  expect([response.status, ((await response.json()) as Json).error.type]).toEqual([415, 'invalid_request_error'])
})

describe('an empty text for a constraint is none', () => {
  const fields = ['grammar', 'json_schema', 'regex', 'guided_json', 'guided_grammar', 'guided_regex', 'guided_choice', 'response_format']
  test.each(fields)('%s', async (name) => {
    expect(await said({ [name]: '' })).toBe(answer)
    expect(await said({ [name]: '', grammar: 'root ::= "yes"' })).toBe('yes')
  })

  test('in structured_outputs and /completion', async () => {
    expect(await said({ structured_outputs: { grammar: '', regex: ' ', json: '' } })).toBe(answer)
    const body = { prompt: 'Once', temperature: 0, n_predict: 4 }
    const { content } = await served.json('/completion', body)
    expect((await served.json('/completion', { ...body, grammar: '', json_schema: '' })).content).toBe(content)
  })
})

describe("values of Ollama's options mean what they mean in a Modelfile", () => {
  const generate = async (options: object) =>
    (await served.json('/api/generate', { model: 'demo', prompt: 'Once upon', raw: true, stream: false, options })).response
  const few = { num_predict: 12, seed: 5 }

  test.each<[string, object, object]>([
    ['top_k -1', { top_k: -1 }, { top_k: 0 }],
    ['repeat_last_n -2', { repeat_last_n: -2, repeat_penalty: 2 }, { repeat_last_n: 0, repeat_penalty: 2 }],
    ['repeat_penalty 0', { repeat_penalty: 0 }, { repeat_penalty: 1 }],
    ['temperature -1', { temperature: -1 }, { temperature: 0 }],
    ['top_p 1.5', { top_p: 1.5, temperature: 2 }, { top_p: 1, temperature: 2 }],
    ['min_p 2', { min_p: 2 }, { min_p: 1 }],
    ['typical_p 1.5', { typical_p: 1.5 }, { typical_p: 1 }],
    ['mirostat 3', { mirostat: 3 }, { mirostat: 0 }],
    ['mirostat -1', { mirostat: -1 }, { mirostat: 0 }],
    ['seed 1.5', { seed: 1.5 }, { seed: 1 }],
    ['num_predict 3.5', { num_predict: 3.5 }, { num_predict: 3 }],
  ])('%s', async (_, given, meant) => {
    expect(await generate({ ...few, ...given })).toBe(await generate({ ...few, ...meant }))
  })

  test('a text for a number is refused, as by Ollama', async () => {
    expect((await served.post('/api/generate', { model: 'demo', prompt: 'a', options: { top_p: 'much' } })).status).toBe(400)
  })
})

describe('/completion takes what llama-server takes', () => {
  const complete = async (body: object) => served.json('/completion', { prompt: 'Once upon', n_predict: 12, seed: 5, ...body })

  test('a temperature below 0 is greedy', async () => {
    const [greedy, below] = await Promise.all([0, -1].map((temperature) => complete({ temperature })))
    expect(below.content).toBe(greedy.content)
  })

  test.each<[string, unknown, string[]]>([
    ['unknown names are skipped', ['dry', 'tfs_z', 'top_k', 'infill', 'temperature'], ['dry', 'top_k', 'temperature']],
    ['letters', 'edskypmxt', 'penalties dry top_n_sigma top_k typ_p top_p min_p xtc temperature'.split(' ')],
    ['unknown letters are skipped', 'kit', ['top_k', 'temperature']],
    ['adaptive-p is the last', ['adaptive_p', 'top_k'], ['top_k', 'adaptive_p']],
  ])('samplers: %s', async (_, samplers, steps) => {
    expect((await complete({ samplers })).generation_settings.samplers).toEqual(steps)
  })

  test('timings_per_token', async () => {
    await complete({ timings_per_token: true })
    expect(await said({ timings_per_token: true })).toBe(answer)
  })
})
