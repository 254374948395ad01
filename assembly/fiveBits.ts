// What Q5_0, Q5_1 and Q5_K share: 32 columns of four rows are 5 vectors of 16 bytes, 32 bytes apart because two groups stand
// side by side (pairs.ts); byte 4r + c is for row r. Quad k (columns 4k + c) of the eight:
//     0 to 4   bits 0-4 of vectors 0 to 4
//     5        bits 0-4 of (vector 0 >> 5) ^ (vector 1 >> 3)
//     6        bits 0-4 of (vector 2 >> 5) ^ (vector 3 >> 3)
//     7        bits 0-4 of (vector 4 >> 5) ^ (vector 1 >> 2) ^ (vector 3 >> 1)
// shifted in lanes of 16 bits. What of other quads gets into these is known when the weights are packed, and bits 5-7 are chosen so that it comes out right: so a quad
// needs one mask, whatever it is joined from. Any four quads sum to at most 4 * 2 * 31 * 127 = 31496 in an i16 lane.
import { addDot, dot } from './lanes'

/** The mask, to be held. */
export const FIVE: i32 = 0x1f1f1f1f

/** The quad of vector n of the first or second group, n from 0 to 4, at q + 32 n. */
// @ts-ignore: decorator
@inline export function inPlace(q: usize, second: bool, five: v128): v128 {
  return v128.and(second ? v128.load(q, 16) : v128.load(q), five)
}

// @ts-ignore: decorator
@inline function join(v: v128, w: v128, five: v128): v128 {
  return v128.and(v128.xor(i16x8.shr_u(v, 5), i16x8.shr_u(w, 3)), five)
}

/** Quad 5 of the vectors at q, or 6 of those at q - 64. */
// @ts-ignore: decorator
@inline export function joined(q: usize, second: bool, five: v128): v128 {
  return second ? join(v128.load(q, 16), v128.load(q, 48), five) : join(v128.load(q), v128.load(q, 32), five)
}

/** Quad 7 of the vectors at q. */
// @ts-ignore: decorator
@inline export function lastQuad(q: usize, second: bool, five: v128): v128 {
  const v = second ? v128.load(q, 144) : v128.load(q, 128)
  const w = second ? v128.load(q, 48) : v128.load(q, 32)
  const u = second ? v128.load(q, 112) : v128.load(q, 96)
  return v128.and(v128.xor(i16x8.shr_u(v, 5), v128.xor(i16x8.shr_u(w, 2), i16x8.shr_u(u, 1))), five)
}

/** The sum over quads 0, 1, 4 and 5 of the vectors at q, which take three loads. */
// @ts-ignore: decorator
@inline export function firstHalf(q: usize, second: bool, x: usize, five: v128, even: v128): v128 {
  const v = second ? v128.load(q, 16) : v128.load(q)
  const w = second ? v128.load(q, 48) : v128.load(q, 32)
  const s = addDot(dot(v128.and(v, five), x, 0, even), v128.and(w, five), x, 1, even)
  return addDot(addDot(s, join(v, w, five), x, 5, even), v128.and(second ? v128.load(q, 144) : v128.load(q, 128), five), x, 4, even)
}

/** The sum over quads 2, 3, 6 and 7. */
// @ts-ignore: decorator
@inline export function secondHalf(q: usize, second: bool, x: usize, five: v128, even: v128): v128 {
  const v = second ? v128.load(q, 80) : v128.load(q, 64)
  const w = second ? v128.load(q, 112) : v128.load(q, 96)
  const s = addDot(dot(v128.and(v, five), x, 2, even), v128.and(w, five), x, 3, even)
  return addDot(addDot(s, join(v, w, five), x, 6, even), lastQuad(q, second, five), x, 7, even)
}

// Four columns' fifth bits, the low four of `bits`, each to bit 4 of its byte.
// @ts-ignore: decorator
@inline function spread(bits: u32): u32 {
  return ((bits & 1) << 4) | ((bits & 2) << 11) | ((bits & 4) << 18) | ((bits & 8) << 25)
}

// Both 16-bit lanes of v, shifted right.
// @ts-ignore: decorator
@inline function shifted(v: u32, by: u32): u32 {
  return (v >> by) & ((0xffff >> by) * 0x10001)
}

/** One row's eight quads to its four bytes of five vectors at dst. */
// @ts-ignore: decorator
@inline export function storeQuads(dst: usize, q0: u32, q1: u32, q2: u32, q3: u32, q4: u32, q5: u32, q6: u32, q7: u32): void {
  // bits 3 and 4 of the joined quads first: what else gets there is of quads in their places, and of what is settled the line before
  let v1 = q1 | (((q5 ^ shifted(q0, 5)) & 0x18181818) << 3)
  let v3 = q3 | (((q6 ^ shifted(q2, 5)) & 0x18181818) << 3)
  v1 |= ((q7 ^ shifted(q4, 5) ^ shifted(v3, 1)) & 0x08080808) << 2
  v3 |= ((q7 ^ shifted(q4, 5) ^ shifted(v1, 2)) & 0x10101010) << 1
  store<u32>(dst, q0 | (((q5 ^ shifted(v1, 3)) & 0x07070707) << 5))
  store<u32>(dst, v1, 32)
  store<u32>(dst, q2 | (((q6 ^ shifted(v3, 3)) & 0x07070707) << 5), 64)
  store<u32>(dst, v3, 96)
  store<u32>(dst, q4 | (((q7 ^ shifted(v1, 2) ^ shifted(v3, 1)) & 0x07070707) << 5), 128)
}

// @ts-ignore: decorator
@inline function low(nibbles: u32, bits: u32): u32 {
  return (nibbles & 0x0f0f0f0f) | spread(bits)
}

/** One block of each of 4 rows (rowBytes apart) to 5 vectors at dst; src: 4 bytes of fifth bits, then 16 of nibbles. */
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
