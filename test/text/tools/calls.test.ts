// Answers with calls in every format, without a model: tokens are drawn among those that the constraint allows, which
// is how random logits draw, and read by the parser. What is read must be what the schemas allow, whatever the cuts.

import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, test } from 'vitest'
import { Random } from '../../../dist/runtime/sampler/random.js'
import type { ChatMessage } from '../../../dist/text/chat/chatMessages.js'
import { ChatTemplate } from '../../../dist/text/chat/chatTemplate.js'
import { Constraint } from '../../../dist/text/constraint/constraint.js'
import { TokenTrie } from '../../../dist/text/constraint/tokenTrie.js'
import type { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import type { CallFormat } from '../../../dist/text/tools/callFormat.js'
import { callExpression } from '../../../dist/text/tools/callGrammar.js'
import { CallParser } from '../../../dist/text/tools/callParser.js'
import type { ToolCallDelta } from '../../../dist/text/tools/toolCalls.js'
import { checkTools, type ToolOptions } from '../../../dist/text/tools/toolDefinitions.js'
import {
  ACTION,
  chatml,
  FUNCTION_TAG,
  HERMES,
  JSON_LIST,
  LLAMA,
  MISTRAL_ARGS,
  MISTRAL_V3,
  MIXTRAL_V1,
  mistralV3,
  NAMED,
  OLLAMA_MISTRAL,
} from '../chat/toolTemplates.js'

const weather = {
  type: 'object',
  properties: {
    city: { enum: ['Paris', 'São Paulo', 'a "b" {c}'] },
    days: { type: 'integer', minimum: 1, maximum: 9 },
    place: { type: 'object', properties: { lat: { type: 'number', minimum: -90, maximum: 90 }, note: { type: 'string', maxLength: 8 } } },
  },
  required: ['city'],
}
const tools = [
  { type: 'function', function: { name: 'get', description: 'Gets.' } },
  { type: 'function', function: { name: 'get_weather', parameters: weather } },
  {
    type: 'function',
    function: { name: 'list-all', parameters: { properties: { of: { type: 'array', items: { type: 'boolean' }, maxItems: 3 } } } },
  },
] as const
const schemas = new Map<string, object>([
  ['get', { type: 'object', maxProperties: 0 }],
  ['get_weather', { ...weather, additionalProperties: false }],
  ['list-all', { type: 'object', ...tools[2].function.parameters, additionalProperties: false }],
])
const question: ChatMessage[] = [{ role: 'user', content: 'Hi' }]

const v3 = mistralV3()
const ml = chatml()
const jinja = (source: string, tokenizer: Tokenizer) =>
  ChatTemplate.fromGgufMetadata(new Map([['tokenizer.chat_template', source]]), tokenizer)
const formats: [name: string, template: ChatTemplate, tokenizer: Tokenizer][] = [
  ["Mistral's, with its control tokens", jinja(MISTRAL_V3, v3), v3],
  ["Mistral's, in a vocabulary without them", jinja(MISTRAL_V3, ml), ml],
  ["Mistral's, by Ollama's template", ChatTemplate.fromOllama(OLLAMA_MISTRAL, v3), v3],
  ['tags around calls', jinja(HERMES, ml), ml],
  ['JSON, for a template without tools', jinja(MIXTRAL_V1, v3), v3],
  ['bare JSON', jinja(LLAMA, v3), v3],
  ['a bare list', jinja(JSON_LIST, v3), v3],
  ['the name in a tag', jinja(FUNCTION_TAG, ml), ml],
  ['a control token and the name', jinja(MISTRAL_ARGS, v3), v3],
  ['a control token that is a text, and the name', jinja(MISTRAL_ARGS, ml), ml],
  ['words', jinja(ACTION, v3), v3],
  ['arguments right behind the name', jinja(NAMED, v3), v3],
]
const tries = new Map([v3, ml].map((tokenizer) => [tokenizer, new TokenTrie(tokenizer)]))
const random = new Random(18)
const idOf = (index: number) => `abcdefg${String(index).padStart(2, '0')}`

/** The language of answers, before the first token. */
function answers(tokenizer: Tokenizer, format: CallFormat, options: ToolOptions) {
  const language = { format, tools: checkTools({ tools, ...options })!, idOf, jsonSchema: undefined }
  return new Constraint({ compose: (grammar) => callExpression(grammar, language) }, tries.get(tokenizer)!).start(true)
}

/** A walk through the language, from a beginning on: what each token adds. */
function walk(
  tokenizer: Tokenizer,
  format: CallFormat,
  options: ToolOptions,
  begin: readonly number[] = [],
): [text: string, id?: number][] {
  const state = answers(tokenizer, format, options)
  const decoder = tokenizer.decoder()
  const pieces: [string, number?][] = []
  const take = (id: number) => {
    state.accept(id)
    if (tokenizer.token(id).type === 'control') decoder.keepSpace()
    if (!tokenizer.endIds.has(id))
      pieces.push([decoder.push(id), ...(tokenizer.token(id).type === 'control' ? [id] : [])] as [string, number?])
  }
  for (const id of begin) take(id)
  while (pieces.length < 2000) {
    const mask = state.mask()
    const allowed = [...mask].flatMap((word, i) => bitsOf(word).map((bit) => 32 * i + bit))
    const end = allowed.find((id) => tokenizer.endIds.has(id))
    const id = end !== undefined && random.next() < 0.5 ? end : allowed[Math.floor(random.next() * allowed.length)]!
    take(id)
    if (tokenizer.endIds.has(id)) return pieces
  }
  throw new Error('a walk without end')
}

function bitsOf(word: number): number[] {
  return word === 0 ? [] : Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => (word >>> bit) & 1)
}

