// Q3_K at load time, to the units that q3_k.ts describes. In the file a block of 110 bytes is third bits 32 bytes, low
// bits 64, scales 12, d. Columns 32k .. 32k+15 are bits 2 (k & 3) of the first 16 low bytes (from 32 on if k > 3) and
// bit k of the first 16 bytes of third bits. The columns after them are in the next 16 bytes of each.
import { held } from '../lanes/held'
import { across, fourRows, quadOf, rowAt } from '../lanes/rows'
import { raiseScales } from './halves_repack'
import { HIGH_BIT, LOW_BITS, UNIT } from './q3_k'

// Two quads of 3 bits, to bits 0-2 and 3-5: q and r hold the lower two of each, t and u the third.
// @ts-ignore: decorator
@inline function twoQuads(q: v128, t: v128, r: v128, u: v128, low: v128, bit2: v128, low3: v128, bit5: v128): v128 {
  const a = v128.or(v128.and(q, low), v128.and(i16x8.shl(t, 2), bit2))
  return v128.or(a, v128.or(v128.and(i16x8.shl(r, 3), low3), v128.and(i16x8.shl(u, 5), bit5)))
}

// The last 16 bytes of the row at p, with the scales in front.
// @ts-ignore: decorator
@inline function end(p: usize): v128 {
  const v = v128.load(p, 94)
  return v128.shuffle<i8>(v, v, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1)
}

// Four rows' four scales: low nibbles, above them bits 4 and 5 of `high`, less 32. Missing rows have none.
// @ts-ignore: decorator
@inline function scales(low: v128, high: v128, mask: v128): v128 {
  const six = v128.or(v128.and(low, i8x16.splat(0x0f)), v128.and(high, i8x16.splat(0x30)))
  return across(v128.and(i8x16.sub(six, i8x16.splat(32)), mask))
}

/** Packs the blocks at src of up to four rows into a unit, d as in the file. */
function packUnit(src: usize, rowBytes: usize, rows: i32, dst: usize): void {
  const p0 = src
  const p1 = rowAt(src, rowBytes, 1, rows)
  const p2 = rowAt(src, rowBytes, 2, rows)
  const p3 = rowAt(src, rowBytes, 3, rows)
  const mask = fourRows(rows)
  let r0 = end(p0)
  let r1 = end(p1)
  let r2 = end(p2)
  let r3 = end(p3)
  v128.store(dst, v128.shuffle<i16>(v128.and(quadOf(3, r0, r1, r2, r3), mask), i16x8.splat(0), 0, 2, 4, 6, 8, 8, 8, 8))
  const a = quadOf(0, r0, r1, r2, r3)
  const b = quadOf(1, r0, r1, r2, r3)
  const c = quadOf(2, r0, r1, r2, r3)
  v128.store(dst, scales(a, i16x8.shl(c, 4), mask), 16)
  v128.store(dst, scales(b, i16x8.shl(c, 2), mask), 32)
  v128.store(dst, scales(i16x8.shr_u(a, 4), c, mask), 48)
  v128.store(dst, scales(i16x8.shr_u(b, 4), i16x8.shr_u(c, 2), mask), 64)
  const low = v128.and(held(LOW_BITS, rows), mask)
  const low3 = v128.and(held(LOW_BITS << 3, rows), mask)
  const low6 = v128.and(held(LOW_BITS << 6, rows), mask)
  const bit2 = v128.and(held(HIGH_BIT, rows), mask)
  const bit5 = v128.and(held(HIGH_BIT << 3, rows), mask)
  const bit6 = v128.and(held(HIGH_BIT << 4, rows), mask)
  const bit7 = v128.and(held(HIGH_BIT << 5, rows), mask)
  r0 = v128.load(p0)
  r1 = v128.load(p1)
  r2 = v128.load(p2)
  r3 = v128.load(p3)
  let s0 = v128.load(p0, 16)
  let s1 = v128.load(p1, 16)
  let s2 = v128.load(p2, 16)
  let s3 = v128.load(p3, 16)
  let t0 = quadOf(0, r0, r1, r2, r3)
  let t1 = quadOf(1, r0, r1, r2, r3)
  let t2 = quadOf(2, r0, r1, r2, r3)
  let t3 = quadOf(3, r0, r1, r2, r3)
  let t4 = quadOf(0, s0, s1, s2, s3)
  let t5 = quadOf(1, s0, s1, s2, s3)
  let t6 = quadOf(2, s0, s1, s2, s3)
  let t7 = quadOf(3, s0, s1, s2, s3)
  for (let c: usize = 32; c < 96; c += 32) {
    r0 = v128.load(p0 + c)
    r1 = v128.load(p1 + c)
    r2 = v128.load(p2 + c)
    r3 = v128.load(p3 + c)
    s0 = v128.load(p0 + c, 16)
    s1 = v128.load(p1 + c, 16)
    s2 = v128.load(p2 + c, 16)
    s3 = v128.load(p3 + c, 16)
    let q0 = quadOf(0, r0, r1, r2, r3)
    let q1 = quadOf(1, r0, r1, r2, r3)
    let q2 = quadOf(2, r0, r1, r2, r3)
    let q3 = quadOf(3, r0, r1, r2, r3)
    let q4 = quadOf(0, s0, s1, s2, s3)
    let q5 = quadOf(1, s0, s1, s2, s3)
    let q6 = quadOf(2, s0, s1, s2, s3)
    let q7 = quadOf(3, s0, s1, s2, s3)
    for (const end = dst + 192; dst < end; dst += 48) {
      v128.store(dst, v128.or(twoQuads(q0, t0, q1, t1, low, bit2, low3, bit5), v128.and(i16x8.shl(q6, 6), low6)), 80)
      v128.store(dst, v128.or(twoQuads(q2, t2, q3, t3, low, bit2, low3, bit5), v128.and(i16x8.shl(q7, 6), low6)), 96)
      v128.store(dst, v128.or(twoQuads(q4, t4, q5, t5, low, bit2, low3, bit5), v128.or(v128.and(i16x8.shl(t6, 6), bit6), v128.and(i16x8.shl(t7, 7), bit7))), 112)
      q0 = i16x8.shr_u(q0, 2)
      q1 = i16x8.shr_u(q1, 2)
      q2 = i16x8.shr_u(q2, 2)
      q3 = i16x8.shr_u(q3, 2)
      q4 = i16x8.shr_u(q4, 2)
      q5 = i16x8.shr_u(q5, 2)
      q6 = i16x8.shr_u(q6, 2)
      q7 = i16x8.shr_u(q7, 2)
      t0 = i16x8.shr_u(t0, 1)
      t1 = i16x8.shr_u(t1, 1)
      t2 = i16x8.shr_u(t2, 1)
      t3 = i16x8.shr_u(t3, 1)
      t4 = i16x8.shr_u(t4, 1)
      t5 = i16x8.shr_u(t5, 1)
      t6 = i16x8.shr_u(t6, 1)
      t7 = i16x8.shr_u(t7, 1)
    }
  }
}

/**
 * Packs `rows` consecutive rows of a file (110 bytes per 256 weights) into groups of four. Returns how many scales are
 * not finite.
 */
export function repack_q3_k(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 110
  let bad = 0
  for (; rows > 0; rows -= 4) {
    for (let b: usize = 0; b < <usize>blocks; b++) packUnit(src + b * 110, rowBytes, rows, dst + 16 + b * UNIT)
    bad += raiseScales(dst, 16, blocks, UNIT, 1)
    src += rowBytes * 4
    dst += <usize>blocks * UNIT + 16
  }
  return bad
}
