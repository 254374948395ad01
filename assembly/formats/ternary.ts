// TQ2_0 and TQ1_0: 256 weights of a row, weight = d * (q - 1) with q of two bits. The oracles are src/format/quants/
// tq2_0.ts and tq1_0.ts. TQ1_0's five weights in a byte are unpacked to TQ2_0's layout when they are loaded, 22 % more
// bytes: no kernel for base 3.
//
// In a bank two groups of 4 rows stand side by side (pairs.ts): a 32-byte header (half.ts), then per 256 columns a unit
// of 528 bytes:
//     0   d  8 rows x f16, raised
//    16   q  16 x 2 vectors of 16 bytes; vectors j: byte 4r + c holds, from bit 0 up, columns 16j + c, + 4, + 8 and
//            + 12 of row r
// The 1 is subtracted where the sum of a unit starts, at minus the sum of x. A lane of 16 bits may wrap around on the
// way, and it wraps back: q - 1 is at most 2, and a unit sums to at most 64 * 2 * 2 * 127 = 32512 in a lane.
import { expandOf, HALF_MASK } from '../lanes/half'
import { held, inOrder } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { addDot, evenMask, quadBytes, rowSumsBy } from '../lanes/quads'
import { addScaled } from '../lanes/scales'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'

export const UNIT: usize = 528

/** Quad k of four in a vector. */
// @ts-ignore: decorator
@inline export function two(w: v128, k: i32, mask: v128): v128 {
  return v128.and(k ? i16x8.shr_u(w, 2 * k) : w, mask)
}

/** Adds 4 rows x 16 columns. */
// @ts-ignore: decorator
@inline export function addVector(sum: v128, w: v128, x: usize, mask: v128, even: v128): v128 {
  sum = addDot(addDot(sum, two(w, 0, mask), x, 0, even), two(w, 1, mask), x, 1, even)
  return addDot(addDot(sum, two(w, 2, mask), x, 2, even), two(w, 3, mask), x, 3, even)
}

/**
 * Minus the sum of a block's 256 columns of x, as `addDot` sums them, from the 16 pairs of -32 times the sums of 16
 * columns at `starts` (quantize_q8_k.ts).
 */
// @ts-ignore: decorator
@inline function startOf(starts: usize): v128 {
  const s = i16x8.add(i16x8.shr_s(v128.load(starts), 5), i16x8.shr_s(v128.load(starts, 16), 5))
  const t = i16x8.add(s, i16x8.add(i16x8.shr_s(v128.load(starts, 32), 5), i16x8.shr_s(v128.load(starts, 48), 5)))
  const u = i16x8.add(t, v128.shuffle<i32>(t, t, 2, 3, 0, 1))
  // a splat, so that both groups can share it in one wide vector
  const pair = i32x4.splat(i32x4.extract_lane(i16x8.add(u, v128.shuffle<i32>(u, u, 1, 0, 3, 2)), 0))
  return ASC_FEATURE_RELAXED_SIMD ? pair : i32x4.extadd_pairwise_i16x8_s(pair)
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token, in two strips (strips.ts). */
export function ternaryX1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const twoBits = held(0x03030303, blocks)
  const ones = held(0x00010001, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
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
    let y = x
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const start = startOf(starts + b * SUMS)
      let s0 = start
      let s1 = start
      let t0 = start
      let t1 = start
      for (let k: usize = 0; k < 512; k += 32) {
        s0 = addVector(s0, v128.load(u + k, 16), y, twoBits, even)
        s1 = addVector(s1, v128.load(u + k, 32), y, twoBits, even)
        t0 = addVector(t0, v128.load(v + k, 16), y, twoBits, even)
        t1 = addVector(t1, v128.load(v + k, 32), y, twoBits, even)
        y += 4 * quad
      }
      inOrder(blocks)
      const dx = v128.load32_splat(scales + b * 4)
      a0 = addScaled(a0, expandOf(v128.load16x4_s(u), mask, e0), dx, rowSumsBy(s0, ones))
      a1 = addScaled(a1, expandOf(v128.load16x4_s(u, 8), mask, e1), dx, rowSumsBy(s1, ones))
      b0 = addScaled(b0, expandOf(v128.load16x4_s(v), mask, f0), dx, rowSumsBy(t0, ones))
      b1 = addScaled(b1, expandOf(v128.load16x4_s(v, 8), mask, f1), dx, rowSumsBy(t1, ones))
      u += UNIT
      v += UNIT
    }
    storePair(out + g * 32, a0, a1, g * 2 + 1 < <usize>groups)
    storePair(out + (g + far) * 32, b0, b1, (g + far) * 2 + 1 < <usize>groups)
  }
}

