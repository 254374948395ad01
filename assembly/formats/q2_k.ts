// Q2_K: 256 weights of a row in 16 sub-blocks of 16, weight = d * scale * q - dmin * min. The oracle is
// src/format/quants/q2_k.ts.
//
// In a bank a group is 4 rows: a 16-byte header (half.ts), then per 256 columns a unit of 336 bytes (as in the file):
//     0   d     4 rows x f16, raised
//     8   dmin  4 rows x f16, raised
//    16   scale 8 pairs of sub-blocks x (4 rows of the even one, 4 rows of the odd one) x (scale low, min high nibble)
//    80   q     16 sub-blocks x 16 bytes; byte 4r + c: bits 2j, 2j+1 are row r, column 4j + c
import { expand, HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'
import { dots, evenMask, quadBytes } from '../lanes/quads'
import { across, fourRows, quadOf, rowAt } from '../lanes/rows'
import { addScaled, addScaled1High, addScaled1Low, addWeighted, subtractScaled } from '../lanes/scales'
import { stripOf, stripStart } from '../lanes/strips'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'
import { raiseScales } from './halves_repack'
import { packTwoBits } from './twoBits_repack'

const UNIT: usize = 336

// @ts-ignore: decorator
@inline function two(w: v128, j: i32, mask: v128): v128 {
  return v128.and(j ? i16x8.shr_u(w, 2 * j) : w, mask)
}

// @ts-ignore: decorator
@inline function subBlock(q: usize, x: usize, twoBits: v128, even: v128): v128 {
  const w = v128.load(q)
  return dots(x, two(w, 0, twoBits), two(w, 1, twoBits), two(w, 2, twoBits), two(w, 3, twoBits), even)
}

/** acc + d * dx * isum - dmin * dx * msum, in this order. */
// @ts-ignore: decorator
@inline function finish(acc: v128, w: usize, dx: v128, isum: v128, msum: v128, mask: v128, factor: v128): v128 {
  return subtractScaled(addScaled(acc, expand(w, mask, factor), dx, isum), expand(w + 8, mask, factor), dx, msum)
}

// @ts-ignore: decorator
@inline function unit(acc: v128, w: usize, x: usize, dx: v128, sums: usize, twoBits: v128, nibble: v128, even: v128, mask: v128, factor: v128): v128 {
  const quad = quadBytes()
  let isum = i32x4.splat(0)
  let msum = i32x4.splat(0)
  for (let k: usize = 0; k < 8; k++) {
    const q = w + k * 32
    const y = x + k * 8 * quad
    const both = v128.load8x8_u(w + k * 8, 16)
    const scales = v128.and(both, nibble)
    isum = addScaled1Low(isum, subBlock(q + 80, y, twoBits, even), scales)
    isum = addScaled1High(isum, subBlock(q + 96, y + 4 * quad, twoBits, even), scales)
    msum = addWeighted(msum, i16x8.shr_u(both, 4), sums + k * 4)
  }
  return finish(acc, w, dx, isum, msum, mask, factor)
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token, in four strips (strips.ts). */
export function matmul_q2_k_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const twoBits = held(0x03030303, blocks)
  const nibble = held(0x000f000f, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const xUnit = quadBytes() * 64
  const scales = activationScales(x, blocks)
  const sums = activationSums(x, blocks) + 16
  const groupBytes = <usize>blocks * UNIT + 16
  const strip = stripOf(groups)
  const to1 = stripStart(1, strip, groups)
  const to2 = stripStart(2, strip, groups)
  const to3 = stripStart(3, strip, groups)
  for (let g: usize = 0; g < strip; g++) {
    let w0 = weights + g * groupBytes
    let w1 = w0 + to1 * groupBytes
    let w2 = w0 + to2 * groupBytes
    let w3 = w0 + to3 * groupBytes
    const f0 = v128.load(w0)
    const f1 = v128.load(w1)
    const f2 = v128.load(w2)
    const f3 = v128.load(w3)
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    w0 += 16
    w1 += 16
    w2 += 16
    w3 += 16
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const xb = x + b * xUnit
      const dx = v128.load32_splat(scales + b * 4)
      const sum = sums + b * SUMS
      a0 = unit(a0, w0, xb, dx, sum, twoBits, nibble, even, mask, f0)
      a1 = unit(a1, w1, xb, dx, sum, twoBits, nibble, even, mask, f1)
      a2 = unit(a2, w2, xb, dx, sum, twoBits, nibble, even, mask, f2)
      a3 = unit(a3, w3, xb, dx, sum, twoBits, nibble, even, mask, f3)
      w0 += UNIT
      w1 += UNIT
      w2 += UNIT
      w3 += UNIT
    }
    v128.store(out + g * 16, a0)
    v128.store(out + (g + to1) * 16, a1)
    v128.store(out + (g + to2) * 16, a2)
    v128.store(out + (g + to3) * 16, a3)
  }
}

/**
 * The same for four tokens: a sub-block is unpacked once for all. Every output is the bits that `matmul_q2_k_x1` gives.
 */
export function matmul_q2_k_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const twoBits = held(0x03030303, blocks)
  const nibble = held(0x000f000f, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const toScales = activationScales(0, blocks)
  const toSums = activationSums(0, blocks) + 16
  for (let g: usize = 0; g < <usize>groups; g++) {
    const factor = v128.load(weights)
    weights += 16
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let i0 = i32x4.splat(0)
      let i1 = i0
      let i2 = i0
      let i3 = i0
      let m0 = i0
      let m1 = i0
      let m2 = i0
      let m3 = i0
      const toSum = toSums + b * SUMS
      for (let k: usize = 0; k < 8; k++) {
        let at = (b * 64 + k * 8) * quad
        const both = v128.load8x8_u(weights + k * 8, 16)
        const scales = v128.and(both, nibble)
        const mins = i16x8.shr_u(both, 4)
        let w = v128.load(weights + k * 32, 80)
        let c = two(w, 0, twoBits)
        let d = two(w, 1, twoBits)
        let e = two(w, 2, twoBits)
        let f = two(w, 3, twoBits)
        i0 = addScaled1Low(i0, dots(x0 + at, c, d, e, f, even), scales)
        i1 = addScaled1Low(i1, dots(x1 + at, c, d, e, f, even), scales)
        i2 = addScaled1Low(i2, dots(x2 + at, c, d, e, f, even), scales)
        i3 = addScaled1Low(i3, dots(x3 + at, c, d, e, f, even), scales)
        at += 4 * quad
        w = v128.load(weights + k * 32, 96)
        c = two(w, 0, twoBits)
        d = two(w, 1, twoBits)
        e = two(w, 2, twoBits)
        f = two(w, 3, twoBits)
        i0 = addScaled1High(i0, dots(x0 + at, c, d, e, f, even), scales)
        i1 = addScaled1High(i1, dots(x1 + at, c, d, e, f, even), scales)
        i2 = addScaled1High(i2, dots(x2 + at, c, d, e, f, even), scales)
        i3 = addScaled1High(i3, dots(x3 + at, c, d, e, f, even), scales)
        m0 = addWeighted(m0, mins, x0 + toSum + k * 4)
        m1 = addWeighted(m1, mins, x1 + toSum + k * 4)
        m2 = addWeighted(m2, mins, x2 + toSum + k * 4)
        m3 = addWeighted(m3, mins, x3 + toSum + k * 4)
      }
      const d = toScales + b * 4
      a0 = finish(a0, weights, v128.load32_splat(x0 + d), i0, m0, mask, factor)
      a1 = finish(a1, weights, v128.load32_splat(x1 + d), i1, m1, mask, factor)
      a2 = finish(a2, weights, v128.load32_splat(x2 + d), i2, m2, mask, factor)
      a3 = finish(a3, weights, v128.load32_splat(x3 + d), i3, m3, mask, factor)
      weights += UNIT
    }
    v128.store(out0 + g * 16, a0)
    v128.store(out1 + g * 16, a1)
    v128.store(out2 + g * 16, a2)
    v128.store(out3 + g * 16, a3)
  }
}

