// IQ4_XS: 256 weights of a row in 8 sub-blocks of 32, weight = d * scale * value(q), values from a table (iq4.ts). The
// oracle is src/format/quants/iq4_xs.ts, the layout iq4_xs_unit.ts.
import { expandOf, HALF_MASK } from '../lanes/half'
import { held, inOrder } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { addWhole, evenMask, quadBytes, wholeBytes } from '../lanes/quads'
import { rowAt } from '../lanes/rows'
import { addScaled } from '../lanes/scales'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'
import { high, low, packNibbles } from './block32'
import { packHalves } from './halves_repack'
import { addValues, lookUpJoined, valueSum, valueTable } from './iq4'
import { splitX1, splitX4 } from './iq4_xs_split'
import { quantsOf, scalesOf, UNIT } from './iq4_xs_unit'

/**
 * The start of a sub-block's sum of whole values: -128 times the sum of x, since each value is 128 too large. `fours`:
 * 4 in either half, held.
 */
// @ts-ignore: decorator
@inline function wholeStart(starts: usize, fours: v128): v128 {
  return i32x4.add(i32x4.dot_i16x8_s(v128.load32_splat(starts), fours), i32x4.dot_i16x8_s(v128.load32_splat(starts, 4), fours))
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token, in two strips (strips.ts). */
export function matmul_iq4_xs_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD && !wholeBytes(blocks)) splitX1(weights, groups, blocks, x, out)
  else wholeX1(weights, groups, blocks, x, out)
}

function wholeX1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const table = valueTable(blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const fours = held(0x00040004, blocks)
  const quad = quadBytes()
  const scales = activationScales(x, blocks)
  const starts = activationSums(x, blocks) + 48
  const pairBytes = <usize>blocks * UNIT + 32
  const pairs = (<usize>groups + 1) >> 1
  const strip = (pairs + 1) >> 1
  const far = pairs - strip
  for (let g: usize = 0; g < strip; g++) {
    let u = weights + g * pairBytes
    let v = u + far * pairBytes
    const e0 = v128.load(u)
    const e1 = v128.load(u, 16)
    const f0 = v128.load(v)
    const f1 = v128.load(v, 16)
    u += 32
    v += 32
    let a0 = f32x4.splat(0)
    let a1 = a0
    let b0 = a0
    let b1 = a0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let i0 = i32x4.splat(0)
      let i1 = i0
      let j0 = i0
      let j1 = i0
      let y = x + b * 64 * quad
      for (let s: usize = 0; s < 8; s++) {
        let q = quantsOf(s)
        const start = wholeStart(starts + (b * SUMS + s * 8), fours)
        let s0 = start
        let s1 = start
        let t0 = start
        let t1 = start
        for (const stop = q + 128; q < stop; q += 32) {
          s0 = addValues(s0, v128.load(u + q), y, table, nibble, even)
          s1 = addValues(s1, v128.load(u + q, 16), y, table, nibble, even)
          t0 = addValues(t0, v128.load(v + q), y, table, nibble, even)
          t1 = addValues(t1, v128.load(v + q, 16), y, table, nibble, even)
          y += quad
        }
        inOrder(blocks)
        let m = v128.load8x8_s(u + scalesOf(s))
        i0 = i32x4.add(i0, i32x4.mul(valueSum(s0), i32x4.extend_low_i16x8_s(m)))
        i1 = i32x4.add(i1, i32x4.mul(valueSum(s1), i32x4.extend_high_i16x8_s(m)))
        m = v128.load8x8_s(v + scalesOf(s))
        j0 = i32x4.add(j0, i32x4.mul(valueSum(t0), i32x4.extend_low_i16x8_s(m)))
        j1 = i32x4.add(j1, i32x4.mul(valueSum(t1), i32x4.extend_high_i16x8_s(m)))
        y += 4 * quad
      }
      const dx = v128.load32_splat(scales + b * 4)
      a0 = addScaled(a0, expandOf(v128.load16x4_s(u), mask, e0), dx, i0)
      a1 = addScaled(a1, expandOf(v128.load16x4_s(u, 8), mask, e1), dx, i1)
      b0 = addScaled(b0, expandOf(v128.load16x4_s(v), mask, f0), dx, j0)
      b1 = addScaled(b1, expandOf(v128.load16x4_s(v, 8), mask, f1), dx, j1)
      u += UNIT
      v += UNIT
    }
    storePair(out + g * 32, a0, a1, g * 2 + 1 < <usize>groups)
    storePair(out + (g + far) * 32, b0, b1, (g + far) * 2 + 1 < <usize>groups)
  }
}

/** The same for four tokens. Every output is the bits that `matmul_iq4_xs_x1` gives. */
export function matmul_iq4_xs_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD && !wholeBytes(blocks)) splitX4(weights, groups, blocks, x0, x1, x2, x3, out0, out1, out2, out3)
  else wholeX4(weights, groups, blocks, x0, x1, x2, x3, out0, out1, out2, out3)
}

