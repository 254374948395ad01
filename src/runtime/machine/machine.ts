// What this machine has to offer a model: memory, and how fast its cores get through weights. Measures; knows no model.

import { availableParallelism, totalmem } from 'node:os'
import { Piscina } from 'piscina'
import { compileKernels } from '../kernels/compile.js'
import { type ProbeTask, ROW_BYTES } from './probeWorker.js'

const PROBE_MS = 1000
// Of a thread's matrix: beyond its share of the caches, and on a machine of many cores not much of the memory in all.
const MOST_BYTES = 75e6
const LEAST_BYTES = 16e6
const ALL_BYTES = 1e9

/** Bytes of memory that this process may use: the machine's, or less in a container. */
export function memoryBytes(): number {
  const limit = process.constrainedMemory?.() ?? 0 // 0, or a number beyond any machine, for none
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem()
}

/** Runs the Q4_K kernel on memory far larger than the caches for a second, on all cores: bytes of weights per second, as the file counts them. */
export async function weightsPerSecond(threads = availableParallelism()): Promise<number> {
  const { module } = await compileKernels()
  const pool = new Piscina({ filename: new URL('./probeWorker.js', import.meta.url).href, minThreads: threads, maxThreads: threads })
  pool.on('error', () => {}) // the task says it too
  try {
    const rows = 4 * Math.floor(Math.min(MOST_BYTES, Math.max(LEAST_BYTES, ALL_BYTES / threads)) / ROW_BYTES / 4)
    const task: ProbeTask = { module, milliseconds: PROBE_MS, rows }
    const rates: number[] = await Promise.all(Array.from({ length: threads }, () => pool.run(task)))
    return rates.reduce((sum, rate) => sum + rate, 0)
  } finally {
    await pool.destroy()
  }
}
