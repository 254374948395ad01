import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type ChatMessage, checkMessages } from '../../../dist/text/chat/chatMessages.js'
import { ChatTemplate } from '../../../dist/text/chat/chatTemplate.js'
import { OllamaTemplate } from '../../../dist/text/chat/ollamaTemplate.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { mistralMetadata } from '../tokenizer/vocabularies.js'

const user = (content: string): ChatMessage => ({ role: 'user', content })
const assistant = (content: string): ChatMessage => ({ role: 'assistant', content })
const system = (content: string): ChatMessage => ({ role: 'system', content })
const render = (source: string, messages: ChatMessage[]) =>
  new OllamaTemplate(source).render(checkMessages(messages), [], messages.map(({ content }) => content).join('').length).value

/** As it comes with mixtral:8x7b. */
const MIXTRAL = '[INST] {{ if .System }}{{ .System }} {{ end }}{{ .Prompt }} [/INST]'
/** As it comes with ChatML finetunes such as dolphin-mixtral. */
const CHATML = `{{ if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}{{ if .Prompt }}<|im_start|>user
{{ .Prompt }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ .Response }}<|im_end|>
`
/** As it comes with mixtral:8x22b, tools and all. */
const MIXTRAL_8X22B = `{{- range $index, $_ := .Messages }}
{{- if eq .Role "user" }}
{{- if and (le (len (slice $.Messages $index)) 2) $.Tools }}[AVAILABLE_TOOLS] {{ $.Tools }}[/AVAILABLE_TOOLS]
{{- end }}[INST] {{ if and (eq (len (slice $.Messages $index)) 1) $.System }}{{ $.System }}

{{ end }}{{ .Content }}[/INST]
{{- else if eq .Role "assistant" }}
{{- if .Content }} {{ .Content }}</s>
{{- else if .ToolCalls }}[TOOL_CALLS] [
{{- range .ToolCalls }}{"name": "{{ .Function.Name }}", "arguments": {{ json .Function.Arguments }}}
{{- end }}]</s>
{{- end }}
{{- else if eq .Role "tool" }}[TOOL_RESULTS] {"content": {{ .Content }}}[/TOOL_RESULTS]
{{- end }}
{{- end }}`

const talk = [system('S'), user('a'), assistant('b'), user('c')]

test("Mixtral's template runs once per turn", () => {
  expect(render(MIXTRAL, [user('a')])).toBe('[INST] a [/INST]')
  expect(render(MIXTRAL, talk)).toBe('[INST] S a [/INST]b[INST] c [/INST]')
})

test('a ChatML template ends where the answer goes', () => {
  expect(render(CHATML, talk)).toBe(
    '<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n' +
      '<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n',
  )
})

test('a template with .Messages gets all messages at once', () => {
  expect(render(MIXTRAL_8X22B, talk)).toBe('[INST] a[/INST] b</s>[INST] S\n\nc[/INST]')
})

test('messages of one role in a row become one', () => {
  expect(render(MIXTRAL, [user('a'), user('b')])).toBe('[INST] a\n\nb [/INST]')
})

