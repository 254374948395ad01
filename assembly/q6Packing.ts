// Q6_K at load time, to the units that q6_k.ts describes. In the file a block of 210 bytes is ql 128 bytes, qh 64, scales 16 x i8, d. Columns 32k .. 32k+31 are
// nibbles (low for k % 4 < 2) of ql from (k >> 2) * 64 + (k & 1) * 32, and bits 2 * (k & 3) of qh from (k >> 2) * 32.
import { held } from './lanes'
import { packHalves } from './packHalves'
import { pairOf, quadOf, rowAt, rowMask } from './packRows'
import { UNIT } from './q6_k'

const BLOCK: usize = 210

// 16 columns: low nibbles of `low`, bits 4 and 5 of `high`.
// @ts-ignore: decorator
@inline function quants(low: v128, high: v128, nibble: v128, fifths: v128): v128 {
  return v128.or(v128.and(low, nibble), v128.and(high, fifths))
}

// Four rows' columns 0..15 (r) and 16..31 (s) of a pair of sub-blocks to six vectors.
// @ts-ignore: decorator
@inline function storeColumns(dst: usize, r0: v128, r1: v128, r2: v128, r3: v128, s0: v128, s1: v128, s2: v128, s3: v128, top: v128): void {
  const six = quadOf(2, s0, s1, s2, s3)
  const seven = quadOf(3, s0, s1, s2, s3)
  v128.store(dst, v128.or(quadOf(0, r0, r1, r2, r3), v128.and(i16x8.shl(six, 2), top)))
  v128.store(dst, v128.or(quadOf(1, r0, r1, r2, r3), v128.and(i16x8.shl(six, 4), top)), 32)
  v128.store(dst, v128.or(quadOf(2, r0, r1, r2, r3), v128.and(i16x8.shl(six, 6), top)), 64)
  v128.store(dst, v128.or(quadOf(3, r0, r1, r2, r3), v128.and(i16x8.shl(seven, 2), top)), 96)
  v128.store(dst, v128.or(quadOf(0, s0, s1, s2, s3), v128.and(i16x8.shl(seven, 4), top)), 128)
  v128.store(dst, v128.or(quadOf(1, s0, s1, s2, s3), v128.and(i16x8.shl(seven, 6), top)), 160)
}

/** The quants of one block of each of four rows, from row `first` on, to 8 x 6 vectors at dst. */
function packQuants(src: usize, rowBytes: usize, first: i32, rows: i32, dst: usize): void {
  const p0 = rowAt(src, rowBytes, first, rows)
  const p1 = rowAt(src, rowBytes, first + 1, rows)
  const p2 = rowAt(src, rowBytes, first + 2, rows)
  const p3 = rowAt(src, rowBytes, first + 3, rows)
  const m0 = rowMask(first, rows)
  const m1 = rowMask(first + 1, rows)
  const m2 = rowMask(first + 2, rows)
  const m3 = rowMask(first + 3, rows)
  const nibble = held(0x0f0f0f0f, rows)
  const fifths = held(0x30303030, rows)
  const top = held(<i32>0xc0c0c0c0, rows)
  for (let k: usize = 0; k < 8; k++) {
    const l = (k >> 2) * 64 + (k & 1) * 32
    const h = (k >> 2) * 32 + 128
    const down = <i32>(k & 2) * 2
    const a0 = i16x8.shr_u(v128.and(v128.load(p0 + l), m0), down)
    const a1 = i16x8.shr_u(v128.and(v128.load(p1 + l), m1), down)
    const a2 = i16x8.shr_u(v128.and(v128.load(p2 + l), m2), down)
    const a3 = i16x8.shr_u(v128.and(v128.load(p3 + l), m3), down)
    const b0 = i16x8.shr_u(v128.and(v128.load(p0 + l, 16), m0), down)
    const b1 = i16x8.shr_u(v128.and(v128.load(p1 + l, 16), m1), down)
    const b2 = i16x8.shr_u(v128.and(v128.load(p2 + l, 16), m2), down)
    const b3 = i16x8.shr_u(v128.and(v128.load(p3 + l, 16), m3), down)
    const c0 = i16x8.shl(i16x8.shr_u(v128.and(v128.load(p0 + h), m0), <i32>(k & 3) * 2), 4)
    const c1 = i16x8.shl(i16x8.shr_u(v128.and(v128.load(p1 + h), m1), <i32>(k & 3) * 2), 4)
    const c2 = i16x8.shl(i16x8.shr_u(v128.and(v128.load(p2 + h), m2), <i32>(k & 3) * 2), 4)
    const c3 = i16x8.shl(i16x8.shr_u(v128.and(v128.load(p3 + h), m3), <i32>(k & 3) * 2), 4)
    const d0 = i16x8.shl(i16x8.shr_u(v128.and(v128.load(p0 + h, 16), m0), <i32>(k & 3) * 2), 4)
    const d1 = i16x8.shl(i16x8.shr_u(v128.and(v128.load(p1 + h, 16), m1), <i32>(k & 3) * 2), 4)
    const d2 = i16x8.shl(i16x8.shr_u(v128.and(v128.load(p2 + h, 16), m2), <i32>(k & 3) * 2), 4)
    const d3 = i16x8.shl(i16x8.shr_u(v128.and(v128.load(p3 + h, 16), m3), <i32>(k & 3) * 2), 4)
    storeColumns(dst + k * 192, quants(a0, c0, nibble, fifths), quants(a1, c1, nibble, fifths), quants(a2, c2, nibble, fifths), quants(a3, c3, nibble, fifths), quants(b0, d0, nibble, fifths), quants(b1, d1, nibble, fifths), quants(b2, d2, nibble, fifths), quants(b3, d3, nibble, fifths), top)
  }
}

