// The check of tokens that a caller gives.

import { checkTokenList, MixtralError, shown } from '../../base/errors.js'

/** Token ids as a caller may give them: an array, or a typed array of whole numbers. */
export type TokenIds = ArrayLike<number>

/**
 * A copy of tokens, which a caller may change while a call waits or runs. Throws `OPTION` for no list of tokens,
 * `CONTEXT` when they do not fit, `TOKENIZER` for an id outside the vocabulary.
 */
export function checkTokens(tokens: TokenIds, vocabSize: number, contextLength: number): number[] {
  checkTokenList(tokens)
  const { length } = tokens
  if (!length) throw new MixtralError('OPTION', 'no tokens, expected at least one')
  checkTokenCount(length, contextLength)
  const ids: number[] = Array.from(tokens)
  const wrong = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize)
  if (wrong >= 0)
    throw new MixtralError('TOKENIZER', `token ${wrong} has id ${shown(ids[wrong])}, expected a whole number below ${vocabSize}`)
  return ids
}

/** Throws `CONTEXT` for more tokens than the context has room for. */
export function checkTokenCount(count: number, contextLength: number): void {
  if (count <= contextLength) return
  const counts = { promptTokens: count, contextLength }
  throw new MixtralError('CONTEXT', `${count} tokens, the context has room for ${contextLength}`, counts)
}
