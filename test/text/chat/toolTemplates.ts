// Chat templates with tools, in the manner of those in the wild, and vocabularies that have their control tokens.

import type { GgufValue } from '../../../dist/format/gguf/gguf.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { mistralMetadata } from '../tokenizer/vocabularies.js'

/** In the manner of 8x22B's: control tokens, calls with ids of nine characters, and nothing for a text beside them. */
export const MISTRAL_V3 = `{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- else %}
                    {{- "]" }}
                {%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 9 %}
                {{- raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}
            {%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}
                {{- ", " }}
            {%- else %}
                {{- "]" + eos_token }}
            {%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool" %}
        {{- '[TOOL_RESULTS] {"content": ' + message.content|string + ", " }}
        {%- if not message.tool_call_id is defined or message.tool_call_id|length != 9 %}
            {{- raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}
        {%- endif %}
        {{- '"call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial optional system message!") }}
    {%- endif %}
{%- endfor %}`

/** In the manner of the ChatML fine-tunes: a tag around each call, which may stand behind a text. */
export const HERMES = `{%- if tools %}
    {{- '<|im_start|>system\\nYou may call functions. <tools>' }}
    {%- for tool in tools %}{{- '\\n' + (tool | tojson) }}{%- endfor %}
    {{- '\\n</tools><|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {{- '<|im_start|>tool\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content }}
        {%- for call in message.tool_calls or [] %}
            {%- if message.content or not loop.first %}{{- '\\n' }}{%- endif %}
            {{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' + (call.function.arguments | tojson) + '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}`

/** As 8x7B's: roles that alternate, no system role, no tools. */
export const MIXTRAL_V1 = `{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}`

/** In the manner of Ollama's for Mistral: no ids, and no commas between calls. */
export const OLLAMA_MISTRAL = `{{- range $index, $_ := .Messages }}
{{- if eq .Role "user" }}
{{- if and (eq (len (slice $.Messages $index)) 1) $.Tools }}[AVAILABLE_TOOLS] {{ $.Tools }}[/AVAILABLE_TOOLS]
{{- end }}[INST] {{ if and $.System (eq (len (slice $.Messages $index)) 1) }}{{ $.System }}

{{ end }}{{ .Content }}[/INST]
{{- else if eq .Role "assistant" }}
{{- if .Content }} {{ .Content }}
{{- else if .ToolCalls }}[TOOL_CALLS] [
{{- range .ToolCalls }}{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}
{{- end }}]
{{- end }}</s>
{{- else if eq .Role "tool" }}[TOOL_RESULTS] {"content": {{ .Content }}} [/TOOL_RESULTS]
{{- end }}
{{- end }}`

/** A template whose calls, one or several, are what `each` writes of `call`; texts and calls end with the end token. */
const plain = (before: string, each: string, after: string, between = '') => `{{ bos_token }}
{%- if tools %}{% for tool in tools %}{{ tool | tojson }}{% endfor %}{% endif %}
{%- for message in messages %}
    {%- if message.role == 'user' %}{{- '[INST] ' + message.content + ' [/INST]' }}
    {%- elif message.role == 'tool' %}{{- '[INST] ' + message.content + ' [/INST]' }}
    {%- elif message.tool_calls %}
        {{- '${before}' }}
        {%- for call in message.tool_calls %}{{- ${each} }}{%- if not loop.last %}{{- '${between}' }}{%- endif %}{%- endfor %}
        {{- '${after}' + eos_token }}
    {%- else %}{{- message.content + eos_token }}
    {%- endif %}
{%- endfor %}`

/** As Llama 3.1's: nothing but JSON, one call. */
export const LLAMA = plain('', `'{"name": "' + call.function.name + '", "parameters": ' + (call.function.arguments | tojson) + '}'`, '')
/** A list of calls, and nothing before it. */
export const JSON_LIST = plain(
  '[',
  `'{"name": "' + call.function.name + '", "arguments": ' + (call.function.arguments | tojson) + '}'`,
  ']',
  ', ',
)
/** The name in a tag. */
export const FUNCTION_TAG = plain('', `'<function=' + call.function.name + '>' + (call.function.arguments | tojson) + '</function>'`, '')
/** As newer ones of Mistral: a control token, and the name right behind it. */
export const MISTRAL_ARGS = plain('', `'[TOOL_CALLS]' + call.function.name + '[ARGS]' + (call.function.arguments | tojson)`, '')
/** In words. */
export const ACTION = plain('', `'Action: ' + call.function.name + '\\nInput: ' + (call.function.arguments | tojson)`, '')
/** The arguments right behind the name. */
export const NAMED = plain('>>>', `call.function.name + (call.function.arguments | tojson)`, '')

const CONTROLS = ['[INST]', '[/INST]', '[TOOL_CALLS]', '[AVAILABLE_TOOLS]', '[/AVAILABLE_TOOLS]', '[TOOL_RESULTS]', '[/TOOL_RESULTS]']

/** Mistral's vocabulary of its third version: the control tokens of tools behind those that there were. */
export function mistralV3(): Tokenizer {
  return withControls(CONTROLS)
}

/** Mistral's vocabulary with ChatML's tokens, as fine-tunes have it. */
export function chatml(...more: readonly string[]): Tokenizer {
  return withControls(['<|im_start|>', '<|im_end|>', ...more], { 'tokenizer.ggml.eot_token_id': 32001 })
}

function withControls(texts: readonly string[], extra: Record<string, GgufValue> = {}): Tokenizer {
  const metadata = mistralMetadata()
  const list = (key: string) => metadata.get(`tokenizer.ggml.${key}`) as readonly unknown[]
  metadata.set('tokenizer.ggml.tokens', [...list('tokens'), ...texts] as GgufValue)
  metadata.set('tokenizer.ggml.scores', [...list('scores'), ...texts.map(() => 0)] as GgufValue)
  metadata.set('tokenizer.ggml.token_type', [...list('token_type'), ...texts.map(() => 3)] as GgufValue)
  for (const [key, value] of Object.entries(extra)) metadata.set(key, value)
  return Tokenizer.fromGgufMetadata(metadata)
}
