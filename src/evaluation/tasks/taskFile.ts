// The rows of a task's file, in their order: JSON lines, or Parquet as the hub stores data sets. Reads a part of the
// file at a time. Owns the formats of files; does not know what is in a row.

import { Worker } from 'node:worker_threads'
import { byteCount } from '../../base/amounts.js'
import { MixtralError } from '../../base/errors.js'
import { FileSource } from '../../base/files/byteSource.js'
import { textLines } from '../../base/files/textLines.js'
import { limits } from '../../base/limits.js'
import { unless } from '../../base/onAbort.js'
import type { ParquetAnswer, ParquetTask } from './parquetWorker.js'
import { TaskRow } from './taskRow.js'

/** The first and the last bytes of a Parquet file. */
const PARQUET = 'PAR1'

/**
 * Reads the rows of a file. Throws `IO` for a malformed one, `UNSUPPORTED` for Parquet without hyparquet, and `ABORTED`
 * while it waits for a row group.
 */
export async function* taskRows(path: string, signal?: AbortSignal): AsyncGenerator<TaskRow> {
  const source = await FileSource.open(path)
  try {
    const start = await source.read(0, Math.min(PARQUET.length, source.bytes))
    if (Buffer.from(start).toString('latin1') === PARQUET) yield* parquetRows(source, signal)
    else yield* jsonRows(source)
  } finally {
    await source.close()
  }
}

async function* jsonRows(source: FileSource): AsyncGenerator<TaskRow> {
  for await (const { number, text } of textLines(source, limits.taskItem.most)) {
    if (text.trim() === '') continue
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch (cause) {
      const found = `is no JSON (${(cause as Error).message})`
      throw new MixtralError('IO', `${source.name}, line ${number}: ${found}, expected an object in each line, or a Parquet file`, {
        cause,
      })
    }
    yield new TaskRow(source.name, 'line', number, value)
  }
}

/** How often the thread's memory is looked at: it may take a gigabyte in a second. */
const WATCH_MS = 50
/** What a thread may take of memory; decoded, the largest row groups of published tasks take a tenth. */
const RESOURCES = { maxOldGenerationSizeMb: 2048 }

async function* parquetRows(source: FileSource, signal?: AbortSignal): AsyncGenerator<TaskRow> {
  const task: ParquetTask = { file: source.name }
  const worker = new Worker(new URL('./parquetWorker.js', import.meta.url), { workerData: task, resourceLimits: RESOURCES })
  try {
    for (let number = 1; ; ) {
      const answer = await unless(signal, nextGroup(source, worker))
      if ('missing' in answer) {
        const found = `${source.name} is a Parquet file, and the package hyparquet is not installed`
        throw new MixtralError('UNSUPPORTED', `${found}, expected it beside this one (npm install hyparquet), or a file of JSON lines`)
      }
      if ('failure' in answer) throw new MixtralError('IO', `${source.name}: ${answer.failure}`)
      if (answer.rows === undefined) return
      for (const row of answer.rows) yield new TaskRow(source.name, 'row', number++, row)
    }
  } finally {
    await worker.terminate()
  }
}

/**
 * Asks the thread for the next row group. Throws `IO` for one that ends, says nothing for too long, or takes too much.
 */
function nextGroup(source: FileSource, worker: Worker): Promise<ParquetAnswer> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer)
      clearInterval(watch)
    }
    const fail = (found: string, cause?: Error) => {
      end()
      reject(new MixtralError('IO', `${source.name}: ${found}: it may be damaged`, { cause }))
    }
    const seconds = limits.taskRowGroupTime.most
    const timer = setTimeout(() => fail(`a row group takes more than ${seconds} seconds`), seconds * 1000)
    // the thread's own limit counts no buffers: what the process takes more is the thread's, near enough
    const before = process.memoryUsage().rss
    const most = limits.taskRowGroupMemory.most + 20 * source.bytes
    const watch = setInterval(() => {
      if (process.memoryUsage().rss - before > most) fail(`a row group takes more than ${byteCount(most)} of memory`)
    }, WATCH_MS)
    worker.removeAllListeners()
    worker.on('message', (answer) => {
      end()
      resolve(answer)
    })
    worker.on('error', (cause) => fail(`cannot be read: ${cause.message}`, cause))
    worker.on('exit', () => fail('the thread that reads it has ended'))
    worker.postMessage('next')
  })
}
