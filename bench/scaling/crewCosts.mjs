// What threads cost each other on this machine: seconds of an atomic addition to a word that another thread has just
// written, of one that a thread has for itself, and of a barrier of the runtime's on two threads. The least of many
// short rounds, since other programs only add.

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { controlWords } from '../../dist/runtime/team/control.js'
import { Crew } from '../../dist/runtime/team/crew.js'

const ROUNDS = 300
const TIMES = 400
const THREADS = 2

/** @returns {Promise<{ own: number, shared: number, barrier: number }>} */
export async function crewCosts() {
  const words = new Int32Array(new SharedArrayBuffer(controlWords(THREADS) * 4))
  const counter = new Int32Array(new SharedArrayBuffer(512))
  const results = await Promise.all(
    Array.from({ length: THREADS }, (_, seat) => {
      const worker = new Worker(new URL(import.meta.url), { workerData: { words, counter, seat } })
      return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    }),
  )
  return results[0]
}

function measure({ words, counter, seat }) {
  const crew = new Crew(words, seat, THREADS, true)
  const timed = (one, divisor = 1) => {
    let least = Number.POSITIVE_INFINITY
    for (let round = 0; round < ROUNDS; round++) {
      crew.barrier()
      const start = performance.now()
      for (let i = 0; i < TIMES; i++) one(i)
      least = Math.min(least, (performance.now() - start) / 1e3 / TIMES / divisor)
    }
    return least
  }
  let turn = 0
  const inTurn = () => {
    while (Atomics.load(counter, 32) !== turn * THREADS + seat);
    Atomics.add(counter, 32, 1)
    turn++
  }
  return {
    own: timed(() => Atomics.add(counter, 64 * seat, 1)),
    shared: timed(inTurn, THREADS),
    barrier: timed(() => crew.barrier()),
  }
}

if (!isMainThread && workerData?.counter) parentPort.postMessage(measure(workerData))
