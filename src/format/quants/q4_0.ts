// Q4_0: 4-bit weights with one scale per 32. The oracle for the kernel: values and the dot product's order of
// operations.
//
//   block of 32 weights, 18 bytes
//   offset  bytes  field
//   0       2      d: half, the scale
//   2       16     q: nibbles, packed as in block32.ts
//
//   weight i = d * (q[i] - 8)

import { readNibbles, writeNibbles, zeroPointBlocks } from './block32.js'

export const { dequantize: dequantizeQ40, dot: dotQ40, encode: encodeQ40 } = zeroPointBlocks(18, 8, readNibbles, writeNibbles)
