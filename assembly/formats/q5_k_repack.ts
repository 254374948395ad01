// Q5_K at load time, to the units that q5_k.ts describes. In the file a block of 176 bytes is d, dmin, scales and mins
// (scaleMinSuperblock.ts), 32 bytes of fifth bits, bit s of each for sub-block s, and the nibbles, 32 bytes for two
// sub-blocks.
import { held } from '../lanes/held'
import { fourRows, quadOf, rowAt } from '../lanes/rows'
import { storeQuads } from './fiveBits'
import { raiseScales } from './halves_repack'
import { UNIT } from './q5_k'
import { packScalesAndMins } from './scaleMinSuperblock'

// A quad of whole quants: low nibbles, and the fifth bits in their place.
// @ts-ignore: decorator
@inline function whole(nibbles: v128, fifths: v128, nibble: v128, fifth: v128): v128 {
  return v128.or(v128.and(nibbles, nibble), v128.and(fifths, fifth))
}

/**
 * Packs one block of each of four rows, from row `first` on, into 8 x 5 vectors at dst. src: 32 bytes of fifth bits,
 * the sub-blocks' from bit 0 on, then the nibbles.
 */
function packQuants(src: usize, rowBytes: usize, first: i32, rows: i32, dst: usize): void {
  const p0 = rowAt(src, rowBytes, first, rows)
  const p1 = rowAt(src, rowBytes, first + 1, rows)
  const p2 = rowAt(src, rowBytes, first + 2, rows)
  const p3 = rowAt(src, rowBytes, first + 3, rows)
  const mask = fourRows(rows - first)
  const nibble = v128.and(held(0x0f0f0f0f, rows), mask)
  const fifth = v128.and(held(0x10101010, rows), mask)
  let r0 = v128.load(p0)
  let r1 = v128.load(p1)
  let r2 = v128.load(p2)
  let r3 = v128.load(p3)
  let s0 = v128.load(p0, 16)
  let s1 = v128.load(p1, 16)
  let s2 = v128.load(p2, 16)
  let s3 = v128.load(p3, 16)
  let f0 = quadOf(0, r0, r1, r2, r3)
  let f1 = quadOf(1, r0, r1, r2, r3)
  let f2 = quadOf(2, r0, r1, r2, r3)
  let f3 = quadOf(3, r0, r1, r2, r3)
  let f4 = quadOf(0, s0, s1, s2, s3)
  let f5 = quadOf(1, s0, s1, s2, s3)
  let f6 = quadOf(2, s0, s1, s2, s3)
  let f7 = quadOf(3, s0, s1, s2, s3)
  for (let c: usize = 32; c < 160; c += 32) {
    r0 = v128.load(p0 + c)
    r1 = v128.load(p1 + c)
    r2 = v128.load(p2 + c)
    r3 = v128.load(p3 + c)
    s0 = v128.load(p0 + c, 16)
    s1 = v128.load(p1 + c, 16)
    s2 = v128.load(p2 + c, 16)
    s3 = v128.load(p3 + c, 16)
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
      whole(q0, i16x8.shl(f0, 4), nibble, fifth),
      whole(q1, i16x8.shl(f1, 4), nibble, fifth),
      whole(q2, i16x8.shl(f2, 4), nibble, fifth),
      whole(q3, i16x8.shl(f3, 4), nibble, fifth),
      whole(q4, i16x8.shl(f4, 4), nibble, fifth),
      whole(q5, i16x8.shl(f5, 4), nibble, fifth),
      whole(q6, i16x8.shl(f6, 4), nibble, fifth),
      whole(q7, i16x8.shl(f7, 4), nibble, fifth),
      rows,
    )
    storeQuads(
      dst + 160,
      whole(i16x8.shr_u(q0, 4), i16x8.shl(f0, 3), nibble, fifth),
      whole(i16x8.shr_u(q1, 4), i16x8.shl(f1, 3), nibble, fifth),
      whole(i16x8.shr_u(q2, 4), i16x8.shl(f2, 3), nibble, fifth),
      whole(i16x8.shr_u(q3, 4), i16x8.shl(f3, 3), nibble, fifth),
      whole(i16x8.shr_u(q4, 4), i16x8.shl(f4, 3), nibble, fifth),
      whole(i16x8.shr_u(q5, 4), i16x8.shl(f5, 3), nibble, fifth),
      whole(i16x8.shr_u(q6, 4), i16x8.shl(f6, 3), nibble, fifth),
      whole(i16x8.shr_u(q7, 4), i16x8.shl(f7, 3), nibble, fifth),
      rows,
    )
    f0 = i16x8.shr_u(f0, 2)
    f1 = i16x8.shr_u(f1, 2)
    f2 = i16x8.shr_u(f2, 2)
    f3 = i16x8.shr_u(f3, 2)
    f4 = i16x8.shr_u(f4, 2)
    f5 = i16x8.shr_u(f5, 2)
    f6 = i16x8.shr_u(f6, 2)
    f7 = i16x8.shr_u(f7, 2)
    dst += 320
  }
}

/**
 * Packs `rows` consecutive rows of a file (176 bytes per 256 weights) into pairs of groups of four; missing rows become
 * zeros. Returns how many scales are not finite.
 */
export function repack_q5_k(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 176
  let bad = 0
  for (; rows > 0; rows -= 8) {
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const from = src + b * 176
      const unit = dst + 32 + b * UNIT
      packScalesAndMins(from, rowBytes, rows, unit)
      packQuants(from + 16, rowBytes, 0, rows, unit + 160)
      packQuants(from + 16, rowBytes, 4, rows, unit + 176)
    }
    bad += raiseScales(dst, 32, blocks, UNIT, 2)
    src += rowBytes * 8
    dst += <usize>blocks * UNIT + 32
  }
  return bad
}
