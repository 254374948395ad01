// The roofline: how fast WebAssembly on this machine reads a shared memory much larger than the caches, with one or
// more threads. Started as a process of its own (node bandwidth.mjs THREADS, which prints bytes per second), so that
// its memory is gone before engines run.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { argv, execPath } from 'node:process'
import { fileURLToPath } from 'node:url'
import { isMainThread, Worker, workerData } from 'node:worker_threads'

const memoryBytes = 2 ** 31
const passes = 7

// In the shared Int32Array: the pass that may run, written by the main thread; how many threads are done, by all.
const go = 0
const done = 1

/**
 * Bytes per second that `threads` threads read together: the best of some passes, since a roofline is what was
 * possible.
 */
export function readBandwidth(threads) {
  const { status, stdout, stderr } = spawnSync(execPath, [fileURLToPath(import.meta.url), String(threads)], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`the read bandwidth could not be measured: ${stderr}`)
  return Number(stdout)
}

async function compile() {
  const { default: asc } = await import('../../node_modules/assemblyscript/dist/asc.js')
  const { binary, error, stderr } = await asc.compileString(readFileSync(new URL('./readStreams.ts', import.meta.url), 'utf8'), {
    optimizeLevel: 3,
    runtime: 'stub',
    importMemory: true,
    sharedMemory: true,
    maximumMemory: memoryBytes / 2 ** 16,
    enable: ['simd', 'threads'],
  })
  if (error) throw new Error(stderr.toString())
  return new WebAssembly.Module(binary)
}

async function measure(threads) {
  const module = await compile()
  const pages = memoryBytes / 2 ** 16
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
  new Uint8Array(memory.buffer).fill(1) // untouched pages are all the same page of zeros
  const signals = new Int32Array(new SharedArrayBuffer(8))
  const workers = Array.from({ length: threads }, (_, part) => {
    return new Worker(new URL(import.meta.url), { workerData: { module, memory, signals, part, threads } })
  })
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))))
  let best = 0
  for (let pass = 1; pass <= passes; pass++) {
    const start = performance.now()
    Atomics.store(signals, go, pass)
    Atomics.notify(signals, go)
    for (let count = 0; count < threads * pass; count = Atomics.load(signals, done)) Atomics.wait(signals, done, count)
    best = Math.max(best, memoryBytes / ((performance.now() - start) / 1e3))
  }
  return best
}

/** A worker: in every pass reads its part of the memory. */
function serve({ module, memory, signals, part, threads }, ready) {
  const { readStreams } = new WebAssembly.Instance(module, { env: { memory } }).exports
  const bytes = Math.floor(memoryBytes / threads / 256) * 256
  ready()
  for (let pass = 1; pass <= passes; pass++) {
    Atomics.wait(signals, go, pass - 1)
    readStreams(part * bytes, bytes)
    Atomics.add(signals, done, 1)
    Atomics.notify(signals, done)
  }
}

if (!isMainThread) {
  const { parentPort } = await import('node:worker_threads')
  serve(workerData, () => parentPort.postMessage('ready'))
} else if (argv[1] === fileURLToPath(import.meta.url)) {
  process.stdout.write(String(await measure(Number(argv[2]))))
}
