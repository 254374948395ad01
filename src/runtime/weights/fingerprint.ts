// What tells one model's files from another's without reading all of them: a SHA-256 over sizes, headers, and blocks at
// fixed places. Files that differ only elsewhere, which no quantization of a model does, have the same fingerprint.

import { createHash } from 'node:crypto'
import { FileSource } from '../../base/files/byteSource.js'
import type { Gguf } from '../../format/gguf/gguf.js'

const BLOCKS = 256
const BLOCK_BYTES = 64 * 1024
/** More of a header than this is not read. */
const HEADER_BYTES = 16 * 1024 * 1024

/** 64 hex digits. Reads at most 32 MB a file. Throws `IO`. */
export async function fingerprint(gguf: Gguf): Promise<string> {
  const hash = createHash('sha256')
  for (const [index, { path, bytes }] of gguf.files.entries()) {
    const offsets = [...gguf.tensors.values()].filter(({ file }) => file === index).map(({ offset }) => offset)
    const header = offsets.reduce((least, offset) => Math.min(least, offset), bytes)
    const source = await FileSource.open(path)
    try {
      hash.update(`${bytes}\n`)
      hash.update(await source.read(0, Math.min(header, HEADER_BYTES, source.bytes)))
      const spread = Math.max(0, source.bytes - BLOCK_BYTES)
      for (let i = 0; i < BLOCKS; i++) {
        const at = Math.floor((spread * i) / (BLOCKS - 1))
        hash.update(await source.read(at, Math.min(BLOCK_BYTES, source.bytes)))
      }
    } finally {
      await source.close()
    }
  }
  return hash.digest('hex')
}
