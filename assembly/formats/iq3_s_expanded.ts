// IQ3_S, expanded: an integer is 2n - 15, with a nibble n, so that products are those of Q4_K. The oracle is
// src/format/quants/iq3_s.ts, packing is in expanded_repack.ts.
//
// In a bank two groups of 4 rows stand side by side (pairs.ts): a 32-byte header (half.ts), then per 256 columns a unit
// of 1072 bytes (8 x 110 in the file):
//     0   d  8 rows x f16, raised
//    16   2 times 128 columns, 528 bytes: scales (expanded.ts), then q, 4 sub-blocks x 4 x 2 vectors of 16 bytes;
//         vectors j: low nibbles = columns 4j..4j+3 of 4 rows, high nibbles = columns 16+4j..16+4j+3
import { expandOf, HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { quadBytes } from '../lanes/quads'
import { addScaled, scaled } from '../lanes/scales'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'
import { firstOf, nextScales, oddScales, scalesAt, secondOf } from './expanded'
import { addQuads, NIBBLE, quads } from './q4_k'

export const UNIT: usize = 1072
export const HALF: usize = 528

/** The sum of the integers' products, from the sums of the nibbles' and of x, both times scales. */
// @ts-ignore: decorator
@inline function total(isum: v128, sums: v128): v128 {
  return i32x4.sub(i32x4.add(i32x4.shl(isum, 1), sums), i32x4.shl(sums, 4))
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token, in two strips (strips.ts). */
export function matmul_iq3_s_expanded_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const nibble = held(NIBBLE, blocks)
  const one = held(0x00010001, blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const scales = activationScales(x, blocks)
  const sums = activationSums(x, blocks)
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
      let c0 = i0
      let c1 = i0
      let d0 = i0
      let d1 = i0
      let y = x + b * 64 * quad
      let sum = sums + b * SUMS
      for (let at: usize = 16; at < UNIT; at += HALF) {
        let k = scalesAt(u + at, false)
        let l = scalesAt(u + at, true)
        let m = scalesAt(v + at, false)
        let n = scalesAt(v + at, true)
        let q = at + 16
        for (const end = at + HALF; q < end; ) {
          let s0 = quads(v128.load(u + q), y, nibble)
          let s1 = quads(v128.load(u + q, 16), y, nibble)
          let t0 = quads(v128.load(v + q), y, nibble)
          let t1 = quads(v128.load(v + q, 16), y, nibble)
          for (const stop = q + 96; q < stop; ) {
            q += 32
            y += quad
            s0 = addQuads(s0, v128.load(u + q), y, nibble)
            s1 = addQuads(s1, v128.load(u + q, 16), y, nibble)
            t0 = addQuads(t0, v128.load(v + q), y, nibble)
            t1 = addQuads(t1, v128.load(v + q, 16), y, nibble)
          }
          q += 32
          y += 5 * quad
          let p0 = quads(v128.load(u + q), y, nibble)
          let p1 = quads(v128.load(u + q, 16), y, nibble)
          let r0 = quads(v128.load(v + q), y, nibble)
          let r1 = quads(v128.load(v + q, 16), y, nibble)
          for (const stop = q + 96; q < stop; ) {
            q += 32
            y += quad
            p0 = addQuads(p0, v128.load(u + q), y, nibble)
            p1 = addQuads(p1, v128.load(u + q, 16), y, nibble)
            r0 = addQuads(r0, v128.load(v + q), y, nibble)
            r1 = addQuads(r1, v128.load(v + q, 16), y, nibble)
          }
          q += 32
          y += 5 * quad
          const two = v128.load32_splat(sum)
          sum += 4
          const ek = oddScales(k, one)
          const el = oddScales(l, one)
          const em = oddScales(m, one)
          const en = oddScales(n, one)
          c0 = i32x4.add(c0, i32x4.dot_i16x8_s(ek, two))
          c1 = i32x4.add(c1, i32x4.dot_i16x8_s(el, two))
          d0 = i32x4.add(d0, i32x4.dot_i16x8_s(em, two))
          d1 = i32x4.add(d1, i32x4.dot_i16x8_s(en, two))
          i0 = i32x4.add(i0, i32x4.add(scaled(s0, firstOf(ek)), scaled(p0, secondOf(ek))))
          i1 = i32x4.add(i1, i32x4.add(scaled(s1, firstOf(el)), scaled(p1, secondOf(el))))
          j0 = i32x4.add(j0, i32x4.add(scaled(t0, firstOf(em)), scaled(r0, secondOf(em))))
          j1 = i32x4.add(j1, i32x4.add(scaled(t1, firstOf(en)), scaled(r1, secondOf(en))))
          k = nextScales(k)
          l = nextScales(l)
          m = nextScales(m)
          n = nextScales(n)
        }
      }
      const dx = v128.load32_splat(scales + b * 4)
      a0 = addScaled(a0, expandOf(v128.load16x4_s(u), mask, e0), dx, total(i0, c0))
      a1 = addScaled(a1, expandOf(v128.load16x4_s(u, 8), mask, e1), dx, total(i1, c1))
      b0 = addScaled(b0, expandOf(v128.load16x4_s(v), mask, f0), dx, total(j0, d0))
      b1 = addScaled(b1, expandOf(v128.load16x4_s(v, 8), mask, f1), dx, total(j1, d1))
      u += UNIT
      v += UNIT
    }
    storePair(out + g * 32, a0, a1, g * 2 + 1 < <usize>groups)
    storePair(out + (g + far) * 32, b0, b1, (g + far) * 2 + 1 < <usize>groups)
  }
}

