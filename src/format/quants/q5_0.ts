// Q5_0: 5-bit weights with one scale per 32. The oracle for the kernel: values and the dot product's order of
// operations.
//
//   block of 32 weights, 22 bytes
//   offset  bytes  field
//   0       2      d: half, the scale
//   2       4      q: fifth bits, packed as in block32.ts
//   6       16     q: low four bits, packed as in block32.ts
//
//   weight i = d * (q[i] - 16)

import { readFiveBits, writeFiveBits, zeroPointBlocks } from './block32.js'

export const { dequantize: dequantizeQ50, dot: dotQ50, encode: encodeQ50 } = zeroPointBlocks(22, 16, readFiveBits, writeFiveBits)
