// The chat templates of a checkpoint, from a file of their own, which transformers reads first, or a key of
// tokenizer_config.json, which may hold several under names. Owns their keys in a GGUF file; does not interpret them.

import { limits } from '../../base/limits.js'
import type { GgufEntry } from '../../format/gguf/encodeHeader.js'
import { type JsonObject, readText } from '../../format/tensors/jsonObject.js'
import type { Checkpoint } from './checkpoint.js'

const LARGEST_TEMPLATE = limits.jinja.most

/** The metadata entries of the templates. Throws `CHECKPOINT` for a template that is not a text. */
export async function chatTemplates(checkpoint: Checkpoint, tokenizerConfig: JsonObject | undefined): Promise<GgufEntry[]> {
  const path = checkpoint.path('chat_template.jinja')
  const file = path && (await readText(path, LARGEST_TEMPLATE))
  if (!Array.isArray(tokenizerConfig?.value('chat_template'))) {
    const template = file ?? tokenizerConfig?.string('chat_template')
    return template === undefined ? [] : [['tokenizer.chat_template', 'string', template]]
  }
  const named = tokenizerConfig.objects('chat_template')!.map((entry) => ({
    name: (entry.string('name') ?? entry.refuse('name', 'a name')).replaceAll(/[^A-Za-z0-9]/g, '_'),
    template: entry.string('template') ?? entry.refuse('template', 'a template'),
  }))
  const others = [...new Map(named.map(({ name, template }) => [name, template]))].filter(([name]) => name !== 'default' && name !== '')
  const entries: GgufEntry[] = others.map(([name, template]) => [`tokenizer.chat_template.${name}`, 'string', template])
  if (others.length > 0) entries.push(['tokenizer.chat_templates', 'array<string>', others.map(([name]) => name)])
  const usual = file ?? named.find(({ name }) => name === 'default')?.template
  return usual === undefined ? entries : [...entries, ['tokenizer.chat_template', 'string', usual]]
}