/** The same for four tokens. Every output is the bits that `matmul_iq3_s_expanded_x1` gives. */
export function matmul_iq3_s_expanded_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const nibble = held(NIBBLE, blocks)
  const one = held(0x00010001, blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const toSums = activationSums(0, blocks)
  const toScales = activationScales(0, blocks)
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
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let i0 = i32x4.splat(0)
      let j0 = i0
      let c0 = i0
      let d0 = i0
      let i1 = i0
      let j1 = i0
      let c1 = i0
      let d1 = i0
      let i2 = i0
      let j2 = i0
      let c2 = i0
      let d2 = i0
      let i3 = i0
      let j3 = i0
      let c3 = i0
      let d3 = i0
      let y = b * 64 * quad
      let sum = toSums + b * SUMS
      let q = w + 16
      for (const last = q + 2 * HALF; q < last; ) {
        let k = scalesAt(q, false)
        let l = scalesAt(q, true)
        q += 16
        for (const end = q + 512; q < end; ) {
          const m = oddScales(k, one)
          const n = oddScales(l, one)
          k = nextScales(k)
          l = nextScales(l)
          let u = v128.load(q)
          let v = v128.load(q, 16)
          let s0 = quads(u, x0 + y, nibble)
          let t0 = quads(v, x0 + y, nibble)
          let s1 = quads(u, x1 + y, nibble)
          let t1 = quads(v, x1 + y, nibble)
          let s2 = quads(u, x2 + y, nibble)
          let t2 = quads(v, x2 + y, nibble)
          let s3 = quads(u, x3 + y, nibble)
          let t3 = quads(v, x3 + y, nibble)
          for (const stop = q + 96; q < stop; ) {
            q += 32
            y += quad
            u = v128.load(q)
            v = v128.load(q, 16)
            s0 = addQuads(s0, u, x0 + y, nibble)
            t0 = addQuads(t0, v, x0 + y, nibble)
            s1 = addQuads(s1, u, x1 + y, nibble)
            t1 = addQuads(t1, v, x1 + y, nibble)
            s2 = addQuads(s2, u, x2 + y, nibble)
            t2 = addQuads(t2, v, x2 + y, nibble)
            s3 = addQuads(s3, u, x3 + y, nibble)
            t3 = addQuads(t3, v, x3 + y, nibble)
          }
          q += 32
          y += 5 * quad
          let mm = firstOf(m)
          let nn = firstOf(n)
          i0 = i32x4.add(i0, scaled(s0, mm))
          j0 = i32x4.add(j0, scaled(t0, nn))
          i1 = i32x4.add(i1, scaled(s1, mm))
          j1 = i32x4.add(j1, scaled(t1, nn))
          i2 = i32x4.add(i2, scaled(s2, mm))
          j2 = i32x4.add(j2, scaled(t2, nn))
          i3 = i32x4.add(i3, scaled(s3, mm))
          j3 = i32x4.add(j3, scaled(t3, nn))
          u = v128.load(q)
          v = v128.load(q, 16)
          s0 = quads(u, x0 + y, nibble)
          t0 = quads(v, x0 + y, nibble)
          s1 = quads(u, x1 + y, nibble)
          t1 = quads(v, x1 + y, nibble)
          s2 = quads(u, x2 + y, nibble)
          t2 = quads(v, x2 + y, nibble)
          s3 = quads(u, x3 + y, nibble)
          t3 = quads(v, x3 + y, nibble)
          for (const stop = q + 96; q < stop; ) {
            q += 32
            y += quad
            u = v128.load(q)
            v = v128.load(q, 16)
            s0 = addQuads(s0, u, x0 + y, nibble)
            t0 = addQuads(t0, v, x0 + y, nibble)
            s1 = addQuads(s1, u, x1 + y, nibble)
            t1 = addQuads(t1, v, x1 + y, nibble)
            s2 = addQuads(s2, u, x2 + y, nibble)
            t2 = addQuads(t2, v, x2 + y, nibble)
            s3 = addQuads(s3, u, x3 + y, nibble)
            t3 = addQuads(t3, v, x3 + y, nibble)
          }
          q += 32
          y += 5 * quad
          mm = secondOf(m)
          nn = secondOf(n)
          i0 = i32x4.add(i0, scaled(s0, mm))
          j0 = i32x4.add(j0, scaled(t0, nn))
          i1 = i32x4.add(i1, scaled(s1, mm))
          j1 = i32x4.add(j1, scaled(t1, nn))
          i2 = i32x4.add(i2, scaled(s2, mm))
          j2 = i32x4.add(j2, scaled(t2, nn))
          i3 = i32x4.add(i3, scaled(s3, mm))
          j3 = i32x4.add(j3, scaled(t3, nn))
          const two0 = v128.load32_splat(x0 + sum)
          c0 = i32x4.add(c0, i32x4.dot_i16x8_s(m, two0))
          d0 = i32x4.add(d0, i32x4.dot_i16x8_s(n, two0))
          const two1 = v128.load32_splat(x1 + sum)
          c1 = i32x4.add(c1, i32x4.dot_i16x8_s(m, two1))
          d1 = i32x4.add(d1, i32x4.dot_i16x8_s(n, two1))
          const two2 = v128.load32_splat(x2 + sum)
          c2 = i32x4.add(c2, i32x4.dot_i16x8_s(m, two2))
          d2 = i32x4.add(d2, i32x4.dot_i16x8_s(n, two2))
          const two3 = v128.load32_splat(x3 + sum)
          c3 = i32x4.add(c3, i32x4.dot_i16x8_s(m, two3))
          d3 = i32x4.add(d3, i32x4.dot_i16x8_s(n, two3))
          sum += 4
        }
      }
      const scale = toScales + b * 4
      const factor0 = expandOf(v128.load16x4_s(w), mask, e)
      const factor1 = expandOf(v128.load16x4_s(w, 8), mask, f)
      a0 = addScaled(a0, factor0, v128.load32_splat(x0 + scale), total(i0, c0))
      b0 = addScaled(b0, factor1, v128.load32_splat(x0 + scale), total(j0, d0))
      a1 = addScaled(a1, factor0, v128.load32_splat(x1 + scale), total(i1, c1))
      b1 = addScaled(b1, factor1, v128.load32_splat(x1 + scale), total(j1, d1))
      a2 = addScaled(a2, factor0, v128.load32_splat(x2 + scale), total(i2, c2))
      b2 = addScaled(b2, factor1, v128.load32_splat(x2 + scale), total(j2, d2))
      a3 = addScaled(a3, factor0, v128.load32_splat(x3 + scale), total(i3, c3))
      b3 = addScaled(b3, factor1, v128.load32_splat(x3 + scale), total(j3, d3))
      w += UNIT
    }
    const both = g + 1 < <usize>groups
    storePair(out0 + g * 16, a0, b0, both)
    storePair(out1 + g * 16, a1, b1, both)
    storePair(out2 + g * 16, a2, b2, both)
    storePair(out3 + g * 16, a3, b3, both)
  }
}
