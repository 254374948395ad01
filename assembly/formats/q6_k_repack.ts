// Q6_K at load time, to the units that q6_k.ts describes. In the file a block of 210 bytes is ql 128 bytes, qh 64,
// scales 16 x i8, d. Columns 32k .. 32k+31 are nibbles (low for k % 4 < 2) of ql from (k >> 2) * 64 + (k & 1) * 32, and
// bits 2 * (k & 3) of qh from (k >> 2) * 32.
import { held } from '../lanes/held'
import { fourRows, quadOf, rowAt, storeScales } from '../lanes/rows'
import { packHalves } from './halves_repack'
import { UNIT } from './q6_k'

const BLOCK: usize = 210

// A quad of whole quants: low nibbles, and bits 4 and 5.
// @ts-ignore: decorator
@inline function whole(nibbles: v128, highs: v128, nibble: v128, high: v128): v128 {
  return v128.or(v128.and(nibbles, nibble), v128.and(highs, high))
}

// Stores a pair of sub-blocks' quads in six vectors.
// @ts-ignore: decorator
@inline function storeQuads(dst: usize, q0: v128, q1: v128, q2: v128, q3: v128, q4: v128, q5: v128, q6: v128, q7: v128, top: v128): void {
  v128.store(dst, v128.or(q0, v128.and(i16x8.shl(q6, 2), top)))
  v128.store(dst, v128.or(q1, v128.and(i16x8.shl(q6, 4), top)), 32)
  v128.store(dst, v128.or(q2, v128.and(i16x8.shl(q6, 6), top)), 64)
  v128.store(dst, v128.or(q3, v128.and(i16x8.shl(q7, 2), top)), 96)
  v128.store(dst, v128.or(q4, v128.and(i16x8.shl(q7, 4), top)), 128)
  v128.store(dst, v128.or(q5, v128.and(i16x8.shl(q7, 6), top)), 160)
}

/** Packs the quants of one block of each of four rows, from row `first` on, into 8 x 6 vectors at dst. */
function packQuants(src: usize, rowBytes: usize, first: i32, rows: i32, dst: usize): void {
  const p0 = rowAt(src, rowBytes, first, rows)
  const p1 = rowAt(src, rowBytes, first + 1, rows)
  const p2 = rowAt(src, rowBytes, first + 2, rows)
  const p3 = rowAt(src, rowBytes, first + 3, rows)
  const mask = fourRows(rows - first)
  const nibble = v128.and(held(0x0f0f0f0f, rows), mask)
  const high = v128.and(held(0x30303030, rows), mask)
  const top = held(<i32>0xc0c0c0c0, rows)
  for (let c: usize = 0; c < 128; c += 64) {
    let r0 = v128.load(p0 + (c >> 1), 128)
    let r1 = v128.load(p1 + (c >> 1), 128)
    let r2 = v128.load(p2 + (c >> 1), 128)
    let r3 = v128.load(p3 + (c >> 1), 128)
    let s0 = v128.load(p0 + (c >> 1), 144)
    let s1 = v128.load(p1 + (c >> 1), 144)
    let s2 = v128.load(p2 + (c >> 1), 144)
    let s3 = v128.load(p3 + (c >> 1), 144)
    let h0 = quadOf(0, r0, r1, r2, r3)
    let h1 = quadOf(1, r0, r1, r2, r3)
    let h2 = quadOf(2, r0, r1, r2, r3)
    let h3 = quadOf(3, r0, r1, r2, r3)
    let h4 = quadOf(0, s0, s1, s2, s3)
    let h5 = quadOf(1, s0, s1, s2, s3)
    let h6 = quadOf(2, s0, s1, s2, s3)
    let h7 = quadOf(3, s0, s1, s2, s3)
    for (let l = c; l < c + 64; l += 32) {
      r0 = v128.load(p0 + l)
      r1 = v128.load(p1 + l)
      r2 = v128.load(p2 + l)
      r3 = v128.load(p3 + l)
      s0 = v128.load(p0 + l, 16)
      s1 = v128.load(p1 + l, 16)
      s2 = v128.load(p2 + l, 16)
      s3 = v128.load(p3 + l, 16)
      const q0 = quadOf(0, r0, r1, r2, r3)
      const q1 = quadOf(1, r0, r1, r2, r3)
      const q2 = quadOf(2, r0, r1, r2, r3)
      const q3 = quadOf(3, r0, r1, r2, r3)
      const q4 = quadOf(0, s0, s1, s2, s3)
      const q5 = quadOf(1, s0, s1, s2, s3)
      const q6 = quadOf(2, s0, s1, s2, s3)
      const q7 = quadOf(3, s0, s1, s2, s3)
      storeQuads(
        dst,
        whole(q0, i16x8.shl(h0, 4), nibble, high),
        whole(q1, i16x8.shl(h1, 4), nibble, high),
        whole(q2, i16x8.shl(h2, 4), nibble, high),
        whole(q3, i16x8.shl(h3, 4), nibble, high),
        whole(q4, i16x8.shl(h4, 4), nibble, high),
        whole(q5, i16x8.shl(h5, 4), nibble, high),
        whole(q6, i16x8.shl(h6, 4), nibble, high),
        whole(q7, i16x8.shl(h7, 4), nibble, high),
        top,
      )
      storeQuads(
        dst + 384,
        whole(i16x8.shr_u(q0, 4), h0, nibble, high),
        whole(i16x8.shr_u(q1, 4), h1, nibble, high),
        whole(i16x8.shr_u(q2, 4), h2, nibble, high),
        whole(i16x8.shr_u(q3, 4), h3, nibble, high),
        whole(i16x8.shr_u(q4, 4), h4, nibble, high),
        whole(i16x8.shr_u(q5, 4), h5, nibble, high),
        whole(i16x8.shr_u(q6, 4), h6, nibble, high),
        whole(i16x8.shr_u(q7, 4), h7, nibble, high),
        top,
      )
      h0 = i16x8.shr_u(h0, 2)
      h1 = i16x8.shr_u(h1, 2)
      h2 = i16x8.shr_u(h2, 2)
      h3 = i16x8.shr_u(h3, 2)
      h4 = i16x8.shr_u(h4, 2)
      h5 = i16x8.shr_u(h5, 2)
      h6 = i16x8.shr_u(h6, 2)
      h7 = i16x8.shr_u(h7, 2)
      dst += 192
    }
    dst += 384
  }
}

