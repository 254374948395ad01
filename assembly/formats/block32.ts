// Parts shared by the formats in blocks of 32 (Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL): the layout of a row group, and nibbles.
//
// A group is 4 rows: a 16-byte header (half.ts), then per block one or two rows of halves (d, m: 4 rows x f16, raised)
// and the quants, padded to 16 bytes. Quants of 4 bits (of 5: fiveBits.ts) are 64 bytes:
//     4 vectors of 16 bytes; vector j: low nibbles = columns 4j..4j+3 of 4 rows,
//                                       high nibbles = columns 16+4j..16+4j+3
import { addDot, addDot16, dot } from '../lanes/quads'
import { fourRows, quadOf, rowAt } from '../lanes/rows'
import { packHalves } from './halves_repack'

// @ts-ignore: decorator
@inline export function low(w: v128, nibble: v128): v128 {
  return v128.and(w, nibble)
}

// @ts-ignore: decorator
@inline export function high(w: v128, nibble: v128): v128 {
  return v128.and(i16x8.shr_u(w, 4), nibble)
}

/**
 * Adds a vector of nibbles, whose low ones meet the quad at x. A block sums to at most 8 * 2 * 15 * 127 = 30480 in an
 * i16 lane.
 */
// @ts-ignore: decorator
@inline export function addNibbles(sum: v128, w: v128, x: usize, nibble: v128, even: v128): v128 {
  return addDot16(addDot(sum, low(w, nibble), x, 0, even), high(w, nibble), x, even)
}

/** `addNibbles` to a sum of 0. */
// @ts-ignore: decorator
@inline export function nibbleDots(w: v128, x: usize, nibble: v128, even: v128): v128 {
  return addDot16(dot(low(w, nibble), x, 0, even), high(w, nibble), x, even)
}

/**
 * Packs the nibbles of `blocks` blocks of each of four rows, from row `first` on. src: 16 bytes of nibbles every
 * `blockBytes`. dst: 4 vectors, 32 bytes apart, every `stride` bytes.
 */
export function packNibbles(src: usize, rowBytes: usize, first: i32, rows: i32, blocks: i32, blockBytes: usize, dst: usize, stride: usize): void {
  const p0 = rowAt(src, rowBytes, first, rows)
  const p1 = rowAt(src, rowBytes, first + 1, rows)
  const p2 = rowAt(src, rowBytes, first + 2, rows)
  const p3 = rowAt(src, rowBytes, first + 3, rows)
  const mask = fourRows(rows - first)
  const end = <usize>blocks * blockBytes
  for (let b: usize = 0; b < end; b += blockBytes) {
    const r0 = v128.load(p0 + b)
    const r1 = v128.load(p1 + b)
    const r2 = v128.load(p2 + b)
    const r3 = v128.load(p3 + b)
    v128.store(dst, v128.and(quadOf(0, r0, r1, r2, r3), mask))
    v128.store(dst, v128.and(quadOf(1, r0, r1, r2, r3), mask), 32)
    v128.store(dst, v128.and(quadOf(2, r0, r1, r2, r3), mask), 64)
    v128.store(dst, v128.and(quadOf(3, r0, r1, r2, r3), mask), 96)
    dst += stride
  }
}

/**
 * Packs `rows` consecutive rows of a file, blocks of `halves` halves and 16 bytes of nibbles, into pairs of groups of
 * four; missing rows become zeros. Returns how many halves are not finite.
 */
// @ts-ignore: decorator
@inline export function repackNibbles(src: usize, rows: i32, blocks: i32, halves: usize, dst: usize): i32 {
  const bytes = halves * 2 + 16
  const stride = halves * 16 + 128
  const rowBytes = <usize>blocks * bytes
  let bad = 0
  for (; rows > 0; rows -= 8) {
    packNibbles(src + halves * 2, rowBytes, 0, rows, blocks, bytes, dst + (halves * 16 + 32), stride)
    packNibbles(src + halves * 2, rowBytes, 4, rows, blocks, bytes, dst + (halves * 16 + 48), stride)
    bad += packHalves(src, rowBytes, rows, blocks, bytes, halves, dst, stride)
    dst += <usize>blocks * stride + 32
    src += rowBytes * 8
  }
  return bad
}
