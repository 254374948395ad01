import { expect, test } from 'vitest'
import { ChatTemplate } from '../../../dist/text/chat/chatTemplate.js'
import { chatml } from './toolTemplates.js'

const tokenizer = chatml()
const tools = [{ name: 'get', description: 'Gets.', parameters: { type: 'object', properties: {} }, strict: false }]

/** The format of a template that writes a text beside calls as `mixed`, and `before` in front of each name. */
function shown(before: string, mixed = '{{ m.content }}') {
  const source = `{{ tools|tojson if tools else '' }}{% for m in messages %}{% if m.tool_calls %}{% if m.content %}${mixed}{% endif %}{% for c in m.tool_calls %}${before}[{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments|tojson }}}]{% endfor %}{% else %}{{ m.role }}:{{ m.content }}{% endif %}{% endfor %}`
  const begun = process.cpuUsage()
  const { format } = ChatTemplate.fromGgufMetadata(new Map([['tokenizer.chat_template', source]]), tokenizer).render(
    [{ role: 'user', content: 'hi' }],
    { tools },
  )
  const { user, system } = process.cpuUsage(begun)
  return { format: format!, seconds: (user + system) / 1e6 }
}

test('calls are learned with the text before their JSON', () => {
  expect(shown('CALL ').format).toMatchObject({ open: ['CALL [{"name": "'], trigger: 'CALL', close: ['}]'], texts: 'before' })
  expect(shown('CALL', '').format).toMatchObject({ trigger: 'CALL', texts: 'instead' })
  expect(shown('').format).toMatchObject({ trigger: '[{"name": "' })
})

test('a template that writes long texts around calls teaches nothing, and costs no time', () => {
  const blanks = shown(`x{{ ' ' * 5000 }}y`)
  expect(blanks.format.texts).toBe('wrapped')
  expect(blanks.seconds).toBeLessThan(5) // a search with a pattern took minutes
  const repeated = shown('', `{{ 'zqtext' * 100000 }}`)
  expect(repeated.seconds).toBeLessThan(5)
  expect(shown('y'.repeat(600)).format.texts).toBe('wrapped')
  expect(shown('y'.repeat(400)).format.texts).toBe('before')
})