test.each<[template: string, text: string]>([
  ['a {{- " b" }} c', 'a b c'],
  ['a {{ "b" -}} \n c', 'a bc'],
  ['a {{- /* no comment */ -}} b', 'ab'],
  ['{{/* c */}}x', 'x'],
  ['{{ if false }}a{{ else if true }}b{{ else }}c{{ end }}', 'b'],
  ['{{ if not .Prompt }}a{{ else }}c{{ end }}', 'c'],
  ['{{ with .Prompt }}<{{ . }}>{{ end }}', '<hi>'],
  ['{{ with .Nothing }}a{{ else }}b{{ end }}', 'b'],
  ['{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}', '2'],
  ['{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ end }}{{ $x }}', '1'],
  ['{{ $n := 0 }}{{ range $i, $m := .Messages }}{{ $n = $i }}{{ end }}{{ $n }}', '1'],
  ['{{ range .Messages }}{{ .Role }},{{ end }}', 'system,user,'],
  ['{{ range .Messages }}{{ .Role }}{{ break }}{{ end }}', 'system'],
  ['{{ range .Messages }}{{ if eq .Role "system" }}{{ continue }}{{ end }}{{ .Role }}{{ end }}', 'user'],
  ['{{ range .Nothing }}a{{ else }}b{{ end }}', 'b'],
  ['{{ (index .Messages 1).Role }}', 'user'],
  ['{{ .Messages | len }}', '2'],
  ['{{ if or (eq .Role "a") (and true (ne 1 2)) }}y{{ end }}{{ .Messages | len | eq 2 }}', 'ytrue'],
  ['{{ if and .Nothing (index .Nothing 5).Role }}a{{ else }}b{{ end }}', 'b'],
  ['{{ `a"b` }}{{ "\\u0041\\n" }}', 'a"bA\n'],
  ['{{ "}}" }}', '}}'],
  ['a\u00a0 {{- .Prompt -}} \u3000b', 'a\u00a0hi\u3000b'],
  ['a \t\r\n{{- .Prompt -}} \r\n\tb', 'ahib'],
  [
    '{{ printf "[%s] %d %5.2f|%-4s|%04d|%v %q %t %%" .Prompt 7 1.25 "a" 42 .Prompt "x\\"y" true }}',
    '[hi] 7  1.25|a   |0042|hi "x\\"y" true %',
  ],
  ['{{ printf "%s" }}{{ printf "%d" "a" }}', '%!s(MISSING)%!d(a)'],
  ['{{ print 1 2 "a" 3 4 }}|{{ println "a" 1 }}|', '1 2a3 4|a 1\n|'],
  ['{{ len "é😀" }}{{ slice "aé😀b" 1 3 }}{{ slice "abc" 1 }}', '6ébc'],
  ['{{ index "abc" 1 }}', '98'],
  ['{{ html "<a&b>" }}{{ urlquery "a b&c" }}', '&lt;a&amp;b&gt;a+b%26c'],
  ["{{ '\\n' }}{{ 0x10 }}{{ 1_000 }}", '1016' + '1000'],
  ['{{ "\\a\\x41\\101\\u00e9" }}', '\x07AAé'],
  ['{{ if $x := .Prompt }}{{ $x }}{{ end }}{{ with $y := .Prompt }}{{ . }}{{ $y }}{{ end }}', 'hihihi'],
  ['{{ range $i := 3 }}{{ $i }}{{ end }}', '012'],
  ['{{ json "<a>" }}', '"\\u003ca\\u003e"'],
  ['{{ len currentDate }}{{ if gt currentDate yesterdayDate }}y{{ end }}', '10y'],
  ['{{ json .Messages }}', '[{"Role":"system","Content":"S"},{"Role":"user","Content":"hi"}]'],
  // Values of different types are not equal but an error, and each differs from nil.
  [
    '{{ eq 1 1 }}{{ eq 1.5 1.5 }}{{ eq true false }}{{ eq "a" "b" "a" }}{{ eq .Nothing nil }}{{ eq .Nothing "a" }}',
    'truetruefalsetruetruefalse',
  ],
  [
    '{{ 1.0 }} {{ 1.50 }} {{ 1e6 }} {{ 123456.5 }} {{ 1e-5 }} {{ 1000000 }} {{ printf "%.1f %v" 2.0 2.0 }}',
    '1 1.5 1e+06 123456.5 1e-05 1000000 2.0 2',
  ],
  ['{{ index "abc" 2 }}{{ slice "abc" 3 }}{{ slice "abc" 1 1 }}{{ len .Nothing }}', '990'],
])('%s', (source, text) => {
  const whole = source.includes('.Messages') ? source : `${source}{{ .Response }}`
  expect(render(whole, [system('S'), user('hi')])).toBe(text)
})

