// The length of texts, which is checked before they become tokens: that takes the event loop's time. What no context
// could hold is refused by its bytes.

import type { MixtralModel } from '../../../text/generate/mixtralModel.js'
import type { Tokenizer } from '../../../text/tokenizer/tokenizer.js'
import { ApiError } from '../apiError.js'

type Body = Readonly<Record<string, unknown>>
type Texts = readonly string[]

/** Bytes of the longest token, by tokenizer. */
const longest = new WeakMap<Tokenizer, number>()

/** UTF-8 of texts that become tokens and no answer, or are cut to what a context holds. */
const MOST_TEXT_BYTES = 2 ** 20
/** Token ids that become a text. */
export const MOST_IDS = 2 ** 18

/** Fields whose texts make one prompt, which templates may trim. Elsewhere a text is a prompt of its own. */
const JOINED: Readonly<Record<string, readonly string[]>> = {
  '/v1/chat/completions': ['messages'],
  '/chat/completions': ['messages'],
  '/v1/responses': ['input', 'instructions'],
  '/v1/messages': ['messages', 'system'],
  '/api/chat': ['messages'],
  '/api/generate': ['prompt'],
}
const APART: Readonly<Record<string, readonly string[]>> = {
  '/v1/completions': ['prompt'],
  '/completion': ['prompt'],
  '/completions': ['prompt'],
  '/v1/embeddings': ['input'],
}
const BOUNDED: Readonly<Record<string, readonly string[]>> = {
  '/tokenize': ['content', 'prompt'],
  '/v1/messages/count_tokens': ['messages', 'system'],
  '/apply-template': ['messages'],
  '/api/embed': ['input'],
  '/api/embeddings': ['prompt'],
}

/**
 * Throws an ApiError 400 for texts that make more tokens than a context has, or are too long together for a route that
 * writes no answer.
 */
export function checkTextLength(path: string, body: Body, { tokenizer, contextLength }: MixtralModel): void {
  const bounded = bytesOf(textsIn(body, BOUNDED[path]))
  if (bounded > MOST_TEXT_BYTES) {
    throw new ApiError(400, `the text has ${bounded} bytes, expected at most ${MOST_TEXT_BYTES}`, { param: BOUNDED[path]![0]! })
  }
  const apart = textsIn(body, APART[path]).map((text) => bytesOf([text]))
  const bytes = apart.reduce((most, one) => Math.max(most, one), bytesOf(textsIn(body, JOINED[path]).map((text) => text.trim())))
  if (bytes <= contextLength) return // whatever the tokens are
  const tokens = Math.ceil((bytes - 1) / longestToken(tokenizer)) // the space at the beginning of a text may be none of it
  if (tokens <= contextLength) return
  const message = `the prompt has at least ${tokens} tokens, the context has room for ${contextLength}`
  const counts = { n_prompt_tokens: tokens, n_ctx: contextLength }
  throw new ApiError(400, message, { code: 'context_length_exceeded', counts, origin: 'CONTEXT' })
}

function textsIn(body: Body, names: readonly string[] = []): Texts {
  return names.flatMap((name) => textsOf(body[name]))
}

/** The texts of a prompt, of messages, or of their parts. */
function textsOf(value: unknown, depth = 0): Texts {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null || depth > 4) return []
  if (Array.isArray(value)) return value.flatMap((item) => (typeof item === 'number' ? [] : textsOf(item, depth + 1)))
  const { content, text } = value as Body
  return [...textsOf(content, depth + 1), ...textsOf(text, depth + 1)]
}

function bytesOf(texts: Texts): number {
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
}

function longestToken(tokenizer: Tokenizer): number {
  const known = longest.get(tokenizer)
  if (known !== undefined) return known
  let most = 4 // a character without a token
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    const { piece, type } = tokenizer.token(id)
    const isText = type === 'normal' || type === 'byte'
    most = Math.max(most, isText ? tokenizer.bytes(id).length : Buffer.byteLength(piece))
  }
  longest.set(tokenizer, most)
  return most
}
