// The formats of chats that have names, for files without a template and for those with a name in its place. The names
// are llama.cpp's.

import type { Tokenizer } from '../tokenizer/tokenizer.js'
import { PromptTokens } from './promptTokens.js'

/** Mixtral's first format. */
const MISTRAL_V1 = `{{ bos_token }}{% for message in messages %}
{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('roles must alternate: user, assistant, user, ...') }}
{% endif %}
{% if message.role == 'user' %}{{ '[INST] ' + message.content + ' [/INST]' }}{% else %}{{ ' ' + message.content | trim + eos_token }}{% endif %}
{% endfor %}`

/** That of the third vocabulary: the system text is in the last question, as in `encode_instruct` of mistral-common. */
const MISTRAL_V3 = `{{ bos_token }}{% set system = messages | selectattr('role', 'equalto', 'system') | map(attribute='content') | join('\\n\\n') %}
{% set others = messages | rejectattr('role', 'equalto', 'system') | list %}
{% set question = namespace(last=-1) %}
{% for message in others %}{% if message.role == 'user' %}{% set question.last = loop.index0 %}{% endif %}{% endfor %}
{% for message in others %}
{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('roles must alternate: user, assistant, user, ...') }}
{% endif %}
{% if message.role == 'user' %}{{ '[INST] ' }}{% if system and loop.index0 == question.last %}{{ system + '\\n\\n' }}{% endif %}{{ message.content + '[/INST]' }}{% else %}{{ ' ' + message.content | trim + eos_token }}{% endif %}
{% endfor %}`

/** Llama 2's: the system text is framed in the first question. */
const LLAMA_2 = `{% set system = messages[0].content if messages[0].role == 'system' else none %}
{% set others = messages[1:] if system is not none else messages %}
{% for message in others %}
{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('roles must alternate: user, assistant, user, ...') }}
{% endif %}
{% if message.role == 'user' %}{{ bos_token + '[INST] ' }}{% if loop.first and system is not none %}{{ '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' }}{% endif %}{{ message.content + ' [/INST]' }}{% else %}{{ ' ' + message.content | trim + ' ' + eos_token }}{% endif %}
{% endfor %}`

/** The format of models whose vocabulary has its tokens. */
const CHATML = `{% for message in messages %}
{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`

const CHATML_TOKENS = ['<|im_start|>', '<|im_end|>']

/** A template that stands for itself, or the one that is meant by a name. */
export function meantTemplate(source: string, tokenizer: Tokenizer): string {
  const name = source.trim()
  if (name === 'chatml') return CHATML
  if (name === 'mistral-v1') return MISTRAL_V1
  if (name === 'mistral-v3') return MISTRAL_V3
  if (name === 'mistral') return isThird(tokenizer) ? MISTRAL_V3 : MISTRAL_V1
  return /^llama2(-sys|-sys-bos|-sys-strip)?$/.test(name) ? LLAMA_2 : source
}

/** The template of a file without one, which its vocabulary decides, and what is said of it. */
export function usualTemplate(tokenizer: Tokenizer): { readonly source: string; readonly notes: readonly string[] } {
  if (CHATML_TOKENS.every((token) => tokenizer.specialTexts.includes(token))) {
    return { source: CHATML, notes: ["the file has no chat template; its vocabulary has ChatML's tokens, so chats are written in ChatML"] }
  }
  if (!isThird(tokenizer)) return { source: MISTRAL_V1, notes: [] }
  const note = "the file has no chat template; [INST] is a control token of its vocabulary, so chats are written in Mistral's third format"
  return { source: MISTRAL_V3, notes: [note] }
}

function isThird(tokenizer: Tokenizer): boolean {
  return new PromptTokens(tokenizer).sharesSpace
}
