import { expect, test } from 'vitest'
import { checkMessages } from '../../../dist/text/chat/chatMessages.js'
import { OllamaTemplate } from '../../../dist/text/chat/ollamaTemplate.js'
import { renderGoTemplate } from '../../../dist/text/templates/goTemplate.js'
import { parseGoTemplate } from '../../../dist/text/templates/goTemplateParser.js'
import { WorkBudget } from '../../../dist/text/templates/workBudget.js'

const data = { A: 'a', List: ['x', 'y'], Tree: { N: 1, Next: { N: 2, Next: { N: 3 } } } }
const render = (source: string) => renderGoTemplate(parseGoTemplate(source), data, new WorkBudget(0)).value

test.each<[source: string, text: string]>([
  ['{{ define "t" }}[{{ . }}]{{ end }}{{ template "t" .A }}', '[a]'],
  ['{{ template "t" .A }}{{ define "t" }}[{{ . }}]{{ end }}', '[a]'], // the order is free
  ['{{ define "t" }}[{{ . }}]{{ end }}{{ template "t" }}', '[]'],
  ['{{ define `t` }}x{{ end }}{{ template "\\x74" }}', 'x'],
  ['{{ define "t" }}[{{ .A }}{{ $.A }}]{{ end }}{{ range .List }}{{ template "t" $ }}{{ end }}', '[aa][aa]'],
  ['{{ define "t" }}{{ $ }}{{ end }}{{ template "t" .A | len | printf "%03d" }}', '001'],
  ['{{ define "t" }}{{ $x := 2 }}{{ end }}{{ $x := 1 }}{{ template "t" }}{{ $x }}', '1'],
  ['{{ block "t" .A }}[{{ . }}]{{ end }}{{ template "t" 1 }}', '[a][1]'],
  ['{{ range .List }}{{ block "t" . }}<{{ . }}>{{ end }}{{ end }}', '<x><y>'],
  ['{{ define "t" }}{{ block "u" . }}b{{ end }}{{ end }}{{ template "t" }}{{ template "u" }}', 'bb'],
  ['{{ define "t" }}{{ end }}{{ define "t" }}x{{ end }}{{ template "t" }}', 'x'], // an empty definition gives way
  ['{{ define "t" }}x{{ end }}{{ define "t" }} \n{{ end }}{{ template "t" }}', 'x'],
  ['{{ define "t" }}{{ .N }}{{ with .Next }},{{ template "t" . }}{{ end }}{{ end }}{{ template "t" .Tree }}', '1,2,3'],
  ['a {{- define "t" -}} b {{- end -}} c', 'ac'],
  ['{{ define "constructor" }}x{{ end }}{{ template "constructor" }}', 'x'],
  ['{{ define "" }}x{{ end }} ', 'x'], // the main template has no name
])('%s', (source, text) => {
  expect(render(source)).toBe(text)
})

test.each<[source: string, says: string]>([
  ['{{ template "t" }}', 'the template "t" is not defined'],
  ['{{ template "toString" }}', 'the template "toString" is not defined'],
  ['{{ template }}', '{{ template }} without the name of a template'],
  ['{{ template t }}', '{{ template }} without the name of a template'],
  ['{{ define .A }}{{ end }}', '{{ define }} without the name of a template'],
  ['{{ define "t" . }}{{ end }}', '"." after the name of a {{ define }}'],
  ['{{ define "t" }}', '{{ define }} without its {{ end }}'],
  ['{{ define "t" }}a{{ else }}b{{ end }}', '{{ define }} without its {{ end }}'],
  ['{{ block "t" }}{{ end }}', 'a value is missing'],
  ['{{ block "t" . }}', '{{ block }} without its {{ end }}'],
  ['{{ if true }}{{ define "t" }}{{ end }}{{ end }}', 'a {{ define }} inside of another action'],
  ['{{ define "t" }}{{ define "u" }}{{ end }}{{ end }}', 'a {{ define }} inside of another action'],
  ['{{ define "t" }}a{{ end }}{{ define "t" }}b{{ end }}', 'two definitions of the template "t"'],
  ['{{ define "t" }}a{{ end }}{{ block "t" . }}b{{ end }}', 'two definitions of the template "t"'],
  ['{{ define "" }}a{{ end }}b', 'two definitions of the template ""'],
  ['{{ range .List }}{{ block "t" . }}{{ break }}{{ end }}{{ end }}', '{{ break }} outside of a {{ range }}'],
  ['{{ $x := 1 }}{{ define "t" }}{{ $x }}{{ end }}{{ template "t" }}', '$x is not declared'],
  ['{{ block "t" . }}'.repeat(60) + '{{ end }}'.repeat(60), 'nested deeper than 50'],
])('%s is refused', (source, says) => {
  expect(() => render(source)).toThrow(says)
})

