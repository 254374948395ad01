// Files of stored logits, in the format of llama.cpp's `--kl-divergence-base`, so that each program reads the other's
// files. Owns the layout, little-endian throughout:
//
//     byte 0    "_logits_"
//     byte 8    uint32  context length
//     byte 12   uint32  vocabulary
//     byte 16   uint32  windows
//     byte 20   int32   tokens of the text (windows, context length)
//     then      packed rows (windows, predictions that count, see windows.ts), see logProbabilities.ts

import type { FileHandle } from 'node:fs/promises'
import { checkKind, checkText, MixtralError, reasonOf } from '../../base/errors.js'
import { openRegular } from '../../base/files/byteSource.js'

import { DraftFile } from '../../base/files/draftFile.js'
import { limits } from '../../base/limits.js'
import type { Prediction } from './evaluate.js'
import { packedRowBytes, packRow, unpackRow } from './logProbabilities.js'
import { SHORTEST_WINDOW, scoredPerWindow, type Windows } from './windows.js'

const MAGIC = '_logits_'
const HEAD_BYTES = 20

/** Stored logits, opened for reading one window at a time. */
export class LogitsFile {
  readonly path: string
  /** Number of tokens in the vocabulary. */
  readonly vocabulary: number
  readonly windows: Windows
  readonly #file: FileHandle

  private constructor(path: string, file: FileHandle, vocabulary: number, windows: Windows) {
    this.path = path
    this.vocabulary = vocabulary
    this.windows = windows
    this.#file = file
  }

