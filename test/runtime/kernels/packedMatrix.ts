// A matrix in a test bank, packed by the bank's own kernels, and its products.

import { packedBytes } from '../../../dist/runtime/kernels/packing.js'
import type { BlockFormat } from './blockFormats.js'
import type { Region, TestBank } from './testBank.js'

export class PackedMatrix {
  readonly format: BlockFormat
  readonly groups: number
  readonly blocks: number
  readonly region: Region
  /** What the repacking kernel returned. */
  readonly notFinite: number
  readonly #bank: TestBank

  /** `bytes`: (rows, blocks) of the format, as in a file. */
  constructor(bank: TestBank, format: BlockFormat, bytes: Uint8Array, rows: number) {
    this.#bank = bank
    this.format = format
    this.groups = Math.ceil(rows / 4)
    this.blocks = bytes.length / format.blockBytes / rows
    const source = bank.place(bytes)
    this.region = bank.reserve(packedBytes(format.name, rows, columnsOf(format, this.blocks)))
    this.notFinite = bank.call([this.region], (kernels) => format.packing.repack(kernels)(source.ptr, rows, this.blocks, this.region.ptr))
  }

  /** Groups first (even) .. first + count times one token: (count * 4) float32. */
  timesOne(x: Region, first = 0, count = this.groups): Float32Array {
    const weights = this.region.ptr + first * this.format.packing.groupBytes(this.blocks)
    const out = this.#bank.reserve(count * 16)
    this.#bank.call([out], (kernels) => this.format.packing.x1(kernels)(weights, count, this.blocks, x.ptr, out.ptr))
    return this.#bank.floats(out)
  }

  /** The whole matrix times two tokens: 2 x (groups * 4) float32; undefined if the format has no kernel for two. */
  timesTwo(x0: Region, x1: Region): Float32Array[] | undefined {
    const [out0, out1] = [this.#bank.reserve(this.groups * 16), this.#bank.reserve(this.groups * 16)]
    const found = this.#bank.call([out0, out1], (kernels) => {
      const multiply = this.format.packing.x2(kernels)
      multiply?.(this.region.ptr, this.groups, this.blocks, x0.ptr, x1.ptr, out0.ptr, out1.ptr)
      return multiply !== undefined
    })
    return found ? [out0, out1].map((out) => this.#bank.floats(out)) : undefined
  }

  /** The whole matrix times four tokens, in tall tiles if there is a kernel for them: 4 x (groups * 4) float32. */
  timesFour(x: readonly [Region, Region, Region, Region], tall = false): Float32Array[] {
    const { packing } = this.format
    const outs = x.map(() => this.#bank.reserve(this.groups * 16))
    const [out0, out1, out2, out3] = outs as [Region, Region, Region, Region]
    this.#bank.call(outs, (kernels) =>
      ((tall ? packing.tall(kernels) : undefined) ?? packing.x4(kernels))(
        this.region.ptr,
        this.groups,
        this.blocks,
        x[0].ptr,
        x[1].ptr,
        x[2].ptr,
        x[3].ptr,
        out0.ptr,
        out1.ptr,
        out2.ptr,
        out3.ptr,
      ),
    )
    return outs.map((out) => this.#bank.floats(out))
  }
}

/** What the oracle says: the dot product of every row with the token, and of rows of zero bytes up to a whole group. */
export function expectedProduct(format: BlockFormat, bytes: Uint8Array, rows: number, x: Float32Array): Float32Array {
  const dot = format.dotWith(x)
  const rowBytes = bytes.length / rows
  const padded = new Uint8Array(Math.ceil(rows / 4) * 4 * rowBytes)
  padded.set(bytes)
  return Float32Array.from({ length: padded.length / rowBytes }, (_, row) => dot(padded.subarray(row * rowBytes, (row + 1) * rowBytes)))
}

/** Columns of a row of `blocks` blocks. */
export const columnsOf = (format: BlockFormat, blocks: number) => blocks * format.packing.blockWeights
