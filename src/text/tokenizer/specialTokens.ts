// Finds the texts of special tokens in a text: the left-most first, the longest where several begin at one place, as
// SentencePiece and Hugging Face's tokenizers do. Does not decide which tokens are special. The texts are a tree with
// the links of Aho and Corasick (1975), so that a search takes time by the length of the text only, whatever tokens a
// file has. The tree and the search go backward: where a token begins, the search then knows the longest.

import { MixtralError } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import { atOnce, type Steps } from '../../base/timeSlice.js'
import { PairMap } from './pairMap.js'

const ROOT = 0
const NONE = -1
/** Characters between two places where a search may pause. */
const PAUSE = 4096

export class SpecialTokens {
  readonly #texts = new Set<string>()
  /** From a node and a UTF-16 unit to the node below. */
  readonly #children = new PairMap()
  // Of each node: the one above, the unit on the way from there, the length of its text, the token that it is.
  readonly #parents = [ROOT]
  readonly #units = [0]
  readonly #depths = [0]
  readonly #ids = [NONE]
  /** Of each node: that of its longest end which is a node too, and the longest of its ends that is a token. */
  #links: { readonly shorter: Int32Array; readonly token: Int32Array } | undefined

  /**
   * Adds a token, but none without a text. Of two tokens with one text, the first counts. Throws a MixtralError
   * `TOKENIZER` if the texts of all are too long together.
   */
  add(text: string, id: number): void {
    if (text === '' || this.#texts.has(text)) return
    this.#texts.add(text)
    this.#links = undefined
    let node = ROOT
    for (let at = text.length - 1; at >= 0; at--) {
      const unit = text.charCodeAt(at)
      const known = this.#children.get(node, unit)
      node = known >= 0 ? known : this.#addNode(node, unit)
    }
    this.#ids[node] = id
  }

  /** The texts that are found. */
  get texts(): string[] {
    return [...this.#texts]
  }

  /** Splits a text into plain texts, never empty, and ids. */
  split(text: string): (string | number)[] {
    return atOnce(this.splitSteps(text))
  }

  /** The same as work that may pause. */
  *splitSteps(text: string): Steps<(string | number)[]> {
    const places = this.#texts.size > 0 ? yield* this.#places(text) : []
    const parts: (string | number)[] = []
    let start = 0
    for (let index = places.length - 1; index >= 0; index--) {
      const { at, node } = places[index]!
      if (at < start) continue
      if (at > start) parts.push(text.slice(start, at))
      parts.push(this.#ids[node]!)
      start = at + this.#depths[node]!
    }
    if (start < text.length) parts.push(text.slice(start))
    return parts
  }

  /** Where tokens begin, from the end, each with the longest there. */
  *#places(text: string): Steps<{ at: number; node: number }[]> {
    this.#links ??= this.#link()
    const { shorter, token } = this.#links
    const places: { at: number; node: number }[] = []
    let node = ROOT
    for (let at = text.length - 1; at >= 0; at--) {
      node = this.#below(node, text.charCodeAt(at), shorter)
      if (token[node] !== NONE) places.push({ at, node: token[node]! })
      if (at % PAUSE === 0) yield
    }
    return places
  }

  /** The node of the longest end of a node's text and a unit. */
  #below(node: number, unit: number, shorter: Int32Array): number {
    for (let from = node; ; from = shorter[from]!) {
      const below = this.#children.get(from, unit)
      if (below >= 0) return below
      if (from === ROOT) return ROOT
    }
  }

  #addNode(parent: number, unit: number): number {
    const node = this.#parents.length
    const { most, what } = limits.specialTexts
    if (node > most) throw new MixtralError('TOKENIZER', `more than ${most} ${what}`)
    this.#children.set(parent, unit, node)
    this.#parents.push(parent)
    this.#units.push(unit)
    this.#depths.push(this.#depths[parent]! + 1)
    this.#ids.push(NONE)
    return node
  }

  #link() {
    const count = this.#parents.length
    const [shorter, token] = [new Int32Array(count), new Int32Array(count).fill(NONE)]
    const byDepth: number[][] = []
    for (const [node, depth] of this.#depths.entries()) {
      byDepth[depth] ??= []
      byDepth[depth].push(node)
    }
    for (const node of byDepth.slice(1).flat()) {
      const parent = this.#parents[node]!
      if (parent !== ROOT) shorter[node] = this.#below(shorter[parent]!, this.#units[node]!, shorter)
      token[node] = this.#ids[node] === NONE ? token[shorter[node]!]! : node
    }
    return { shorter, token }
  }
}
