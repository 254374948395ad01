// The table of block formats that have a kernel. A new format is one file beside this one and one row here.

import { type GgmlType, ggmlTypeByName } from '../gguf/ggmlType.js'
import { dequantizeF16 } from './f16.js'
import { dequantizeF32 } from './f32.js'
import { dequantizeQ4K } from './q4_k.js'
import { dequantizeQ5K } from './q5_k.js'
import { dequantizeQ6K } from './q6_k.js'
import { dequantizeQ80 } from './q8_0.js'

export interface Format {
  readonly type: GgmlType
  /**
   * Writes the values of whole blocks to `out`, each operation rounded to float32 like ggml's.
   * @param blocks as many blocks as fill `out`
   * @param out (weights), a multiple of the block's weights
   */
  readonly dequantize: (blocks: Uint8Array, out: Float32Array) => void
}

/** Every supported format under its ggml type name, such as `Q4_K`. */
export const formats: ReadonlyMap<string, Format> = new Map(
  Object.entries({
    F32: dequantizeF32,
    F16: dequantizeF16,
    Q8_0: dequantizeQ80,
    Q4_K: dequantizeQ4K,
    Q5_K: dequantizeQ5K,
    Q6_K: dequantizeQ6K,
  }).map(([name, dequantize]) => [name, { type: ggmlTypeByName(name)!, dequantize }]),
)

/** The names of the supported formats, for messages: `F32, F16, ...`. */
export const supportedTypeNames: readonly string[] = [...formats.keys()]
