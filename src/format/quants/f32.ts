// F32: plain float32 weights. The oracle for the kernel: values and the dot product's order of operations.
//
//   block of 1 weight, 4 bytes
//   offset  bytes  field
//   0       4      w: float32, little-endian
//
//   weight = w

const { fround } = Math

/**
 * F32 blocks to float32: a copy of the bytes, for every machine we run on is little-endian like the file.
 * @param blocks (out.length * 4 bytes)
 */
export function dequantizeF32(blocks: Uint8Array, out: Float32Array): void {
  new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(blocks)
}

/** A row of F32 blocks times float32 activations x, (columns). */
export function dotF32(row: Uint8Array, x: Float32Array): number {
  const weights = new Float32Array(x.length)
  dequantizeF32(row, weights)
  return dotFloats(weights, x)
}

/** Four sums in float32, column c into sum c % 4 (a SIMD lane each), added pairwise at the end. */
export function dotFloats(weights: Float32Array, x: Float32Array): number {
  const sums = new Float32Array(4)
  for (let column = 0; column < x.length; column++) sums[column % 4]! += fround(weights[column]! * x[column]!)
  return fround(fround(sums[0]! + sums[1]!) + fround(sums[2]! + sums[3]!))
}
