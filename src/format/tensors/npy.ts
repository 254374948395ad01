// NumPy's array file, .npy, version 1.0, written: a header in the form of a Python literal, then the values row by row.
// Little-endian float32, float64 and int32 only. Format: numpy.org/neps/nep-0001-npy-format.html

import type { TensorValues } from './safetensors.js'

const descriptions = { Float32Array: '<f4', Float64Array: '<f8', Int32Array: '<i4' } as const

/** The bytes of the file. The values start at a multiple of 64. */
export function encodeNpy({ shape, values }: Omit<TensorValues, 'name'>): Uint8Array {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`
  const description = descriptions[values.constructor.name as keyof typeof descriptions]
  const text = `{'descr': '${description}', 'fortran_order': False, 'shape': ${tuple}, }`
  const bytes = Math.ceil((10 + text.length + 1) / 64) * 64
  const header = Buffer.from(`\x93NUMPY\x01\x00\x00\x00${text.padEnd(bytes - 11)}\n`, 'latin1')
  header.writeUInt16LE(bytes - 10, 8)
  return Buffer.concat([header, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)])
}
