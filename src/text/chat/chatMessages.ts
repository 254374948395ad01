// The messages of a chat: their shape, its check, and the folding of system messages for templates without a system
// role.

import { MixtralError, shown } from '../../base/errors.js'

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

const ROLES = ['system', 'user', 'assistant']

/**
 * Checks the messages and makes their contents well-formed: half a surrogate pair becomes U+FFFD. Throws a MixtralError
 * `TEMPLATE` that names the message.
 */
export function checkMessages(messages: readonly ChatMessage[]): ChatMessage[] {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new MixtralError('TEMPLATE', 'no messages, expected a list of at least one { role, content }')
  }
  return Array.from(messages, (message: Partial<ChatMessage> | null, index) => {
    const { role, content } = message ?? {}
    if (role === undefined || !ROLES.includes(role)) {
      throw new MixtralError(
        'TEMPLATE',
        `message ${index} has ${role === undefined ? 'no role' : `the role ${shown(role)}`}, expected ${ROLES.join(', ')}`,
      )
    }
    if (typeof content !== 'string') {
      throw new MixtralError('TEMPLATE', `message ${index} has a content of type ${typeof content}, expected a string`)
    }
    return { role, content: content.toWellFormed() }
  })
}

/**
 * Puts the text of all system messages before that of the first user message, as llama.cpp's built-in Mistral format
 * does. Throws `TEMPLATE` if there is no user message.
 */
export function foldSystem(messages: readonly ChatMessage[]): ChatMessage[] {
  const system = messages.filter((message) => message.role === 'system').map((message) => message.content)
  const others = messages.filter((message) => message.role !== 'system')
  const first = others.findIndex((message) => message.role === 'user')
  if (first < 0) throw new MixtralError('TEMPLATE', 'a system message without a user message, and the chat template has no system role')
  return others.map((message, index) => (index === first ? { ...message, content: [...system, message.content].join('\n\n') } : message))
}
