// Products of IQ4_XS (iq4_xs.ts) with split values (iq4.ts), for CPUs on which whole ones cannot be multiplied.
import { expandOf, HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { addDot, addDot16, evenMask, plus, quadBytes } from '../lanes/quads'
import { addScaled, scaled, spread } from '../lanes/scales'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'
import { addNibbles, high, low } from './block32'
import { addRests, joined, lookUpJoined, restTable } from './iq4'
import { quantsOf, scalesOf, UNIT } from './iq4_xs_unit'

/**
 * The start of a sub-block's sum of nibbles: -8 times the sum of x. The pairs at `starts` hold -32 times the sums of
 * its two halves.
 */
// @ts-ignore: decorator
@inline function tensStart(starts: usize): v128 {
  const a = v128.load32_splat(starts)
  const b = v128.load32_splat(starts, 4)
  return i16x8.add(i16x8.shr_s(a, 2), i16x8.shr_s(b, 2))
}

/** A sub-block's sum, 16 times the nibbles' plus the rests', times its scale (`spread`), a lane a row. */
// @ts-ignore: decorator
@inline function scaledValues(nibbles: v128, rests: v128, scale: v128): v128 {
  return i32x4.add(i32x4.shl(scaled(nibbles, scale), 4), scaled(rests, scale))
}

/** `matmul_iq4_xs_x1`. */
export function splitX1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const table = restTable(blocks)
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
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let i0 = i32x4.splat(0)
      let i1 = i0
      let j0 = i0
      let j1 = i0
      let y = x + b * 64 * quad
      for (let s: usize = 0; s < 8; s++) {
        let q = quantsOf(s)
        const start = tensStart(starts + (b * SUMS + s * 8))
        const restsStart = plus(start, start)
        let s0 = start
        let s1 = start
        let t0 = start
        let t1 = start
        let p0 = restsStart
        let p1 = restsStart
        let q0 = restsStart
        let q1 = restsStart
        for (const stop = q + 128; q < stop; q += 32) {
          s0 = addNibbles(s0, v128.load(u + q), y, nibble, even)
          p0 = addRests(p0, v128.load(u + q), y, table, nibble, even)
          s1 = addNibbles(s1, v128.load(u + q, 16), y, nibble, even)
          p1 = addRests(p1, v128.load(u + q, 16), y, table, nibble, even)
          t0 = addNibbles(t0, v128.load(v + q), y, nibble, even)
          q0 = addRests(q0, v128.load(v + q), y, table, nibble, even)
          t1 = addNibbles(t1, v128.load(v + q, 16), y, nibble, even)
          q1 = addRests(q1, v128.load(v + q, 16), y, table, nibble, even)
          y += quad
        }
        let m = v128.load8x8_s(u + scalesOf(s))
        i0 = i32x4.add(i0, scaledValues(s0, joined(p0), spread(m, false)))
        i1 = i32x4.add(i1, scaledValues(s1, joined(p1), spread(m, true)))
        m = v128.load8x8_s(v + scalesOf(s))
        j0 = i32x4.add(j0, scaledValues(t0, joined(q0), spread(m, false)))
        j1 = i32x4.add(j1, scaledValues(t1, joined(q1), spread(m, true)))
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

/**
 * `matmul_iq4_xs_x4`. Nibbles and rests have a loop each: together, their eight sums of 256 bits and their operands
 * need more registers than there are, and the speed of values on the stack differs from process to process.
 */
export function splitX4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const table = restTable(blocks)
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
        let s0 = tensStart(x0 + start)
        let s1 = tensStart(x1 + start)
        let s2 = tensStart(x2 + start)
        let s3 = tensStart(x3 + start)
        let t0 = s0
        let t1 = s1
        let t2 = s2
        let t3 = s3
        let p0 = plus(s0, s0)
        let p1 = plus(s1, s1)
        let p2 = plus(s2, s2)
        let p3 = plus(s3, s3)
        let q0 = p0
        let q1 = p1
        let q2 = p2
        let q3 = p3
        for (let k: usize = 0, z = y; k < 128; k += 32, z += quad) {
          const u = v128.load(at + k)
          const v = v128.load(at + k, 16)
          const ul = low(u, nibble)
          const vl = low(v, nibble)
          const uh = high(u, nibble)
          const vh = high(v, nibble)
          s0 = addDot16(addDot(s0, ul, x0 + z, 0, even), uh, x0 + z, even)
          t0 = addDot16(addDot(t0, vl, x0 + z, 0, even), vh, x0 + z, even)
          s1 = addDot16(addDot(s1, ul, x1 + z, 0, even), uh, x1 + z, even)
          t1 = addDot16(addDot(t1, vl, x1 + z, 0, even), vh, x1 + z, even)
          s2 = addDot16(addDot(s2, ul, x2 + z, 0, even), uh, x2 + z, even)
          t2 = addDot16(addDot(t2, vl, x2 + z, 0, even), vh, x2 + z, even)
          s3 = addDot16(addDot(s3, ul, x3 + z, 0, even), uh, x3 + z, even)
          t3 = addDot16(addDot(t3, vl, x3 + z, 0, even), vh, x3 + z, even)
        }
        for (const stop = at + 128; at < stop; at += 32) {
          const u = v128.load(at)
          const v = v128.load(at, 16)
          const url = lookUpJoined(table, low(u, nibble))
          const vrl = lookUpJoined(table, low(v, nibble))
          const urh = lookUpJoined(table, high(u, nibble))
          const vrh = lookUpJoined(table, high(v, nibble))
          p0 = addDot16(addDot(p0, url, x0 + y, 0, even), urh, x0 + y, even)
          q0 = addDot16(addDot(q0, vrl, x0 + y, 0, even), vrh, x0 + y, even)
          p1 = addDot16(addDot(p1, url, x1 + y, 0, even), urh, x1 + y, even)
          q1 = addDot16(addDot(q1, vrl, x1 + y, 0, even), vrh, x1 + y, even)
          p2 = addDot16(addDot(p2, url, x2 + y, 0, even), urh, x2 + y, even)
          q2 = addDot16(addDot(q2, vrl, x2 + y, 0, even), vrh, x2 + y, even)
          p3 = addDot16(addDot(p3, url, x3 + y, 0, even), urh, x3 + y, even)
          q3 = addDot16(addDot(q3, vrl, x3 + y, 0, even), vrh, x3 + y, even)
          y += quad
        }
        const scales = v128.load8x8_s(w + scalesOf(s))
        const m = spread(scales, false)
        const n = spread(scales, true)
        i0 = i32x4.add(i0, scaledValues(s0, p0, m))
        j0 = i32x4.add(j0, scaledValues(t0, q0, n))
        i1 = i32x4.add(i1, scaledValues(s1, p1, m))
        j1 = i32x4.add(j1, scaledValues(t1, q1, n))
        i2 = i32x4.add(i2, scaledValues(s2, p2, m))
        j2 = i32x4.add(j2, scaledValues(t2, q2, n))
        i3 = i32x4.add(i3, scaledValues(s3, p3, m))
        j3 = i32x4.add(j3, scaledValues(t3, q3, n))
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