// In the file: scales 16 bytes, qs 64 (twoBits_repack.ts), d, dmin.

/** Packs the blocks at src of up to four rows into a unit, d and dmin as in the file. */
function packUnit(src: usize, rowBytes: usize, rows: i32, dst: usize): void {
  const p0 = src
  const p1 = rowAt(src, rowBytes, 1, rows)
  const p2 = rowAt(src, rowBytes, 2, rows)
  const p3 = rowAt(src, rowBytes, 3, rows)
  const mask = fourRows(rows)
  const halves = v128.and(quadOf(0, v128.load32_zero(p0, 80), v128.load32_zero(p1, 80), v128.load32_zero(p2, 80), v128.load32_zero(p3, 80)), mask)
  v128.store(dst, v128.shuffle<i16>(halves, halves, 0, 2, 4, 6, 1, 3, 5, 7))
  const r0 = v128.load(p0)
  const r1 = v128.load(p1)
  const r2 = v128.load(p2)
  const r3 = v128.load(p3)
  v128.store(dst, across(v128.and(quadOf(0, r0, r1, r2, r3), mask)), 16)
  v128.store(dst, across(v128.and(quadOf(1, r0, r1, r2, r3), mask)), 32)
  v128.store(dst, across(v128.and(quadOf(2, r0, r1, r2, r3), mask)), 48)
  v128.store(dst, across(v128.and(quadOf(3, r0, r1, r2, r3), mask)), 64)
  packTwoBits(p0 + 16, p1 + 16, p2 + 16, p3 + 16, mask, dst + 80, 16)
}

/**
 * Packs `rows` consecutive rows of a file (84 bytes per 256 weights) into groups of four. Returns how many scales are
 * not finite.
 */
export function repack_q2_k(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 84
  let bad = 0
  for (; rows > 0; rows -= 4) {
    for (let b: usize = 0; b < <usize>blocks; b++) packUnit(src + b * 84, rowBytes, rows, dst + 16 + b * UNIT)
    bad += raiseScales(dst, 16, blocks, UNIT, 1)
    src += rowBytes * 4
    dst += <usize>blocks * UNIT + 16
  }
  return bad
}