function read(format: CallFormat, pieces: readonly [text: string, id?: number][]) {
  const parser = new CallParser(format, idOf)
  const parsed = [...pieces.map(([text, id]) => parser.push(text, id)), parser.end()]
  return { text: parsed.map(({ text }) => text).join(''), deltas: parsed.flatMap(({ calls }) => calls), calls: parser.calls }
}

/** The calls that deltas add up to, as clients of the OpenAI API merge them. */
function merged(deltas: readonly ToolCallDelta[]) {
  const calls: { id: string; type: string; function: { name: string; arguments: string } }[] = []
  for (const { index, id, type, function: part } of deltas) {
    if (id !== undefined) {
      expect(index).toBe(calls.length)
      calls.push({ id, type: type!, function: { name: part.name!, arguments: part.arguments } })
    } else calls[index]!.function.arguments += part.arguments
  }
  return calls
}

const ajv = new Ajv2020({ strict: false })

describe.each(formats)('%s', (_, template, tokenizer) => {
  const format = template.render(question, { tools: checkTools({ tools })!.tools }).format!

  test('random answers are calls of known functions with valid arguments, and their deltas are the calls', () => {
    const counts = new Set<number>()
    for (let i = 0; i < 12; i++) {
      const { text, deltas, calls } = read(format, walk(tokenizer, format, { toolChoice: 'required' }))
      expect(text).toBe('')
      expect(calls.length).toBeGreaterThan(0)
      expect(merged(deltas)).toEqual(calls)
      for (const [index, call] of calls.entries()) {
        expect(call.id).toBe(idOf(index))
        const schema = schemas.get(call.function.name)!
        expect(ajv.validate(schema, JSON.parse(call.function.arguments)), `${call.function.arguments}: ${ajv.errorsText()}`).toBe(true)
      }
      counts.add(calls.length)
    }
    expect(counts.size).toBeGreaterThan(1)
  })

  test('one call at most where calls are not parallel, and the one function that is chosen', () => {
    for (let i = 0; i < 4; i++) {
      expect(read(format, walk(tokenizer, format, { toolChoice: 'required', parallelToolCalls: false })).calls).toHaveLength(1)
      const [call, ...others] = read(format, walk(tokenizer, format, { toolChoice: { type: 'function', function: { name: 'get' } } })).calls
      expect([call!.function.name, call!.function.arguments, others]).toEqual(['get', '{}', []])
    }
  })

  test('the text of an answer with calls is its text in the next prompt', () => {
    const before = template.render(question, { tools: checkTools({ tools })!.tools })
    for (let i = 0; i < 4; i++) {
      const pieces = walk(tokenizer, format, { toolChoice: 'required', parallelToolCalls: i > 0 })
      const { calls } = read(format, pieces)
      const written = pieces.map(([text, id]) => text + (id === undefined ? '' : tokenizer.token(id).piece)).join('')
      const results = calls.map(({ id }): ChatMessage => ({ role: 'tool', tool_call_id: id, content: '1' }))
      const after = template.render([...question, { role: 'assistant', content: null, tool_calls: calls }, ...results], {
        tools: checkTools({ tools })!.tools,
      })
      if (template !== formats[2]![1]) expect(after.text.startsWith(before.text + written), `${after.text} after ${written}`).toBe(true)
    }
  })

  test('however an answer is cut into pieces, it is read alike, and nothing is taken back', () => {
    const pieces = walk(tokenizer, format, { toolChoice: 'required' })
    const whole = read(format, pieces)
    const units = pieces.flatMap(([text, id]): [string, number?][] => [
      ...text.split('').map((unit): [string] => [unit]),
      ...(id === undefined ? [] : [['', id] as [string, number]]),
    ])
    const single = read(format, units)
    expect([single.text, single.calls, merged(single.deltas)]).toEqual([whole.text, whole.calls, merged(whole.deltas)])
    const joined = read(format, pieces.filter(([, id]) => id !== undefined).concat([[pieces.map(([text]) => text).join('')]]))
    expect(joined.calls).toEqual(whole.calls)
    for (let cut = 0; cut < units.length; cut += 7) {
      const part = read(format, units.slice(0, cut))
      for (const [index, call] of part.calls.entries()) expect(call).toEqual(whole.calls[index])
      const begun = merged(part.deltas)
      for (const [index, call] of begun.entries())
        expect(whole.calls[index]!.function.arguments.startsWith(call.function.arguments)).toBe(true)
    }
  })

  test('an answer may be a text, which has no beginning of calls in it', () => {
    const text = 'Well "then": <tool [TOOL {"tool_calls… <tool_cal'
    const plain = format.texts === 'wrapped' ? `{"response": ${JSON.stringify(text)}}` : text
    const ids = tokenizer.encode(plain, { addBos: false })
    for (const toolChoice of ['auto', 'none'] as const) {
      const state = answers(tokenizer, format, { toolChoice })
      for (const id of ids) state.accept(id)
      expect(state.mayEnd).toBe(true)
    }
    const decoder = tokenizer.decoder()
    const { text: found, calls } = read(
      format,
      ids.map((id): [string] => [decoder.push(id)]),
    )
    expect([found, calls]).toEqual([text, []])
  })

  test('no call is allowed where the choice is none', () => {
    const state = answers(tokenizer, format, { toolChoice: 'none' })
    const [start] = format.open
    const ids = typeof start === 'number' ? [start] : tokenizer.encode(start!, { addBos: false })
    expect(() => {
      for (const id of ids) state.accept(id)
    }).toThrow(/is not allowed here/)
  })
})

