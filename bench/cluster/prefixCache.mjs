// What a worker's prefix cache has: conversations, and the beginnings that those of one application have in common.
// Least recently used go first. Counts tokens, not pages.

export class PrefixCache {
  #tokens = 0
  #capacity
  #held = new Map()

  constructor(capacity) {
    this.#capacity = capacity
  }

  get tokens() {
    return this.#tokens
  }

  /** Tokens of the prompt that need not be computed; it counts as a use. */
  find({ conversation, application, beginning }) {
    const own = this.#use(conversation)
    const common = this.#use(application)
    return own > 0 ? beginning + own : common
  }

  /** Keeps the first `length` tokens of a conversation: those of its application, and its own. */
  keep({ conversation, application, beginning }, length) {
    this.#set(application, beginning)
    this.#set(conversation, Math.max(0, length - beginning))
    for (const [name, tokens] of this.#held) {
      if (this.#tokens <= this.#capacity) return
      this.#held.delete(name)
      this.#tokens -= tokens
    }
  }

  clear() {
    this.#held.clear()
    this.#tokens = 0
  }

  #use(name) {
    const tokens = this.#held.get(name)
    if (tokens === undefined) return 0
    this.#held.delete(name)
    this.#held.set(name, tokens)
    return tokens
  }

  #set(name, tokens) {
    this.#tokens += tokens - (this.#held.get(name) ?? 0)
    this.#held.delete(name)
    this.#held.set(name, tokens)
  }
}
