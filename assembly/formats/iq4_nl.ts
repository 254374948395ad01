// IQ4_NL: blocks of 32, weight = d * value(q), values from a table (iq4.ts); the oracle is src/format/quants/iq4_nl.ts.
//
// A group is laid out as one of Q4_0: the file's blocks differ only in the meaning of a nibble.
import { expandOf, HALF_MASK } from '../lanes/half'
import { held, inOrder } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { addWhole, evenMask, quadBytes, wholeBytes } from '../lanes/quads'
import { addScaled } from '../lanes/scales'
import { activationScales, activationSums } from '../ops/quantize_q8_1'
import { high, low } from './block32'
import { addValues, lookUpJoined, valueSum, valueTable } from './iq4'
import { BLOCK, splitX1, splitX4 } from './iq4_nl_split'
import { repack_q4_0 } from './q4_0'

const MINUS_128: i32 = 0xff80ff80 // -128 in either half

/** The start of a sum of whole values: -128 times the sum of x, since each value is 128 too large. */
// @ts-ignore: decorator
@inline function wholeStart(sums: usize, minus128: v128): v128 {
  return i32x4.dot_i16x8_s(v128.load32_splat(sums), minus128)
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 32) x one token, in two strips (strips.ts). */
export function matmul_iq4_nl_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD && !wholeBytes(blocks)) splitX1(weights, groups, blocks, x, out)
  else wholeX1(weights, groups, blocks, x, out)
}

function wholeX1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const minus128 = held(MINUS_128, blocks)
  const table = valueTable(blocks)
  const mask = held(HALF_MASK, blocks)
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
      const start = wholeStart(sums + b * 4, minus128)
      let s0 = start
      let s1 = start
      let t0 = start
      let t1 = start
      for (let k: usize = 0; k < 128; k += 32) {
        s0 = addValues(s0, v128.load(u + k, 16), y, table, nibble, even)
        s1 = addValues(s1, v128.load(u + k, 32), y, table, nibble, even)
        t0 = addValues(t0, v128.load(v + k, 16), y, table, nibble, even)
        t1 = addValues(t1, v128.load(v + k, 32), y, table, nibble, even)
        y += quad
      }
      y += 4 * quad
      inOrder(blocks)
      const dx = v128.load32_splat(scales + b * 4)
      a0 = addScaled(a0, expandOf(v128.load16x4_s(u), mask, e0), dx, valueSum(s0))
      a1 = addScaled(a1, expandOf(v128.load16x4_s(u, 8), mask, e1), dx, valueSum(s1))
      b0 = addScaled(b0, expandOf(v128.load16x4_s(v), mask, f0), dx, valueSum(t0))
      b1 = addScaled(b1, expandOf(v128.load16x4_s(v, 8), mask, f1), dx, valueSum(t1))
      u += BLOCK
      v += BLOCK
    }
    storePair(out + g * 32, a0, a1, g * 2 + 1 < <usize>groups)
    storePair(out + (g + far) * 32, b0, b1, (g + far) * 2 + 1 < <usize>groups)
  }
}

/** The same for four tokens. Every output is the bits that `matmul_iq4_nl_x1` gives. */
export function matmul_iq4_nl_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD && !wholeBytes(blocks)) splitX4(weights, groups, blocks, x0, x1, x2, x3, out0, out1, out2, out3)
  else wholeX4(weights, groups, blocks, x0, x1, x2, x3, out0, out1, out2, out3)
}

function wholeX4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const minus128 = held(MINUS_128, blocks)
  const table = valueTable(blocks)
  const mask = held(HALF_MASK, blocks)
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
      let s0 = wholeStart(x0 + start, minus128)
      let s1 = wholeStart(x1 + start, minus128)
      let s2 = wholeStart(x2 + start, minus128)
      let s3 = wholeStart(x3 + start, minus128)
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
      y += 4 * quad
      inOrder(blocks)
      const scale = toScales + b * 4
      const d = expandOf(v128.load16x4_s(w), mask, e)
      const h = expandOf(v128.load16x4_s(w, 8), mask, f)
      a0 = addScaled(a0, d, v128.load32_splat(x0 + scale), s0)
      b0 = addScaled(b0, h, v128.load32_splat(x0 + scale), t0)
      a1 = addScaled(a1, d, v128.load32_splat(x1 + scale), s1)
      b1 = addScaled(b1, h, v128.load32_splat(x1 + scale), t1)
      a2 = addScaled(a2, d, v128.load32_splat(x2 + scale), s2)
      b2 = addScaled(b2, h, v128.load32_splat(x2 + scale), t2)
      a3 = addScaled(a3, d, v128.load32_splat(x3 + scale), s3)
      b3 = addScaled(b3, h, v128.load32_splat(x3 + scale), t3)
      w += BLOCK
    }
    const both = g + 1 < <usize>groups
    storePair(out0 + g * 16, a0, b0, both)
    storePair(out1 + g * 16, a1, b1, both)
    storePair(out2 + g * 16, a2, b2, both)
    storePair(out3 + g * 16, a3, b3, both)
  }
}

/** Packs rows of a file as those of Q4_0. */
export function repack_iq4_nl(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  return repack_q4_0(src, rows, blocks, dst)
}
