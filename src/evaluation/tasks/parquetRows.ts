// The rows of a Parquet file, which a thread reads. What that may take follows from the bytes of the file: a few can
// stand for a billion values, and damaged ones for work without an end. Owns the bounds of time and memory; does
// not know the format.

import { Worker } from 'node:worker_threads'
import { byteCount } from '../../base/amounts.js'
import { MixtralError } from '../../base/errors.js'
import type { FileSource } from '../../base/files/byteSource.js'
import { limits } from '../../base/limits.js'
import { unless } from '../../base/onAbort.js'
import type { ParquetAnswer, ParquetTask } from './parquetWorker.js'

/** How often time and memory are looked at: the thread may take a gigabyte in a second. */
const WATCH_MS = 50
/** What V8 may take in the thread before it ends the thread itself. */
const RESOURCES = { maxOldGenerationSizeMb: 2048 }
/** How many times its seconds a thread may wait for a disk, or for a processor. */
const MOST_WAITING = 20

/**
 * Some rows at a time. Throws `IO` for a file that is malformed, or takes more than one of its size may; `UNSUPPORTED`
 * without hyparquet; `ABORTED`.
 */
export async function* parquetRows(source: FileSource, signal: AbortSignal | undefined): AsyncGenerator<readonly unknown[]> {
  const task: ParquetTask = { file: source.name }
  const worker = new Worker(new URL('./parquetWorker.js', import.meta.url), { workerData: task, resourceLimits: RESOURCES })
  const reading = new Reading(source, worker)
  try {
    for (;;) {
      const answer = await unless(signal, reading.next())
      if ('missing' in answer) {
        const found = `${source.name} is a Parquet file, and the package hyparquet is not installed`
        throw new MixtralError('UNSUPPORTED', `${found}, expected it beside this one (npm install hyparquet), or a file of JSON lines`)
      }
      if ('failure' in answer) throw new MixtralError('IO', `${source.name}: ${answer.failure}`)
      if (answer.rows === undefined) return
      yield answer.rows
    }
  } finally {
    await worker.terminate()
  }
}

/** The thread's work, watched. What this process does between two answers does not count. */
class Reading {
  readonly #source: FileSource
  readonly #worker: Worker
  readonly #mostSeconds: number
  readonly #mostBytes: number
  #seconds = 0
  #waited = 0
  #bytes = 0

  constructor(source: FileSource, worker: Worker) {
    this.#source = source
    this.#worker = worker
    this.#mostSeconds = limits.taskTableTime.most / 1000 + source.bytes / limits.taskTablePace.most
    this.#mostBytes = limits.taskTableMemory.most + 20 * source.bytes
  }

  /** Asks the thread for the next answer. Throws `IO` where it ends, or takes too much. */
  next(): Promise<ParquetAnswer> {
    return new Promise((resolve, reject) => {
      const fail = (found: string, cause?: Error) => {
        clearInterval(watch)
        reject(new MixtralError('IO', `${this.#source.name}: ${found}: it may be damaged`, { cause }))
      }
      let last = takenSoFar()
      const look = () => {
        const now = takenSoFar()
        // other threads of this process may work meanwhile, and other processes: the smaller one is nearer to the truth
        this.#seconds += Math.min(now.processor - last.processor, now.clock - last.clock)
        this.#waited += now.clock - last.clock
        this.#bytes += now.memory - last.memory
        last = now
      }
      const check = () => {
        look()
        const size = `more than a file of ${byteCount(this.#source.bytes)} may`
        if (this.#seconds > this.#mostSeconds) fail(`reading it takes ${this.#seconds.toFixed(1)} seconds, ${size}`)
        else if (this.#bytes > this.#mostBytes) fail(`reading it takes ${byteCount(this.#bytes)} of memory, ${size}`)
        else if (this.#waited > MOST_WAITING * this.#mostSeconds) fail(`no rows come for ${Math.round(this.#waited)} seconds`)
      }
      const watch = setInterval(check, WATCH_MS)
      this.#worker.removeAllListeners()
      this.#worker.on('message', (answer: ParquetAnswer | { readonly begun: true }) => {
        if ('begun' in answer) {
          last = takenSoFar() // a thread that starts takes the same for any file
          this.#seconds = 0
          this.#bytes = 0
          return
        }
        check()
        clearInterval(watch)
        resolve(answer) // unless it has failed
      })
      this.#worker.on('error', (cause) => fail(`it cannot be read: ${cause.message}`, cause))
      this.#worker.on('exit', () => fail('the thread that reads it has ended'))
      this.#worker.postMessage('next')
    })
  }
}

/** What this process has taken: seconds, and the bytes that it has now. */
function takenSoFar() {
  const { user, system } = process.cpuUsage()
  return { processor: (user + system) / 1e6, clock: performance.now() / 1000, memory: process.memoryUsage.rss() }
}
