// Conversations as trees of messages: an edit or another answer is a sibling, and what is seen is one path from the
// first message to the last. All functions are pure: they return a new conversation. Knows neither server nor storage.

export type Finish = 'stop' | 'length' | 'stopped' | 'failed' | 'tool_calls'

/** How an answer came about. */
export interface AnswerFigures {
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly completionTokens: number
  /** Until the first token. */
  readonly waitSeconds: number
  /** From the first token to the last. */
  readonly writeSeconds: number
}

export interface Message {
  readonly id: string
  /** Null for the first one. */
  readonly parent: string | null
  readonly role: 'user' | 'assistant'
  readonly content: string
  readonly created: number
  readonly model?: string
  readonly finish?: Finish
  readonly error?: string
  readonly figures?: AnswerFigures
  /** The answer is JSON by a schema. */
  readonly json?: boolean
}

export interface Conversation {
  readonly id: string
  readonly title: string
  readonly created: number
  readonly updated: number
  readonly system: string
  /** A JSON schema that answers follow, or an empty text. */
  readonly schema: string
  /** In the order in which they were made: a parent stands before its children. */
  readonly messages: readonly Message[]
  /** Of each message the child that is seen, where it is not the newest; '' has the first messages. */
  readonly chosen: Readonly<Record<string, string>>
}

const TITLE_LENGTH = 60

export function newId(): string {
  return crypto.randomUUID()
}

export function newConversation(now: number): Conversation {
  return { id: newId(), title: '', created: now, updated: now, system: '', schema: '', messages: [], chosen: {} }
}

export function childrenOf({ messages }: Conversation, parent: string | null): readonly Message[] {
  return messages.filter((message) => message.parent === parent)
}

/** What is seen: from the first message to a leaf. */
export function pathOf(conversation: Conversation): readonly Message[] {
  const children = new Map<string | null, Message[]>()
  for (const message of conversation.messages) {
    const siblings = children.get(message.parent)
    if (siblings) siblings.push(message)
    else children.set(message.parent, [message])
  }
  const path: Message[] = []
  for (let parent: string | null = null; ; ) {
    const siblings = children.get(parent)
    if (!siblings) return path
    const chosen = conversation.chosen[parent ?? '']
    const next: Message = siblings.find(({ id }) => id === chosen) ?? siblings.at(-1)!
    path.push(next)
    parent = next.id
  }
}

/** Adds a message, and goes to it. */
export function withMessage(conversation: Conversation, message: Message): Conversation {
  return choose({ ...conversation, messages: [...conversation.messages, message], updated: message.created }, message)
}

export function choose(conversation: Conversation, { id, parent }: Message): Conversation {
  return { ...conversation, chosen: { ...conversation.chosen, [parent ?? '']: id } }
}

export function changed(conversation: Conversation, id: string, change: Partial<Message>): Conversation {
  return { ...conversation, messages: conversation.messages.map((one) => (one.id === id ? { ...one, ...change } : one)) }
}

/** The beginning of a text, cut between words. */
export function titleOf(text: string): string {
  const line = text.trim().replace(/\s+/g, ' ')
  if (line.length <= TITLE_LENGTH) return line
  const cut = line.slice(0, TITLE_LENGTH).toWellFormed().replace('\ufffd', '')
  return `${cut.includes(' ') ? cut.slice(0, cut.lastIndexOf(' ')) : cut}…`
}
