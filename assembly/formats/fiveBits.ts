// The quants of Q5_0, Q5_1 and Q5_K: 32 columns of four rows are 5 vectors of 16 bytes, 32 bytes apart because two
// groups stand side by side (pairs.ts). Byte 4r + c is for row r. Quad k (columns 4k + c) of the eight:
//     0 to 4   bits 0-4 of vectors 0 to 4
//     5        bits 0-4 of (vector 0 >> 5) ^ (vector 1 >> 3)
//     6        bits 0-4 of (vector 2 >> 5) ^ (vector 3 >> 3)
//     7        bits 0-4 of (vector 4 >> 5) ^ (vector 1 >> 2) ^ (vector 3 >> 1)
// shifted in lanes of 16 bits. Shifting brings bits of other quads into quads 5 to 7. They are known when weights are
// packed, and bits 5-7 are chosen so that the result is right: a quad needs one mask, whatever it is joined from. Any
// four quads sum to at most 4 * 2 * 31 * 127 = 31496 in an i16 lane.
import { held } from '../lanes/held'
import { addDot, dot } from '../lanes/quads'
import { fourRows, quadOf, rowAt } from '../lanes/rows'
import { packHalves } from './halves_repack'

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

// The masks of packing, to be held.
const TOP_THREE: i32 = <i32>0xe0e0e0e0
const TOP_TWO: i32 = <i32>0xc0c0c0c0
const SIXTH: i32 = 0x20202020

/** Four rows' eight quads to five vectors at dst, 32 bytes apart. */
// @ts-ignore: decorator
@inline export function storeQuads(dst: usize, q0: v128, q1: v128, q2: v128, q3: v128, q4: v128, q5: v128, q6: v128, q7: v128, positive: i32): void {
  const three = held(TOP_THREE, positive)
  const two = held(TOP_TWO, positive)
  const one = held(SIXTH, positive)
  // bits 3 and 4 of the joined quads first: other bits there come from quads in their places, or from the line before
  let v1 = v128.or(q1, v128.and(i16x8.shl(v128.xor(q5, i16x8.shr_u(q0, 5)), 3), two))
  let v3 = v128.or(q3, v128.and(i16x8.shl(v128.xor(q6, i16x8.shr_u(q2, 5)), 3), two))
  const last = v128.xor(q7, i16x8.shr_u(q4, 5))
  v1 = v128.or(v1, v128.and(i16x8.shl(v128.xor(last, i16x8.shr_u(v3, 1)), 2), one))
  v3 = v128.or(v3, v128.and(i16x8.shl(v128.xor(last, i16x8.shr_u(v1, 2)), 1), one))
  v128.store(dst, v128.or(q0, v128.and(i16x8.shl(v128.xor(q5, i16x8.shr_u(v1, 3)), 5), three)))
  v128.store(dst, v1, 32)
  v128.store(dst, v128.or(q2, v128.and(i16x8.shl(v128.xor(q6, i16x8.shr_u(v3, 3)), 5), three)), 64)
  v128.store(dst, v3, 96)
  v128.store(dst, v128.or(q4, v128.and(i16x8.shl(v128.xor(q7, v128.xor(i16x8.shr_u(v1, 2), i16x8.shr_u(v3, 1))), 5), three)), 128)
}

// A quad of `nibbles`, with its fifth bits at bit 4 of its bytes. `bytes` holds, for each row, four times the byte with
// its fifth bits; `where` has each column's bit in that byte.
// @ts-ignore: decorator
@inline function whole(nibbles: v128, bytes: v128, where: v128, nibble: v128, fifth: v128): v128 {
  return v128.or(v128.and(nibbles, nibble), v128.and(i8x16.eq(v128.and(bytes, where), where), fifth))
}

/**
 * Packs the quants of `blocks` blocks of each of four rows, from row `first` on. src: 4 bytes of fifth bits, then 16 of
 * nibbles, every `blockBytes`. dst: 5 vectors every `stride` bytes.
 */
