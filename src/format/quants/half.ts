// IEEE 754 half precision (binary16), the number format of block scales, of F16 tensors and of the KV cache.
// Halves are held as their 16 bits in an integer. Knows nothing of blocks.

let floats: Float32Array | undefined

// Every half as float32: 65536 x 4 bytes, filled as bit patterns so that infinities, NaNs and signed zeros need no
// arithmetic. Made when first needed: importing the library should cost little, on every thread.
function makeFloats(): Float32Array {
  const values = new Float32Array(65536)
  const bits = new Uint32Array(values.buffer)
  for (let half = 0; half < 65536; half++) {
    const sign = (half & 0x8000) << 16
    const exponent = (half >>> 10) & 0x1f
    const fraction = half & 0x3ff
    if (exponent === 0) {
      values[half] = fraction * 2 ** -24 // zero or subnormal; every one is a normal float32
      bits[half]! |= sign
    } else {
      const floatExponent = exponent === 31 ? 255 : exponent + 112 // bias 15 to bias 127
      bits[half] = sign | (floatExponent << 23) | (fraction << 13)
    }
  }
  return values
}

/** The value of a half given as its 16 bits (0 to 65535). Exact. */
export function halfToFloat(half: number): number {
  floats ??= makeFloats()
  return floats[half]!
}

/** The value of the little-endian half at `offset` in `bytes`. Exact. */
export function readHalf(bytes: Uint8Array, offset: number): number {
  floats ??= makeFloats()
  return floats[bytes[offset]! | (bytes[offset + 1]! << 8)]!
}

const scratch = new Float32Array(1)
const scratchBits = new Uint32Array(scratch.buffer)

/**
 * The 16 bits of the half nearest to `value`, ties to even. `value` counts as float32, to which it is rounded first.
 * From 65520 on, half way between the largest half and the next power of two, the result is infinity; a NaN gives a
 * quiet NaN of its sign.
 */
export function floatToHalf(value: number): number {
  scratch[0] = value
  const bits = scratchBits[0]!
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  if (magnitude >= 0x477ff000) return sign | 0x7c00 // 65520 and above, infinity included
  if (magnitude < 0x38800000) {
    // Below 2^-14 the result is a count of 2^-24. Adding 2^-24 * 1.5 * 2^23 = 0.75 makes float32's rounding do ours.
    scratch[0] = Math.fround(Math.abs(scratch[0]!) + 0.75)
    return sign | (scratchBits[0]! - 0x3f400000)
  }
  // 13 fraction bits are dropped: add just under half a unit, and one more if the last kept bit is odd. A carry
  // into the exponent is right.
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1)
  return sign | ((rounded - (112 << 23)) >>> 13)
}

/** Writes `value` as a half at `offset` in `bytes`, little-endian, and returns what was written. */
export function writeHalf(bytes: Uint8Array, offset: number, value: number): number {
  const half = floatToHalf(value)
  bytes[offset] = half
  bytes[offset + 1] = half >> 8
  return halfToFloat(half)
}
