// Weights from a GGUF, dequantized when requested. Keeps them if the model is small; otherwise memory for one matrix at
// a time is enough.

import { closeSync, openSync, readSync } from 'node:fs'
import { MixtralError } from '../../base/errors.js'
import type { Gguf } from '../../format/gguf/gguf.js'
import { formats } from '../../format/quants/formats.js'
import type { TensorSlice } from './mixtralTensors.js'

/** A matrix in float32. A vector, such as a norm's weights, is a matrix of one row. */
export interface Matrix {
  /** Outputs. */
  readonly rows: number
  /** Inputs. */
  readonly columns: number
  readonly values: Float32Array // (rows, columns)
}

const keepBelowBytes = 2 ** 26 // of the file; dequantized weights take up to eight times as many

/** `load` returns a whole matrix, `row` one row of it, (columns). Both throw `IO` if the file has become shorter. */
export function matrixSource(gguf: Gguf) {
  const kept = gguf.files.reduce((sum, file) => sum + file.bytes, 0) < keepBelowBytes ? new Map<TensorSlice, Matrix>() : undefined

  function read({ name, type, rows, columns, file, offset, bytes }: TensorSlice): Float32Array {
    const { path } = gguf.files[file]!
    const blocks = new Uint8Array(bytes)
    const handle = openSync(path, 'r')
    const found = readSync(handle, blocks, 0, bytes, offset)
    closeSync(handle)
    if (found !== bytes) throw new MixtralError('IO', `${path}: found ${found} bytes of tensor ${name} at ${offset}, expected ${bytes}`)
    const values = new Float32Array(rows * columns)
    formats.get(type.name)!.dequantize(blocks, values)
    return values
  }

  function load(slice: TensorSlice): Matrix {
    const matrix = kept?.get(slice) ?? { rows: slice.rows, columns: slice.columns, values: read(slice) }
    kept?.set(slice, matrix)
    return matrix
  }

  function row(slice: TensorSlice, index: number): Float32Array {
    const bytes = slice.bytes / slice.rows
    return read({ ...slice, rows: 1, offset: slice.offset + index * bytes, bytes })
  }

  return { load, row }
}