export function packFiveBits(src: usize, rowBytes: usize, first: i32, rows: i32, blocks: i32, blockBytes: usize, dst: usize, stride: usize): void {
  const p0 = rowAt(src, rowBytes, first, rows)
  const p1 = rowAt(src, rowBytes, first + 1, rows)
  const p2 = rowAt(src, rowBytes, first + 2, rows)
  const p3 = rowAt(src, rowBytes, first + 3, rows)
  const mask = fourRows(rows - first)
  const even = held(0x08040201, blocks)
  const odd = held(<i32>0x80402010, blocks)
  const nibble = v128.and(held(0x0f0f0f0f, blocks), mask)
  const fifth = v128.and(held(0x10101010, blocks), mask)
  const end = <usize>blocks * blockBytes
  for (let b: usize = 0; b < end; b += blockBytes) {
    const r0 = v128.load(p0 + b, 4)
    const r1 = v128.load(p1 + b, 4)
    const r2 = v128.load(p2 + b, 4)
    const r3 = v128.load(p3 + b, 4)
    let bits = v128.load32_zero(p0 + b)
    bits = v128.load32_lane(p1 + b, bits, 1)
    bits = v128.load32_lane(p2 + b, bits, 2)
    bits = v128.load32_lane(p3 + b, bits, 3)
    const f0 = v128.shuffle<i8>(bits, bits, 0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12)
    const f1 = v128.shuffle<i8>(bits, bits, 1, 1, 1, 1, 5, 5, 5, 5, 9, 9, 9, 9, 13, 13, 13, 13)
    const f2 = v128.shuffle<i8>(bits, bits, 2, 2, 2, 2, 6, 6, 6, 6, 10, 10, 10, 10, 14, 14, 14, 14)
    const f3 = v128.shuffle<i8>(bits, bits, 3, 3, 3, 3, 7, 7, 7, 7, 11, 11, 11, 11, 15, 15, 15, 15)
    const n0 = quadOf(0, r0, r1, r2, r3)
    const n1 = quadOf(1, r0, r1, r2, r3)
    const n2 = quadOf(2, r0, r1, r2, r3)
    const n3 = quadOf(3, r0, r1, r2, r3)
    storeQuads(
      dst,
      whole(n0, f0, even, nibble, fifth),
      whole(n1, f0, odd, nibble, fifth),
      whole(n2, f1, even, nibble, fifth),
      whole(n3, f1, odd, nibble, fifth),
      whole(i16x8.shr_u(n0, 4), f2, even, nibble, fifth),
      whole(i16x8.shr_u(n1, 4), f2, odd, nibble, fifth),
      whole(i16x8.shr_u(n2, 4), f3, even, nibble, fifth),
      whole(i16x8.shr_u(n3, 4), f3, odd, nibble, fifth),
      blocks,
    )
    dst += stride
  }
}

/**
 * Packs `rows` consecutive rows of a file, blocks of `halves` halves, 4 bytes of fifth bits and 16 of nibbles, into
 * pairs of groups of four; missing rows become zeros. Returns how many halves are not finite.
 */
// @ts-ignore: decorator
@inline export function repackFiveBits(src: usize, rows: i32, blocks: i32, halves: usize, dst: usize): i32 {
  const bytes = halves * 2 + 20
  const stride = halves * 16 + 160
  const rowBytes = <usize>blocks * bytes
  let bad = 0
  for (; rows > 0; rows -= 8) {
    packFiveBits(src + halves * 2, rowBytes, 0, rows, blocks, bytes, dst + (halves * 16 + 32), stride)
    packFiveBits(src + halves * 2, rowBytes, 4, rows, blocks, bytes, dst + (halves * 16 + 48), stride)
    bad += packHalves(src, rowBytes, rows, blocks, bytes, halves, dst, stride)
    dst += <usize>blocks * stride + 32
    src += rowBytes * 8
  }
  return bad
}
