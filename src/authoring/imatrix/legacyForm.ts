// llama.cpp's old form of an importance matrix, usually named .dat. Owns its bytes and its limits; knows nothing of
// models. Little-endian, after tools/imatrix/imatrix.cpp in llama.cpp:
//
//   int32 entries, then for each
//     int32 length of the name, the name
//     int32 calls: windows that ran
//     int32 values
//     float32 values: mean squares times calls; 1 times calls for an expert that no token reached
//   and, in all but the oldest, int32 windows, int32 length of the data set's name, that name
//
// It knows no counts of tokens, and not how many experts the values of a tensor belong to.

import { MixtralError, quoted } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import { fileValues, type Imatrix, type ImatrixEntry } from './imatrix.js'

/** The contents of a file. Every entry is one matrix, since the file does not say otherwise. Throws `GGUF`. */
export function decodeLegacy(bytes: Uint8Array, path: string): Imatrix {
  const reader = new LegacyReader(bytes, path)
  const count = reader.count('entries', limits.imatrixEntries.most)
  const entries = new Map<string, ImatrixEntry>()
  let values = 0
  for (let n = 1; n <= count; n++) {
    reader.where = `entry ${n} of ${count}`
    const name = reader.text()
    reader.where = `entry ${quoted(name)}`
    if (entries.has(name)) reader.fail('a second entry of this name')
    const calls = reader.count('calls', 2 ** 31 - 1)
    const columns = reader.count('values', limits.imatrixValues.most)
    values += columns
    if (values > limits.imatrixValues.most) reader.fail(`${values} values up to here, expected at most ${limits.imatrixValues.most}`)
    entries.set(name, { columns, sums: reader.floats(columns), counts: Float64Array.of(calls) })
  }
  reader.where = 'end'
  if (reader.left === 0) return { entries, datasets: [], windows: 0, contextLength: undefined }
  const windows = reader.count('windows', 2 ** 31 - 1, 0)
  const dataset = reader.text(0)
  if (reader.left > 0) reader.fail(`${reader.left} bytes after the last field, expected none`)
  return { entries, datasets: dataset ? [dataset] : [], windows, contextLength: undefined }
}

/** The bytes of a file. */
export function encodeLegacy({ entries, datasets, windows, contextLength }: Imatrix): Uint8Array[] {
  const pieces = [int32s(entries.size)]
  for (const [name, { columns, sums, counts }] of entries) {
    // no calls would divide by zero in a reader
    const calls = contextLength === undefined ? counts[0]! : Math.max(1, windows)
    const means = sums.map((sum, i) => {
      const count = counts[Math.floor(i / columns)]!
      return count > 0 ? (sum / count) * calls : calls
    })
    const values = fileValues(name, means)
    pieces.push(...text(name), int32s(calls, values.length), bytesOf(values))
  }
  return [...pieces, int32s(windows), ...text(datasets[0] ?? '')]
}

function text(value: string): Uint8Array[] {
  const bytes = new TextEncoder().encode(value)
  return [int32s(bytes.length), bytes]
}

const int32s = (...values: number[]) => bytesOf(Int32Array.from(values))
const bytesOf = ({ buffer }: Int32Array | Float32Array) => new Uint8Array(buffer)

class LegacyReader {
  /** The item being read, for messages. */
  where = 'header'
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #path: string
  #at = 0

  constructor(bytes: Uint8Array, path: string) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#path = path
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  fail(problem: string): never {
    throw new MixtralError('GGUF', `${this.#path}: ${problem} (importance matrix, ${this.where}, byte ${this.#at})`)
  }

  count(things: string, most: number, least = 1): number {
    if (this.left < 4) this.fail(`the file ends before the number of ${things}`)
    const count = this.#view.getInt32(this.#at, true)
    if (count < least || count > most) this.fail(`${count} ${things}, expected ${least} to ${most}: no importance matrix, or a damaged one`)
    this.#at += 4
    return count
  }

  text(least = 1): string {
    const length = this.count('bytes of a name', limits.imatrixText.most, least)
    if (length > this.left) this.fail(`a name of ${length} bytes, but the file ends after ${this.left}`)
    this.#at += length
    return new TextDecoder().decode(this.#bytes.subarray(this.#at - length, this.#at))
  }

  /** `count` float32 that sums of squares can be. */
  floats(count: number): Float64Array {
    if (count * 4 > this.left) this.fail(`${count} values, but the file ends after ${this.left} bytes`)
    const values = Float64Array.from({ length: count }, (_, i) => this.#view.getFloat32(this.#at + i * 4, true))
    const bad = values.findIndex((value) => !(value >= 0 && value < Number.POSITIVE_INFINITY))
    if (bad >= 0) this.fail(`value ${bad} is ${values[bad]}, expected a finite number from 0`)
    this.#at += count * 4
    return values
  }
}
