// Whether two domains differ in the experts that they use, layer by layer, or only seem to: a permutation test. Tokens
// that stand together use experts together, so blocks of consecutive tokens are permuted, not tokens. Owns the blocks,
// at most MOST_BLOCKS of them: where there are more, neighbors are joined. Knows no model.

import type { Steps } from '../../base/timeSlice.js'
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

  /** (layers, experts): uses of all tokens, those of a block that is not whole, too. */
  get uses(): Float64Array {
    return sumOf(this.#blocks, this.#shape.layers * this.#shape.experts)
  }

  /** The whole blocks, of `tokens` tokens each: those of `blockTokens`, or joined to twice, four times as many. */
  whole(tokens: number): readonly Uint32Array[] {
    let blocks = this.#filled < this.#blockTokens ? this.#blocks.slice(0, -1) : this.#blocks
    for (let size = this.#blockTokens; size < tokens; size *= 2) blocks = joined(blocks)
    return blocks
  }

  /** ids: (layers, used), the experts of the next token, from `at` on. */
  add(ids: Uint16Array, at = 0): void {
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
    for (let layer = 0, i = at; layer < layers; layer++) for (let k = 0; k < used; k++, i++) block[layer * experts + ids[i]!]!++
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

/** Divergences of the same two halves in another order may differ by this. */
const ROUNDING = 1e-12

/** The difference of two domains in every layer. The seed makes the permutations. */
export function* domainDifference(a: DomainBlocks, b: DomainBlocks, shape: RoutingShape, seed = 1): Steps<LayerDifference[]> {
  const divergences = divergencesOf(a.uses, b.uses, shape)
  const tokens = Math.max(a.blockTokens, b.blockTokens) // blocks of one length can stand for each other
  const blocks = a.whole(tokens)
  const all = [...blocks, ...b.whole(tokens)]
  const ofFirst = blocks.length
  if (Math.min(ofFirst, all.length - ofFirst) < LEAST_BLOCKS) return Array.from(divergences, (divergence) => ({ divergence, p: undefined }))
  const size = shape.layers * shape.experts
  const whole = sumOf(all, size)
  const dealt = (places: readonly number[]) => {
    const first = sumOf(
      places.map((place) => all[place]!),
      size,
    )
    return divergencesOf(
      first,
      whole.map((count, i) => count - first[i]!),
      shape,
    )
  }
  const order = all.map((_, i) => i)
  const found = dealt(order.slice(0, ofFirst))
  const random = new Random(seed)
  const asFar = new Array<number>(shape.layers).fill(1) // the order that there is counts, too
  for (let n = 0; n < PERMUTATIONS; n++) {
    yield
    for (let i = 0; i < ofFirst; i++) {
      const other = i + Math.floor(random.next() * (order.length - i))
      ;[order[i], order[other]] = [order[other]!, order[i]!]
    }
    for (const [layer, divergence] of dealt(order.slice(0, ofFirst)).entries()) {
      if (divergence >= found[layer]! - ROUNDING) asFar[layer]!++
    }
  }
  return Array.from(divergences, (divergence, layer) => ({ divergence, p: asFar[layer]! / (PERMUTATIONS + 1) }))
}

/** (layers): how far uses are apart, both (layers, experts). */
function divergencesOf(a: Float64Array, b: Float64Array, { layers, experts }: RoutingShape): Float64Array {
  const of = (uses: Float64Array, layer: number) => uses.subarray(layer * experts, (layer + 1) * experts)
  return Float64Array.from({ length: layers }, (_, layer) => jensenShannon(of(a, layer), of(b, layer)))
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
