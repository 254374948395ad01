// Opens a GGUF by its path: one file, or the whole set if the path names one of its shards. Reads headers only and
// leaves no file open.

import { checkText, type MixtralError } from '../../base/errors.js'
import { FileSource } from '../../base/files/byteSource.js'
import { type Gguf, ggufError } from './gguf.js'
import { type GgufHeader, readHeader } from './readHeader.js'
import { joinShards, shardPaths } from './shards.js'

/**
 * Reads and checks the header of a GGUF file. Any shard of a set opens the set.
 * Throws `IO` if the file cannot be read, `GGUF` if it is malformed or its set is incomplete, `ABORTED`.
 * @example const { metadata, tensors } = await openGguf('mixtral-8x22b-00001-of-00003.gguf')
 */
export async function openGguf(path: string, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<Gguf> {
  checkText('the path of a model', path)
  const paths = shardPaths(path)
  const headers: GgufHeader[] = []
  for (const [n, file] of paths.entries()) {
    const source = await FileSource.open(file).catch((error: MixtralError) => {
      if (paths.length === 1) throw error
      throw ggufError(path, error.message, `shard ${n + 1} of ${paths.length}`)
    })
    try {
      headers.push(await readHeader(source, signal))
    } finally {
      await source.close()
    }
  }
  return joinShards(headers)
}
