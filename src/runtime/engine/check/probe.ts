// Activations for checking kernels: nearly normally distributed, as real ones are, and the same in every engine and on
// every machine. Does not know the kernels.

/** The activations of token number `token`: (columns), root mean square about one. */
export function probe(columns: number, token: number): Float32Array {
  let state = (0x9e3779b9 * (token + 1)) | 0
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0
    let h = Math.imul(state ^ (state >>> 15), state | 1)
    h ^= h + Math.imul(h ^ (h >>> 7), h | 61)
    return ((h ^ (h >>> 14)) >>> 0) / 2 ** 32
  }
  return Float32Array.from({ length: columns }, () => 2 * (uniform() + uniform() + uniform() - 1.5))
}
