// Oddities of templates that models of this family are published with, each in the manner of the published one, as
// users have met them in other programs.

import { describe, expect, test } from 'vitest'
import type { ChatMessage } from '../../../dist/text/chat/chatMessages.js'
import { ChatTemplate } from '../../../dist/text/chat/chatTemplate.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { checkTools } from '../../../dist/text/tools/toolDefinitions.js'
import { mistralMetadata } from '../tokenizer/vocabularies.js'
import { chatml, mistralV3 } from './toolTemplates.js'

const mistral = Tokenizer.fromGgufMetadata(mistralMetadata())
const jinja = (source: string, tokenizer = mistral) =>
  ChatTemplate.fromGgufMetadata(new Map([['tokenizer.chat_template', source]]), tokenizer)
const user = (content: string): ChatMessage => ({ role: 'user', content })
const assistant = (content: string): ChatMessage => ({ role: 'assistant', content })
const system = (content: string): ChatMessage => ({ role: 'system', content })
const { tools } = checkTools({
  tools: [{ type: 'function', function: { name: 'get', description: 'Gets.', parameters: { type: 'object', properties: { a: {} } } } }],
})!
const calls = (text: string): ChatMessage => ({
  role: 'assistant',
  content: null,
  tool_calls: [{ id: 'chatcmpl-tool-0123456789abcdef', type: 'function', function: { name: 'get', arguments: text } }],
})

/** 8x7B's since 2024: a space before each question, a system message in the first one. */
const SPACED = `{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('roles must alternate') }}
    {%- endif %}
    {%- if message["role"] == "user" %}
        {%- if loop.first and system_message is defined %}
            {{- " [INST] " + system_message + "\\n\\n" + message["content"] + " [/INST]" }}
        {%- else %}
            {{- " [INST] " + message["content"] + " [/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"] + eos_token}}
    {%- endif %}
{%- endfor %}`

describe('a template of 8x7B that writes a space before each question', () => {
  const part = (text: string) => mistral.encode(text, { addBos: false })
  const { bosId, eosId } = mistral

  test('gives the ids of mistral-common: one space, which is that of the tokenizer', () => {
    const { ids, folded } = jinja(SPACED).render([system('S'), user('Hi'), assistant('Yes.'), user('Why?')])
    const wanted = [bosId, ...part('[INST] S\n\nHi [/INST]'), ...part('Yes.'), eosId, ...part('[INST] Why? [/INST]')]
    expect({ ids, folded }).toEqual({ ids: wanted, folded: false })
    const older =
      "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}{% else %}{{ m.content + eos_token }}{% endif %}{% endfor %}"
    const chat = [user('Hi'), assistant('Yes.'), user('Why?')]
    expect(jinja(SPACED).render(chat).ids).toEqual(jinja(older).render(chat).ids)
  })

  test('also where BOS is the tokenizer’s, and not where a message writes it', () => {
    expect(jinja("{{ ' [INST] ' + messages[0].content + ' [/INST]' }}").render([user('Hi')]).ids).toEqual([
      bosId,
      ...part('[INST] Hi [/INST]'),
    ])
    expect(jinja('{{ bos_token + messages[0].content }}').render([user(' [INST] Hi')]).ids).toEqual([bosId, ...part(' [INST] Hi')])
  })

  test('an answer that has begun goes on behind its space', () => {
    const { ids, text } = jinja(SPACED).render([user('Hi'), assistant('The story')])
    expect(text).toBe('<s> [INST] Hi [/INST] The story')
    expect(ids).toEqual([bosId, ...part('[INST] Hi [/INST] The story')])
  })
})

