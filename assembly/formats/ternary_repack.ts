// Packing of TQ2_0 and TQ1_0 in the layout of ternary.ts.
import { fourRows, rowAt } from '../lanes/rows'
import { packHalves } from './halves_repack'
import { UNIT } from './ternary'
import { exchangeTwoBits, packTwoBits, vectorOf } from './twoBits_repack'

/** Bytes from a vector to the next of its group. */
const STRIDE: usize = 32

/** Packs `rows` rows of TQ2_0 (66 bytes per 256 weights). Returns how many scales are not finite. */
export function repackTwoBits(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 66
  let bad = 0
  for (; rows > 0; rows -= 8) {
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const from = src + b * 66
      const to = dst + 48 + b * UNIT
      for (let r = 0; r < 8; r += 4) {
        const p0 = rowAt(from, rowBytes, r, rows)
        const p1 = rowAt(from, rowBytes, r + 1, rows)
        const p2 = rowAt(from, rowBytes, r + 2, rows)
        const p3 = rowAt(from, rowBytes, r + 3, rows)
        packTwoBits(p0, p1, p2, p3, fourRows(rows - r), to + r * 4, STRIDE)
      }
    }
    bad += packHalves(src + 64, rowBytes, rows, blocks, 66, 1, dst, UNIT)
    src += rowBytes * 8
    dst += <usize>blocks * UNIT + 32
  }
  return bad
}

/** The digits of eight bytes after n others: lanes of 16 bits, each a byte times 3^n. */
// @ts-ignore: decorator
@inline function digits(bytes: v128): v128 {
  return i16x8.shr_u(i16x8.mul(v128.and(bytes, i16x8.splat(0xff)), i16x8.splat(3)), 8)
}

/**
 * Where byte c of the row that begins at dst stands until its 16 bytes are exchanged with those of three other rows: in
 * a vector that they become.
 */
// @ts-ignore: decorator
@inline function placeOf(dst: usize, c: usize): usize {
  return dst + vectorOf(c) * STRIDE + (c & 15)
}

/** The digits of `count` bytes, 8 times a number or 4, whose first digits belong to columns from `column` on. */
function unpackDigits(src: usize, count: i32, perByte: i32, column: i32, dst: usize): void {
  for (let at = 0; at < count; at += 8) {
    let bytes = i16x8.extend_low_i8x16_u(v128.load64_zero(src + at))
    for (let n = 0; n < perByte; n++) {
      const c = column + n * count + at
      const to = placeOf(dst, <usize>((c >> 7) * 32 + (c & 31)))
      const shifted = i16x8.shl(digits(bytes), 2 * ((c >> 5) & 3))
      const planes = i8x16.narrow_i16x8_u(shifted, shifted)
      if (count == 4) v128.store32_lane(to, v128.or(planes, v128.load32_zero(to)), 0)
      else v128.store64_lane(to, v128.or(planes, v128.load64_zero(to)), 0)
      bytes = i16x8.mul(bytes, i16x8.splat(3))
    }
  }
}

/** Packs `rows` rows of TQ1_0 (54 bytes per 256 weights). Returns how many scales are not finite. */
export function repackDigits(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 54
  let bad = 0
  for (; rows > 0; rows -= 8) {
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const to = dst + 48 + b * UNIT
      memory.fill(to, 0, 512)
      for (let r = 0; r < min(rows, 8); r++) {
        const from = src + <usize>r * rowBytes + b * 54
        const row = to + <usize>((r >> 2) * 16) + <usize>(r & 3) * 2 * STRIDE
        unpackDigits(from, 32, 5, 0, row)
        unpackDigits(from + 32, 16, 5, 160, row)
        unpackDigits(from + 48, 4, 4, 240, row)
      }
      for (let half: usize = 0; half < 32; half += 16) {
        for (let c: usize = 0; c < 64; c += 16) {
          const at = placeOf(to + half, c)
          exchangeTwoBits(v128.load(at), v128.load(at + 2 * STRIDE), v128.load(at + 4 * STRIDE), v128.load(at + 6 * STRIDE), i32x4.splat(-1), at, STRIDE)
        }
      }
    }
    bad += packHalves(src + 52, rowBytes, rows, blocks, 54, 1, dst, UNIT)
    src += rowBytes * 8
    dst += <usize>blocks * UNIT + 32
  }
  return bad
}