test.each<[template: string, says: string]>([
  ['{{ if .Prompt }}a', '{{ if }} without its {{ end }}'],
  ['a{{ end }}', '{{ end }} without a beginning'],
  ['{{ if true }}{{ else }}{{ else }}{{ end }}', '{{ else }} without'],
  ['{{ .Prompt', 'expected }}'],
  ['{{ break }}', '{{ break }} outside of a {{ range }}'],
  ['{{ range .Nothing }}{{ else }}{{ continue }}{{ end }}', '{{ continue }} outside of a {{ range }}'],
  ['{{ range .Messages }}{{ end }}{{ break }}', '{{ break }} outside of a {{ range }}'],
  ['{{ }}', 'an empty action'],
  ['{{ # }}', '"# }}"'],
  ['{{ eq (1 }}', 'not closed'],
  ['{{ 1 | }}', 'a value is missing'],
  ['{{ template "x" }}', 'the template "x" is not defined'],
  ['{{ shell "rm" }}', 'the function shell is not supported'],
  ['{{ $x }}', '$x is not declared'],
  ['{{ lt .Prompt 1 }}', 'without an order'],
  ['{{ eq 1 "1" }}', 'incompatible types for comparison: int and string'],
  ['{{ eq "a" "b" 1 }}', 'incompatible types for comparison: string and int'],
  ['{{ ne .Prompt true }}', 'incompatible types for comparison: string and bool'],
  ['{{ eq 1 1.0 }}', 'incompatible types for comparison: int and float64'],
  ['{{ lt 1 1.0 }}', 'without an order: int and float64'],
  ['{{ lt true true }}', 'without an order: bool and bool'],
  ['{{ range .Messages }}{{ end }}{{ eq .Messages .Messages }}', 'values of the type slice'],
  ['{{ eq 1 }}', 'eq with 1 arguments, expected at least 2'],
  ['{{ ne 1 2 3 }}', 'ne with 3 arguments, expected 2'],
  ['{{ not }}', 'not with 0 arguments, expected 1'],
  ['{{ and }}', 'and with 0 arguments, expected at least 1'],
  ['{{ slice "a" 0 1 1 1 }}', 'slice with 5 arguments, expected 1 to 4'],
  ['{{ len 1 }}', 'len of a int'],
  ['{{ index "abc" 3 }}', 'index out of range: 3'],
  ['{{ index "abc" "0" }}', 'a string as an index'],
  ['{{ index "abc" 1.0 }}', 'a float64 as an index'],
  ['{{ index .Nothing 0 }}', 'index of a nil'],
  ['{{ slice "abc" 4 }}', 'index out of range: 4'],
  ['{{ slice "abc" 2 1 }}', 'invalid slice index: 2 > 1'],
  ['{{ slice .Nothing 1 }}', 'slice of a nil'],
  ['{{ range .Prompt }}{{ end }}', 'a range over a string'],
  ['{{ range true }}{{ end }}', 'a range over a bool'],
  ['{{ range 1.5 }}{{ end }}', 'a range over a float64'],
  ['{{ .constructor.name }}{{ toString 1 }}', 'toString'],
  ['{{ range .Messages }}'.repeat(60) + '{{ end }}'.repeat(60), 'nested deeper than 50'],
  ['x'.repeat(100_001), '100001 characters long'],
])('%s is refused', (source, says) => {
  expect(() => render(source, [user('hi')])).toThrow(says)
})

test('a template that makes too much is stopped', () => {
  const messages = Array.from({ length: 200 }, (_, n) => (n % 2 ? assistant('x') : user('x')))
  const nested = `${'{{ range $.Messages }}'.repeat(4)}x${'{{ end }}'.repeat(4)}`
  expect(() => render(nested, messages)).toThrow(/more than \d+ (steps|ms)/)
})

/** A variable that holds a text of `2 ** times` characters. */
const doubled = (times: number) => `{{ $x := "a" }}${'{{ $x = print $x $x }}'.repeat(times)}`