test('8x22B’s first template has roles of its own for calls and results: they become texts', () => {
  const source =
    "{{bos_token}}{% set user_messages = messages | selectattr('role', 'equalto', 'user') | list %}{% for message in messages %}{% if message['role'] == 'user' %}{% if message == user_messages[-1] %}{% if tools %}{{'[AVAILABLE_TOOLS]'+ tools|string + '[/AVAILABLE_TOOLS]'}}{% endif %}{{ '[INST]' + message['content'] + '[/INST]' }}{% else %}{{ '[INST]' + message['content'] + '[/INST]' }}{% endif %}{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + ' ' + eos_token}}{% elif message['role'] == 'tool_results' %}{{'[TOOL_RESULTS]' + message['content']|string + '[/TOOL_RESULTS]'}}{% elif message['role'] == 'tool_calls' %}{{'[TOOL_CALLS]' + message['content']|string + eos_token}}{% endif %}{% endfor %}"
  const { text, format } = jinja(source, mistralV3()).render([user('Hi'), calls('{"a": 1}'), { role: 'tool', content: '7' }, user('Bye')], {
    tools,
  })
  expect(format!.texts).toBe('wrapped')
  for (const part of [
    '"name": "get", "description": "Gets."',
    '{"tool_calls": [{"name": "get", "arguments": {"a": 1}}]}',
    '{"name": "get", "content": 7}',
    'Bye[/INST]',
  ])
    expect(text).toContain(part)
})

test('arguments that come as a text are iterated as the dict that they are', () => {
  const source = `{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}{% for call in m.tool_calls or [] %}{% if call.function is defined %}{% set call = call.function %}{% endif %}<tool_call>
{{ '{"name": "' ~ call.name ~ '", "arguments": {' }}{% for name, value in call.arguments | items %}"{{ name }}": {{ value | tojson if value is not string else '"' ~ value ~ '"' }}{% if not loop.last %}, {% endif %}{% endfor %}}}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`
  const chat = [user('Hi'), calls('{"b": 1.0, "a": "x"}'), { role: 'tool', content: '7' } as const]
  const { text, format } = jinja(source, chatml()).render(chat, { tools })
  expect(text).toContain('<tool_call>\n{"name": "get", "arguments": {"b": 1.0, "a": "x"}}\n</tool_call>')
  expect(format!.texts).toBe('before')
})

test('a template that asks whether a prompt for an answer is wanted is told', () => {
  const source =
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
  const template = jinja(source, chatml())
  expect(template.render([user('Hi')]).text).toBe('<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n')
  expect(template.render([user('Hi')], { addGenerationPrompt: false }).text).toBe('<|im_start|>user\nHi<|im_end|>\n')
})

describe("Ollama's template of Mistral, whose tools and system message stand in the last question", () => {
  const source = `{{- range $index, $_ := .Messages }}
{{- if eq .Role "user" }}
{{- if and (eq (len (slice $.Messages $index)) 1) $.Tools }}[AVAILABLE_TOOLS] {{ $.Tools }}[/AVAILABLE_TOOLS]
{{- end }}[INST] {{ if and (eq (len (slice $.Messages $index)) 1) $.System }}{{ $.System }}

{{ end }}{{ .Content }}[/INST]
{{- else if eq .Role "assistant" }}
{{- if .Content }} {{ .Content }}</s>
{{- else if .ToolCalls }}[TOOL_CALLS] [
{{- range .ToolCalls }}{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}
{{- end }}]</s>
{{- end }}
{{- else if eq .Role "tool" }}[TOOL_RESULTS] {"content": {{ .Content }}} [/TOOL_RESULTS]
{{- end }}
{{- end }}`
  const template = ChatTemplate.fromOllama(source, mistralV3())

  test('an answer that has begun does not cost the system message', () => {
    expect(template.render([system('S'), user('Hi'), assistant('The')])).toMatchObject({ text: '[INST] S\n\nHi[/INST] The', folded: true })
    expect(template.render([system('S'), user('Hi')])).toMatchObject({ text: '[INST] S\n\nHi[/INST]', folded: false })
  })

  test('nor does a result of a tool', () => {
    const { text } = template.render([system('S'), user('Hi'), calls('{"a":1}'), { role: 'tool', content: '7' }], { tools })
    expect(text).toContain('S\n\nHi')
    expect(text).toContain('7')
  })
})

test('several system messages all reach an older template of Ollama', () => {
  const template = ChatTemplate.fromOllama('{{ if .System }}<<SYS>>{{ .System }}<</SYS>>\n\n{{ end }}[INST] {{ .Prompt }} [/INST]', mistral)
  expect(template.render([system('A'), system('B'), user('Hi')]).text).toBe('<<SYS>>A\n\nB<</SYS>>\n\n[INST] Hi [/INST]')
})
