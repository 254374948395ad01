// Writes a GGUF file piece by piece: the header from a plan, then the tensors' data in the plan's order, aligned. Holds no more
// than the header in memory; does not make the data.

import fs from 'node:fs/promises'
import { ioError } from './byteSource.js'
import { type EncodedHeader, encodeHeader, type GgufPlan } from './encodeHeader.js'
import type { GgufTensor } from './gguf.js'
import { ggufError, quoted } from './ggufError.js'

export class GgufWriter {
  readonly #path: string
  readonly #handle: fs.FileHandle
  readonly #header: EncodedHeader
  #current = 0
  /** Bytes of the current tensor written so far. */
  #written = 0

  private constructor(path: string, handle: fs.FileHandle, header: EncodedHeader) {
    this.#path = path
    this.#handle = handle
    this.#header = header
  }

  /**
   * Creates or replaces the file and writes its header. Throws `IO` if it cannot, as `write` does.
   * @example
   * const writer = await GgufWriter.create(path, { metadata: [['general.architecture', 'string', 'llama']], tensors })
   * for (const tensor of tensors) await writer.write(dataOf(tensor))
   * await writer.close()
   */
  static async create(path: string, plan: GgufPlan): Promise<GgufWriter> {
    const header = encodeHeader(plan)
    let handle: fs.FileHandle | undefined
    try {
      handle = await fs.open(path, 'w')
      await handle.truncate(header.fileBytes) // what is never written, the padding, reads as zeros
      await writeAll(handle, header.bytes, 0)
      return new GgufWriter(path, handle, header)
    } catch (cause) {
      await handle?.close()
      throw ioError('write', path, cause)
    }
  }

  /** The tensor whose data is due, or undefined when all are written. */
  get next(): GgufTensor | undefined {
    return this.#header.tensors[this.#current]
  }

  /** Writes the next bytes of the tensor that is due: all of it, or a piece. Throws `GGUF` if they are more than it has left. */
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
    await writeAll(this.#handle, bytes, at).catch((cause: unknown) => {
      throw ioError('write', this.#path, cause)
    })
  }

  /** Closes the file; throws `GGUF` if tensors are missing in it. */
  async close(): Promise<void> {
    await this.#handle.close()
    const { next } = this
    if (next) throw ggufError(this.#path, `closed after ${this.#written} bytes, expected ${next.bytes}`, `tensor ${quoted(next.name)}`)
  }
}

async function writeAll(handle: fs.FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}
