// What Q5_0 and Q5_1 share: a block's quants are 80 bytes of a group,
//     0   h     16 bytes; byte 4r + c: bit j is the fifth bit of row r, column 4j + c, bit 4 + j that of column 16 + 4j + c
//    16   q     the nibbles as in block32.ts
import { addPair } from './block32'

/** The bit that a fifth bit becomes, in every byte. */
export const FIFTH: i32 = 0x10101010

// Columns 4j.. (low5) and 16+4j.. (high5) of vector j, with their fifth bits.
// @ts-ignore: decorator
@inline export function low5(w: v128, h: v128, j: i32, nibble: v128, fifth: v128): v128 {
  return v128.or(v128.and(w, nibble), v128.and(i16x8.shl(h, 4 - j), fifth))
}

// @ts-ignore: decorator
@inline export function high5(w: v128, h: v128, j: i32, nibble: v128, fifth: v128): v128 {
  return v128.or(v128.and(i16x8.shr_u(w, 4), nibble), v128.and(i16x8.shr_u(h, j), fifth))
}

/** sum + quants * x over half a block (16 columns): at most 4 * 2 * 31 * 127 = 31496 in an i16 lane. `first` is vector 0 or 2. */
// @ts-ignore: decorator
@inline export function addHalfBlock(sum: v128, q: usize, h: v128, x: usize, first: i32, nibble: v128, fifth: v128, even: v128): v128 {
  let w = v128.load(q + <usize>first * 16, 16)
  sum = addPair(sum, low5(w, h, first, nibble, fifth), high5(w, h, first, nibble, fifth), x, first, even)
  w = v128.load(q + <usize>first * 16, 32)
  return addPair(sum, low5(w, h, first + 1, nibble, fifth), high5(w, h, first + 1, nibble, fifth), x, first + 1, even)
}

// Eight bits, one in each nibble of `bits`, to a byte.
// @ts-ignore: decorator
@inline function gather(bits: u32): u32 {
  bits &= 0x11111111
  bits = (bits | (bits >> 3)) & 0x03030303
  bits = (bits | (bits >> 6)) & 0x000f000f
  return (bits | (bits >> 12)) & 0xff
}

/** The fifth bits of one block of each of 4 rows (rowBytes apart), 32 bits a row, to 16 bytes at dst. */
export function repackFifthBits(src: usize, rowBytes: usize, valid: usize, dst: usize): void {
  for (let r: usize = 0; r < 4; r++) {
    const bits = r < valid ? load<u32>(src + r * rowBytes) : 0
    store<u32>(dst + r * 4, gather(bits) | (gather(bits >> 1) << 8) | (gather(bits >> 2) << 16) | (gather(bits >> 3) << 24))
  }
}
