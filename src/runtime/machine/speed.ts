// How fast this machine's cores get through weights: a kernel on matrices larger than the caches, on all cores at once.
// Measures; knows no model.

import { availableParallelism } from 'node:os'
import { Piscina } from 'piscina'
import { compileKernels } from '../kernels/compile.js'
import { ROW_BYTES, type SpeedTask } from './speedWorker.js'

const MEASURED_MS = 1000
// Limits of a thread's matrix: larger than its share of the caches, and not much of the machine's memory on many cores.
const MOST_BYTES = 75e6
const LEAST_BYTES = 16e6
const ALL_BYTES = 1e9

/** Runs the Q4_K kernel for a second: bytes of weights per second, as the file counts them. */
export async function weightsPerSecond(threads = availableParallelism()): Promise<number> {
  const { module } = await compileKernels()
  const pool = new Piscina({ filename: new URL('./speedWorker.js', import.meta.url).href, minThreads: threads, maxThreads: threads })
  pool.on('error', () => {}) // the task rejects with the same error
  try {
    const rows = 4 * Math.floor(Math.min(MOST_BYTES, Math.max(LEAST_BYTES, ALL_BYTES / threads)) / ROW_BYTES / 4)
    const task: SpeedTask = { module, milliseconds: MEASURED_MS, rows }
    const rates: number[] = await Promise.all(Array.from({ length: threads }, () => pool.run(task)))
    return rates.reduce((sum, rate) => sum + rate, 0)
  } finally {
    await pool.destroy()
  }
}
