// POST /tokenize and /detokenize, for llama-server's and vLLM's clients at once: the field that holds the text tells
// which one asks.

import { z } from 'zod'
import type { MixtralModel } from '../../../text/generate/mixtralModel.js'
import { badRequest } from '../apiError.js'
import { chatPromptIds } from '../openai/chat.js'
import { checked } from '../security/body.js'
import { boundedList, MOST_MESSAGES, record, tokenIds } from '../security/fields.js'
import type { ServedModel } from '../servedModel.js'

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

/** Of a text, or as with vLLM of a chat. llama-server adds no BOS unless it is asked to, vLLM unless asked not to. */
export function tokenize(body: Record<string, unknown>, served: ServedModel): object {
  const { tokenizer, contextLength } = served.model
  const { messages, content, prompt, add_special, add_special_tokens, parse_special, with_pieces, return_token_strs } = checked(
    tokenizeFields,
    body,
  )
  const text = content ?? prompt
  if (typeof text !== 'string' && !messages) throw badRequest('no text, expected content, prompt or messages', 'content')
  const isLlama = typeof content === 'string'
  const addBos = isLlama ? (add_special ?? false) : (add_special_tokens ?? true)
  const tokens =
    typeof text !== 'string'
      ? chatPromptIds(body, served)
      : tokenizer.encode(text, { addBos: addBos && tokenizer.addBos, parseSpecial: parse_special ?? true })
  if (!isLlama) {
    const strings = return_token_strs ? tokens.map((id) => tokenizer.token(id).piece) : null
    return { count: tokens.length, max_model_len: contextLength, tokens, token_strs: strings }
  }
  return { tokens: with_pieces ? tokens.map((id) => ({ id, piece: pieceOf(tokenizer.bytes(id)) })) : tokens }
}

export function detokenize(body: Record<string, unknown>, { tokenizer }: MixtralModel): object {
  const text = tokenizer.decode(checked(detokenizeFields, body).tokens)
  return { content: text, prompt: text }
}

/** A text, or bytes where they are none. */
function pieceOf(bytes: Uint8Array): string | number[] {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return [...bytes]
  }
}
