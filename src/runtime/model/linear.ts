// A packed matrix as one thread sees it: products of some of its rows with some tokens. Knows neither what the matrix is for nor who computes the other rows.

import type { ActivationKind } from '../../format/quants/activations.js'
import { packings } from '../kernels/packing.js'
import type { Bank } from '../weights/bank.js'
import type { PlacedMatrix } from '../weights/bankFiller.js'

export class Linear {
  readonly bankIndex: number
  readonly bank: Bank
  /** What its inputs must be. */
  readonly kind: ActivationKind
  /** Groups of four rows. */
  readonly groups: number
  readonly columns: number
  /** Of the first group in the bank. */
  readonly at: number
  readonly #blocks: number
  readonly #groupBytes: number
  readonly #x1
  readonly #x4

  constructor(banks: readonly Bank[], matrix: PlacedMatrix) {
    const packing = packings[matrix.type]!
    this.bankIndex = matrix.bank
    this.bank = banks[matrix.bank]!
    this.kind = packing.activation
    this.groups = Math.ceil(matrix.rows / 4)
    this.columns = matrix.columns
    this.at = matrix.at
    this.#blocks = matrix.columns / packing.blockWeights
    this.#groupBytes = packing.groupBytes(this.#blocks)
    this.#x1 = packing.x1(this.bank.kernels)
    this.#x4 = packing.x4(this.bank.kernels)
  }

  /**
   * Rows first * 4 .. (first + groups) * 4 for `count` tokens. inputs: each token's activation row; outputs: where that token's row first * 4 goes. A token's result
   * does not depend on how many others there are.
   */
  multiply(first: number, groups: number, inputs: ArrayLike<number>, outputs: ArrayLike<number>, count: number): void {
    const weights = this.at + first * this.#groupBytes
    const blocks = this.#blocks
    let i = 0
    // several tokens: the products keep the core too busy to fetch ahead, so the rows are fetched first
    if (count >= 4) this.bank.kernels.fetch(weights, groups * this.#groupBytes)
    for (; i + 4 <= count; i += 4) {
      this.#x4(
        weights,
        groups,
        blocks,
        inputs[i]!,
        inputs[i + 1]!,
        inputs[i + 2]!,
        inputs[i + 3]!,
        outputs[i]!,
        outputs[i + 1]!,
        outputs[i + 2]!,
        outputs[i + 3]!,
      )
    }
    for (; i < count; i++) this.#x1(weights, groups, blocks, inputs[i]!, outputs[i]!)
  }
}
