// The thread that reads a Parquet file, which is hyparquet's work: a damaged file can keep it busy for ever or make it
// run out of memory, and a thread can be ended. It is asked for a few rows at a time: many would hold up their reader.

import { parentPort, workerData } from 'node:worker_threads'
import { FileSource } from '../../base/files/byteSource.js'
import { limits } from '../../base/limits.js'

export interface ParquetTask {
  readonly file: string
}

/** What the thread answers: the next rows, undefined behind the last; or why there are none. */
export type ParquetAnswer =
  | { readonly rows: readonly unknown[] | undefined }
  | { readonly failure: string }
  /** hyparquet is not installed. */
  | { readonly missing: true }

const { file } = workerData as ParquetTask
const port = parentPort!
const answers = inOrder()

/** Rows of one answer, and their bytes unless one alone has more. */
const MOST_ROWS = 256
const MOST_BYTES = 1_048_576

port.on('message', async () => {
  const { value, done } = await answers.next()
  port.postMessage(done ? { rows: undefined } : value)
})

async function* inOrder(): AsyncGenerator<ParquetAnswer> {
  const parquet = await import('hyparquet').catch(() => undefined)
  if (!parquet) return yield { missing: true }
  port.postMessage({ begun: true })
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
    const count = metadata.row_groups.reduce((sum, { num_rows }) => sum + check(num_rows, Number.MAX_SAFE_INTEGER, 'rows'), 0)
    check(count, limits.taskRows.most + source.bytes, 'rows')
    let rowStart = 0
    for (const [index, { num_rows, total_byte_size }] of metadata.row_groups.entries()) {
      part = `row group ${index}`
      check(total_byte_size, limits.taskRowGroup.most, 'bytes')
      const rowEnd = rowStart + Number(num_rows)
      const read = await parquet.parquetReadObjects({ file: bytes, metadata, rowStart, rowEnd })
      for (const rows of inParts(read)) yield { rows }
      rowStart = rowEnd
    }
  } catch (error) {
    yield { failure: `${part} cannot be read: ${error instanceof Error ? error.message : error}` }
  } finally {
    await source.close()
  }
}

function* inParts(all: readonly unknown[]): Generator<readonly unknown[]> {
  let rows: unknown[] = []
  let bytes = 0
  for (const row of all) {
    const own = sizeOf(row, limits.taskTableRow.most)
    if (own > limits.taskTableRow.most) throw new RangeError(`a row has more than ${limits.taskTableRow.most} bytes`)
    if (rows.length === MOST_ROWS || (rows.length > 0 && bytes + own > MOST_BYTES)) {
      yield rows
      rows = []
      bytes = 0
    }
    rows.push(row)
    bytes += own
  }
  if (rows.length > 0) yield rows
}

/** What a value takes in a message, near enough: a text that is there twice is sent twice. Counts up to `most`. */
function sizeOf(value: unknown, most: number): number {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 8
  if (ArrayBuffer.isView(value)) return value.buffer.byteLength
  let size = 8
  for (const [name, item] of Object.entries(value)) {
    size += name.length + sizeOf(item, most - size)
    if (size > most) break
  }
  return size
}

function check(count: bigint | number, most: number, unit: string): number {
  if (!(count >= 0 && count <= most)) throw new RangeError(`it has ${count} ${unit}, expected at most ${most}`)
  return Number(count)
}

async function slice(source: FileSource, start: number, end = source.bytes): Promise<ArrayBuffer> {
  const from = start < 0 ? source.bytes + start : start
  if (!(from >= 0 && from <= end && end <= source.bytes)) throw new RangeError(`the file has no bytes ${start} to ${end}`)
  return (await source.read(from, end - from)).buffer as ArrayBuffer
}
