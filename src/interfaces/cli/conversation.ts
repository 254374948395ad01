// The conversation of `mixtral chat`: system message, turns, branches, and how it is saved and loaded. Knows the slash
// commands that change it; does not know how lines are read or answers made.

import { MixtralError } from '../../base/errors.js'
import type { ChatMessage } from '../../text/chat/chatMessages.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import type { ToolDefinition } from '../../text/tools/toolDefinitions.js'

export const conversationHelp = `/undo           take back the last message and its answer
/fork           go on in a copy of the conversation; /fork N goes to branch N
/save FILE      save the conversation, with what the model has computed of it
/load FILE      go on with a saved conversation
/forget         forget the oldest message and its answer
/clear          forget the conversation
/system TEXT    set the system message, or without TEXT none; forgets the conversation
`

interface Branch {
  /** An empty one stands in place of that which the model brings. */
  readonly system: string | undefined
  turns: ChatMessage[]
}

export class Conversation {
  readonly #model: MixtralModel
  readonly #branches: Branch[]
  /** They are part of the prompt, and so of what has been computed. */
  readonly #tools: readonly ToolDefinition[]
  #current = 0

  constructor(model: MixtralModel, system: string | undefined, tools: readonly ToolDefinition[] = []) {
    this.#model = model
    this.#tools = tools
    this.#branches = [{ system, turns: [] }]
  }

  /** The messages so far, and one more of the user. */
  with(question: ChatMessage): ChatMessage[] {
    return [...this.#messages(), question]
  }

  add(question: ChatMessage, answers: readonly ChatMessage[]): void {
    this.#branch.turns.push(question, ...answers)
  }

  /**
   * Obeys a slash command. Returns what to tell the user; undefined if there is no such command. Throws what saving and
   * loading throw.
   */
  async obey(command: string, rest: string): Promise<string | undefined> {
    const commands: Record<string, () => string | Promise<string>> = {
      '/undo': () => this.#undo(),
      '/fork': () => this.#fork(rest),
      '/save': () => this.#save(rest),
      '/load': () => this.#load(rest),
      '/forget': () => (this.forgetOldest() ? 'forgot the oldest message' : 'there is nothing to forget'),
      '/clear': () => this.#begin(this.#branch.system),
      '/system': () => this.#begin(rest),
    }
    return Object.hasOwn(commands, command) ? commands[command]!() : undefined
  }

  /** Forgets the first message with its answer. Returns whether there was one. */
  forgetOldest(): boolean {
    const { turns } = this.#branch
    const second = turns.findIndex(({ role }, i) => i > 0 && role === 'user')
    return turns.splice(0, second < 0 ? turns.length : second).length > 0
  }

  get #branch(): Branch {
    return this.#branches[this.#current]!
  }

  #messages(): ChatMessage[] {
    const { system, turns } = this.#branch
    return [...(system === undefined ? [] : [{ role: 'system', content: system } as const]), ...turns]
  }

  #begin(system: string | undefined): string {
    this.#branches[this.#current] = { system, turns: [] }
    return ''
  }

  #undo(): string {
    const { turns } = this.#branch
    const last = turns.findLastIndex(({ role }) => role === 'user')
    if (last < 0) return 'there is nothing to take back'
    const [question] = turns.splice(last)
    return `took back: ${question!.content}`
  }

  #fork(rest: string): string {
    const number = /^\d+$/.test(rest) ? Number(rest) : Number.NaN
    if (rest === '') {
      const { system, turns } = this.#branch
      this.#current = this.#branches.push({ system, turns: [...turns] }) - 1
    } else if (number >= 1 && number <= this.#branches.length) this.#current = number - 1
    else return `there is no branch ${rest}, expected 1 to ${this.#branches.length}`
    return `branch ${this.#current + 1} of ${this.#branches.length}`
  }

  async #save(path: string): Promise<string> {
    if (!path) return '/save wants a file'
    if (!this.#branch.turns.length) return 'there is nothing to save'
    const { ids } = this.#model.applyChatTemplate(this.#messages(), { tools: this.#tools, addGenerationPrompt: false })
    await this.#model.session({ ids }).save(path, { metadata: { chat: this.#branch } })
    return `saved ${ids.length} tokens`
  }

  async #load(path: string): Promise<string> {
    if (!path) return '/load wants a file'
    const { session, metadata } = await this.#model.restore(path)
    const { system, turns } = savedChat(path, metadata)
    this.#branches[this.#current] = { system, turns }
    const last = turns.findLast(({ role }) => role === 'user')
    return `${session.length} tokens; your last message was: ${last?.content ?? 'none'}`
  }
}

/** The conversation in a session's metadata. Throws `SESSION` if there is none: another program's session. */
function savedChat(path: string, metadata: unknown): Branch {
  const { chat } = (metadata ?? {}) as { readonly chat?: Partial<Branch> }
  const isMessage = (message: unknown) => typeof message === 'object' && message !== null && 'role' in message
  const isSystem = chat?.system === undefined || typeof chat.system === 'string'
  if (isSystem && Array.isArray(chat?.turns) && chat.turns.every(isMessage)) {
    return { system: chat.system, turns: chat.turns }
  }
  throw new MixtralError('SESSION', `${path}: a session without a conversation of mixtral chat`)
}