test.each<[what: string, template: string, says: RegExp]>([
  ['a doubling text that is never written', doubled(24), /a text of \d+ characters/],
  ['many long texts in variables', `${doubled(20)}${'{{ $y := print $x }}'.repeat(100)}`, /too much text in total/],
  ['many long texts as JSON', `${doubled(19)}${'{{ $y := json $x }}'.repeat(200)}`, /too much text in total/],
  ['a text of many', `${doubled(19)}{{ $y := print ${'$x '.repeat(20_000)}}}`, /too much text in total/],
  ['many long comparisons', `${doubled(20)}${'{{ if eq $x "b" }}{{ end }}'.repeat(3000)}`, /too much text in total/],
  ['a comparison with many', `${doubled(20)}{{ if eq "b" ${'$x '.repeat(20_000)}}}{{ end }}`, /too much text in total/],
  ['many long parts', `${doubled(20)}${'{{ $y := slice $x 1 }}'.repeat(100)}`, /too much text in total/],
  ['empty loops within loops', `${'{{ range $.Messages }}'.repeat(9)}${'{{ end }}'.repeat(9)}`, /more than \d+ (steps|ms)/],
])('a template with %s is refused in time', (_, source, says) => {
  const messages = Array.from({ length: 20 }, (_, n) => (n % 2 ? assistant('x') : user('x')))
  const start = performance.now()
  expect(() => render(source, messages)).toThrow(says)
  expect(performance.now() - start).toBeLessThan(5000)
})

test('all turns of a chat share one budget', () => {
  const messages = Array.from({ length: 400 }, (_, n) => (n % 2 ? assistant('x') : user('x')))
  const source = `${doubled(18)}{{ .Prompt }}{{ .Response }}`
  expect(render(source, messages.slice(0, 9))).toBe('xxxxxxxxx')
  expect(() => render(source, messages)).toThrow('too much text in total')
})

test('long chats and long messages are within bounds', () => {
  const chat = Array.from({ length: 2001 }, (_, n) => (n % 2 ? assistant('Fine.') : user('How are you? '.repeat(20))))
  for (const source of [MIXTRAL, CHATML, MIXTRAL_8X22B]) {
    expect(render(source, chat).length).toBeGreaterThan(260_000)
    expect(render(source, [user('word '.repeat(200_000))]).length).toBeGreaterThan(1_000_000)
  }
})

test('whatever a template holds, it renders or fails in good order', () => {
  const part = fc.constantFrom(' ', ...'{{ }} - if end range .Messages .Prompt $x := ( ) "a" 1 | eq text else /* */'.split(' '))
  fc.assert(
    fc.property(fc.array(part, { maxLength: 20 }), (parts) => {
      try {
        expect(typeof render(parts.join(''), [user('hi')])).toBe('string')
      } catch (error) {
        expect((error as Error).constructor.name).toMatch(/^(Error|WorkLimit)$/)
      }
    }),
    { seed: 5, numRuns: 3000 },
  )
})

const mistral = Tokenizer.fromGgufMetadata(mistralMetadata())

test('the text of a message never becomes a control token, and BOS comes first', () => {
  const { ids, text } = ChatTemplate.fromOllama('{{ .Prompt }}</s>', mistral).render([user('a</s><s>b')])
  expect(text).toBe('a</s><s>b</s>')
  expect(ids[0]).toBe(mistral.bosId)
  expect(ids.filter((id) => id === mistral.eosId)).toHaveLength(1)
  expect(ids.at(-1)).toBe(mistral.eosId)
  expect(ids.filter((id) => id === mistral.bosId)).toHaveLength(1)
})

test('a system message that the template has no place for goes into the first user message', () => {
  const { text, folded } = ChatTemplate.fromOllama('U: {{ .Prompt }}', mistral).render([system('S'), user('a')])
  expect({ text, folded }).toEqual({ text: 'U: S\n\na', folded: true })
})

test('a system message counts as taken only if it is the one that is written', () => {
  const { text, folded } = ChatTemplate.fromOllama('U: {{ .Prompt }}', mistral).render([system('a'), user('a b')])
  expect({ text, folded }).toEqual({ text: 'U: a\n\na b', folded: true })
  expect(ChatTemplate.fromOllama('{{ json .System }} U: {{ .Prompt }}', mistral).render([system('"a"'), user('b')]).folded).toBe(false)
})