/** Packs the scales at src of up to eight rows into 16 sub-blocks x 8 rows at dst. */
function packScales(src: usize, rowBytes: usize, rows: i32, dst: usize): void {
  const r0 = v128.load(rowAt(src, rowBytes, 0, rows))
  const r1 = v128.load(rowAt(src, rowBytes, 1, rows))
  const r2 = v128.load(rowAt(src, rowBytes, 2, rows))
  const r3 = v128.load(rowAt(src, rowBytes, 3, rows))
  const r4 = v128.load(rowAt(src, rowBytes, 4, rows))
  const r5 = v128.load(rowAt(src, rowBytes, 5, rows))
  const r6 = v128.load(rowAt(src, rowBytes, 6, rows))
  const r7 = v128.load(rowAt(src, rowBytes, 7, rows))
  const first = fourRows(rows)
  const second = fourRows(rows - 4)
  storeScales(dst, v128.and(quadOf(0, r0, r1, r2, r3), first), v128.and(quadOf(0, r4, r5, r6, r7), second))
  storeScales(dst + 32, v128.and(quadOf(1, r0, r1, r2, r3), first), v128.and(quadOf(1, r4, r5, r6, r7), second))
  storeScales(dst + 64, v128.and(quadOf(2, r0, r1, r2, r3), first), v128.and(quadOf(2, r4, r5, r6, r7), second))
  storeScales(dst + 96, v128.and(quadOf(3, r0, r1, r2, r3), first), v128.and(quadOf(3, r4, r5, r6, r7), second))
}

/**
 * Packs `rows` consecutive rows of a file (210 bytes per 256 weights) into pairs of groups of four; missing rows become
 * zeros. Returns how many scales are not finite.
 */
export function repack_q6_k(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * BLOCK
  let bad = 0
  for (; rows > 0; rows -= 8) {
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const from = src + b * BLOCK
      const unit = dst + 32 + b * UNIT
      packScales(from + 192, rowBytes, rows, unit + 16)
      packQuants(from, rowBytes, 0, rows, unit + 144)
      packQuants(from, rowBytes, 4, rows, unit + 160)
    }
    bad += packHalves(src + 208, rowBytes, rows, blocks, BLOCK, 1, dst, UNIT)
    src += rowBytes * 8
    dst += <usize>blocks * UNIT + 32
  }
  return bad
}
