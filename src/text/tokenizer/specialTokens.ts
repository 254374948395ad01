// Finds the texts of special tokens in a text: the left-most first, the longest where several begin at one place, as
// SentencePiece and Hugging Face's tokenizers do. Does not decide which tokens are special.

export class SpecialTokens {
  readonly #ids = new Map<string, number>()
  /** From the first UTF-16 unit of special tokens to their lengths, longest first. */
  readonly #lengths = new Map<number, number[]>()

  /** Adds a token, but none without a text. Of two tokens with one text, the first counts. */
  add(text: string, id: number): void {
    if (text === '' || this.#ids.has(text)) return
    this.#ids.set(text, id)
    const first = text.charCodeAt(0)
    const lengths = this.#lengths.get(first) ?? []
    if (!lengths.includes(text.length))
      this.#lengths.set(
        first,
        [...lengths, text.length].sort((a, b) => b - a),
      )
  }

  /** The texts that are found. */
  get texts(): string[] {
    return [...this.#ids.keys()]
  }

  /** Splits a text into plain texts, never empty, and ids. */
  split(text: string): (string | number)[] {
    const parts: (string | number)[] = []
    let start = 0
    if (this.#ids.size > 0) {
      for (let at = 0; at < text.length; ) {
        const found = this.#at(text, at)
        if (found === undefined) {
          at++
          continue
        }
        if (at > start) parts.push(text.slice(start, at))
        parts.push(found.id)
        at += found.length
        start = at
      }
    }
    if (start < text.length) parts.push(text.slice(start))
    return parts
  }

  #at(text: string, at: number): { id: number; length: number } | undefined {
    for (const length of this.#lengths.get(text.charCodeAt(at)) ?? []) {
      const id = this.#ids.get(text.slice(at, at + length))
      if (id !== undefined) return { id, length }
    }
    return undefined
  }
}
