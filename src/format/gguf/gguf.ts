// What a GGUF file, or a set of shards, says about itself: metadata and where each tensor's bytes are; and the form of
// errors about one. Holds no tensor data and no open file, and does not know what the keys or tensors mean.

import { MixtralError } from '../../base/errors.js'
import type { GgmlType } from './ggmlType.js'
import type { GgufValueType } from './valueType.js'

/** A metadata value. 64-bit integers are numbers where they are safe integers, else bigints. */
export type GgufValue = number | bigint | boolean | string | GgufValue[]

export interface GgufTensor {
  readonly name: string
  readonly type: GgmlType
  /** One to four dimensions, innermost (columns) first. */
  readonly shape: readonly number[]
  /** Index in `Gguf.files` of the file with the data. */
  readonly file: number
  /** Offset of the first byte from the start of that file. */
  readonly offset: number
  readonly bytes: number
}

export interface Gguf {
  readonly version: 2 | 3
  readonly metadata: ReadonlyMap<string, GgufValue>
  /** How each value of `metadata` is stored, so that a copy of the file can be written without loss. */
  readonly metadataTypes: ReadonlyMap<string, GgufValueType>
  /**
   * For the same end, the bytes of texts that are not valid UTF-8, which `metadata` has with U+FFFD in them: by key,
   * and by their place among the texts of its value.
   */
  readonly rawTexts: ReadonlyMap<string, ReadonlyMap<number, Uint8Array>>
  /** Tensors by name, in the order of the file or of the shards. */
  readonly tensors: ReadonlyMap<string, GgufTensor>
  readonly files: readonly { readonly path: string; readonly bytes: number }[]
}

/** `FILE: PROBLEM (WHERE)`, with code `GGUF`. `problem` says what was found and what was expected. */
export function ggufError(file: string, problem: string, where: string): MixtralError {
  return new MixtralError('GGUF', `${file}: ${problem} (${where})`)
}
