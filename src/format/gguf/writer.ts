// Writes a GGUF file, or a set of shards, in order: the header from a plan, then the tensors' data in the plan's order,
// aligned. Holds only the header in memory; does not make the data.

import { abortedError, quoted } from '../../base/errors.js'
import { Told } from '../../base/onAbort.js'
import { type GgufPlan, type PlannedTensor, tensorBytes } from './encodeHeader.js'
import { type GgufTensor, ggufError } from './gguf.js'
import { GgufDraft } from './ggufDraft.js'

export class GgufWriter {
  readonly #path: string
  readonly #draft: GgufDraft
  #current = 0
  /** Bytes of the current tensor written so far. */
  #written = 0

  private constructor(path: string, draft: GgufDraft) {
    this.#path = path
    this.#draft = draft
  }

  /**
   * Creates the drafts of the file, or with `shardBytes` of the shards (GgufDraft). Throws `IO`, as `write` does.
   * @example
   * const writer = await GgufWriter.create(path, { metadata: [['general.architecture', 'string', 'llama']], tensors })
   * for (const tensor of tensors) await writer.write(dataOf(tensor))
   * await writer.close()
   */
  static async create(path: string, plan: GgufPlan, shardBytes?: number): Promise<GgufWriter> {
    return new GgufWriter(path, await GgufDraft.create(path, plan, shardBytes))
  }

  /** The tensor whose data is to be written next; undefined when all are written. */
  get next(): GgufTensor | undefined {
    return this.#draft.tensors[this.#current]
  }

  /**
   * Writes the next bytes of the next tensor: all of it, or a part. Throws `GGUF` if they are more than it has left.
   */
  async write(bytes: Uint8Array): Promise<void> {
    const tensor = this.next
    if (!tensor || this.#written + bytes.length > tensor.bytes) {
      const room = tensor ? tensor.bytes - this.#written : 0
      throw ggufError(
        this.#path,
        `${bytes.length} bytes to write, expected at most ${room}`,
        tensor ? `tensor ${quoted(tensor.name)}` : 'end',
      )
    }
    const at = tensor.offset + this.#written
    this.#written += bytes.length
    if (this.#written === tensor.bytes) {
      this.#current++
      this.#written = 0
    }
    await this.#draft.files[tensor.file]!.write(bytes, at)
  }

  /**
   * Gives the complete file its name. Throws `GGUF` if data is missing, `ABORTED`, and `IO`, and leaves no file then.
   */
  async close(signal?: AbortSignal): Promise<void> {
    const { next } = this
    try {
      if (next) throw ggufError(this.#path, `closed after ${this.#written} bytes, expected ${next.bytes}`, `tensor ${quoted(next.name)}`)
      await this.#draft.publish(signal)
    } finally {
      await this.#draft.discard()
    }
  }

  /** Removes the drafts. */
  async discard(): Promise<void> {
    await this.#draft.discard()
  }
}

/**
 * A tensor to be written, and the producer of its data: parts in order. A part may be overwritten when the next is
 * requested.
 */
export interface ProducedTensor extends PlannedTensor {
  readonly pieces: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>
}

export interface WriteOptions {
  /** Writes a set of shards with at most this many bytes of tensors each. */
  readonly shardBytes?: number
  readonly signal?: AbortSignal
  /** Called with the bytes of tensors that are written, and of all. */
  readonly onProgress?: (progress: { readonly written: number; readonly total: number }) => void
}

/**
 * Writes a file, or a set of shards, from the producers of its tensors. It gets its name when all of it is on the disk;
 * if anything fails, a file that had the name before is unchanged. Throws `IO` (before any data is produced, if the
 * disk has too little room), `GGUF` if a tensor has too many or too few bytes, `ABORTED`, and what a producer throws.
 */
export async function writeGguf(
  path: string,
  plan: Omit<GgufPlan, 'tensors'> & { readonly tensors: readonly ProducedTensor[] },
  { shardBytes, signal, onProgress }: WriteOptions = {},
): Promise<void> {
  const total = plan.tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0)
  let written = 0
  const progress = new Told(onProgress)
  const writer = await GgufWriter.create(path, plan, shardBytes)
  try {
    for (const { name, pieces } of plan.tensors) {
      for await (const piece of pieces()) {
        if (signal?.aborted) throw abortedError(signal)
        await writer.write(piece)
        written += piece.length
        progress.next({ written, total })
      }
      if (writer.next?.name === name) throw ggufError(path, 'too few bytes were made', `tensor ${quoted(name)}`)
    }
    await progress.end()
    await writer.close(signal)
  } finally {
    await writer.discard()
  }
}
