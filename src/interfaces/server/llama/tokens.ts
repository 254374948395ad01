// POST /tokenize and /detokenize, for llama-server's and vLLM's clients at once: the field that holds the text tells
// which one asks.

import { z } from 'zod'
import { inSlices, type Steps } from '../../../base/timeSlice.js'
import type { MixtralModel } from '../../../text/generate/mixtralModel.js'
import { stepsOf } from '../../../text/tokenizer/tokenizer.js'
import { badRequest } from '../apiError.js'
import { chatPrompt, checkPrompt } from '../openai/chat.js'
import { checked } from '../security/body.js'
import { boundedList, MOST_MESSAGES, record, tokenIds } from '../security/fields.js'
import { MOST_IDS } from '../security/textLength.js'
import type { ServedModel } from '../servedModel.js'
import type { Answering } from '../streams/respond.js'

export const tokenizeFields = z.object({
  content: z.string().nullish(),
  prompt: z.string().nullish(),
  messages: boundedList(record, MOST_MESSAGES).nullish(),
  tools: z.array(z.unknown()).nullish(),
  add_generation_prompt: z.boolean().nullish(),
  add_special: z.boolean().nullish(),
  add_special_tokens: z.boolean().nullish(),
  parse_special: z.boolean().nullish(),
  with_pieces: z.boolean().nullish(),
  return_token_strs: z.boolean().nullish(),
})
export const detokenizeFields = z.object({ tokens: tokenIds })

/** Of a text, or as with vLLM of a chat. llama-server adds no BOS unless it is asked to. Throws an ApiError. */
export async function tokenize(body: Record<string, unknown>, served: ServedModel, answering: Answering): Promise<object> {
  const { signal } = answering.exchange
  const { tokenizer, contextLength } = served.model
  const { content, prompt, add_special, add_special_tokens, parse_special, with_pieces, return_token_strs } = readTokenize(body)
  const text = content ?? prompt
  const isLlama = typeof content === 'string'
  const addBos = isLlama ? (add_special ?? false) : (add_special_tokens ?? true)
  const options = { addBos: addBos && tokenizer.addBos, parseSpecial: parse_special ?? true }
  const tokens =
    typeof text === 'string'
      ? await inSlices(stepsOf(tokenizer).encode(text, options), signal)
      : (await chatPrompt(body, served, answering)).ids
  if (!isLlama) {
    const pieces = each(tokens, (id) => tokenizer.token(id).piece)
    return {
      count: tokens.length,
      max_model_len: contextLength,
      tokens,
      token_strs: return_token_strs ? await inSlices(pieces, signal) : null,
    }
  }
  if (!with_pieces) return { tokens }
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const piece = (id: number) => ({ id, piece: pieceOf(tokenizer.bytes(id), decoder) })
  return { tokens: await inSlices(each(tokens, piece), signal) }
}

/** Throws an ApiError for what is wrong with a request, whatever its model is. */
export function checkTokenize(body: Record<string, unknown>): void {
  const { content, prompt } = readTokenize(body)
  if (typeof (content ?? prompt) !== 'string') checkPrompt(body)
}

function readTokenize(body: Record<string, unknown>) {
  const request = checked(tokenizeFields, body)
  const { content, prompt, messages } = request
  if (typeof (content ?? prompt) === 'string' || messages) return request
  throw badRequest('no text, expected content, prompt or messages', 'content')
}

/** Throws an ApiError. */
export async function detokenize(body: Record<string, unknown>, { tokenizer }: MixtralModel, { exchange }: Answering): Promise<object> {
  const tokens = tokensIn(body)
  const decoder = tokenizer.decoder()
  const texts = each(tokens, (id) => decoder.push(id))
  const text = (await inSlices(texts, exchange.signal)).join('') + decoder.end()
  return { content: text, prompt: text }
}

/** The ids of a request. Throws an ApiError. */
export function tokensIn(body: Record<string, unknown>): readonly number[] {
  const { tokens } = checked(detokenizeFields, body)
  if (tokens.length <= MOST_IDS) return tokens
  throw badRequest(`tokens has ${tokens.length} ids, expected at most ${MOST_IDS}`, 'tokens')
}

/** Something of each token, one after the other. */
function* each<T>(ids: readonly number[], of: (id: number) => T): Steps<T[]> {
  const all: T[] = []
  for (const [i, id] of ids.entries()) {
    all.push(of(id))
    if (i % 256 === 0) yield
  }
  return all
}

/** A text, or bytes where they are none. */
function pieceOf(bytes: Uint8Array, decoder: TextDecoder): string | number[] {
  try {
    return decoder.decode(bytes)
  } catch {
    return [...bytes]
  }
}
