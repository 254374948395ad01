// The chat templates of a checkpoint: chat_template.jinja and additional_chat_templates/NAME.jinja, as transformers
// writes them now, or a key of tokenizer_config.json, which may hold several under names. A file of its own goes before
// the key. Owns their keys in a GGUF file; does not interpret them.

import { limits } from '../../base/limits.js'
import type { GgufEntry } from '../../format/gguf/encodeHeader.js'
import { checkpointError } from '../../format/tensors/checkpointError.js'
import { type JsonObject, readText } from '../../format/tensors/jsonObject.js'
import type { Checkpoint } from './checkpoint.js'

const LARGEST_TEMPLATE = limits.jinja.most
const MOST_NAMED = limits.namedTemplates.most
const FOLDER = 'additional_chat_templates'
const ENDING = '.jinja'

/**
 * The metadata entries of the templates. Throws `CHECKPOINT` for a template that is not a text, and for more of them
 * than any model has.
 */
export async function chatTemplates(checkpoint: Checkpoint, tokenizerConfig: JsonObject | undefined): Promise<GgufEntry[]> {
  const path = checkpoint.path('chat_template.jinja')
  const file = path && (await readText(path, LARGEST_TEMPLATE))
  const isList = Array.isArray(tokenizerConfig?.value('chat_template'))
  const listed = isList ? listedTemplates(tokenizerConfig!) : []
  const named = new Map([...listed, ...(await filedTemplates(checkpoint))])
  const usual = file ?? named.get('default') ?? (isList ? undefined : tokenizerConfig?.string('chat_template'))
  const others = [...named].filter(([name]) => name !== 'default' && name !== '')
  const entries: GgufEntry[] = others.map(([name, template]) => [`tokenizer.chat_template.${name}`, 'string', template])
  if (others.length > 0) entries.push(['tokenizer.chat_templates', 'array<string>', others.map(([name]) => name)])
  return usual === undefined ? entries : [...entries, ['tokenizer.chat_template', 'string', usual]]
}

function listedTemplates(tokenizerConfig: JsonObject): (readonly [string, string])[] {
  return tokenizerConfig
    .objects('chat_template')!
    .map((entry) => [
      keyOf(entry.string('name') ?? entry.refuse('name', 'a name')),
      entry.string('template') ?? entry.refuse('template', 'a template'),
    ])
}

async function filedTemplates(checkpoint: Checkpoint): Promise<(readonly [string, string])[]> {
  const files = await checkpoint.filesIn(FOLDER, ENDING)
  if (files.length > MOST_NAMED) {
    throw checkpointError(checkpoint.folder, `${files.length} templates in ${FOLDER}, expected at most ${MOST_NAMED}`)
  }
  const templates: (readonly [string, string])[] = []
  for (const { name, path } of files) {
    templates.push([keyOf(name.slice(0, -ENDING.length)), await readText(path, LARGEST_TEMPLATE)])
  }
  return templates
}

/** A name as llama.cpp writes it into a key. */
function keyOf(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9]/g, '_')
}
