// Q4_1: 4-bit weights with one scale and one min per 32. The oracle for the kernel: values and the dot product's order
// of operations.
//
//   block of 32 weights, 20 bytes
//   offset  bytes  field
//   0       2      d: half, the scale
//   2       2      m: half, the min
//   4       16     q: nibbles, packed as in block32.ts
//
//   weight i = d * q[i] + m

import { readNibbles, scaleMinBlocks, writeNibbles } from './block32.js'

export const { dequantize: dequantizeQ41, dot: dotQ41, encode: encodeQ41 } = scaleMinBlocks(20, 15, readNibbles, writeNibbles)
