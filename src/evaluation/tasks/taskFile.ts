// The rows of a task's file, in their order: JSON lines, or Parquet as the hub stores data sets. Reads a part of the
// file at a time. Owns the formats of files; does not know what is in a row.

import { MixtralError } from '../../base/errors.js'
import { FileSource } from '../../base/files/byteSource.js'
import { textLines } from '../../base/files/textLines.js'
import { limits } from '../../base/limits.js'
import { parquetRows } from './parquetRows.js'
import { TaskRow } from './taskRow.js'

/** The first and the last bytes of a Parquet file. */
const PARQUET = 'PAR1'

/**
 * Reads the rows of a file. Throws `IO` for a malformed one, `UNSUPPORTED` for Parquet without hyparquet, and `ABORTED`
 * while it waits for rows of that.
 */
export async function* taskRows(path: string, signal?: AbortSignal): AsyncGenerator<TaskRow> {
  const source = await FileSource.open(path)
  try {
    const start = await source.read(0, Math.min(PARQUET.length, source.bytes))
    if (Buffer.from(start).toString('latin1') === PARQUET) yield* tableRows(source, signal)
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

async function* tableRows(source: FileSource, signal?: AbortSignal): AsyncGenerator<TaskRow> {
  let number = 1
  for await (const rows of parquetRows(source, signal)) {
    for (const row of rows) yield new TaskRow(source.name, 'row', number++, row)
  }
}
