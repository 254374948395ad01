// What Q5_0 and Q5_1 share: a block's quants are 80 bytes of a group, 5 vectors of 16 bytes; byte 4r + c is for row r. Quad k (columns 4k + c) of the eight is in
//               bits     0-4      5-7
//     vector 0         quad 0   low three bits of quad 5
//     vector 1         quad 1   bit 5: bit 3 of quad 7; bits 6-7: high two bits of quad 5
//     vector 2         quad 2   low three bits of quad 6
//     vector 3         quad 3   bit 5: bit 4 of quad 7; bits 6-7: high two bits of quad 6
//     vector 4         quad 4   low three bits of quad 7
// so that five quads of eight are a mask. Half a block (16 columns) sums to at most 4 * 2 * 31 * 127 = 31496 in an i16 lane.
import { addDot } from './lanes'

/** The masks, to be held. */
export const FIVE: i32 = 0x1f1f1f1f
export const THREE: i32 = 0x07070707
export const UPPER: i32 = 0x18181818
export const SIXTH: i32 = 0x20202020

/** Quad 5 (of vectors 0 and 1) or 6 (of vectors 2 and 3). */
// @ts-ignore: decorator
@inline export function split(v: v128, w: v128, three: v128, upper: v128): v128 {
  return v128.or(v128.and(i16x8.shr_u(v, 5), three), v128.and(i16x8.shr_u(w, 3), upper))
}

/** Quad 7, of vectors 4, 1 and 3. */
// @ts-ignore: decorator
@inline export function scattered(v: v128, w: v128, u: v128, three: v128, sixth: v128): v128 {
  const high = v128.or(v128.and(w, sixth), i16x8.shl(v128.and(u, sixth), 1))
  return v128.or(v128.and(i16x8.shr_u(v, 5), three), i16x8.shr_u(high, 2))
}

/** sum + quads first .. first + 3 * x. */
// @ts-ignore: decorator
@inline export function fourDots(sum: v128, x: usize, first: usize, a: v128, b: v128, c: v128, d: v128, even: v128): v128 {
  return addDot(addDot(addDot(addDot(sum, a, x, first, even), b, x, first + 1, even), c, x, first + 2, even), d, x, first + 3, even)
}

// Four columns' fifth bits, the low four of `bits`, each to bit 4 of its byte.
// @ts-ignore: decorator
@inline function spread(bits: u32): u32 {
  return ((bits & 1) << 4) | ((bits & 2) << 11) | ((bits & 4) << 18) | ((bits & 8) << 25)
}

/** One row's eight quads to its four bytes of five vectors at dst. */
// @ts-ignore: decorator
@inline export function storeQuads(dst: usize, q0: u32, q1: u32, q2: u32, q3: u32, q4: u32, q5: u32, q6: u32, q7: u32): void {
  store<u32>(dst, q0 | ((q5 & THREE) << 5))
  store<u32>(dst, q1 | ((q5 & UPPER) << 3) | ((q7 & 0x08080808) << 2), 16)
  store<u32>(dst, q2 | ((q6 & THREE) << 5), 32)
  store<u32>(dst, q3 | ((q6 & UPPER) << 3) | ((q7 & 0x10101010) << 1), 48)
  store<u32>(dst, q4 | ((q7 & THREE) << 5), 64)
}

// @ts-ignore: decorator
@inline function low(nibbles: u32, bits: u32): u32 {
  return (nibbles & 0x0f0f0f0f) | spread(bits)
}

/** One block of each of 4 rows (rowBytes apart) to 80 bytes at dst; src: 4 bytes of fifth bits, then 16 of nibbles. */
export function repackFiveBits(src: usize, rowBytes: usize, valid: usize, dst: usize): void {
  for (let r: usize = 0; r < 4; r++) {
    const real = r < valid
    const p = src + r * rowBytes
    const bits = real ? load<u32>(p) : 0
    const n0 = real ? load<u32>(p, 4) : 0
    const n1 = real ? load<u32>(p, 8) : 0
    const n2 = real ? load<u32>(p, 12) : 0
    const n3 = real ? load<u32>(p, 16) : 0
    storeQuads(dst + r * 4, low(n0, bits), low(n1, bits >> 4), low(n2, bits >> 8), low(n3, bits >> 12), low(n0 >> 4, bits >> 16), low(n1 >> 4, bits >> 20), low(n2 >> 4, bits >> 24), low(n3 >> 4, bits >> 28))
  }
}
