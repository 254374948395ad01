// Packing of the IQ1, IQ2 and IQ3 formats in their expanded layouts. Codes come out of blocks 16 at a time
// (expanded_blocks.ts), and four rows' codes are transposed to quads.
import { held } from '../lanes/held'
import { eightRows, fourRows, quadOf, rowAt } from '../lanes/rows'
import { BlockIq1M, BlockIq1S, BlockIq2S, BlockIq2Xs, BlockIq2Xxs, BlockIq3S, BlockIq3Xxs, FileBlock } from './expanded_blocks'
import { scaleHeaders } from './gridRows'
import { packHalves, raiseScales } from './halves_repack'
import { halfOf } from './iq1_m'

/**
 * Writes the 16 bytes of four scales (expanded.ts) of the blocks at src: of columns 16k, and every `step` times 16 on.
 */
function packScales<F extends FileBlock>(src: usize, rowBytes: usize, rows: i32, k: usize, step: usize, dst: usize): void {
  const format = changetype<F>(0)
  for (let r = 0; r < 8; r++) {
    const p = rowAt(src, rowBytes, r, rows)
    const even = format.scale(p, k) | (format.scale(p, k + 2 * step) << 4)
    const odd = format.scale(p, k + step) | (format.scale(p, k + 3 * step) << 4)
    store<u16>(dst + r * 2, r < rows ? <u16>(even | (odd << 8)) : 0)
  }
}

/** Packs 16 columns of four rows in codes of two bits. */
// @ts-ignore: decorator
@inline function packTwos(dst: usize, r0: v128, r1: v128, r2: v128, r3: v128, mask: v128): void {
  const low = v128.or(quadOf(0, r0, r1, r2, r3), i16x8.shl(quadOf(1, r0, r1, r2, r3), 2))
  const high = v128.or(quadOf(2, r0, r1, r2, r3), i16x8.shl(quadOf(3, r0, r1, r2, r3), 2))
  v128.store(dst, v128.and(v128.or(low, i16x8.shl(high, 4)), mask))
}

/**
 * The high bit of quad 3 or 7 for the last vector (threeBits.ts). v: the vector that its low bits are taken from; the
 * lowest bit of the next byte gets there, too.
 */
// @ts-ignore: decorator
@inline function highBit(quad: v128, v: v128): v128 {
  return v128.and(v128.xor(i16x8.shr_u(quad, 2), i16x8.shr_u(v, 8)), i8x16.splat(1))
}

/** Packs eight quads in codes of three bits. */
// @ts-ignore: decorator
@inline function packThrees(dst: usize, q0: v128, q1: v128, q2: v128, q3: v128, q4: v128, q5: v128, q6: v128, q7: v128): void {
  const highs = v128.or(i16x8.shl(highBit(q3, q0), 6), i16x8.shl(highBit(q7, q1), 7))
  const last = v128.or(v128.or(q2, i16x8.shl(q6, 3)), highs)
  const lows3 = v128.and(v128.xor(q3, i16x8.shr_u(last, 4)), i8x16.splat(3))
  const lows7 = v128.and(v128.xor(q7, i16x8.shr_u(last, 5)), i8x16.splat(3))
  v128.store(dst, v128.or(v128.or(q0, i16x8.shl(q4, 3)), i16x8.shl(lows3, 6)))
  v128.store(dst, v128.or(v128.or(q1, i16x8.shl(q5, 3)), i16x8.shl(lows7, 6)), 32)
  v128.store(dst, last, 64)
}

/** Packs 32 columns, from 16k on, of four rows' blocks, from row `first` on, in codes of `bits` bits. */
function packCodes<F extends FileBlock>(src: usize, rowBytes: usize, first: i32, rows: i32, k: usize, bits: i32, dst: usize): void {
  const format = changetype<F>(0)
  const p0 = rowAt(src, rowBytes, first, rows)
  const p1 = rowAt(src, rowBytes, first + 1, rows)
  const p2 = rowAt(src, rowBytes, first + 2, rows)
  const p3 = rowAt(src, rowBytes, first + 3, rows)
  const mask = fourRows(rows - first)
  const places = v128.or(i8x16(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128), held(0, rows))
  const offset = held(format.offset(), rows)
  const codeMask = held(format.mask(), rows)
  const a0 = format.codes(p0, k, places, offset, codeMask)
  const a1 = format.codes(p1, k, places, offset, codeMask)
  const a2 = format.codes(p2, k, places, offset, codeMask)
  const a3 = format.codes(p3, k, places, offset, codeMask)
  const b0 = format.codes(p0, k + 1, places, offset, codeMask)
  const b1 = format.codes(p1, k + 1, places, offset, codeMask)
  const b2 = format.codes(p2, k + 1, places, offset, codeMask)
  const b3 = format.codes(p3, k + 1, places, offset, codeMask)
  if (bits == 2) {
    packTwos(dst, a0, a1, a2, a3, mask)
    packTwos(dst + 32, b0, b1, b2, b3, mask)
    return
  }
  const q0 = v128.and(quadOf(0, a0, a1, a2, a3), mask)
  const q1 = v128.and(quadOf(1, a0, a1, a2, a3), mask)
  const q2 = v128.and(quadOf(2, a0, a1, a2, a3), mask)
  const q3 = v128.and(quadOf(3, a0, a1, a2, a3), mask)
  const q4 = v128.and(quadOf(0, b0, b1, b2, b3), mask)
  const q5 = v128.and(quadOf(1, b0, b1, b2, b3), mask)
  const q6 = v128.and(quadOf(2, b0, b1, b2, b3), mask)
  const q7 = v128.and(quadOf(3, b0, b1, b2, b3), mask)
  if (bits == 3) {
    packThrees(dst, q0, q1, q2, q3, q4, q5, q6, q7)
    return
  }
  v128.store(dst, v128.or(q0, i16x8.shl(q4, 4)))
  v128.store(dst, v128.or(q1, i16x8.shl(q5, 4)), 32)
  v128.store(dst, v128.or(q2, i16x8.shl(q6, 4)), 64)
  v128.store(dst, v128.or(q3, i16x8.shl(q7, 4)), 96)
}