test('a message never becomes a control token through printf, slices or JSON', () => {
  for (const source of [
    '{{ printf "<%s" .Prompt }}',
    '{{ slice .Prompt 1 }}',
    '{{ print "</" .Prompt }}',
    '{{ json .Prompt }}',
    '{{ printf "%q" .Prompt }}',
  ]) {
    for (const content of ['/s>', 'x</s>', 's>', '</s>']) {
      expect(ChatTemplate.fromOllama(source, mistral).render([user(content)]).ids, source).not.toContain(mistral.eosId)
    }
  }
})

test('a template that fails is a TEMPLATE error', () => {
  const template = ChatTemplate.fromOllama('{{ nonsense }}', mistral)
  expect(() => template.render([user('a')])).toThrow('the chat template failed: the function nonsense is not supported')
})

/** Pieces of templates, and some that make much of little. */
const goPiece = fc.constantFrom(
  ...'{{ }} {{- -}} if else end range with break continue .Messages .Prompt .System $ $x := = | ( ) "ab" `c` 1 -1 0x10 eq ne lt len index slice print println printf json html js urlquery and or not currentDate define template block "t" .Role .Content'.split(
    ' ',
  ),
)
const goDoubling = fc.constantFrom(
  '{{ $x = print $x $x }}',
  '{{ $x = printf "%s%s%9999s" $x $x "a" }}',
  '{{ $x = json $x }}',
  '{{ $x = html $x }}{{ $x = urlquery $x }}{{ $x = js $x }}',
  '{{ range $.Messages }}',
  '{{ range 60000 }}',
  '{{ end }}',
  '{{ $x = slice $x 1 }}{{ len $x }}{{ eq $x "a" }}',
  '{{ $x = println $x $.Messages $x }}',
  '{{ index $x 1 }}{{ json $.Messages }}',
  '{{ template "t" . }}{{ template "t" $ }}',
  '{{ template "u" print $x $x }}{{ template "u" . }}',
)

const closed = (parts: readonly string[]) =>
  `${parts.join('')}${'{{ end }}'.repeat(
    Math.max(
      0,
      parts.reduce((open, part) => open + (part.startsWith('{{ range') ? 1 : part === '{{ end }}' ? -1 : 0), 0),
    ),
  )}`

const goRuns = Number(process.env.GO_RUNS ?? 300)
test('hostile templates stay within their budget', { timeout: 60_000 + 100 * goRuns }, () => {
  const messages = Array.from({ length: 40 }, (_, n) => (n % 2 ? assistant('xé😀"<') : user('y')))
  let slowest = 0
  const defined = `{{ define "t" }}{{ range $.Messages }}{{ template "u" . }}{{ end }}{{ end }}{{ define "u" }}{{ . }}{{ template "t" . }}{{ end }}`
  const sources = fc.oneof(
    fc.array(fc.oneof(goDoubling, goPiece), { maxLength: 20 }).map((parts) => `${defined}{{ $x := "ab" }}${parts.join('')}`),
    fc
      .array(goDoubling, { maxLength: 12 })
      .map((parts) => `{{ define "t" }}{{ $x := print . }}${closed(parts)}{{ end }}{{ template "t" . }}`),
    fc.array(goPiece, { maxLength: 30 }).map((parts) => parts.join(' ')),
    fc.array(fc.oneof(goDoubling, goPiece), { maxLength: 20 }).map((parts) => `{{ $x := "ab" }}${parts.join('')}`),
    fc.array(goDoubling, { maxLength: 12 }).map((parts) => `{{ $x := "ab" }}${closed(parts)}`),
  )
  fc.assert(
    fc.property(sources, (source) => {
      const start = performance.now()
      try {
        expect(render(source, messages).length).toBeLessThan(2 ** 20 + 10_000)
      } catch (error) {
        expect((error as Error).constructor.name).toMatch(/^(Error|WorkLimit)$/)
      }
      slowest = Math.max(slowest, performance.now() - start)
    }),
    { seed: 11, numRuns: goRuns },
  )
  expect(slowest).toBeLessThan(2500)
})
