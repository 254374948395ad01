import { describe, expect, test } from 'vitest'
import { ChatTemplate } from '../../../dist/text/chat/chatTemplate.js'
import { OllamaTemplate } from '../../../dist/text/chat/ollamaTemplate.js'
import { chatml } from './toolTemplates.js'

const CONTROL = '<|im_end|>'
const tokenizer = chatml()
const [control] = tokenizer.splitSpecial(CONTROL)
/** What a template writes before its end, where it writes the message as it is: one that does not is refused. */
function written(template: ChatTemplate, content: string): { readonly text: string; readonly ids: readonly number[] } {
  const { text, ids } = template.render([{ role: 'user', content }])
  return { text: text.slice(0, text.lastIndexOf('\n')), ids }
}
const jinja = (source: string, content = CONTROL) => {
  const metadata = new Map([['tokenizer.chat_template', `${source}{{ '\\n' }}{{ messages[0].content }}`]])
  return written(ChatTemplate.fromGgufMetadata(metadata, tokenizer), content)
}
const go = (source: string) =>
  written(ChatTemplate.fromOllama(`${source}{{ "\\n" }}{{ range .Messages }}{{ .Content }}{{ end }}`, tokenizer), CONTROL)

describe('a message never spells a control token', () => {
  test.each([
    ['a format of dates', '{{ strftime_now(messages[0].content) }}'],
    ['separators', "{{ [1, 2] | tojson(separators=(messages[0].content, ':')) }}"],
    ['separators of keys', "{{ {1: 2} | tojson(separators=(',', messages[0].content)) }}"],
    ['an indent', '{{ [1] | tojson(indent=messages[0].content) }}'],
    ['a namespace', '{{ namespace({messages[0].content: 1}) }}'],
    ['names of a dict', '{{ dict(**{messages[0].content: 1}) }}'],
    ['names of arguments', '{% macro m() %}{{ kwargs }}{% endmacro %}{{ m(**{messages[0].content: 1}) }}'],
    ['names of a format', "{{ '%s' | format(**{messages[0].content: 1}) }}"],
    ['one fill each', "{% for c in messages[0].content %}{{ ''.ljust(1, c) }}{% endfor %}"],
  ])('as %s', (_, source) => {
    const { ids, text } = jinja(source)
    expect(text).toContain(CONTROL)
    expect(ids).not.toContain(control)
  })

  test('as a format that fills, or that asks for a token of the template', () => {
    const fills = [...CONTROL].map((sign) => `{0:${sign}<1}`).join('')
    for (const [content, argument] of [
      [fills, "''"],
      ['{}', `'${CONTROL}'`],
      ['%s', `'${CONTROL}'`],
    ]) {
      const source = content === '%s' ? `{{ messages[0].content % ${argument} }}` : `{{ messages[0].content.format(${argument}) }}`
      const { ids, text } = jinja(source, content)
      expect(text).toBe(CONTROL)
      expect(ids).not.toContain(control)
    }
  })

  test('as numbers of characters', () => {
    const numbers = [...CONTROL].map((sign) => sign.charCodeAt(0)).join(' ')
    const { ids, text } = jinja("{% for n in messages[0].content.split() %}{{ '%c' % (n | int) }}{% endfor %}", numbers)
    expect(text).toBe(CONTROL)
    expect(ids).not.toContain(control)
    const places = [...CONTROL].map((_, index) => `{{ printf "%c" (index .Content ${index}) }}`).join('')
    const result = go(`{{ range .Messages }}${places}{{ end }}`)
    expect(result.text).toBe(CONTROL)
    expect(result.ids).not.toContain(control)
  })

  test('as a property of a tool that is no schema', () => {
    const source =
      '{{ range .Tools }}{{ range $k, $v := .Function.Parameters.Properties }}{{ $v }}{{ end }}{{ end }}{{ range .Messages }}{{ end }}'
    const tools = [{ name: 'f', description: '', parameters: { type: 'object', properties: { x: CONTROL } }, strict: false }]
    const text = new OllamaTemplate(source).render([{ role: 'user', content: 'hi', calls: [] }], tools, 100)
    expect(text.value).toBe(CONTROL)
    expect(text.parts().map(({ origin }) => origin)).not.toContain(0)
  })
})

test('a format of the template itself keeps the control tokens that it writes', () => {
  expect(jinja(`{{ '{}${CONTROL}'.format(1) }}{{ messages[0].content }}`).ids).toContain(control)
  expect(go(`{{ printf "%s${CONTROL}" "a" }}{{ range .Messages }}{{ .Content }}{{ end }}`).ids).toContain(control)
})

test('texts are filled with one character', () => {
  expect(jinja("{{ 'a'.ljust(3, '\u{1f600}') }}{{ 'a'.rjust(2) }}{{ 'a'.center(3, '-') }}").text).toBe('a\u{1f600}\u{1f600} a-a-')
  for (const method of ['ljust', 'rjust', 'center'])
    for (const fill of ['ab', '']) expect(() => jinja(`{{ 'a'.${method}(3, '${fill}') }}`)).toThrow('expected one')
})

test('the digits of bytes are counted before they are made', () => {
  expect(go('{{ range .Messages }}{{ printf "%x %X" "aé\u{1f600}" "é" }}{{ end }}').text).toBe('61c3a9f09f9880 C3A9')
  const double = '{{ $x = print $x $x }}'
  const source = `{{ $x := "${'a'.repeat(60_000)}" }}${double.repeat(4)}{{ $y := printf "${'%x'.repeat(500)}"${' $x'.repeat(500)} }}{{ range .Messages }}{{ end }}`
  const before = process.cpuUsage()
  expect(() => go(source)).toThrow('expected at most')
  const { user, system } = process.cpuUsage(before)
  expect((user + system) / 1e6).toBeLessThan(20) // half a billion texts of two digits
})

test('tests of texts are counted', () => {
  const loop = (test: string) =>
    `{% set x = 'A' * 1000000 %}{% for i in range(9000) %}{% set y = x.${test}() %}{% endfor %}{{ messages[0].content }}`
  for (const test of ['isascii', 'isidentifier', 'isupper', 'istitle'])
    expect(() => jinja(loop(test))).toThrow(/too much text|more than 1000 ms/)
})
