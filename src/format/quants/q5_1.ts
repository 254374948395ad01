// Q5_1: 5-bit weights with one scale and one min per 32. The oracle for the kernel: values and the dot product's order
// of operations.
//
//   block of 32 weights, 24 bytes
//   offset  bytes  field
//   0       2      d: half, the scale
//   2       2      m: half, the min
//   4       4      q: fifth bits, packed as in block32.ts
//   8       16     q: low four bits, packed as in block32.ts
//
//   weight i = d * q[i] + m

import { readFiveBits, scaleMinBlocks, writeFiveBits } from './block32.js'

export const { dequantize: dequantizeQ51, dot: dotQ51, encode: encodeQ51 } = scaleMinBlocks(24, 31, readFiveBits, writeFiveBits)
