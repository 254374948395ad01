// What adapters add to the products of matrices with one input, as one thread computes it: A x of each row that has an
// adapter, then scale * B (A x), which is added to the product with the weights. Each in the order of the adapters, and
// of a row without one nothing is touched: its bits are those of the model alone. Does not know what the matrices are
// for.

import type { LowAreas, PlacedChange } from '../adapters/placedAdapters.js'
import { rowAt } from '../weights/scratch.js'
import { Linear } from './linear.js'
import type { StepRows } from './step.js'
import type { Thread } from './thread.js'

interface Change {
  readonly adapter: number
  readonly scale: number
  readonly a: Linear
  readonly b: Linear
  /** The place of A x in a row of the area. */
  readonly offset: number
}

/** Rows that are multiplied at a time: their products fit the thread's scratch in a bank of adapters. */
const TOGETHER = 32

export class LowRankProducts {
  readonly #thread: Thread
  readonly #low: LowAreas[keyof LowAreas]
  /** By matrix. */
  readonly #matrices: readonly (readonly Change[])[]
  readonly #all: readonly Change[]
  readonly #rows = new Int32Array(TOGETHER)
  readonly #inputs = new Int32Array(TOGETHER)
  readonly #outputs = new Int32Array(TOGETHER)

  /** matrices: the changes of each matrix that is multiplied with the input, undefined for none. */
  constructor(thread: Thread, low: LowAreas[keyof LowAreas], matrices: readonly (readonly PlacedChange[] | undefined)[]) {
    this.#thread = thread
    this.#low = low
    let offset = 0
    this.#matrices = matrices.map((changes = []) =>
      changes.map(({ adapter, scale, a, b }) => {
        const change = { adapter, scale, a: new Linear(thread.banks, a), b: new Linear(thread.banks, b), offset }
        offset += change.a.groups * 16
        return change
      }),
    )
    this.#all = this.#matrices.flat()
  }

  /** Whether a step has rows with an adapter that changes one of the matrices. */
  isIn({ scales }: StepRows): boolean {
    return scales !== undefined && this.#all.length > 0
  }

  /** Computes A x of a row's input, float32 at `at` in the bank `from`, to the area's row `place`. */
  lower(step: StepRows, row: number, place: number, from: number, at: number, bytes: number): void {
    let there = -1
    for (const { adapter, a, offset } of this.#all) {
      if (scaleOf(step, row, adapter) === 0) continue
      if (there !== a.bankIndex) this.#thread.copy(from, a.bankIndex, at, bytes)
      there = a.bankIndex
      a.multiply(0, a.groups, [at], [rowAt(this.#low, place) + offset], 1)
    }
  }

  /**
   * Adds to the products of a matrix: its rows first * 4 .. (first + groups) * 4 - 1, of `count` rows of the step.
   * rowOf, placeOf: a row's number in the step, and in the area; outputs: the addresses of its products in `floats`.
   */
  add(
    step: StepRows,
    which: number,
    { first, groups, count }: { readonly first: number; readonly groups: number; readonly count: number },
    rowOf: (i: number) => number,
    placeOf: (i: number) => number,
    outputs: ArrayLike<number>,
    floats: Float32Array,
  ): void {
    const { privateAt, banks } = this.#thread
    for (const { adapter, scale, b, offset } of this.#matrices[which]!) {
      const products = banks[b.bankIndex]!.floats
      for (let i = 0; i < count; ) {
        let taken = 0
        for (; i < count && taken < TOGETHER; i++) {
          if (scaleOf(step, rowOf(i), adapter) === 0) continue
          this.#rows[taken] = i
          this.#inputs[taken] = rowAt(this.#low, placeOf(i)) + offset
          this.#outputs[taken] = privateAt + taken * groups * 16
          taken++
        }
        if (taken > 0) b.multiply(first, groups, this.#inputs, this.#outputs, taken)
        for (let n = 0; n < taken; n++) {
          const by = scale * scaleOf(step, rowOf(this.#rows[n]!), adapter)
          const from = this.#outputs[n]! / 4
          const to = outputs[this.#rows[n]!]! / 4
          for (let k = 0; k < groups * 4; k++) floats[to + k]! += by * products[from + k]!
        }
      }
    }
  }
}

function scaleOf({ scales, adapters }: StepRows, row: number, adapter: number): number {
  return scales?.[row * adapters + adapter] ?? 0
}
