// What a tokenizer.json does to a text before it merges: for a SentencePiece vocabulary, it only replaces spaces. There
// are two forms, a normalizer that replaces and a pre-tokenizer of the kind Metaspace. Owns both, and refuses
// everything else.

import { quoted } from '../../base/errors.js'
import { unsupported } from '../../format/tensors/checkpointError.js'
import type { JsonObject } from '../../format/tensors/jsonObject.js'

const SPACE = '\u2581'

/** Whether a space is put in front of a text. Throws `UNSUPPORTED` for any other preparation. */
export function readTextPreparation(json: JsonObject): boolean {
  let replaces = false
  let prefix = false
  for (const step of steps(json, 'normalizer', 'normalizers')) {
    const kind = step.string('type')
    if (kind === 'Prepend' && step.string('prepend') === SPACE) prefix = true
    else if (kind === 'Replace' && step.object('pattern')?.value('String') === ' ' && step.string('content') === SPACE) replaces = true
    else refuse(json, 'normalizer', kind)
  }
  for (const step of steps(json, 'pre_tokenizer', 'pretokenizers')) {
    const kind = step.string('type')
    if (kind !== 'Metaspace' || step.string('replacement') !== SPACE || step.boolean('split') !== false) refuse(json, 'pre_tokenizer', kind)
    replaces = true
    // A prefix for the first text only, and one for each text between special tokens, are the same thing in a GGUF
    // file.
    const scheme = step.string('prepend_scheme') ?? (step.boolean('add_prefix_space') === false ? 'never' : 'always')
    prefix ||= scheme !== 'never'
  }
  if (!replaces) refuse(json, 'normalizer', 'none that replaces spaces')
  return prefix
}

/** The steps of a pipeline: none, one, or a sequence. */
function steps(json: JsonObject, key: string, list: string): JsonObject[] {
  const step = json.object(key)
  if (!step) return []
  return step.string('type') === 'Sequence' ? (step.objects(list) ?? []) : [step]
}

function refuse(json: JsonObject, key: string, kind: string | undefined): never {
  const problem = `${quoted(kind ?? 'unknown')}, expected what SentencePiece does: spaces become ${SPACE}, and nothing else changes`
  throw unsupported(json.file, problem, `key "${key}"`)
}
