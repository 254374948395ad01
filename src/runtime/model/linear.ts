// A packed matrix as one thread sees it: multiplies some of its rows with some tokens. Owns the choice of kernels. Does
// not know what the matrix is for, nor which thread multiplies the other rows.

import type { ActivationKind } from '../../format/quants/activations.js'
import { hasWideVectors } from '../kernels/compile.js'
import { packings } from '../kernels/packing.js'
import type { Bank } from '../weights/bank.js'
import type { PlacedMatrix } from '../weights/bankLayout.js'

export class Linear {
  readonly bankIndex: number
  readonly bank: Bank
  /** The activation format of its inputs. */
  readonly kind: ActivationKind
  /** Groups of four rows. */
  readonly groups: number
  readonly columns: number
  /** Address of the first group in the bank. */
  readonly at: number
  readonly #blocks: number
  readonly #groupBytes: number
  readonly #x1
  readonly #x2
  readonly #x4
  /** Whether x4 does not wait for memory little enough to read it itself. */
  readonly #fetches
  readonly #waits: boolean

  constructor(banks: readonly Bank[], matrix: PlacedMatrix) {
    const packing = packings[matrix.packing]!
    this.bankIndex = matrix.bank
    this.bank = banks[matrix.bank]!
    this.kind = packing.activation
    this.groups = Math.ceil(matrix.rows / 4)
    this.columns = matrix.columns
    this.at = matrix.at
    this.#blocks = matrix.columns / packing.blockWeights
    this.#groupBytes = packing.groupBytes(this.#blocks)
    this.#x1 = packing.x1(this.bank.kernels)
    this.#x2 = packing.x2(this.bank.kernels)
    const wide = hasWideVectors()
    const tall = wide ? packing.tall(this.bank.kernels) : undefined
    this.#x4 = tall ?? packing.x4(this.bank.kernels)
    this.#fetches = !tall || packing.tallReadsTwice
    this.#waits = packing.waits === 'anywhere' || (wide && packing.waits === 'wide')
  }

  /**
   * Multiplies rows first * 4 .. (first + groups) * 4 - 1 with `count` tokens. inputs: addresses of the tokens'
   * activation rows; outputs: addresses of the tokens' results for row first * 4. A token's result does not depend on
   * the others.
   */
  multiply(first: number, groups: number, inputs: ArrayLike<number>, outputs: ArrayLike<number>, count: number): void {
    const weights = this.at + first * this.#groupBytes
    const blocks = this.#blocks
    const bytes = groups * this.#groupBytes
    let i = 0
    // with several tokens, products keep the core too busy to prefetch from memory: fetch the rows first
    if (count >= 4 && this.#fetches) this.bank.kernels.fetch(weights, bytes)
    else if (this.#waits) this.bank.kernels.touch(weights, bytes)
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
    if (this.#x2 && i + 2 <= count) {
      this.#x2(weights, groups, blocks, inputs[i]!, inputs[i + 1]!, outputs[i]!, outputs[i + 1]!)
      i += 2
    }
    for (; i < count; i++) this.#x1(weights, groups, blocks, inputs[i]!, outputs[i]!)
  }
}
