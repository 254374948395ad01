// What a chat asks of its template: vLLM's fields, and the same inside of chat_template_kwargs, as llama-server has it.

import { z } from 'zod'
import type { ChatMessage } from '../../../text/chat/chatMessages.js'
import { badRequest, unsupported } from '../apiError.js'
import { record } from '../security/fields.js'

export const templateFields = {
  add_generation_prompt: z.boolean().nullish(),
  continue_final_message: z.boolean().nullish(),
  chat_template_kwargs: record.nullish(),
}

/** The names of the fields. */
export const TEMPLATE_FIELDS = Object.keys(templateFields)

/** What a template is given here, for others to say. All else, such as `enable_thinking`, means nothing to it. */
const OWN = ['messages', 'tools', 'documents', 'bos_token', 'eos_token']

type Fields = z.infer<z.ZodObject<typeof templateFields>>

/**
 * Whether the prompt asks for an answer, or is a conversation that is over. A last message of the assistant goes on,
 * unless the prompt is to ask for none. Throws an ApiError 400.
 */
export function asksForAnswer({ chat_template_kwargs: kwargs, ...fields }: Fields, messages: readonly ChatMessage[]): boolean {
  const refused = OWN.find((name) => kwargs?.[name] !== undefined && kwargs[name] !== null)
  if (refused !== undefined) throw unsupported(`chat_template_kwargs.${refused} is not supported`, `chat_template_kwargs.${refused}`)
  const given = (name: 'add_generation_prompt' | 'continue_final_message') => {
    const value = fields[name] ?? kwargs?.[name] ?? undefined
    if (value === undefined || typeof value === 'boolean') return value
    throw badRequest(`chat_template_kwargs.${name}: expected true or false`, `chat_template_kwargs.${name}`)
  }
  const continues = given('continue_final_message') ?? false
  if (continues && messages.at(-1)?.role !== 'assistant') {
    throw badRequest("continue_final_message is true, but the last message is not the assistant's", 'continue_final_message')
  }
  return continues || (given('add_generation_prompt') ?? true)
}
