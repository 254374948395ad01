// The safetensors file: the length of a JSON header, the header, then the values of all tensors in its order. Little-endian.
// Format: github.com/huggingface/safetensors, README

import type { TracedTensor } from '../../runtime/trace/taps.js'

const types = { Float32Array: 'F32', Float64Array: 'F64', Int32Array: 'I32' } as const

/** The file, piece by piece. Names must be unique. metadata: texts for the header. */
export function* encodeSafetensors(tensors: readonly TracedTensor[], metadata: Readonly<Record<string, string>>): Generator<Uint8Array> {
  let at = 0
  const entries = tensors.map(({ name, shape, values }) => {
    const dtype = types[values.constructor.name as keyof typeof types]
    const start = at
    at += values.byteLength
    return [name, { dtype, shape, data_offsets: [start, at] }] as const
  })
  const text = JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) })
  const header = Buffer.from(text)
  const padded = Buffer.alloc(Math.ceil(header.length / 8) * 8, ' ') // so that the values lie at multiples of 8
  header.copy(padded)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  yield length
  yield padded
  for (const { values } of tensors) yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}
