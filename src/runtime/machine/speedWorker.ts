// One thread of the speed measurement: multiplies the same large matrix by a vector until the time is over. Its weights
// are zeros, with which the kernels take as long as with any others.

import { instantiate } from '../kernels/compile.js'
import { packedBytes, packings } from '../kernels/packing.js'

export interface SpeedTask {
  readonly module: WebAssembly.Module
  readonly milliseconds: number
  /** Rows of the matrix; a multiple of 4. */
  readonly rows: number
}

const PAGE = 65536
const COLUMNS = 4096
/** Bytes of a row of Q4_K weights, as the file counts them. */
export const ROW_BYTES = (COLUMNS * 144) / 256
const VECTOR_BYTES = 64 * 1024 // more than an activation row takes
/** Where the weights begin, behind the kernels' grids. */
const WEIGHTS_AT = PAGE

/** Bytes of Q4_K weights, as the file counts them, per second. */
export default function measure({ module, milliseconds, rows }: SpeedTask): number {
  const { blockWeights, x1 } = packings.Q4_K!
  const weights = packedBytes('Q4_K', rows, COLUMNS)
  const pages = Math.ceil((WEIGHTS_AT + weights + VECTOR_BYTES + rows * 4) / PAGE) + 1
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
  new Uint8Array(memory.buffer).fill(0) // the system maps all pages that were never written to one and the same page
  const matmul = x1(instantiate(module, memory))
  const vector = WEIGHTS_AT + weights
  const run = () => matmul(WEIGHTS_AT, rows / 4, COLUMNS / blockWeights, vector, vector + VECTOR_BYTES)
  run() // compiles it
  const start = performance.now()
  let runs = 0
  while (performance.now() - start < milliseconds) {
    run()
    runs++
  }
  return (runs * rows * ROW_BYTES * 1000) / (performance.now() - start)
}