/** The same for four tokens. Every output is the bits that `ternaryX1` gives. */
export function ternaryX4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const twoBits = held(0x03030303, blocks)
  const ones = held(0x00010001, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const toScales = activationScales(0, blocks)
  const toStarts = activationSums(0, blocks) + 48
  let w = weights
  for (let g: usize = 0; g < <usize>groups; g += 2) {
    const e = v128.load(w)
    const f = v128.load(w, 16)
    w += 32
    let a0 = f32x4.splat(0)
    let b0 = a0
    let a1 = a0
    let b1 = a0
    let a2 = a0
    let b2 = a0
    let a3 = a0
    let b3 = a0
    let y: usize = 0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const start = toStarts + b * SUMS
      let s0 = startOf(x0 + start)
      let t0 = s0
      let s1 = startOf(x1 + start)
      let t1 = s1
      let s2 = startOf(x2 + start)
      let t2 = s2
      let s3 = startOf(x3 + start)
      let t3 = s3
      for (let at = w + 16, stop = at + 512; at < stop; at += 32) {
        const u = v128.load(at)
        const v = v128.load(at, 16)
        let p = two(u, 0, twoBits)
        let q = two(v, 0, twoBits)
        s0 = addDot(s0, p, x0 + y, 0, even)
        t0 = addDot(t0, q, x0 + y, 0, even)
        s1 = addDot(s1, p, x1 + y, 0, even)
        t1 = addDot(t1, q, x1 + y, 0, even)
        s2 = addDot(s2, p, x2 + y, 0, even)
        t2 = addDot(t2, q, x2 + y, 0, even)
        s3 = addDot(s3, p, x3 + y, 0, even)
        t3 = addDot(t3, q, x3 + y, 0, even)
        p = two(u, 1, twoBits)
        q = two(v, 1, twoBits)
        s0 = addDot(s0, p, x0 + y, 1, even)
        t0 = addDot(t0, q, x0 + y, 1, even)
        s1 = addDot(s1, p, x1 + y, 1, even)
        t1 = addDot(t1, q, x1 + y, 1, even)
        s2 = addDot(s2, p, x2 + y, 1, even)
        t2 = addDot(t2, q, x2 + y, 1, even)
        s3 = addDot(s3, p, x3 + y, 1, even)
        t3 = addDot(t3, q, x3 + y, 1, even)
        p = two(u, 2, twoBits)
        q = two(v, 2, twoBits)
        s0 = addDot(s0, p, x0 + y, 2, even)
        t0 = addDot(t0, q, x0 + y, 2, even)
        s1 = addDot(s1, p, x1 + y, 2, even)
        t1 = addDot(t1, q, x1 + y, 2, even)
        s2 = addDot(s2, p, x2 + y, 2, even)
        t2 = addDot(t2, q, x2 + y, 2, even)
        s3 = addDot(s3, p, x3 + y, 2, even)
        t3 = addDot(t3, q, x3 + y, 2, even)
        p = two(u, 3, twoBits)
        q = two(v, 3, twoBits)
        s0 = addDot(s0, p, x0 + y, 3, even)
        t0 = addDot(t0, q, x0 + y, 3, even)
        s1 = addDot(s1, p, x1 + y, 3, even)
        t1 = addDot(t1, q, x1 + y, 3, even)
        s2 = addDot(s2, p, x2 + y, 3, even)
        t2 = addDot(t2, q, x2 + y, 3, even)
        s3 = addDot(s3, p, x3 + y, 3, even)
        t3 = addDot(t3, q, x3 + y, 3, even)
        y += 4 * quad
      }
      inOrder(blocks)
      const scale = toScales + b * 4
      const d = expandOf(v128.load16x4_s(w), mask, e)
      const h = expandOf(v128.load16x4_s(w, 8), mask, f)
      a0 = addScaled(a0, d, v128.load32_splat(x0 + scale), rowSumsBy(s0, ones))
      b0 = addScaled(b0, h, v128.load32_splat(x0 + scale), rowSumsBy(t0, ones))
      a1 = addScaled(a1, d, v128.load32_splat(x1 + scale), rowSumsBy(s1, ones))
      b1 = addScaled(b1, h, v128.load32_splat(x1 + scale), rowSumsBy(t1, ones))
      a2 = addScaled(a2, d, v128.load32_splat(x2 + scale), rowSumsBy(s2, ones))
      b2 = addScaled(b2, h, v128.load32_splat(x2 + scale), rowSumsBy(t2, ones))
      a3 = addScaled(a3, d, v128.load32_splat(x3 + scale), rowSumsBy(s3, ones))
      b3 = addScaled(b3, h, v128.load32_splat(x3 + scale), rowSumsBy(t3, ones))
      w += UNIT
    }
    const both = g + 1 < <usize>groups
    storePair(out0 + g * 16, a0, b0, both)
    storePair(out1 + g * 16, a1, b1, both)
    storePair(out2 + g * 16, a2, b2, both)
    storePair(out3 + g * 16, a3, b3, both)
  }
}
