// The oracle of a format whose blocks hold 256 weights: block after block, each unpacked to what its kind of superblock
// has. Knows neither the layout of a block nor what a superblock consists of.

import type { ActivationQ8K } from './activations.js'

export interface SuperblockOracle {
  /** Whole blocks to float32. */
  readonly dequantize: (blocks: Uint8Array, out: Float32Array) => void
  /** A row times quantized activations: integers within a superblock, float32 across superblocks. */
  readonly dot: (row: Uint8Array, x: ActivationQ8K) => number
}

/** The values of the `block`-th superblock. */
export function superblockAt(values: Float32Array, block: number): Float32Array {
  return values.subarray(block * 256, block * 256 + 256)
}

/**
 * @param unpack reads the `block`-th of `blocks`
 * @param dequantize writes the weights of a superblock from out[start] on
 * @param addDot adds a superblock's share of a dot product to a sum
 */
export function superblockOracle<T>(
  unpack: (blocks: Uint8Array, block: number) => T,
  dequantize: (superblock: T, out: Float32Array, start: number) => void,
  addDot: (sum: number, superblock: T, x: ActivationQ8K, block: number) => number,
): SuperblockOracle {
  return {
    dequantize(blocks, out) {
      for (let block = 0; block * 256 < out.length; block++) dequantize(unpack(blocks, block), out, block * 256)
    },
    dot(row, x) {
      let sum = 0
      for (let block = 0; block < x.d.length; block++) sum = addDot(sum, unpack(row, block), x, block)
      return sum
    },
  }
}
