// Q3_K: 256 weights of a row in 16 sub-blocks of 16, weight = d * scale * (q - 4). The oracle is
// src/format/quants/q3_k.ts, packing is in q3_k_repack.ts.
//
// A group is 4 rows: a 16-byte header (half.ts), then per 256 columns a unit of 464 bytes (440 in the file):
//     0   d     4 rows x f16, raised; 8 bytes unused
//    16   scale 16 sub-blocks x 4 rows x i8
//    80   q     8 pairs of sub-blocks x 3 vectors of 16 bytes; byte 4r + c is for row r.
//               Of the pair's eight quads of columns, quad k (columns 4k + c) is in
//                   bits    0-2      3-5      6-7
//           vector 0        quad 0   quad 1   low bits of quad 6
//           vector 1        quad 2   quad 3   low bits of quad 7
//           vector 2        quad 4   quad 5   bit 6: high bit of quad 6, bit 7: high bit of quad 7
//           so that six quads of eight are a shift and a mask.
// The 4 is subtracted once per unit, as scale * 4 * (sum of x).
import { expand, HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'
import { dots, evenMask, quadBytes } from '../lanes/quads'
import { addScaled, addScaled1High, addScaled1Low, addWeighted } from '../lanes/scales'
import { stripOf, stripStart } from '../lanes/strips'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'

export const UNIT: usize = 464
const THREE_BITS: i32 = 0x07070707
export const LOW_BITS: i32 = 0x03030303
export const HIGH_BIT: i32 = 0x04040404

// @ts-ignore: decorator
@inline function first(w: v128, three: v128): v128 {
  return v128.and(w, three)
}

// @ts-ignore: decorator
@inline function second(w: v128, three: v128): v128 {
  return v128.and(i16x8.shr_u(w, 3), three)
}

/** Quad 6 (v is vector 0, shift 4) or quad 7 (vector 1, shift 5); w is vector 2. */
// @ts-ignore: decorator
@inline function split(v: v128, w: v128, shift: i32, lows: v128, highs: v128): v128 {
  return v128.or(v128.and(i16x8.shr_u(v, 6), lows), v128.and(i16x8.shr_u(w, shift), highs))
}

/** acc + d * dx * (isum - 4 * offset). */
// @ts-ignore: decorator
@inline function finish(acc: v128, w: usize, dx: v128, isum: v128, offset: v128, mask: v128, factor: v128): v128 {
  return addScaled(acc, expand(w, mask, factor), dx, i32x4.sub(isum, i32x4.shl(offset, 2)))
}

// @ts-ignore: decorator
@inline function unit(acc: v128, w: usize, x: usize, dx: v128, sums: usize, three: v128, lows: v128, highs: v128, even: v128, mask: v128, factor: v128): v128 {
  const quad = quadBytes()
  let isum = i32x4.splat(0)
  let offset = i32x4.splat(0)
  for (let k: usize = 0; k < 8; k++) {
    const y = x + k * 8 * quad
    const u = v128.load(w + k * 48, 80)
    const v = v128.load(w + k * 48, 96)
    const t = v128.load(w + k * 48, 112)
    const scales = v128.load8x8_s(w + k * 8, 16)
    isum = addScaled1Low(isum, dots(y, first(u, three), second(u, three), first(v, three), second(v, three), even), scales)
    isum = addScaled1High(isum, dots(y + 4 * quad, first(t, three), second(t, three), split(u, t, 4, lows, highs), split(v, t, 5, lows, highs), even), scales)
    offset = addWeighted(offset, scales, sums + k * 4)
  }
  return finish(acc, w, dx, isum, offset, mask, factor)
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token, in four strips (strips.ts). */
export function matmul_q3_k_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const three = held(THREE_BITS, blocks)
  const lows = held(LOW_BITS, blocks)
  const highs = held(HIGH_BIT, blocks)
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
      a0 = unit(a0, w0, xb, dx, sum, three, lows, highs, even, mask, f0)
      a1 = unit(a1, w1, xb, dx, sum, three, lows, highs, even, mask, f1)
      a2 = unit(a2, w2, xb, dx, sum, three, lows, highs, even, mask, f2)
      a3 = unit(a3, w3, xb, dx, sum, three, lows, highs, even, mask, f3)
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
 * The same for four tokens: a sub-block is unpacked once for all. Every output is the bits that `matmul_q3_k_x1` gives.
 */
export function matmul_q3_k_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const three = held(THREE_BITS, blocks)
  const lows = held(LOW_BITS, blocks)
  const highs = held(HIGH_BIT, blocks)
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
      let o0 = i0
      let o1 = i0
      let o2 = i0
      let o3 = i0
      const toSum = toSums + b * SUMS
      for (let k: usize = 0; k < 8; k++) {
        let at = (b * 64 + k * 8) * quad
        const scales = v128.load8x8_s(weights + k * 8, 16)
        const u = v128.load(weights + k * 48, 80)
        const v = v128.load(weights + k * 48, 96)
        const t = v128.load(weights + k * 48, 112)
        let c = first(u, three)
        let d = second(u, three)
        let e = first(v, three)
        let f = second(v, three)
        i0 = addScaled1Low(i0, dots(x0 + at, c, d, e, f, even), scales)
        i1 = addScaled1Low(i1, dots(x1 + at, c, d, e, f, even), scales)
        i2 = addScaled1Low(i2, dots(x2 + at, c, d, e, f, even), scales)
        i3 = addScaled1Low(i3, dots(x3 + at, c, d, e, f, even), scales)
        at += 4 * quad
        c = first(t, three)
        d = second(t, three)
        e = split(u, t, 4, lows, highs)
        f = split(v, t, 5, lows, highs)
        i0 = addScaled1High(i0, dots(x0 + at, c, d, e, f, even), scales)
        i1 = addScaled1High(i1, dots(x1 + at, c, d, e, f, even), scales)
        i2 = addScaled1High(i2, dots(x2 + at, c, d, e, f, even), scales)
        i3 = addScaled1High(i3, dots(x3 + at, c, d, e, f, even), scales)
        o0 = addWeighted(o0, scales, x0 + toSum + k * 4)
        o1 = addWeighted(o1, scales, x1 + toSum + k * 4)
        o2 = addWeighted(o2, scales, x2 + toSum + k * 4)
        o3 = addWeighted(o3, scales, x3 + toSum + k * 4)
      }
      const d = toScales + b * 4
      a0 = finish(a0, weights, v128.load32_splat(x0 + d), i0, o0, mask, factor)
      a1 = finish(a1, weights, v128.load32_splat(x1 + d), i1, o1, mask, factor)
      a2 = finish(a2, weights, v128.load32_splat(x2 + d), i2, o2, mask, factor)
      a3 = finish(a3, weights, v128.load32_splat(x3 + d), i3, o3, mask, factor)
      weights += UNIT
    }
    v128.store(out0 + g * 16, a0)
    v128.store(out1 + g * 16, a1)
    v128.store(out2 + g * 16, a2)
    v128.store(out3 + g * 16, a3)
  }
}
