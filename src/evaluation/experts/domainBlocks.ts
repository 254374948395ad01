// Whether two domains differ in the experts that they use, layer by layer, or only seem to: a permutation test. Tokens
// that stand together use experts together, so blocks of consecutive tokens are permuted, not tokens. Owns the blocks,
// at most MOST_BLOCKS of them: where there are more, neighbors are joined. Knows no model.

import { Random } from '../../runtime/sampler/random.js'
import { jensenShannon } from './loadBalance.js'
import type { RoutingShape } from './routingCounts.js'

/** Tokens of a block at first. */
const BLOCK_TOKENS = 64
const MOST_BLOCKS = 512
/** Permutations of a test: the least p-value is 1 / (PERMUTATIONS + 1). */
const PERMUTATIONS = 999
/** Fewer blocks of a domain can show nothing. */
const LEAST_BLOCKS = 4

export class DomainBlocks {
  readonly #shape: RoutingShape
  /** (layers, experts) uses of each block. */
  #blocks: Uint32Array[] = []
  #blockTokens = BLOCK_TOKENS
  /** Tokens of the last block. */
  #filled = BLOCK_TOKENS

  constructor(shape: RoutingShape) {
    this.#shape = shape
  }

  /** Tokens of a block. */
  get blockTokens(): number {
    return this.#blockTokens
  }

  /** (layers, experts): the uses of all tokens. */
  get uses(): Float64Array {
    return sumOf(this.#blocks, this.#shape.layers * this.#shape.experts)
  }

  /** The whole blocks, of `tokens` tokens each: those of `blockTokens`, or joined to twice, four times as many. */
  whole(tokens: number): readonly Uint32Array[] {
    let blocks = this.#filled < this.#blockTokens ? this.#blocks.slice(0, -1) : this.#blocks
    for (let size = this.#blockTokens; size < tokens; size *= 2) blocks = joined(blocks)
    return blocks
  }

  /** ids: (layers, used), the experts of the next token. */
  add(ids: Uint16Array): void {
    const { layers, experts, used } = this.#shape
    if (this.#filled === this.#blockTokens) {
      if (this.#blocks.length === MOST_BLOCKS) {
        this.#blocks = joined(this.#blocks)
        this.#blockTokens *= 2
      }
      this.#blocks.push(new Uint32Array(layers * experts))
      this.#filled = 0
    }
    const block = this.#blocks.at(-1)!
    for (let layer = 0, i = 0; layer < layers; layer++) for (let k = 0; k < used; k++, i++) block[layer * experts + ids[i]!]!++
    this.#filled++
  }
}

/** How far two domains are apart in one layer. */
export interface LayerDifference {
  /** Jensen-Shannon divergence of the shares of all tokens, in nats. */
  readonly divergence: number
  /**
   * How likely blocks of one and the same kind of text are at least as far apart; undefined for texts too short to
   * say. With many layers, some p-values are small by chance.
   */
  readonly p: number | undefined
}

/** The difference of two domains in every layer. The seed makes the permutations. */
export function domainDifference(a: DomainBlocks, b: DomainBlocks, { layers, experts }: RoutingShape, seed = 1): LayerDifference[] {
  const tokens = Math.max(a.blockTokens, b.blockTokens) // blocks of one length can stand for each other
  const blocks = a.whole(tokens)
  const all = [...blocks, ...b.whole(tokens)]
  const ofFirst = blocks.length
  const tests = Math.min(ofFirst, all.length - ofFirst) >= LEAST_BLOCKS
  /** Of the uses of two domains: (layers) */
  const divergencesOf = (first: Float64Array, second: Float64Array) =>
    Array.from({ length: layers }, (_, layer) => {
      const [from, to] = [layer * experts, (layer + 1) * experts]
      return jensenShannon(first.subarray(from, to), second.subarray(from, to))
    })
  const apart = divergencesOf(a.uses, b.uses)
  if (!tests) return apart.map((divergence) => ({ divergence, p: undefined }))
  const whole = sumOf(all, layers * experts)
  const divergences = (places: readonly number[]) => {
    const first = sumOf(
      places.map((place) => all[place]!),
      layers * experts,
    )
    return divergencesOf(
      first,
      first.map((count, i) => whole[i]! - count),
    )
  }
  const order = all.map((_, i) => i)
  const found = divergences(order.slice(0, ofFirst)) // of whole blocks, as those that are dealt out
  const random = new Random(seed)
  const asFar = new Array<number>(layers).fill(1) // the order that there is counts, too
  for (let n = 0; n < PERMUTATIONS; n++) {
    for (let i = 0; i < ofFirst; i++) {
      const other = i + Math.floor(random.next() * (order.length - i))
      ;[order[i], order[other]] = [order[other]!, order[i]!]
    }
    for (const [layer, divergence] of divergences(order.slice(0, ofFirst)).entries()) if (divergence >= found[layer]!) asFar[layer]!++
  }
  return apart.map((divergence, layer) => ({ divergence, p: asFar[layer]! / (PERMUTATIONS + 1) }))
}

/** Each two neighbors as one; a last one without a neighbor is left out. */
function joined(blocks: readonly Uint32Array[]): Uint32Array[] {
  return Array.from({ length: Math.floor(blocks.length / 2) }, (_, i) => {
    const second = blocks[2 * i + 1]!
    return blocks[2 * i]!.map((count, at) => count + second[at]!)
  })
}

function sumOf(blocks: readonly Uint32Array[], size: number): Float64Array {
  const sum = new Float64Array(size)
  for (const block of blocks) for (let i = 0; i < size; i++) sum[i]! += block[i]!
  return sum
}
