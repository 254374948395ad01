// Chat templates in the manner of those that models are published with, in both languages, and the control tokens that
// they write. Each is written down here in the shape that its family has.

const INST = ['[INST]', '[/INST]']
const CHATML = ['<|im_start|>', '<|im_end|>']
const LLAMA3 = ['<|begin_of_text|>', '<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>']

const each = (body, before = '{{ bos_token }}', after = '') => `${before}{% for message in messages %}${body}{% endfor %}${after}`
const turns = (user, assistant, after = '') =>
  each(`{% if message.role == 'user' %}${user}{% elif message.role == 'assistant' %}${assistant}{% endif %}`, '{{ bos_token }}', after)
const asked = (text) => `{% if add_generation_prompt %}${text}{% endif %}`

/** By family. `controls` are in the vocabulary as control tokens. */
export const jinjaTemplates = {
  'mixtral-v1': {
    controls: [],
    source: each(
      "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}" +
        "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}" +
        "{% else %}{{ message['content'] + eos_token }}{% endif %}",
    ),
  },
  'mistral-v3': {
    controls: INST,
    source: `{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"] + eos_token}}
    {%- endif %}
{%- endfor %}`,
  },
  chatml: {
    controls: CHATML,
    source: each(
      "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}",
      '',
      asked("{{ '<|im_start|>assistant\\n' }}"),
    ),
  },
  'chatml-of-lines': {
    controls: CHATML,
    source: `{% for message in messages %}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}
{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`,
  },
  llama2: {
    controls: [],
    source: turns("{{ bos_token + '[INST] ' + message.content + ' [/INST]' }}", "{{ ' ' + message.content + ' ' + eos_token }}"),
  },
  llama3: {
    controls: LLAMA3,
    source: `{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}${asked("{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}")}`,
  },
  zephyr: {
    controls: ['<|user|>', '<|assistant|>'],
    source: turns(
      "{{ '<|user|>\\n' + message['content'] + eos_token }}",
      "{{ '<|assistant|>\\n' + message['content'] + eos_token }}",
      asked("{{ '<|assistant|>' }}"),
    ),
  },
  gemma: {
    controls: ['<start_of_turn>', '<end_of_turn>'],
    source: each(
      "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}" +
        "{{ '<start_of_turn>' + role + '\\n' + message['content'] + '<end_of_turn>\\n' }}",
      '{{ bos_token }}',
      asked("{{'<start_of_turn>model\\n'}}"),
    ),
  },
  phi3: {
    controls: ['<|user|>', '<|end|>', '<|assistant|>'],
    source: each("{{ '<|' + message.role + '|>' }}\n{{ message.content + '<|end|>' }}\n", '', asked("{{ '<|assistant|>\\n' }}")),
  },
  vicuna: {
    controls: [],
    source: turns(
      "{{ 'USER: ' ~ message.content ~ ' ' }}",
      "{{ 'ASSISTANT: ' ~ message.content ~ eos_token }}",
      asked("{{ 'ASSISTANT:' }}"),
    ),
  },
  alpaca: {
    controls: [],
    source: turns(
      "{{ '### Instruction:\\n' }}{{ message['content'] }}{{ '\\n\\n' }}",
      "{{ '### Response:\\n%s\\n\\n' | format(message['content']) }}",
      asked("{{ '### Response:\\n' }}"),
    ),
  },
  deepseek: {
    controls: ['<｜User｜>', '<｜Assistant｜>'],
    source: turns(
      "{{ '<｜User｜>' + message['content'] }}",
      "{{ '<｜Assistant｜>' + message['content'] + eos_token }}",
      asked("{{ '<｜Assistant｜>' }}"),
    ),
  },
  'command-r': {
    controls: ['<|START_OF_TURN_TOKEN|>', '<|END_OF_TURN_TOKEN|>', '<|USER_TOKEN|>', '<|CHATBOT_TOKEN|>'],
    source: turns(
      "{{ '<|START_OF_TURN_TOKEN|><|USER_TOKEN|>' + message['content'] + '<|END_OF_TURN_TOKEN|>' }}",
      "{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' + message['content'] + '<|END_OF_TURN_TOKEN|>' }}",
      asked("{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}"),
    ),
  },
  openchat: {
    controls: ['<|end_of_turn|>'],
    source: each(
      "{{ 'GPT4 Correct ' + message['role'].title() + ': ' + message['content'] + '<|end_of_turn|>' }}",
      '{{ bos_token }}',
      asked("{{ 'GPT4 Correct Assistant:' }}"),
    ),
  },
  'by-a-macro': {
    controls: CHATML,
    source: `{% macro turn(role, content) %}<|im_start|>{{ role }}
{{ content }}<|im_end|>
{% endmacro %}{% for message in messages %}{{ turn(message.role, message.content) }}{% endfor %}${asked('<|im_start|>assistant\n')}`,
  },
  'by-a-namespace': {
    controls: CHATML,
    source: `{% set ns = namespace(text='') %}{% for message in messages %}{% set ns.text = ns.text ~ '<|im_start|>' ~ message.role ~ '\\n' ~ message.content ~ '<|im_end|>' %}{% endfor %}{{ ns.text }}`,
  },
  'by-lists': {
    controls: CHATML,
    source: `{{ messages | map(attribute='content') | join('<|im_end|>') }}{{ '<|im_start|>' }}`,
  },
  'by-parts': {
    controls: INST,
    source: `{% for message in messages %}{% if message.content is string %}{{ '[INST]' }}{{ message.content[:3] }}{{ message.content[3:] }}{{ '[/INST]' }}{% endif %}{% endfor %}`,
  },
}

/** Go templates as Ollama's models bring them. */
export const goTemplates = {
  'go-mixtral': { controls: INST, source: '[INST] {{ if .System }}{{ .System }} {{ end }}{{ .Prompt }} [/INST]' },
  'go-chatml': {
    controls: CHATML,
    source: `{{ if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}{{ if .Prompt }}<|im_start|>user
{{ .Prompt }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ .Response }}<|im_end|>
`,
  },
  'go-llama3': {
    controls: LLAMA3,
    source: `{{- range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>

{{ .Content }}<|eot_id|>{{- end }}<|start_header_id|>assistant<|end_header_id|>

`,
  },
  'go-mixtral-8x22b': {
    controls: INST,
    source: `{{- range $index, $_ := .Messages }}
{{- if eq .Role "user" }}[INST] {{ if and (eq (len (slice $.Messages $index)) 1) $.System }}{{ $.System }}

{{ end }}{{ .Content }}[/INST]
{{- else if eq .Role "assistant" }}
{{- if .Content }} {{ .Content }}</s>
{{- end }}
{{- end }}
{{- end }}`,
  },
  'go-gemma': {
    controls: ['<start_of_turn>', '<end_of_turn>'],
    source: `{{- range $i, $_ := .Messages }}
{{- if eq .Role "user" }}<start_of_turn>user
{{ .Content }}<end_of_turn>
<start_of_turn>model
{{ else }}{{ .Content }}<end_of_turn>
{{ end }}{{ end }}`,
  },
  'go-printf': { controls: CHATML, source: `{{ range .Messages }}{{ printf "<|im_start|>%s\\n%s<|im_end|>" .Role .Content }}{{ end }}` },
}