const nested = (inner: string) => `${'{{ with . }}'.repeat(48)}${inner}${'{{ end }}'.repeat(48)}`

test.each<[what: string, source: string, says: RegExp]>([
  ['calls itself', '{{ define "t" }}{{ template "t" . }}{{ end }}{{ template "t" . }}', /nested deeper than 300/],
  ['calls itself from deep inside', `{{ define "t" }}${nested('{{ template "t" . }}')}{{ end }}{{ template "t" . }}`, /deeper than 300/],
  ['is the main one, and calls itself', '{{ template "" . }}', /nested deeper than 300/],
  [
    'calls another that calls it',
    '{{ define "t" }}{{ template "u" }}{{ end }}{{ define "u" }}{{ template "t" }}{{ end }}{{ template "t" }}',
    /deeper than 300/,
  ],
  [
    'calls the next one twice',
    `${Array.from({ length: 60 }, (_, n) => `{{ define "${n}" }}${`{{ template "${n + 1}" }}`.repeat(2)}{{ end }}`).join('')}{{ define "60" }}{{ end }}{{ template "0" }}`,
    /more than \d+ (steps|ms)/,
  ],
  [
    'writes ten times as much as the next one',
    `${Array.from({ length: 9 }, (_, n) => `{{ define "${n}" }}${`{{ template "${n + 1}" }}`.repeat(10)}{{ end }}`).join('')}{{ define "9" }}${'x'.repeat(1000)}{{ end }}{{ template "0" }}`,
    /a text of \d+ characters/,
  ],
])('a template that %s stays within its budget', (_, source, says) => {
  const start = performance.now()
  expect(() => render(source)).toThrow(says)
  expect(performance.now() - start).toBeLessThan(2500)
})

const chat = (source: string, ...texts: string[]) => {
  const messages = texts.map((content, n) => ({ role: n % 2 ? ('assistant' as const) : ('user' as const), content }))
  return new OllamaTemplate(source).render(checkMessages(messages), [], texts.join('').length).value
}

test('a chat uses named templates: each message by one, or each exchange', () => {
  const each = '{{ define "m" }}<{{ .Role }}>{{ .Content }}</>{{ end }}{{ range .Messages }}{{ template "m" . }}{{ end }}'
  expect(chat(each, 'a', 'b', 'c')).toBe('<user>a</><assistant>b</><user>c</>')
  const exchange = '{{ define "u" }}[{{ . }}]{{ end }}{{ template "u" .Prompt }}'
  expect(chat(exchange, 'a', 'b', 'c')).toBe('[a]b[c]')
  // A template that takes the messages is known by its parts, too.
  expect(chat('{{ define "all" }}{{ len .Messages }}{{ end }}{{ template "all" . }}', 'a', 'b', 'c')).toBe('3')
})

test.each([
  '{{ define "a" }}{{ .Response }}</s>{{ end }}[{{ .Prompt }}]{{ template "a" . }}!',
  '{{ define "a" }}{{ . }}{{ end }}[{{ .Prompt }}]{{ template "a" .Response }}</s>!',
  '[{{ .Prompt }}]{{ block "a" . }}{{ if true }}{{ .Response }}{{ end }}</s>{{ end }}!',
])('%s ends where the answer goes', (source) => {
  expect(chat(source, 'a', 'b', 'c')).toBe('[a]b</s>![c]')
})
