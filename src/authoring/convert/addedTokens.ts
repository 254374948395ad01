// Tokens that a checkpoint adds to its model's vocabulary: special ones, and those of finetunes. Owns which files name
// them and their order, in which a later file wins: added_tokens.json, tokenizer.json, tokenizer_config.json.

import { quoted } from '../../base/errors.js'
import type { JsonObject } from '../../format/tensors/jsonObject.js'
import { isPiece, LARGEST_VOCABULARY, LONGEST_PIECE } from './sourceVocabulary.js'

export interface AddedToken {
  readonly id: number
  readonly content: string
  /** Whether it is a control token, which no text spells. */
  readonly special: boolean
}

/** The files that name added tokens, where the checkpoint has them. */
export interface AddedTokenFiles {
  readonly addedTokens: JsonObject | undefined
  readonly tokenizerJson: JsonObject | undefined
  readonly tokenizerConfig: JsonObject | undefined
}

/** The added tokens of all files, by id. Throws `CHECKPOINT` for an impossible entry. */
export function readAddedTokens({ addedTokens, tokenizerJson, tokenizerConfig }: AddedTokenFiles): Map<number, AddedToken> {
  const tokens = new Map<number, AddedToken>()
  for (const content of addedTokens?.keys ?? []) {
    const id = addedTokens!.integer(content, 0, LARGEST_VOCABULARY - 1) ?? addedTokens!.refuse(content, 'an id')
    if (!isPiece(content)) addedTokens!.refuse(content, pieceExpected)
    tokens.set(id, { id, content, special: looksSpecial(content) })
  }
  for (const entry of tokenizerJson?.objects('added_tokens') ?? []) {
    const id = entry.integer('id', 0, LARGEST_VOCABULARY - 1) ?? entry.refuse('id', 'an id')
    tokens.set(id, readEntry(entry, id))
  }
  const decoder = tokenizerConfig?.object('added_tokens_decoder')
  for (const key of decoder?.keys ?? []) {
    if (!/^\d{1,7}$/.test(key) || Number(key) >= LARGEST_VOCABULARY)
      decoder!.refuse(key, `an id below ${LARGEST_VOCABULARY} as key, not ${quoted(key)}`)
    tokens.set(Number(key), readEntry(decoder!.object(key) ?? decoder!.refuse(key, 'an object'), Number(key)))
  }
  return tokens
}

const pieceExpected = `well-formed text, 1 to ${LONGEST_PIECE} long`

function readEntry(entry: JsonObject, id: number): AddedToken {
  const content = entry.string('content')
  if (content === undefined || !isPiece(content)) return entry.refuse('content', pieceExpected)
  return { id, content, special: (entry.boolean('special') ?? false) || looksSpecial(content) }
}

/**
 * Whether a text is a control token by its form. Some finetunes do not mark their end-of-turn tokens as special;
 * llama.cpp's converter goes by the form too.
 */
function looksSpecial(content: string): boolean {
  return content === '<pad>' || content === '<mask>' || /^<\|.*\|>$/s.test(content)
}
