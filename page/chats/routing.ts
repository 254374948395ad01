// The experts that wrote an answer, token by token, in arrays that grow, with counts of their uses. Each token knows
// where its text ends in the answer. Knows nothing of how it is shown.

/** As it is stored. */
export interface StoredRouting {
  readonly layers: number
  readonly experts: number
  readonly used: number
  /** Where the text of the first token begins: what is before it was not written by the model. */
  readonly start: number
  /** (tokens, layers, used) */
  readonly ids: Uint16Array
  /** (tokens, layers, used): weights in parts of 65535. */
  readonly weights: Uint16Array
  /** (tokens): where the text of each ends, in UTF-16 units. */
  readonly ends: Uint32Array
}

const WHOLE = 65_535

export class Routing {
  readonly layers: number
  readonly experts: number
  readonly used: number
  readonly start: number
  /** (layers, experts): tokens that an expert wrote, as one of several. */
  readonly counts: Float64Array
  #length = 0
  #ids: Uint16Array
  #weights: Uint16Array
  #ends: Uint32Array

  constructor(layers: number, experts: number, used: number, start = 0) {
    this.layers = layers
    this.experts = experts
    this.used = used
    this.start = start
    this.counts = new Float64Array(layers * experts)
    this.#ids = new Uint16Array(64 * layers * used)
    this.#weights = new Uint16Array(64 * layers * used)
    this.#ends = new Uint32Array(64)
  }

  /** Throws a TypeError for arrays that do not belong together. */
  static from({ layers, experts, used, start, ids, weights, ends }: StoredRouting): Routing {
    const routing = new Routing(layers, experts, used, start)
    const numbers = ends.length * layers * used
    if (ids.length !== numbers || weights.length !== numbers) throw new TypeError('the arrays have different lengths')
    if (ends.some((end, i) => end < (ends[i - 1] ?? start))) throw new TypeError('a token ends before it begins')
    if (ids.some((id) => id >= experts)) throw new TypeError('an expert is not among the experts')
    routing.#ids = ids.slice()
    routing.#weights = weights.slice()
    routing.#ends = ends.slice()
    routing.#length = ends.length
    for (let token = 0; token < ends.length; token++) routing.#count(token)
    return routing
  }

  /** Number of tokens. */
  get length(): number {
    return this.#length
  }

  /** Adds a token: (layers, used) experts, best first, and their weights. */
  add(ids: readonly (readonly number[])[], weights: readonly (readonly number[])[], end: number): void {
    const row = this.layers * this.used
    if (this.#length === this.#ends.length) this.#grow()
    const at = this.#length * row
    for (let layer = 0; layer < this.layers; layer++) {
      for (let k = 0; k < this.used; k++) {
        this.#ids[at + layer * this.used + k] = Math.min(ids[layer]?.[k] ?? 0, this.experts - 1)
        this.#weights[at + layer * this.used + k] = Math.round((weights[layer]?.[k] ?? 0) * WHOLE)
      }
    }
    this.#ends[this.#length] = end
    this.#count(this.#length++)
  }

  /** The experts of a token in a layer, best first, with their weights. */
  at(token: number, layer: number): readonly { readonly expert: number; readonly weight: number }[] {
    const at = (token * this.layers + layer) * this.used
    return Array.from({ length: this.used }, (_, k) => ({
      expert: this.#ids[at + k]!,
      weight: this.#weights[at + k]! / WHOLE,
    }))
  }

  first(token: number, layer: number): number {
    return this.#ids[(token * this.layers + layer) * this.used]!
  }

  /** Where the text of a token stands in the answer. It is empty for a part of a character, and for the end token. */
  span(token: number): readonly [begin: number, end: number] {
    return [token === 0 ? this.start : this.#ends[token - 1]!, this.#ends[token]!]
  }

  stored(): StoredRouting {
    const { layers, experts, used, start } = this
    const numbers = this.#length * layers * used
    return {
      ...{ layers, experts, used, start },
      ids: this.#ids.slice(0, numbers),
      weights: this.#weights.slice(0, numbers),
      ends: this.#ends.slice(0, this.#length),
    }
  }

  /** The share of a layer's uses that each expert has: together 1. */
  shares(layer: number): readonly number[] {
    const uses = this.counts.subarray(layer * this.experts, (layer + 1) * this.experts)
    const all = uses.reduce((sum, one) => sum + one, 0)
    return Array.from(uses, (one) => (all > 0 ? one / all : 0))
  }

  #count(token: number): void {
    const row = this.layers * this.used
    for (let i = 0; i < row; i++) this.counts[Math.floor(i / this.used) * this.experts + this.#ids[token * row + i]!]!++
  }

  #grow(): void {
    const twice = <T extends Uint16Array | Uint32Array>(from: T, to: T) => {
      to.set(from)
      return to
    }
    this.#ids = twice(this.#ids, new Uint16Array(this.#ids.length * 2))
    this.#weights = twice(this.#weights, new Uint16Array(this.#weights.length * 2))
    this.#ends = twice(this.#ends, new Uint32Array(this.#ends.length * 2))
  }
}

export interface Balance {
  /** The perplexity of the shares: as many experts, used alike, would be as diverse. */
  readonly effective: number
  /** The share of the most used expert beside that of even use. */
  readonly most: number
}

export function balanceOf(shares: readonly number[]): Balance {
  const entropy = shares.reduce((sum, share) => sum - (share > 0 ? share * Math.log(share) : 0), 0)
  const whole = shares.reduce((sum, share) => sum + share, 0)
  return { effective: whole > 0 ? Math.exp(entropy) : 0, most: Math.max(...shares) * shares.length }
}
