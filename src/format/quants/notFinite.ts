// Which blocks have weights that are not finite. A weight is a finite quant times scales, so scales decide: each format
// says where in a block they are.

/** Counts what is not finite in whole blocks: scales, or weights where each stands for itself. */
export type CountNotFinite = (blocks: Uint8Array) => number

/** Blocks of some bytes with halves at these offsets. */
export function halvesAt(blockBytes: number, ...offsets: readonly number[]): CountNotFinite {
  return (blocks) => {
    let count = 0
    for (const offset of offsets) {
      for (let at = offset + 1; at < blocks.length; at += blockBytes) if ((blocks[at]! & 0x7c) === 0x7c) count++
    }
    return count
  }
}

/** Floats of `bytes` bytes each, whose exponent is all ones in the last two of them, as `mask` has it. */
export function floatsOf(bytes: 2 | 4, mask: 0x7c00 | 0x7f80): CountNotFinite {
  return (blocks) => {
    const even = aligned(blocks)
    const halves = new Uint16Array(even.buffer, even.byteOffset, even.length / 2)
    let count = 0
    for (let i = bytes / 2 - 1; i < halves.length; i += bytes / 2) if ((halves[i]! & mask) === mask) count++
    return count
  }
}

/** IQ1_M's half lies in the high nibbles of four 16-bit words at the end of its 56 bytes. */
export function countIQ1M(blocks: Uint8Array): number {
  let count = 0
  for (let at = 0; at < blocks.length; at += 56) {
    if ((blocks[at + 55]! & 0x70) === 0x70 && (blocks[at + 53]! & 0xc0) === 0xc0) count++
  }
  return count
}

/** MXFP4's scale is a power of two, the first of 17 bytes. Above 252 a weight may exceed float32. */
export function countMXFP4(blocks: Uint8Array): number {
  let count = 0
  for (let at = 0; at < blocks.length; at += 17) if (blocks[at]! > 252) count++
  return count
}

function aligned(bytes: Uint8Array): Uint8Array {
  return bytes.byteOffset % 2 === 0 ? bytes : bytes.slice()
}
