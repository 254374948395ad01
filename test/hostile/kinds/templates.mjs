// Chat templates in Jinja and in Go: damaged, parsed and rendered. A template may fail; an error of JavaScript's own
// inside of an interpreter is a fault.

import { ChatTemplate } from '../../../dist/text/chat/chatTemplate.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { mutateText } from '../mutations.mjs'
import { goTemplates, jinjaTemplates } from '../templates.mjs'
import { vocabularyMetadata } from '../tinyModel.mjs'

const tokenizer = Tokenizer.fromGgufMetadata(new Map(vocabularyMetadata().map(([key, , value]) => [key, value])))
const messages = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'é😀 <s> {{ x }} "1"' },
  { role: 'assistant', content: 'a' },
  { role: 'user', content: 'b' },
]

export const jinjaWords = [
  ...['{{ messages }}', '{% for x in messages %}', '{% endfor %}', '{% if x %}', '{% else %}', '{% endif %}', '{% set x = messages %}'],
  ...['{% macro m(x, y=1) %}', '{% endmacro %}', '{{ m(m) }}', '|tojson', '|join(", ")', '|upper', '|length', '|map(attribute="role")'],
  ...['|selectattr("role", "equalto", "user")', '|sort', '|groupby("role")', '|batch(2)', '|reverse', '|list', '|replace("a", "b")'],
  ...['.__class__', '.constructor', '["__proto__"]', '.items()', '.split()', '.format(1)', '[::-1]', '[1:]', '[-1]', '~', ' * 99', ' ** 2'],
  ...[
    ' is defined',
    ' is string',
    ' in ',
    ' not ',
    'range(9)',
    'namespace(a=1)',
    'none',
    'true',
    '(',
    ')',
    '[',
    ']',
    '{',
    '}',
    '{#',
    '-%}',
  ],
  ...['loop.previtem', 'loop.cycle(1, 2)', 'dict(a=1)', '{% set ns.x = 1 %}', '%s', '"%5.3f"|format(1)', 'strftime_now("%Y")', '{% raw %}'],
  ...[
    '{% call(x) m() %}',
    '{% endcall %}',
    '{% filter upper %}',
    '{% endfilter %}',
    '{% generation %}',
    'lipsum()',
    'cycler(1)',
    'joiner()',
  ],
]
export const goWords = [
  ...[
    '{{ .Messages }}',
    '{{ range .Messages }}',
    '{{ end }}',
    '{{ if .System }}',
    '{{ else }}',
    '{{ with . }}',
    '{{ $x := . }}',
    '{{ $x }}',
  ],
  ...[
    '{{ index .Messages 0 }}',
    '{{ len . }}',
    '{{ slice .Messages 1 }}',
    '{{ json . }}',
    '{{ printf "%v %5d %q" . 1 . }}',
    '{{ eq 1 "a" }}',
  ],
  ...[
    '{{ and . . }}',
    '{{ or }}',
    '{{ not }}',
    '{{ call . }}',
    '{{ html . }}',
    '{{- ',
    ' -}}',
    '|',
    '(',
    ')',
    '.X.Y',
    '$',
    '"',
    '`',
    '{{ break }}',
  ],
  ...['{{ define "a" }}', '{{ template "a" . }}', '{{ block "a" . }}', '{{/* */}}', '{{ lt 1 . }}', '{{ print . }}', '{{ urlquery . }}'],
]

const ofLanguage = (name, templates, words, open) => ({
  name,
  share: 12,
  make: (random) => new TextEncoder().encode(mutateText(random, random.pick(Object.values(templates)).source, words, 20_000)),
  async use(bytes) {
    const template = open(new TextDecoder().decode(bytes))
    try {
      template.render(messages)
    } catch (error) {
      // The call stack of a template that nests is its own limit.
      if (error.cause instanceof TypeError || error.cause instanceof ReferenceError || error.cause instanceof SyntaxError) throw error.cause
      throw error
    }
  },
})

export const jinja = ofLanguage('jinja', jinjaTemplates, jinjaWords, (source) =>
  ChatTemplate.fromGgufMetadata(new Map([['tokenizer.chat_template', source]]), tokenizer),
)
export const go = ofLanguage('go', goTemplates, goWords, (source) => ChatTemplate.fromOllama(source, tokenizer))
