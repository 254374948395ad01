// The `tokenizer.*` keys of a GGUF file, from the tokenizer of a checkpoint. Owns which file decides the ids with a
// meaning and the tokens around a text: tokenizer_config.json, then config.json, then the vocabulary itself.

import path from 'node:path'
import { quoted } from '../../base/errors.js'
import type { GgufEntry } from '../../format/gguf/encodeHeader.js'
import type { JsonObject } from '../../format/tensors/jsonObject.js'
import type { TokenizerFiles } from './tokenizerFiles.js'
import { idOf, listTokens, type TokenList } from './tokenList.js'

/**
 * The metadata entries of the tokenizer. What is left out is noted. Throws `CHECKPOINT` for a special token that is in
 * no vocabulary.
 */
export function tokenizerMetadata(files: TokenizerFiles, vocabSize: number, notes: string[] = []): GgufEntry[] {
  const { vocabulary, tokenizerConfig } = files
  const beyond = [...files.added.values()].filter(({ id }) => id >= vocabSize)
  if (beyond.length > 0) {
    const named = beyond.slice(0, 5).map(({ id, content }) => `${quoted(content)} (${id})`)
    const more = beyond.length > named.length ? ` and ${beyond.length - named.length} more` : ''
    notes.push(`tokens past the model's ${vocabSize} embeddings are left out: ${named.join(', ')}${more}`)
  }
  const list = listTokens(vocabulary, files.added, vocabSize)
  const bos = specialId('bos', files, list, notes)
  const eos = specialId('eos', files, list, notes)
  const flags = {
    add_bos_token: tokenizerConfig?.boolean('add_bos_token') ?? vocabulary.addBos,
    add_eos_token: tokenizerConfig?.boolean('add_eos_token') ?? vocabulary.addEos,
    add_space_prefix: tokenizerConfig?.boolean('add_prefix_space') ?? (vocabulary.addSpacePrefix ? undefined : false),
  }
  const [eot, eom] = otherEnds(files, eos, vocabSize, notes)
  const ids = {
    ...{ bos_token_id: bos, eos_token_id: eos, eot_token_id: eot, eom_token_id: eom },
    ...{ unknown_token_id: specialId('unk', files, list, notes), padding_token_id: specialId('pad', files, list, notes) },
  }
  const entries: [string, GgufEntry[1], GgufEntry[2] | undefined][] = [
    ['model', 'string', 'llama'],
    ['pre', 'string', 'default'],
    ['tokens', 'array<string>', [...list.pieces]],
    ['scores', 'array<float32>', [...list.scores]],
    ['token_type', 'array<int32>', [...list.types]],
    ...Object.entries(ids).map(([key, id]) => [key, 'uint32', id] as [string, 'uint32', number | undefined]),
    ...Object.entries(flags).map(([key, flag]) => [key, 'bool', flag] as [string, 'bool', boolean | undefined]),
  ]
  return entries.flatMap(([key, type, value]) => (value === undefined ? [] : [[`tokenizer.ggml.${key}`, type, value] as const]))
}

const ownName = { bos: 'bos', eos: 'eos', unk: 'unknown', pad: 'padding' } as const

/** The id of a token with a meaning; undefined if no file names one. */
function specialId(
  name: keyof typeof ownName,
  { tokenizerConfig, config, vocabulary, added }: TokenizerFiles,
  list: TokenList,
  notes: string[],
): number | undefined {
  const key = `${name}_token`
  if (tokenizerConfig?.has(key)) {
    // A text, or an object with one.
    const text =
      typeof tokenizerConfig.value(key) === 'string' ? tokenizerConfig.string(key) : tokenizerConfig.object(key)?.string('content')
    const wanted = text ?? tokenizerConfig.refuse(key, 'the text of a token')
    const isBeyond = !list.pieces.includes(wanted) && [...added.values()].some(({ content }) => content === wanted)
    if (!isBeyond) return idOf(list, wanted, tokenizerConfig.file, key)
  }
  return idsIn(config, `${key}_id`, list.pieces.length, notes)[0] ?? vocabulary.special[ownName[name]]
}

/** The ids that end an answer, besides EOS. A GGUF file has room for two. */
function otherEnds({ config, generationConfig }: TokenizerFiles, eos: number | undefined, vocabSize: number, notes: string[]): number[] {
  const ends = [generationConfig, config].flatMap((json) => idsIn(json, 'eos_token_id', vocabSize, notes))
  return [...new Set(ends)].filter((id) => id !== eos).slice(0, 2)
}

/** The ids in a value that is one id or a list of them. Those that are no token of the model are ignored. */
function idsIn(json: JsonObject | undefined, key: string, vocabSize: number, notes: string[]): number[] {
  const value = json?.value(key)
  const ids = value === undefined ? [] : Array.isArray(value) ? (value as unknown[]) : [value]
  const firstBeyond = ids.find((id) => typeof id === 'number' && id >= vocabSize)
  return ids.flatMap((id) => {
    if (typeof id !== 'number' || !Number.isInteger(id)) return json!.refuse(key, `an id below ${vocabSize}`)
    // Of a list, the first is said: a note for each would be compared with all others.
    if (id >= vocabSize && id === firstBeyond)
      addNote(notes, `${key} ${id} in ${path.basename(json!.file)} is past the model's ${vocabSize} embeddings and left out`)
    return id < 0 || id >= vocabSize ? [] : [id]
  })
}

function addNote(notes: string[], note: string): void {
  if (!notes.includes(note)) notes.push(note)
}