function wholeX4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const table = valueTable(blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const fours = held(0x00040004, blocks)
  const quad = quadBytes()
  const toScales = activationScales(0, blocks)
  const toStarts = activationSums(0, blocks) + 48
  let w = weights
  for (let g: usize = 0; g < <usize>groups; g += 2) {
    const e = v128.load(w)
    const f = v128.load(w, 16)
    w += 32
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    let b0 = a0
    let b1 = a0
    let b2 = a0
    let b3 = a0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let i0 = i32x4.splat(0)
      let i1 = i0
      let i2 = i0
      let i3 = i0
      let j0 = i0
      let j1 = i0
      let j2 = i0
      let j3 = i0
      for (let s: usize = 0; s < 8; s++) {
        let at = w + quantsOf(s)
        let y = (b * 64 + s * 8) * quad
        const start = toStarts + (b * SUMS + s * 8)
        let s0 = wholeStart(x0 + start, fours)
        let s1 = wholeStart(x1 + start, fours)
        let s2 = wholeStart(x2 + start, fours)
        let s3 = wholeStart(x3 + start, fours)
        let t0 = s0
        let t1 = s1
        let t2 = s2
        let t3 = s3
        for (const stop = at + 128; at < stop; at += 32) {
          const u = v128.load(at)
          const v = v128.load(at, 16)
          const ul = lookUpJoined(table, low(u, nibble))
          const vl = lookUpJoined(table, low(v, nibble))
          const uh = lookUpJoined(table, high(u, nibble))
          const vh = lookUpJoined(table, high(v, nibble))
          s0 = addWhole(addWhole(s0, ul, x0 + y, 0, even), uh, x0 + y, 4, even)
          t0 = addWhole(addWhole(t0, vl, x0 + y, 0, even), vh, x0 + y, 4, even)
          s1 = addWhole(addWhole(s1, ul, x1 + y, 0, even), uh, x1 + y, 4, even)
          t1 = addWhole(addWhole(t1, vl, x1 + y, 0, even), vh, x1 + y, 4, even)
          s2 = addWhole(addWhole(s2, ul, x2 + y, 0, even), uh, x2 + y, 4, even)
          t2 = addWhole(addWhole(t2, vl, x2 + y, 0, even), vh, x2 + y, 4, even)
          s3 = addWhole(addWhole(s3, ul, x3 + y, 0, even), uh, x3 + y, 4, even)
          t3 = addWhole(addWhole(t3, vl, x3 + y, 0, even), vh, x3 + y, 4, even)
          y += quad
        }
        const scales = v128.load8x8_s(w + scalesOf(s))
        const m = i32x4.extend_low_i16x8_s(scales)
        const n = i32x4.extend_high_i16x8_s(scales)
        i0 = i32x4.add(i0, i32x4.mul(s0, m))
        j0 = i32x4.add(j0, i32x4.mul(t0, n))
        i1 = i32x4.add(i1, i32x4.mul(s1, m))
        j1 = i32x4.add(j1, i32x4.mul(t1, n))
        i2 = i32x4.add(i2, i32x4.mul(s2, m))
        j2 = i32x4.add(j2, i32x4.mul(t2, n))
        i3 = i32x4.add(i3, i32x4.mul(s3, m))
        j3 = i32x4.add(j3, i32x4.mul(t3, n))
      }
      const d = v128.load16x4_s(w)
      const h = v128.load16x4_s(w, 8)
      const scale = toScales + b * 4
      const dx0 = v128.load32_splat(x0 + scale)
      const dx1 = v128.load32_splat(x1 + scale)
      const dx2 = v128.load32_splat(x2 + scale)
      const dx3 = v128.load32_splat(x3 + scale)
      a0 = addScaled(a0, expandOf(d, mask, e), dx0, i0)
      b0 = addScaled(b0, expandOf(h, mask, f), dx0, j0)
      a1 = addScaled(a1, expandOf(d, mask, e), dx1, i1)
      b1 = addScaled(b1, expandOf(h, mask, f), dx1, j1)
      a2 = addScaled(a2, expandOf(d, mask, e), dx2, i2)
      b2 = addScaled(b2, expandOf(h, mask, f), dx2, j2)
      a3 = addScaled(a3, expandOf(d, mask, e), dx3, i3)
      b3 = addScaled(b3, expandOf(h, mask, f), dx3, j3)
      w += UNIT
    }
    const both = g + 1 < <usize>groups
    storePair(out0 + g * 16, a0, b0, both)
    storePair(out1 + g * 16, a1, b1, both)
    storePair(out2 + g * 16, a2, b2, both)
    storePair(out3 + g * 16, a3, b3, both)
  }
}

/** Scale of sub-block j of the block at p, as the file packs it, less 32. */
// @ts-ignore: decorator
@inline function scaleOf(p: usize, j: usize): i32 {
  const low = (load<u8>(p + (j >> 1), 4) >> <u8>(4 * (j & 1))) & 15
  return <i32>(low | (((load<u16>(p, 2) >> <u16>(2 * j)) & 3) << 4)) - 32
}

/**
 * Packs `rows` consecutive rows of a file (136 bytes per 256 weights) into pairs of groups of four; missing rows become
 * zeros. Returns how many scales are not finite.
 */
export function repack_iq4_xs(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 136
  let bad = 0
  for (; rows > 0; rows -= 8) {
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const from = src + b * 136
      const unit = dst + 32 + b * UNIT
      for (let r = 0; r < 8; r++) {
        const block = rowAt(from, rowBytes, r, rows)
        for (let j: usize = 0; j < 8; j++) store<u8>(unit + scalesOf(j) + r, r < rows ? scaleOf(block, j) : 0)
      }
      for (let s: usize = 0; s < 8; s += 2) {
        packNibbles(from + 8 + s * 16, rowBytes, 0, rows, 2, 16, unit + quantsOf(s), 128)
        packNibbles(from + 8 + s * 16, rowBytes, 4, rows, 2, 16, unit + quantsOf(s) + 16, 128)
      }
    }
    bad += packHalves(src, rowBytes, rows, blocks, 136, 1, dst, UNIT)
    src += rowBytes * 8
    dst += <usize>blocks * UNIT + 32
  }
  return bad
}
