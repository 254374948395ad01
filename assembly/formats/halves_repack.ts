// Block scales and other halves at load time. First they are copied from eight rows of the file, unchanged. The last
// step multiplies them by 2^10 (half.ts) where all halves of a group allow it, and notes in the group's header whether.
import { storeFactor } from '../lanes/half'
import { held } from '../lanes/held'
import { eightRows, rowAt } from '../lanes/rows'

/**
 * Multiplies four subnormal halves, given by their magnitudes, by 2^10. A subnormal half is an integer times 2^-24, so
 * the result has the exponent, less `bias`, and the first fraction bits of that integer as float32.
 */
// @ts-ignore: decorator
@inline function raisedSubnormal(magnitude: v128, bias: v128): v128 {
  return i32x4.sub(i32x4.shr_u(f32x4.convert_i32x4_s(magnitude), 13), bias)
}

/** Whether all lanes can be raised: a half's bits below 0x5400 are below 64. */
// @ts-ignore: decorator
@inline function allBelow64(magnitudes: v128): bool {
  return i16x8.all_true(i16x8.lt_u(magnitudes, i16x8.splat(0x5400)))
}

/**
 * Writes header and raised scales of two groups side by side (pairs.ts), or of one alone. `header` is 32 or 16 bytes at
 * dst. Then come blocks of `stride` bytes, each of which opens with `vectors` x 8 halves, the lower four of the first
 * group. Returns how many are not finite.
 */
export function raiseScales(dst: usize, header: usize, blocks: i32, stride: usize, vectors: usize): i32 {
  const first = dst + header
  const end = first + <usize>blocks * stride
  let top = i16x8.splat(0)
  let bad = i32x4.splat(0)
  const magnitudes = held(0x7fff7fff, blocks)
  const finite = held(0x7bff7bff, blocks)
  for (let block = first; block < end; block += stride) {
    for (let v: usize = 0; v < vectors * 16; v += 16) {
      const magnitude = v128.and(v128.load(block + v), magnitudes)
      top = i16x8.max_u(top, magnitude)
      bad = i32x4.sub(bad, i32x4.extadd_pairwise_i16x8_s(i16x8.gt_s(magnitude, finite)))
    }
  }
  let low = allBelow64(v128.shuffle<i64>(top, top, 0, 0))
  let high = allBelow64(v128.shuffle<i64>(top, top, 1, 1))
  if (header == 16) {
    low = low && high
    high = low
  } else {
    storeFactor(dst + 16, high)
  }
  storeFactor(dst, low)
  // all of a group's halves but their signs
  const which = v128.and(i64x2.replace_lane(i64x2.splat(-i64(low)), 1, -i64(high)), magnitudes)
  const none = i32x4.splat(0)
  const bias = held(126 << 10, blocks)
  const ten = held(0x28002800, blocks) // 10 to the exponent
  const least = held(0x04000400, blocks) // normal half
  for (let block = first; block < end; block += stride) {
    for (let v: usize = 0; v < vectors * 16; v += 16) {
      const halves = v128.load(block + v)
      const magnitude = v128.and(halves, magnitudes)
      const subnormal = i16x8.max_s(none, i16x8.narrow_i32x4_s(raisedSubnormal(i32x4.extend_low_i16x8_u(magnitude), bias), raisedSubnormal(i32x4.extend_high_i16x8_u(magnitude), bias)))
      const value = v128.bitselect(subnormal, i16x8.add(magnitude, ten), i16x8.lt_s(magnitude, least))
      v128.store(block + v, v128.bitselect(value, halves, which))
    }
  }
  return i32x4.extract_lane(bad, 0) + i32x4.extract_lane(bad, 1) + i32x4.extract_lane(bad, 2) + i32x4.extract_lane(bad, 3)
}

/**
 * Copies the first `halves` of each of a row's blocks of `blockBytes` bytes, of up to eight rows, to the front of
 * blocks of `stride` bytes.
 */
export function gatherHalves(src: usize, rowBytes: usize, rows: i32, blocks: i32, blockBytes: usize, halves: usize, to: usize, stride: usize): void {
  const p0 = rowAt(src, rowBytes, 0, rows)
  const p1 = rowAt(src, rowBytes, 1, rows)
  const p2 = rowAt(src, rowBytes, 2, rows)
  const p3 = rowAt(src, rowBytes, 3, rows)
  const p4 = rowAt(src, rowBytes, 4, rows)
  const p5 = rowAt(src, rowBytes, 5, rows)
  const p6 = rowAt(src, rowBytes, 6, rows)
  const p7 = rowAt(src, rowBytes, 7, rows)
  const mask = eightRows(rows)
  for (let b: usize = 0; b < <usize>blocks; b++) {
    for (let i: usize = 0; i < halves; i++) {
      const at = b * blockBytes + i * 2
      let v = v128.load16_splat(p0 + at)
      v = v128.load16_lane(p1 + at, v, 1)
      v = v128.load16_lane(p2 + at, v, 2)
      v = v128.load16_lane(p3 + at, v, 3)
      v = v128.load16_lane(p4 + at, v, 4)
      v = v128.load16_lane(p5 + at, v, 5)
      v = v128.load16_lane(p6 + at, v, 6)
      v = v128.load16_lane(p7 + at, v, 7)
      v128.store(to + i * 16, v128.and(v, mask))
    }
    to += stride
  }
}

/** Writes header and halves of up to eight rows, as `gatherHalves` and `raiseScales` do. */
export function packHalves(src: usize, rowBytes: usize, rows: i32, blocks: i32, blockBytes: usize, halves: usize, dst: usize, stride: usize): i32 {
  gatherHalves(src, rowBytes, rows, blocks, blockBytes, halves, dst + 32, stride)
  return raiseScales(dst, 32, blocks, stride, halves)
}
