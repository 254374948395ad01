// Turns the offsets in tensor infos into places in the file, and refuses tensors that are unaligned, overlap, or do not
// fit in the file. Knows sizes only, not what the tensors hold.

import { alignUp } from '../../base/alignUp.js'
import { quoted } from '../../base/errors.js'
import type { ByteSource } from '../../base/files/byteSource.js'
import { limits } from '../../base/limits.js'
import type { GgmlType } from './ggmlType.js'
import { type GgufTensor, ggufError } from './gguf.js'

/** Whether a value can be an alignment. The format allows any multiple of 8; only powers of two occur. */
export function isAlignment(value: unknown): value is number {
  return typeof value === 'number' && value >= 8 && value <= limits.alignment.most && 2 ** 31 % value === 0
}

/** A tensor as its info in the header describes it. */
export interface UnplacedTensor {
  readonly type: GgmlType
  readonly shape: readonly number[]
  /** Offset from the start of the data section, as stored: any 64-bit number. */
  readonly relativeOffset: number | bigint
  readonly bytes: number
}

/**
 * Places every tensor in the file; throws `GGUF` for the first that cannot be where it claims to be.
 * @param infosEnd where the tensor infos end; the data section starts at the next multiple of `alignment`
 */
export function placeTensors(
  source: ByteSource,
  unplaced: ReadonlyMap<string, UnplacedTensor>,
  infosEnd: number,
  alignment: number,
): Map<string, GgufTensor> {
  const dataStart = alignUp(infosEnd, alignment)
  const tensors = new Map<string, GgufTensor>()
  for (const [name, { type, shape, relativeOffset, bytes }] of unplaced) {
    // Offsets beyond 2^53 are bigints here: rounded, but far beyond any file.
    const offset = dataStart + Number(relativeOffset)
    if (offset + bytes > source.bytes) {
      throw ggufError(
        source.name,
        `${bytes} bytes from byte ${offset} on, but the file ends at byte ${source.bytes}`,
        `tensor ${quoted(name)}`,
      )
    }
    if (Number(relativeOffset) % alignment !== 0) {
      throw ggufError(source.name, `offset ${relativeOffset}, expected a multiple of the alignment ${alignment}`, `tensor ${quoted(name)}`)
    }
    tensors.set(name, { name, type, shape, file: 0, offset, bytes })
  }

  const inOrder = [...tensors.values()].sort((a, b) => a.offset - b.offset)
  for (const [n, tensor] of inOrder.entries()) {
    const before = inOrder[n - 1]
    if (before && before.offset + before.bytes > tensor.offset) {
      const found = `starts at byte ${tensor.offset}, inside tensor ${quoted(before.name)}, which ends at byte ${before.offset + before.bytes}`
      throw ggufError(source.name, found, `tensor ${quoted(tensor.name)}`)
    }
  }
  return tensors
}
