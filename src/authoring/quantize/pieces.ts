// The work of quantising as the threads share it: pieces of a file to read, turn into another type, and write to their place. Owns the cutting into pieces and what
// memory a thread needs for one; knows no tensors but as runs of bytes.

import { MixtralError, quoted } from '../../base/errors.js'
import type { GgmlType } from '../../format/gguf/ggmlType.js'
import { formats, largestWeight } from '../../format/quants/formats.js'
import { ENCODE_ROOM, type Encoders, openEncoders } from '../../runtime/kernels/encoders.js'
import type { FileReader } from '../../runtime/weights/fileReader.js'
import type { FileWriter } from './fileWriter.js'

/** A run of weights, in an input and where it goes. */
export interface Part {
  /** Of the input's tensor, for messages. */
  readonly name: string
  readonly from: Place
  readonly to: Place
  readonly weights: number
}

interface Place {
  readonly type: GgmlType
  /** Index of the file. */
  readonly file: number
  readonly offset: number
}

/** Weights of a piece: whole blocks of every type. */
const PIECE = 2 ** 18
const VALUES = 4096 // where a piece's float32 lie, after the encoders' room
const INPUT = VALUES + PIECE * 4
const OUTPUT = INPUT + PIECE * 4
const BYTES = OUTPUT + PIECE * 4 + 4096

/** A thread's memory, with the encoders on it. */
interface Bench {
  readonly encoders: Encoders
  readonly bytes: Uint8Array
  readonly floats: Float32Array
}

/** Throws `IO` where the encoders' file is not there. */
export function openBench(): Bench {
  const { encoders, memory } = openEncoders(BYTES)
  return { encoders, bytes: new Uint8Array(memory.buffer), floats: new Float32Array(memory.buffer) }
}

export const piecesOf = ({ weights }: Part) => Math.ceil(weights / PIECE)
const bytesIn = ({ blockWeights, blockBytes }: GgmlType, weights: number) => (weights / blockWeights) * blockBytes

/** Reads, turns and writes one piece of a part; returns how many bytes of the input it was. Throws `IO`, and `MODEL` for weights that no type can hold. */
export function writePiece(part: Part, piece: number, bench: Bench, reader: FileReader, writer: FileWriter): number {
  const { from, to } = part
  const first = piece * PIECE
  const weights = Math.min(PIECE, part.weights - first)
  const inputBytes = bytesIn(from.type, weights)
  const outputBytes = bytesIn(to.type, weights)
  reader.read(from.file, bench.bytes, INPUT, inputBytes, from.offset + bytesIn(from.type, first))
  const at = to.offset + bytesIn(to.type, first)
  if (from.type.id === to.type.id) {
    writer.write(to.file, bench.bytes, INPUT, outputBytes, at)
    return inputBytes
  }
  decode(from.type, weights, bench)
  const upTo4 = Math.ceil(weights / 4) * 4
  bench.floats.fill(0, VALUES / 4 + weights, VALUES / 4 + upTo4)
  const beyond = bench.encoders.count_beyond(VALUES, upTo4, largestWeight)
  if (beyond > 0) {
    const where = `weights ${first} to ${first + weights - 1}`
    throw new MixtralError(
      'MODEL',
      `tensor ${quoted(part.name)}, ${where}: ${beyond} are not finite or beyond ${largestWeight}, expected none: the file is damaged`,
    )
  }
  encode(to.type, weights, bench)
  writer.write(to.file, bench.bytes, OUTPUT, outputBytes, at)
  return inputBytes
}

/** INPUT to VALUES. */
function decode(type: GgmlType, weights: number, { encoders, bytes, floats }: Bench): void {
  if (type.name === 'F16') encoders.decode_f16(INPUT, Math.ceil(weights / 4) * 4, VALUES)
  else if (type.name === 'BF16') encoders.decode_bf16(INPUT, Math.ceil(weights / 4) * 4, VALUES)
  else
    formats
      .get(type.name)!
      .dequantize(bytes.subarray(INPUT, INPUT + bytesIn(type, weights)), floats.subarray(VALUES / 4, VALUES / 4 + weights))
}

/** VALUES to OUTPUT: by the format's kernel, or the oracle where there is none. */
function encode(type: GgmlType, weights: number, { encoders, bytes, floats }: Bench): void {
  const kernel = encoders[`encode_${type.name.toLowerCase()}` as keyof Encoders] as Encoders['encode_q8_0'] | undefined
  if (kernel) kernel(VALUES, weights / type.blockWeights, OUTPUT, VALUES - ENCODE_ROOM)
  else formats.get(type.name)!.encode!(floats.subarray(VALUES / 4, VALUES / 4 + weights), bytes.subarray(OUTPUT))
}
