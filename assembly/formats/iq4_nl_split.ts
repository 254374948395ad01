// Products of IQ4_NL (iq4_nl.ts) with split values (iq4.ts), for CPUs on which whole ones cannot be multiplied.
import { expandOf, HALF_MASK } from '../lanes/half'
import { held, inOrder } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { addDot, addDot16, evenMask, plus, quadBytes, startAt } from '../lanes/quads'
import { addScaled } from '../lanes/scales'
import { activationScales, activationSums } from '../ops/quantize_q8_1'
import { addNibbles, high, low } from './block32'
import { addRests, joined, lookUpJoined, restTable } from './iq4'

/** Bytes of a block of two groups. */
export const BLOCK: usize = 144
const EIGHT: i32 = 0xfff8fff8 // -8 in either half

/** 16 times the nibbles' sum plus the rests' sum, a lane a row. */
// @ts-ignore: decorator
@inline function total(nibbles: v128, rests: v128, sixteens: v128, ones: v128): v128 {
  return i32x4.add(i32x4.dot_i16x8_s(nibbles, sixteens), i32x4.dot_i16x8_s(rests, ones))
}

/** `matmul_iq4_nl_x1`. */
export function splitX1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const eight = held(EIGHT, blocks)
  const table = restTable(blocks)
  const mask = held(HALF_MASK, blocks)
  const ones = held(0x00010001, blocks)
  const sixteens = held(0x00100010, blocks)
  const quad = quadBytes()
  const scales = activationScales(x, blocks)
  const sums = activationSums(x, blocks)
  const pairBytes = <usize>blocks * BLOCK + 32
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
      const start = startAt(sums + b * 4, eight)
      const begin = plus(start, start)
      let s0 = start
      let s1 = start
      let t0 = start
      let t1 = start
      let p0 = begin
      let p1 = begin
      let q0 = begin
      let q1 = begin
      for (let k: usize = 0; k < 128; k += 32) {
        s0 = addNibbles(s0, v128.load(u + k, 16), y, nibble, even)
        p0 = addRests(p0, v128.load(u + k, 16), y, table, nibble, even)
        s1 = addNibbles(s1, v128.load(u + k, 32), y, nibble, even)
        p1 = addRests(p1, v128.load(u + k, 32), y, table, nibble, even)
        t0 = addNibbles(t0, v128.load(v + k, 16), y, nibble, even)
        q0 = addRests(q0, v128.load(v + k, 16), y, table, nibble, even)
        t1 = addNibbles(t1, v128.load(v + k, 32), y, nibble, even)
        q1 = addRests(q1, v128.load(v + k, 32), y, table, nibble, even)
        y += quad
      }
      y += 4 * quad
      inOrder(blocks)
      const dx = v128.load32_splat(scales + b * 4)
      a0 = addScaled(a0, expandOf(v128.load16x4_s(u), mask, e0), dx, total(s0, joined(p0), sixteens, ones))
      a1 = addScaled(a1, expandOf(v128.load16x4_s(u, 8), mask, e1), dx, total(s1, joined(p1), sixteens, ones))
      b0 = addScaled(b0, expandOf(v128.load16x4_s(v), mask, f0), dx, total(t0, joined(q0), sixteens, ones))
      b1 = addScaled(b1, expandOf(v128.load16x4_s(v, 8), mask, f1), dx, total(t1, joined(q1), sixteens, ones))
      u += BLOCK
      v += BLOCK
    }
    storePair(out + g * 32, a0, a1, g * 2 + 1 < <usize>groups)
    storePair(out + (g + far) * 32, b0, b1, (g + far) * 2 + 1 < <usize>groups)
  }
}

/**
 * `matmul_iq4_nl_x4`. Nibbles and rests have a loop each: together, their eight sums of 256 bits and their operands
 * need more registers than there are, and the speed of values on the stack differs from process to process.
 */
export function splitX4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const eight = held(EIGHT, blocks)
  const table = restTable(blocks)
  const mask = held(HALF_MASK, blocks)
  const ones = held(0x00010001, blocks)
  const sixteens = held(0x00100010, blocks)
  const quad = quadBytes()
  const toScales = activationScales(0, blocks)
  const toSums = activationSums(0, blocks)
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
    let y: usize = 0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let at = w + 16
      const start = toSums + b * 4
      let s0 = startAt(x0 + start, eight)
      let s1 = startAt(x1 + start, eight)
      let s2 = startAt(x2 + start, eight)
      let s3 = startAt(x3 + start, eight)
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
      y += 4 * quad
      inOrder(blocks)
      const scale = toScales + b * 4
      const d = expandOf(v128.load16x4_s(w), mask, e)
      const h = expandOf(v128.load16x4_s(w, 8), mask, f)
      a0 = addScaled(a0, d, v128.load32_splat(x0 + scale), total(s0, p0, sixteens, ones))
      b0 = addScaled(b0, h, v128.load32_splat(x0 + scale), total(t0, q0, sixteens, ones))
      a1 = addScaled(a1, d, v128.load32_splat(x1 + scale), total(s1, p1, sixteens, ones))
      b1 = addScaled(b1, h, v128.load32_splat(x1 + scale), total(t1, q1, sixteens, ones))
      a2 = addScaled(a2, d, v128.load32_splat(x2 + scale), total(s2, p2, sixteens, ones))
      b2 = addScaled(b2, h, v128.load32_splat(x2 + scale), total(t2, q2, sixteens, ones))
      a3 = addScaled(a3, d, v128.load32_splat(x3 + scale), total(s3, p3, sixteens, ones))
      b3 = addScaled(b3, h, v128.load32_splat(x3 + scale), total(t3, q3, sixteens, ones))
      w += BLOCK
    }
    const both = g + 1 < <usize>groups
    storePair(out0 + g * 16, a0, b0, both)
    storePair(out1 + g * 16, a1, b1, both)
    storePair(out2 + g * 16, a2, b2, both)
    storePair(out3 + g * 16, a3, b3, both)
  }
}
