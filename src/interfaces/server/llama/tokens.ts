// POST /tokenize and /detokenize, for llama-server's and vLLM's clients at once: the field that holds the text tells
// which one asks.

import { z } from 'zod'
import { inSlices, type Steps } from '../../../base/timeSlice.js'
import type { MixtralModel } from '../../../text/generate/mixtralModel.js'
import { badRequest } from '../apiError.js'
import { chatPromptIds } from '../openai/chat.js'
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
export async function tokenize(body: Record<string, unknown>, served: ServedModel, { admission, exchange }: Answering): Promise<object> {
  const { tokenizer, contextLength } = served.model
  const { messages, content, prompt, add_special, add_special_tokens, parse_special, with_pieces, return_token_strs } = checked(
    tokenizeFields,
    body,
  )
  const text = content ?? prompt
  if (typeof text !== 'string' && !messages) throw badRequest('no text, expected content, prompt or messages', 'content')
  const isLlama = typeof content === 'string'
  const addBos = isLlama ? (add_special ?? false) : (add_special_tokens ?? true)
  const leave = admission.enter()
  try {
    const tokens =
      typeof text !== 'string'
        ? chatPromptIds(body, served)
        : tokenizer.encode(text, { addBos: addBos && tokenizer.addBos, parseSpecial: parse_special ?? true })
    if (!isLlama) {
      const strings = return_token_strs
        ? await inSlices(
            each(tokens, (id) => tokenizer.token(id).piece),
            exchange.signal,
          )
        : null
      return { count: tokens.length, max_model_len: contextLength, tokens, token_strs: strings }
    }
    if (!with_pieces) return { tokens }
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    const piece = (id: number) => ({ id, piece: pieceOf(tokenizer.bytes(id), decoder) })
    return { tokens: await inSlices(each(tokens, piece), exchange.signal) }
  } finally {
    leave()
  }
}

/** Throws an ApiError. */
export async function detokenize(
  body: Record<string, unknown>,
  { tokenizer }: MixtralModel,
  { admission, exchange }: Answering,
): Promise<object> {
  const { tokens } = checked(detokenizeFields, body)
  if (tokens.length > MOST_IDS) throw badRequest(`tokens has ${tokens.length} ids, expected at most ${MOST_IDS}`, 'tokens')
  const leave = admission.enter()
  try {
    const decoder = tokenizer.decoder()
    const texts = await inSlices(
      each(tokens, (id) => decoder.push(id)),
      exchange.signal,
    )
    const text = texts.join('') + decoder.end()
    return { content: text, prompt: text }
  } finally {
    leave()
  }
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
