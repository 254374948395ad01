// The thread that reads a Parquet file, which is hyparquet's work: a damaged file can keep it busy for ever or make it
// run out of memory, and a thread can be ended. It is asked for one row group after the other.

import { parentPort, workerData } from 'node:worker_threads'
import { FileSource } from '../../base/files/byteSource.js'
import { limits } from '../../base/limits.js'

export interface ParquetTask {
  readonly file: string
}

/** What the thread answers: the rows of the next row group, undefined behind the last; or why there are none. */
export type ParquetAnswer =
  | { readonly rows: readonly unknown[] | undefined }
  | { readonly failure: string }
  /** hyparquet is not installed. */
  | { readonly missing: true }

const { file } = workerData as ParquetTask
const port = parentPort!
const answers = groups()

port.on('message', async () => {
  const { value, done } = await answers.next()
  port.postMessage(done ? { rows: undefined } : value)
})

async function* groups(): AsyncGenerator<ParquetAnswer> {
  const parquet = await import('hyparquet').catch(() => undefined)
  if (!parquet) return yield { missing: true }
  const source = await FileSource.open(file)
  /** What is being read, for messages. */
  let part = 'its footer'
  try {
    const bytes = {
      byteLength: source.bytes,
      slice: (start: number, end?: number) => {
        const part = slice(source, start, end)
        part.catch(() => {}) // it is told where the part is used, which may be later
        return part
      },
    }
    const metadata = await parquet.parquetMetadataAsync(bytes)
    let rowStart = 0
    for (const [index, { num_rows, total_byte_size }] of metadata.row_groups.entries()) {
      part = `row group ${index}`
      check(num_rows, limits.taskRows.most, 'rows')
      check(total_byte_size, limits.taskRowGroup.most, 'bytes')
      const rowEnd = rowStart + Number(num_rows)
      yield { rows: await parquet.parquetReadObjects({ file: bytes, metadata, rowStart, rowEnd }) }
      rowStart = rowEnd
    }
  } catch (error) {
    yield { failure: `${part} cannot be read: ${error instanceof Error ? error.message : error}` }
  } finally {
    await source.close()
  }
}

function check(count: bigint, most: number, unit: string): void {
  if (!(count >= 0 && count <= most)) throw new RangeError(`it has ${count} ${unit}, expected at most ${most}`)
}

async function slice(source: FileSource, start: number, end = source.bytes): Promise<ArrayBuffer> {
  const from = start < 0 ? source.bytes + start : start
  if (!(from >= 0 && from <= end && end <= source.bytes)) throw new RangeError(`the file has no bytes ${start} to ${end}`)
  return (await source.read(from, end - from)).buffer as ArrayBuffer
}
