// The data of one tensor to be written, in pieces of some megabytes: read, interleaved where the layout demands it, and
// converted to the wanted type. The next piece is read while one is being written. Does not know where tensors go.

import { MixtralError, quoted } from '../../base/errors.js'
import { formats } from '../../format/quants/formats.js'
import type { SourceTensor } from '../../format/tensors/safetensors.js'
import { convertElements, type ElementType, sizeOf } from './elementType.js'
import type { TargetTensor } from './tensorPlan.js'

/** Largest number of elements in a piece. Larger pieces cost more, in fresh memory, than they save in calls. */
const PIECE = 2 ** 20

/**
 * Yields the data, piece by piece. Throws `IO` if the checkpoint cannot be read, `MODEL` for numbers that are not
 * finite, `OPTION` if a number does not fit `type`.
 */
export async function* tensorPieces(target: TargetTensor, type: ElementType): AsyncGenerator<Uint8Array, void, undefined> {
  let coming: Promise<Uint8Array> | undefined
  try {
    for (const read of reads(target, type)) {
      const next = read()
      next.catch(() => {}) // a failure is thrown when the piece is awaited
      if (coming) yield await coming
      coming = next
    }
    if (coming) yield await coming
  } finally {
    await coming?.catch(() => {}) // so that the file is not closed during the read
  }
}

/** The reads that give the pieces, in order. */
function* reads({ name, shape, parts, interleavedHeadDim }: TargetTensor, type: ElementType): Generator<() => Promise<Uint8Array>> {
  for (const { tensor, start, elements } of parts) {
    const from = tensor.dtype as ElementType
    const convert = (bytes: Uint8Array): Uint8Array => {
      const bad = formats.get(from)!.notFinite(bytes)
      if (bad) {
        throw new MixtralError(
          'MODEL',
          `tensor ${quoted(tensor.name)}: ${bad} values are not finite, expected none: the checkpoint is damaged`,
        )
      }
      const converted = convertElements(bytes, from, type)
      if (converted) return converted
      throw new MixtralError(
        'OPTION',
        `tensor ${quoted(tensor.name)} has numbers that ${type} cannot hold, expected a wider type for ${name}`,
      )
    }
    if (interleavedHeadDim === undefined) {
      for (let done = 0; done < elements; done += PIECE) {
        const count = Math.min(PIECE, elements - done)
        yield async () => convert(await readElements(tensor, start + done, count))
      }
      continue
    }
    const columns = shape[0]!
    const half = interleavedHeadDim / 2
    const rows = Math.max(1, Math.floor(PIECE / (2 * columns)))
    for (let head = 0; head < elements; head += interleavedHeadDim * columns) {
      for (let row = 0; row < half; row += rows) {
        const count = Math.min(rows, half - row) * columns
        yield async () => {
          const first = await readElements(tensor, start + head + row * columns, count)
          const second = await readElements(tensor, start + head + (half + row) * columns, count)
          return convert(interleaved(first, second, columns * sizeOf(from)))
        }
      }
    }
  }
}

/** Interleaves rows: one of the first half, one of the second, and so on. */
function interleaved(first: Uint8Array, second: Uint8Array, rowBytes: number): Uint8Array {
  const out = new Uint8Array(2 * first.length)
  for (let at = 0; at < first.length; at += rowBytes) {
    out.set(first.subarray(at, at + rowBytes), 2 * at)
    out.set(second.subarray(at, at + rowBytes), 2 * at + rowBytes)
  }
  return out
}

function readElements({ dtype, source, offset }: SourceTensor, start: number, count: number): Promise<Uint8Array> {
  const size = sizeOf(dtype as ElementType)
  return source.read(offset + start * size, count * size)
}
