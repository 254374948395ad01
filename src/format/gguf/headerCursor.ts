// A cursor through the header of one GGUF file. Owns the position, a window of bytes read ahead, and the account of
// memory that the header may cost; refuses counts that the rest of the file could not hold. Does not know the order of
// things in a header.

import type { ByteSource } from '../../base/files/byteSource.js'
import { limits } from '../../base/limits.js'
import { TimeSlice } from '../../base/timeSlice.js'
import { ggufError } from './gguf.js'
import { type GgufScalarType, scalarOf } from './valueType.js'

// Reads start small, because a header may sit behind a slow connection, and double.
const FIRST_READ = 64 * 1024
const LARGEST_READ = 4 * 1024 * 1024

// Limits of the memory that a header may take: twice the size of the file, and FREE_MEMORY for small files that hold
// only a vocabulary. A sparse file can have any size at no cost, so MOST_MEMORY is the limit for all, and for the files
// of a set together: half a million tokens with their scores, types and merges take a fifth of it.
const FREE_MEMORY = limits.smallHeaderMemory.most
const MOST_MEMORY = limits.headerMemory.most

export class HeaderCursor {
  readonly source: ByteSource
  /** The item being read, for messages. */
  where = 'header'
  /** Of the value being read: the number of its texts so far, and the bytes of those that are not valid UTF-8. */
  texts = 0
  rawTexts = new Map<number, Uint8Array>()
  #position = 0
  #window: Uint8Array = new Uint8Array(0)
  #view: DataView = new DataView(new ArrayBuffer(0))
  #windowStart = 0
  #nextRead = FIRST_READ
  readonly #signal: AbortSignal | undefined
  readonly #slice = new TimeSlice()
  /** Items since the clock was looked at. */
  #items = 0
  readonly #memory: number
  #memoryLeft: number

  /** @param taken what the headers of the set before this one take */
  constructor(source: ByteSource, taken = 0, signal?: AbortSignal) {
    this.source = source
    this.#signal = signal
    this.#memory = Math.min(Math.min(2 * source.bytes, MOST_MEMORY) + FREE_MEMORY, MOST_MEMORY + FREE_MEMORY - taken)
    this.#memoryLeft = this.#memory
  }

  /** Most bytes that what was read so far takes in memory. */
  get taken(): number {
    return this.#memory - this.#memoryLeft
  }

  get position(): number {
    return this.#position
  }

  get remaining(): number {
    return this.source.bytes - this.#position
  }

  /** Throws the error for the current item; `at` is the byte it points to. */
  fail(problem: string, at = this.#position): never {
    throw ggufError(this.source.name, problem, `${this.where}, byte ${at}`)
  }

  /** Refuses the file if what was read so far, and `bytes` more, is out of proportion to its size, or to any header. */
  charge(bytes: number): void {
    this.#memoryLeft -= bytes
    if (this.#memoryLeft < 0) this.fail(`needs more memory than the ${this.#memory} bytes that the header of this file may take`)
  }

  /**
   * Makes the next `bytes` bytes available to the take methods. Resolve it before each of them. Lets other work of the
   * thread run now and then; throws `ABORTED` if the signal has fired.
   */
  async need(bytes: number): Promise<void> {
    if ((bytes > 1024 || (++this.#items & 15) === 0) && this.#slice.isOver) await this.#slice.pause(this.#signal)
    if (this.#position + bytes <= this.#windowStart + this.#window.length) return
    if (bytes > this.remaining) this.fail(`needs ${bytes} more bytes, but the file ends after ${this.remaining}`)
    const length = Math.max(bytes, Math.min(this.#nextRead, this.remaining))
    this.#nextRead = Math.min(2 * this.#nextRead, LARGEST_READ)
    this.#window = new Uint8Array(0) // lets the old window be collected before the new one is read
    this.#window = await this.source.read(this.#position, length)
    this.#view = new DataView(this.#window.buffer, this.#window.byteOffset, length)
    this.#windowStart = this.#position
  }

  take(type: GgufScalarType): number | bigint {
    const { bytes, read } = scalarOf(type)!
    const value = read(this.#view, this.#position - this.#windowStart)
    this.#position += bytes
    return value
  }

  /** A view that is valid until the next `need`. */
  takeBytes(length: number): Uint8Array {
    const start = this.#position - this.#windowStart
    this.#position += length
    return this.#window.subarray(start, start + length)
  }

  async uint32(): Promise<number> {
    await this.need(4)
    return Number(this.take('uint32'))
  }

  /** A 64-bit integer that may be anything. */
  async uint64(): Promise<number | bigint> {
    await this.need(8)
    return this.take('uint64')
  }

  /** A 64-bit count of things of at least `bytesEach` bytes, refused if the rest of the file could not hold as many. */
  async count(things: string, bytesEach: number): Promise<number> {
    const count = await this.uint64()
    const most = Math.floor(this.remaining / bytesEach)
    if (count > most) this.fail(`claims ${count} ${things}, but the rest of the file can hold ${most} at most`, this.#position - 8)
    return Number(count)
  }
}
