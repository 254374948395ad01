// Bytes and numbers that are the same in every run. Not a test.

/** Numbers from 0 to 1, the same for the same seed. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return ((state ^ (state >>> 16)) >>> 0) / 2 ** 32
  }
}

export function randomBytes(length: number, seed = 1): Uint8Array {
  const random = randomNumbers(seed)
  return Uint8Array.from({ length }, () => Math.floor(random() * 256))
}