  /**
   * Opens a file. Throws `IO` if it cannot be read, is of another kind, is cut off, or holds a token outside its
   * vocabulary.
   */
  static async open(path: string): Promise<LogitsFile> {
    checkText('the path of stored logits', path)
    const file = await openRegular(path).catch((cause: Error) => {
      throw new MixtralError('IO', `${path}: cannot be opened: ${reasonOf(cause)}`, { cause })
    })
    try {
      const { size } = await file.stat()
      const head = size < HEAD_BYTES ? undefined : await readBytes(path, file, 0, HEAD_BYTES)
      if (!head || Buffer.from(head.buffer, 0, MAGIC.length).toString('latin1') !== MAGIC) {
        throw new MixtralError('IO', `${path}: not a file of stored logits, which begins with ${MAGIC}`)
      }
      const [contextLength, vocabulary, count] = [8, 12, 16].map((at) => head.getUint32(at, true)) as [number, number, number]
      const expected = fileBytes(contextLength, vocabulary, count)
      if (size !== expected || contextLength < SHORTEST_WINDOW || count < 1 || vocabulary < 1) {
        const found = `${count} windows of ${contextLength} tokens of a vocabulary of ${vocabulary}`
        throw new MixtralError('IO', `${path}: ${size} bytes, but its header says ${found}, ${expected} bytes`)
      }
      // A file with holes has any size at no cost, and its header any counts.
      const { storedTokens } = limits
      if (count * contextLength > storedTokens.most || vocabulary > limits.vocabulary.most) {
        const most = `${storedTokens.most} ${storedTokens.what} and a vocabulary of ${limits.vocabulary.most}`
        throw new MixtralError(
          'IO',
          `${path}: ${count} windows of ${contextLength} tokens of a vocabulary of ${vocabulary}, expected at most ${most}`,
        )
      }
      const stored = await readBytes(path, file, HEAD_BYTES, 4 * count * contextLength)
      const tokens = Array.from({ length: count * contextLength }, (_, i) => stored.getUint32(4 * i, true))
      const stray = tokens.findIndex((token) => token >= vocabulary)
      if (stray >= 0) throw new MixtralError('IO', `${path}: token ${stray} is ${tokens[stray]}, expected less than ${vocabulary}`)
      return new LogitsFile(path, file, vocabulary, { contextLength, count, tokens })
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /**
   * Reads one window, by its index. The result is a function: called with a row and `out`, it writes the
   * log-probabilities (vocabulary) of that prediction to `out`. Throws `OPTION` for an index that is none, `IO`; and
   * the function throws `IO` for numbers that are no log-probabilities.
   */
  async window(index: number): Promise<(row: number, out: Float64Array) => void> {
    const { contextLength, count } = this.windows
    checkKind('the index of a window', index, Number.isInteger(index) && index >= 0 && index < count, `a whole number below ${count}`)
    const rowBytes = packedRowBytes(this.vocabulary)
    const windowBytes = scoredPerWindow(contextLength) * rowBytes
    const packed = await readBytes(this.path, this.#file, HEAD_BYTES + 4 * count * contextLength + index * windowBytes, windowBytes)
    return (row, out) => {
      const problem = unpackRow(packed, row * rowBytes, out)
      if (problem) throw new MixtralError('IO', `${this.path}: window ${index}, prediction ${row}: ${problem}: the file is damaged`)
    }
  }

  /** Closes the file. */
  close(): Promise<void> {
    return this.#file.close()
  }
}

/** Writes a file of stored logits, one window at a time. The file gets its name when the writer is closed. */
export class LogitsFileWriter {
  readonly #draft: DraftFile
  readonly #rows: DataView<ArrayBuffer>
  readonly #rowBytes: number
  #written = 0

  private constructor(draft: DraftFile, vocabulary: number, contextLength: number) {
    this.#draft = draft
    this.#rowBytes = packedRowBytes(vocabulary)
    this.#rows = new DataView(new ArrayBuffer(scoredPerWindow(contextLength) * this.#rowBytes))
  }

  /** Begins a file, and writes everything before the rows. Throws `IO`. */
  static async create(path: string, vocabulary: number, { contextLength, count, tokens }: Windows): Promise<LogitsFileWriter> {
    const head = new DataView(new ArrayBuffer(HEAD_BYTES + 4 * tokens.length))
    Buffer.from(head.buffer).write(MAGIC, 'latin1')
    for (const [i, value] of [contextLength, vocabulary, count, ...tokens].entries()) head.setUint32(8 + 4 * i, value, true)
    const draft = await DraftFile.create(path, fileBytes(contextLength, vocabulary, count))
    const writer = new LogitsFileWriter(draft, vocabulary, contextLength)
    await writer.#write(head).catch(async (error) => {
      await writer.discard()
      throw error
    })
    return writer
  }

  /** Puts a prediction in its row of the window that is written next. */
  set(prediction: Prediction): void {
    packRow(prediction.logits, prediction, this.#rows, prediction.row * this.#rowBytes)
  }

  /** Writes the window, after all its predictions were set. Throws `IO`. */
  async writeWindow(): Promise<void> {
    await this.#write(this.#rows)
  }

  /** Gives the file its name, after all windows are written. Throws `IO`. */
  async close(): Promise<void> {
    await this.#draft.seal()
    await this.#draft.publish()
  }

  /** Deletes the unfinished file. */
  discard(): Promise<void> {
    return this.#draft.discard()
  }

  async #write({ buffer, byteLength }: DataView<ArrayBuffer>): Promise<void> {
    await this.#draft.write(new Uint8Array(buffer), this.#written)
    this.#written += byteLength
  }
}

function fileBytes(contextLength: number, vocabulary: number, count: number): number {
  return HEAD_BYTES + count * (4 * contextLength + scoredPerWindow(contextLength) * packedRowBytes(vocabulary))
}

async function readBytes(path: string, file: FileHandle, position: number, count: number): Promise<DataView> {
  const bytes = new Uint8Array(count)
  for (let done = 0; done < count; ) {
    const { bytesRead } = await file.read(bytes, done, count - done, position + done).catch((cause: Error) => {
      throw new MixtralError('IO', `${path}: cannot be read: ${reasonOf(cause)}`, { cause })
    })
    if (bytesRead === 0) throw new MixtralError('IO', `${path}: ends at byte ${position + done}, expected ${count - done} more`)
    done += bytesRead
  }
  return new DataView(bytes.buffer)
}
