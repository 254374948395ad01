// Constraints that have been compiled for a vocabulary: a server is asked for the same few again and again, and what a
// constraint has learned of masks serves all who follow it. Owns what is kept, and for how long.

import { Constraint } from '../constraint/constraint.js'
import type { ConstraintSpec } from '../constraint/language.js'
import { TokenTrie } from '../constraint/tokenTrie.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'

/** The last constraints by their texts. Each keeps masks of some megabytes at most. */
const MOST_KEPT = 8
/** Longer ones are rarely asked for again, and cost what a short one's masks do. */
const LONGEST_KEPT = 100_000

export class CompiledConstraints {
  readonly #trie: TokenTrie
  /** By the text of the specification; the one that was asked for last is the last. */
  readonly #byText = new Map<string, Constraint>()
  /** Those that are no text: a language that is put together for one call. */
  readonly #bySpec = new WeakMap<ConstraintSpec, Constraint>()

  constructor(tokenizer: Tokenizer) {
    this.#trie = new TokenTrie(tokenizer)
  }

  /** Throws what the constructor of a `Constraint` throws. */
  of(spec: ConstraintSpec): Constraint {
    const text = 'compose' in spec ? undefined : JSON.stringify(spec)
    const constraint = this.#bySpec.get(spec) ?? (text ? this.#byText.get(text) : undefined) ?? new Constraint(spec, this.#trie)
    this.#bySpec.set(spec, constraint)
    if (text && text.length <= LONGEST_KEPT) {
      this.#byText.delete(text)
      this.#byText.set(text, constraint)
      if (this.#byText.size > MOST_KEPT) this.#byText.delete(this.#byText.keys().next().value!)
    }
    return constraint
  }
}
