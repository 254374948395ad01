// The vocabulary of the file to be written: one token for each of the model's embeddings. Owns the tokens that fill it
// where a checkpoint's own vocabulary is shorter.

import { quoted } from '../../base/errors.js'
import { checkpointError } from '../../format/tensors/checkpointError.js'
import { tokenType } from '../../text/tokenizer/specialIds.js'
import type { AddedToken } from './addedTokens.js'
import type { SourceVocabulary } from './sourceVocabulary.js'

/** By id. */
export interface TokenList {
  readonly pieces: readonly string[]
  readonly scores: readonly number[]
  readonly types: readonly number[]
}

// The scores of added tokens. They are never used, since no merge gives one of these; llama.cpp's converter writes the
// same.
const ADDED_SCORE = -1000
const PADDING_SCORE = -10000

/**
 * The tokens by id. Ids without a token become unused ones, `[PAD32001]`. An added token replaces the vocabulary's
 * token of the same id. Added tokens beyond the embeddings are left out, since the model cannot tell them apart. Throws
 * `CHECKPOINT` if the vocabulary itself is larger than the embeddings.
 */
export function listTokens({ file, tokens }: SourceVocabulary, added: ReadonlyMap<number, AddedToken>, vocabSize: number): TokenList {
  if (tokens.length > vocabSize)
    throw checkpointError(file, `${tokens.length} tokens, expected at most the ${vocabSize} that the model has`)
  const pieces: string[] = []
  const scores: number[] = []
  const types: number[] = []
  for (let id = 0; id < vocabSize; id++) {
    const token = tokens[id]
    const extra = added.get(id)
    pieces.push(extra?.content ?? token?.piece ?? `[PAD${id}]`)
    scores.push(extra ? ADDED_SCORE : (token?.score ?? PADDING_SCORE))
    types.push(extra ? typeOf(extra, token) : (token?.type ?? tokenType.unused))
  }
  return { pieces, scores, types }
}

/** A control token that is named again, as `<s>` is in added_tokens.json, stays one: no text may become it. */
function typeOf({ content, special }: AddedToken, token: SourceVocabulary['tokens'][number] | undefined): number {
  const type = token?.type
  if (type === tokenType.unknown || type === tokenType.byte) return type
  if (type === tokenType.control && token!.piece === content) return type
  return special ? tokenType.control : tokenType.userDefined
}

/** The id of the token with a text. Throws `CHECKPOINT` if there is none. */
export function idOf({ pieces }: TokenList, text: string, file: string, key: string): number {
  const id = pieces.indexOf(text)
  if (id < 0) throw checkpointError(file, `${quoted(text)}, expected a token of the vocabulary`, `key "${key}"`)
  return id
}
