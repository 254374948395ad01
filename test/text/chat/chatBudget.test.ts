// The time of a chat's renderings is one, however often its template is run.

import { afterEach, expect, test, vi } from 'vitest'
import type { ChatMessage } from '../../../dist/text/chat/chatMessages.js'
import { ChatTemplate } from '../../../dist/text/chat/chatTemplate.js'
import { TemplateProgram } from '../../../dist/text/chat/templateProgram.js'
import { checkTools } from '../../../dist/text/tools/toolDefinitions.js'
import { chatml, HERMES } from './toolTemplates.js'

afterEach(() => vi.restoreAllMocks())

const ml = chatml()
const jinja = (source: string, tools = source) =>
  ChatTemplate.fromGgufMetadata(
    new Map([
      ['tokenizer.chat_template', source],
      ['tokenizer.chat_template.tool_use', tools],
    ]),
    ml,
  )
const user: ChatMessage = { role: 'user', content: 'Hi' }
const system: ChatMessage = { role: 'system', content: 'S' }
const { tools } = checkTools({ tools: [{ type: 'function', function: { name: 'get' } }] })!

/** Takes about as long as it is told, in steps. */
const slow = (count: number) => `{% for i in range(${count}) %}{% for j in range(9) %}{% set x = i %}{% endfor %}{% endfor %}`

test('a chat renders its templates fourteen times at most, and three times when both are known', () => {
  const run = vi.spyOn(TemplateProgram.prototype, 'run')
  // refuses system messages and successive messages of one role, and shows tools but no calls
  const refuses = `{% for m in messages %}{% if m.role == 'system' or (not loop.first and m.role == messages[loop.index0 - 1].role) %}{{ raise_exception('no') }}{% endif %}{{ m.content[0].text }}{% endfor %}`
  const template = jinja(refuses, HERMES.replace('message.tool_calls or []', '[]').replaceAll('message.content', 'message.content[0].text'))
  const messages = [system, system, user, user]
  template.render(messages, { tools })
  const first = run.mock.calls.length
  expect(first).toBeGreaterThan(8)
  expect(first).toBeLessThanOrEqual(14)
  template.render(messages, { tools })
  expect(run.mock.calls.length - first).toBeLessThanOrEqual(4)
})

test('all of them have a second together', () => {
  // Each rendering takes some 0.4 s by the clock that it looks at.
  let now = 0
  vi.spyOn(performance, 'now').mockImplementation(() => (now += 0.5))
  const steps = slow(300)
  expect(jinja(`${steps}{{ messages[0].content }}`).render([user]).text).toBe('Hi')
  const all = () => jinja(`${steps}${HERMES}`).render([system, user], { tools })
  expect(all).toThrow(expect.objectContaining({ code: 'TEMPLATE', message: expect.stringContaining('more than 1000 ms') }))
})

test('what is not found out in time is found out with the next chat', () => {
  const template = jinja(HERMES)
  let now = 0
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (now += 400))
  expect(() => template.render([user], { tools })).toThrow('more than 1000 ms')
  clock.mockRestore()
  const { format, text } = template.render([user], { tools })
  expect(format!.texts).not.toBe('wrapped')
  expect(text).toContain('<tools>')
})

test('what is done between renderings does not count', () => {
  let now = 0
  vi.spyOn(performance, 'now').mockImplementation(() => (now += 0.001))
  const split = ml.splitSpecial.bind(ml)
  vi.spyOn(ml, 'splitSpecial').mockImplementation((text: string) => {
    now += 5000
    return split(text)
  })
  const refuses = `{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}{{ m.content }}{% endfor %}`
  expect(jinja(refuses).render([system, user]).text).toBe('S\n\nHi')
  expect(jinja('{{ messages[-1].content }}').render([system, user]).text).toBe('S\n\nHi')
})

test('texts that are too long for a Map are no keys, and are told apart', () => {
  const long = "range(4)|map('center', 16400)"
  expect(() => jinja(`{{ dict(${long}|batch(2)) }}{{ messages[0].content }}`).render([user])).toThrow('a long str as a key')
  const source = `{{ ((${long}|list) + (${long}|list))|unique|list|length }}{{ {'a': 1}.get('a'.center(16400), 2) }}{{ messages[0].content }}`
  expect(jinja(source).render([user]).text).toBe('42Hi')
})
