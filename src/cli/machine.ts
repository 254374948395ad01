// What this machine has to offer a model: memory, and how fast its cores get through weights. Measures; knows no model.

import { availableParallelism, totalmem } from 'node:os'
import { Piscina } from 'piscina'
import { compileKernels } from '../kernels/kernels.js'
import type { ProbeTask } from './probeWorker.js'

const PROBE_MS = 1000

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
    const task: ProbeTask = { module, milliseconds: PROBE_MS }
    const rates: number[] = await Promise.all(Array.from({ length: threads }, () => pool.run(task)))
    return rates.reduce((sum, rate) => sum + rate, 0)
  } finally {
    await pool.destroy()
  }
}