// Row r's 16 scales.
// @ts-ignore: decorator
@inline function scales(src: usize, rowBytes: usize, r: i32, rows: i32): v128 {
  return v128.and(v128.load(rowAt(src, rowBytes, r, rows)), rowMask(r, rows))
}

// 8 rows' scales of an even sub-block, then of the next.
// @ts-ignore: decorator
@inline function apart(pairs: v128): v128 {
  return v128.shuffle<i8>(pairs, pairs, 0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15)
}

/** The scales at src of up to eight rows to 16 sub-blocks x 8 rows at dst. */
function packScales(src: usize, rowBytes: usize, rows: i32, dst: usize): void {
  const r0 = scales(src, rowBytes, 0, rows)
  const r1 = scales(src, rowBytes, 1, rows)
  const r2 = scales(src, rowBytes, 2, rows)
  const r3 = scales(src, rowBytes, 3, rows)
  const r4 = scales(src, rowBytes, 4, rows)
  const r5 = scales(src, rowBytes, 5, rows)
  const r6 = scales(src, rowBytes, 6, rows)
  const r7 = scales(src, rowBytes, 7, rows)
  v128.store(dst, apart(pairOf(0, r0, r1, r2, r3, r4, r5, r6, r7)))
  v128.store(dst, apart(pairOf(1, r0, r1, r2, r3, r4, r5, r6, r7)), 16)
  v128.store(dst, apart(pairOf(2, r0, r1, r2, r3, r4, r5, r6, r7)), 32)
  v128.store(dst, apart(pairOf(3, r0, r1, r2, r3, r4, r5, r6, r7)), 48)
  v128.store(dst, apart(pairOf(4, r0, r1, r2, r3, r4, r5, r6, r7)), 64)
  v128.store(dst, apart(pairOf(5, r0, r1, r2, r3, r4, r5, r6, r7)), 80)
  v128.store(dst, apart(pairOf(6, r0, r1, r2, r3, r4, r5, r6, r7)), 96)
  v128.store(dst, apart(pairOf(7, r0, r1, r2, r3, r4, r5, r6, r7)), 112)
}

/** File blocks of `rows` consecutive rows (210 bytes per 256 weights) to pairs of groups of four, the missing rows zeros. Returns how many scales are not finite. */
export function repack_q6_k(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * BLOCK
  let bad = 0
  for (; rows > 0; rows -= 8) {
    bad += packHalves(src + 208, rowBytes, rows, blocks, BLOCK, 1, dst, UNIT)
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const from = src + b * BLOCK
      const unit = dst + 32 + b * UNIT
      packScales(from + 192, rowBytes, rows, unit + 16)
      packQuants(from, rowBytes, 0, rows, unit + 144)
      packQuants(from, rowBytes, 4, rows, unit + 160)
    }
    src += rowBytes * 8
    dst += <usize>blocks * UNIT + 32
  }
  return bad
}
