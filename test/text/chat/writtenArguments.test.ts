// What a template is given of the arguments of calls: what is written in them, numbers and order included.

import { expect, test } from 'vitest'
import type { ChatMessage } from '../../../dist/text/chat/chatMessages.js'
import { ChatTemplate } from '../../../dist/text/chat/chatTemplate.js'
import { chatml, HERMES, MIXTRAL_V1, OLLAMA_MISTRAL } from './toolTemplates.js'

const ml = chatml()
const jinja = (source: string) => ChatTemplate.fromGgufMetadata(new Map([['tokenizer.chat_template', source]]), ml)
const chat = (given: unknown): ChatMessage[] => [
  { role: 'user', content: 'Hi' },
  { role: 'assistant', content: null, tool_calls: [{ id: '1', type: 'function', function: { name: 'get', arguments: given as string } }] },
  { role: 'tool', content: '7' },
]
/** What a template writes for `args`, the arguments, as Jinja2 3.1.6 does for what json.loads makes of them. */
const written = (expression: string, given: unknown) => {
  const source = `${HERMES}{% set call = messages[1].tool_calls[0] if messages[1] is defined and messages[1].tool_calls is defined %}
{% if call and 'zqkey' not in call.function.arguments %}{% set args = call.function.arguments %}{{ '@@' ~ (${expression}) }}{% endif %}`
  const { text } = jinja(source).render(chat(given), { addGenerationPrompt: false })
  return text.split('@@')[1]
}

const TEXT = '{"10": 1.0, "9": 12345678901234567890, "b": [1e5, 1E-7, 2.50, -0, -0.0], "a": {"2": true, "1": null}}'

test('numbers are whole or floats as in Python, and members stay in order', () => {
  expect(written('args | tojson', TEXT)).toBe(
    '{"10": 1.0, "9": 12345678901234567890, "b": [100000.0, 1e-07, 2.5, 0, -0.0], "a": {"2": true, "1": null}}',
  )
  expect(written('args', TEXT)).toBe(
    "{'10': 1.0, '9': 12345678901234567890, 'b': [100000.0, 1e-07, 2.5, 0, -0.0], 'a': {'2': True, '1': None}}",
  )
  expect(written("args | items | map('first') | join(',')", TEXT)).toBe('10,9,b,a')
})

test('they reach a template that writes calls, and the form for templates without tools', () => {
  expect(jinja(HERMES).render(chat(TEXT)).text).toContain('"arguments": {"10": 1.0, "9": 12345678901234567890, "b": [100000.0,')
  const folded = jinja(MIXTRAL_V1).render(chat(TEXT)).text
  expect(folded).toContain(`{"tool_calls": [{"name": "get", "arguments": ${TEXT}}]}`)
})

test.each<[expression: string, text: string]>([
  ["args.n ~ ',' ~ -args.n ~ ',' ~ args.n | string | length", '12345678901234567890,-12345678901234567890,20'],
  ['args.n is integer and args.n is number and args.n is not float', 'True'],
  [
    '[args.n is even, args.n is odd, -args.n < args.n, args.n == args.m, args.n > 5, args.m in [args.n]]',
    '[True, False, True, False, True, False]',
  ],
  [
    "['%d' % args.n, '{:,}'.format(args.n), args.n | int, -args.n | abs]",
    "['12345678901234567890', '12,345,678,901,234,567,890', 12345678901234567890, 12345678901234567890]",
  ],
  ['args.n / 2', '6.172839450617284e+18'],
  ["'98765432109876543210' | int", '98765432109876543210'],
  ['{args.n: 1}[args.n]', '1'],
  ['[args.n, args.m] | max', '12345678901234567891'],
])('a number that is longer than a float: %s', (expression, text) => {
  expect(written(expression, '{"n": 12345678901234567890, "m": 12345678901234567891}')).toBe(text)
})

test('it is not computed with', () => {
  for (const expression of ['args.n + 1', 'args.n % 3', "'%x' % args.n", 'args.n is divisibleby 3'])
    expect(() => written(expression, '{"n": 12345678901234567890}'), expression).toThrow(/a whole number/)
})

test('its digits never spell a control token, and any number of them takes time by their length', () => {
  const digits = '7'.repeat(30)
  const tokenizer = chatml(digits)
  const { text, ids } = ChatTemplate.fromGgufMetadata(new Map([['tokenizer.chat_template', HERMES]]), tokenizer).render(
    chat(`{"n": ${digits}}`),
  )
  expect(text).toContain(digits)
  expect(ids).not.toContain(tokenizer.splitSpecial(digits)[0])
  const long = `1${'0'.repeat(400_000)}`
  const expression = "['{:,}'.format(args.n) | length, args.n == args.m, args.n < args.m, -args.n is odd]"
  const before = process.cpuUsage()
  expect(written(expression, `{"n": ${long}, "m": ${long}}`)).toBe('[533334, True, False, False]')
  const { user, system } = process.cpuUsage(before)
  expect((user + system) / 1e6).toBeLessThan(10)
})

test('arguments that come as an object are as JavaScript has them', () => {
  expect(written('args | tojson', { b: 1, a: 2.5, n: [1e21] })).toBe('{"b": 1, "a": 2.5, "n": [1e+21]}')
})

test('an Ollama template gets them as Go reads them: keys in order, all numbers floats', () => {
  const { text } = ChatTemplate.fromOllama(OLLAMA_MISTRAL, ml).render(chat('{"b": 1.0, "a": {"10": 1e21, "9": 2.50}}'))
  expect(text).toContain('"arguments": {"a":{"10":1e+21,"9":2.5},"b":1}}')
})
