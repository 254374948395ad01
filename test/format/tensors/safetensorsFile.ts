// Writes safetensors files the way Hugging Face's library does: no registry that the tests may use has that library, or another writer. A test holds what
// comes out to huggingface.js's own reader.

export interface FileTensor {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[] // outermost first
  readonly bytes: Uint8Array
}

/** A whole file: wide types first, then by name; the header padded with spaces to a multiple of eight. */
export function safetensorsFile(tensors: readonly FileTensor[]): Uint8Array {
  const width = ({ dtype }: FileTensor) => Number(/\d+/.exec(dtype)?.[0] ?? 8)
  const sorted = tensors.toSorted((a, b) => width(b) - width(a) || (a.name < b.name ? -1 : 1))
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  let at = 0
  for (const { name, dtype, shape, bytes } of sorted) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] }
    at += bytes.length
  }
  return fileOf(JSON.stringify(header), ...sorted.map(({ bytes }) => bytes))
}

/** A file with any header and data. */
export function fileOf(header: string, ...data: readonly Uint8Array[]): Uint8Array {
  const text = new TextEncoder().encode(header)
  const padded = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(0x20)
  padded.set(text)
  const length = new Uint8Array(8)
  new DataView(length.buffer).setBigUint64(0, BigInt(padded.length), true)
  return new Uint8Array(Buffer.concat([length, padded, ...data]))
}
