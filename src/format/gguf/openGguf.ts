// Opens a GGUF by its path: one file, or the whole set if the path names one of its shards. Reads headers only and
// leaves no file open.

import path from 'node:path'
import { checkObject, checkText, MixtralError } from '../../base/errors.js'
import { FileSource } from '../../base/files/byteSource.js'
import { type Gguf, ggufError } from './gguf.js'
import { type GgufHeader, readHeader } from './readHeader.js'
import { joinedName, joinShards, shardPaths } from './shards.js'

/**
 * Reads and checks the header of a GGUF file. Any shard of a set opens the set.
 * Throws `IO` if the file cannot be read, `GGUF` if it is malformed, or a part of a file, or its set is incomplete,
 * `ABORTED`, `OPTION`.
 * @example const { metadata, tensors } = await openGguf('mixtral-8x22b-00001-of-00003.gguf')
 */
export async function openGguf(model: string, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Gguf> {
  checkText('the path of a model', model)
  checkObject(options)
  const [gguf] = await openGgufs([model], options.signal)
  return gguf!
}

/**
 * Reads the headers of several files or sets, one after the other: all together take no more memory than those of one
 * set may. Throws what `openGguf` throws.
 */
export async function openGgufs(models: readonly string[], signal?: AbortSignal): Promise<Gguf[]> {
  const opened: Gguf[] = []
  let taken = 0
  for (const model of models) {
    const headers = await readHeaders(model, taken, signal)
    taken = headers.at(-1)!.memory
    opened.push(joinShards(headers))
  }
  return opened
}

/** The headers of a set; `before` is the memory that those of other sets take. */
async function readHeaders(model: string, before: number, signal: AbortSignal | undefined): Promise<GgufHeader[]> {
  const paths = shardPaths(model)
  const headers: GgufHeader[] = []
  for (const [n, file] of paths.entries()) {
    const source = await FileSource.open(file).catch((error: MixtralError) => {
      if (paths.length === 1) throw error
      throw ggufError(model, error.message, `shard ${n + 1} of ${paths.length}`)
    })
    try {
      headers.push(await readHeader(source, { taken: headers.at(-1)?.memory ?? before, signal }))
    } catch (error) {
      const whole = joinedName(file)
      if (whole === undefined || !(error instanceof MixtralError)) throw error
      const { base } = path.parse(whole)
      throw ggufError(
        file,
        `a part of ${base}, expected the whole: join the parts in their order, such as with cat ${base}?* > ${base}`,
        'file name',
      )
    } finally {
      await source.close()
    }
  }
  return headers
}
