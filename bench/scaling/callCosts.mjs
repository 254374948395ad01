// How much longer a row takes in a short call than in a long one: a product of Q4_K with one token out of memory, in
// calls of several numbers of groups of four rows, each with its pages touched first, as the runtime does. By turns,
// the least of some rounds.

import { compileBuild, hasRelaxedSimd, instantiate } from '../../dist/runtime/kernels/compile.js'
import { GRID_BYTES } from '../../dist/runtime/kernels/gridTable.js'
import { activationBytes, packings } from '../../dist/runtime/kernels/packing.js'

const COLUMNS = 4096
const STREAM_BYTES = 400e6
const ROUNDS = 8
/** Groups of a round: different ones each time, so that no cache has them. */
const GROUPS = 1024

/** For each number of groups, ascending, how many times as long as in calls of the most. */
export async function slowerBySize(sizes) {
  const build = (await hasRelaxedSimd()) ? 'relaxed-simd' : 'simd'
  const packing = packings.Q4_K
  const blocks = COLUMNS / packing.blockWeights
  const groupBytes = packing.groupBytes(blocks)
  const groups = Math.floor(STREAM_BYTES / groupBytes / GROUPS) * GROUPS
  const x = GRID_BYTES
  const out = x + activationBytes(packing.activation, COLUMNS, build) + 64
  const weights = Math.ceil((out + GROUPS * 16) / 4096) * 4096
  const pages = Math.ceil((weights + groups * groupBytes) / 65536)
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
  const kernels = instantiate(compileBuild(build), memory)
  new Uint8Array(memory.buffer, weights).fill(1) // untouched pages are all the same page of zeros
  const multiply = packing.x1(kernels)
  const least = new Map(sizes.map((size) => [size, Number.POSITIVE_INFINITY]))
  let at = 0
  for (let round = 0; round < ROUNDS; round++) {
    for (const size of sizes) {
      const start = performance.now()
      for (let g = 0; g < GROUPS; g += size) {
        const from = weights + (at + g) * groupBytes
        kernels.touch(from, size * groupBytes)
        multiply(from, size, blocks, x, out)
      }
      least.set(size, Math.min(least.get(size), performance.now() - start))
      at = (at + GROUPS) % groups
    }
  }
  const longest = least.get(sizes.at(-1))
  return sizes.map((size) => Math.max(1, least.get(size) / longest))
}