/**
 * Packs all of a unit but d: a scale for each `step` times 16 columns, codes of `bits` bits; four scales stand before
 * the codes that they scale.
 */
// @ts-ignore: decorator
@inline function packUnit<F extends FileBlock>(src: usize, rowBytes: usize, rows: i32, bits: i32, step: usize, unit: usize): void {
  let to = unit + 16
  for (let k: usize = 0; k < 16; k += 2) {
    if (k % (4 * step) == 0) {
      packScales<F>(src, rowBytes, rows, k, step, to)
      to += 16
    }
    packCodes<F>(src, rowBytes, 0, rows, k, bits, to)
    packCodes<F>(src, rowBytes, 4, rows, k, bits, to + 16)
    to += <usize>bits * 32
  }
}

/** Bytes of a unit. */
// @ts-ignore: decorator
@inline function unitBytes(bits: i32, step: usize): usize {
  return 16 + 64 / step + <usize>bits * 256
}

/** Packs rows of a file whose blocks open with d. Returns how many scales are not finite. */
// @ts-ignore: decorator
@inline function repack<F extends FileBlock>(src: usize, rows: i32, blocks: i32, dst: usize, bits: i32, step: usize, factor: f32): i32 {
  const blockBytes = changetype<F>(0).bytes()
  const rowBytes = <usize>blocks * blockBytes
  const stride = unitBytes(bits, step)
  let bad = 0
  for (; rows > 0; rows -= 8) {
    for (let b: usize = 0; b < <usize>blocks; b++) packUnit<F>(src + b * blockBytes, rowBytes, rows, bits, step, dst + 32 + b * stride)
    bad += packHalves(src, rowBytes, rows, blocks, blockBytes, 1, dst, stride)
    scaleHeaders(dst, factor)
    src += rowBytes * 8
    dst += <usize>blocks * stride + 32
  }
  return bad
}

/** Packs `rows` consecutive rows of a file. Returns how many scales are not finite. So do the following. */
export function repack_iq3_s_expanded(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  return repack<BlockIq3S>(src, rows, blocks, dst, 4, 2, 1)
}

export function repack_iq3_xxs_expanded(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  return repack<BlockIq3Xxs>(src, rows, blocks, dst, 4, 2, 0.25)
}

export function repack_iq2_s_expanded(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  return repack<BlockIq2S>(src, rows, blocks, dst, 3, 1, 0.125)
}

export function repack_iq2_xs_expanded(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  return repack<BlockIq2Xs>(src, rows, blocks, dst, 3, 1, 0.125)
}

export function repack_iq2_xxs_expanded(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  return repack<BlockIq2Xxs>(src, rows, blocks, dst, 3, 1, 0.125)
}

export function repack_iq1_s_expanded(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  return repack<BlockIq1S>(src, rows, blocks, dst, 2, 2, 0.125)
}

export function repack_iq1_m_expanded(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * changetype<BlockIq1M>(0).bytes()
  const stride = unitBytes(3, 1)
  let bad = 0
  for (; rows > 0; rows -= 8) {
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const from = src + b * changetype<BlockIq1M>(0).bytes()
      const unit = dst + 32 + b * stride
      packUnit<BlockIq1M>(from, rowBytes, rows, 3, 1, unit)
      for (let r = 0; r < 8; r++) store<u16>(unit + r * 2, halfOf(rowAt(from, rowBytes, r, rows)))
      v128.store(unit, v128.and(v128.load(unit), eightRows(rows)))
    }
    bad += raiseScales(dst, 32, blocks, stride, 1)
    scaleHeaders(dst, 0.125)
    src += rowBytes * 8
    dst += <usize>blocks * stride + 32
  }
  return bad
}