test('calls behind a text come without the white space between, which is held back', () => {
  const [, template, tokenizer] = formats[3]!
  const format = template.render(question, { tools: checkTools({ tools })!.tools }).format!
  const answer = 'I look.\n <b>\n\n<tool_call>\n{"name": "get", "arguments": {}}\n</tool_call>'
  const { text, calls } = read(
    format,
    answer.split('').map((unit): [string] => [unit]),
  )
  expect(text).toBe('I look.\n <b>')
  expect(calls.map((call) => call.function.name)).toEqual(['get'])
  const begin = tokenizer.encode('I look.\n<tool_call>', { addBos: false })
  for (let i = 0; i < 4; i++) {
    const walked = read(format, walk(tokenizer, format, {}, begin))
    expect(walked.text).toBe('I look.')
    expect(walked.calls.length).toBeGreaterThan(0)
  }
})

test('white space that no call follows is part of the text', () => {
  const format = formats[3]![1].render(question, { tools: checkTools({ tools })!.tools }).format!
  for (const text of ['a\n', `a${' '.repeat(40)}b`, ' \n <tool', `${'\n'.repeat(30)}`]) {
    expect(
      read(
        format,
        text.split('').map((unit): [string] => [unit]),
      ).text,
    ).toBe(text)
  }
})

test('a wrapped text is unescaped, however it is cut', () => {
  const format = formats[4]![1].render(question, { tools: checkTools({ tools })!.tools }).format!
  const text = 'a "b" \\ \n\t\u0001 é 🙂 /'
  for (const json of [JSON.stringify(text), '"a \\"b\\" \\\\ \\n\\t\\u0001 \\u00e9 \\ud83d\\ude42 \\/"']) {
    const pieces = `{"response": ${json}}`.split('').map((unit): [string] => [unit])
    const parsed = read(format, pieces)
    expect(parsed.text).toBe(text)
    expect(parsed.text.isWellFormed()).toBe(true)
  }
})
