// Q8_0 (q8_0.ts) times two tokens, and times four in tall tiles, as q4_k_x2.ts and q4_k_tall.ts do it.
// The loop of the tall tiles takes two pairs of columns, that of two tokens one: Node 20, which runs the latter too,
// hoists the loads of a longer one and runs out of registers.
import { expandOf, HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { addScaled } from '../lanes/scales'
import { BLOCK } from './q8_0'

/** Adds a pair of columns. */
// @ts-ignore: decorator
@inline function addPair(sum: v128, w: v128, x: usize): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(w, v128.load32_splat(x)))
}

/** Adds the pair of columns after the one at x. */
// @ts-ignore: decorator
@inline function addNext(sum: v128, w: v128, x: usize): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(w, v128.load32_splat(x, 4)))
}

/**
 * out (groups * 4 rows) = weights (groups * 4 rows, blocks * 32) x each of two tokens. Every output is the bits that
 * `matmul_q8_0_x1` gives.
 */
export function matmul_q8_0_x2(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, out0: usize, out1: usize): void {
  const mask = held(HALF_MASK, blocks)
  const pairBytes = <usize>blocks * BLOCK + 32
  const toScales = <usize>blocks * 64
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
    let b0 = a0
    let c0 = a0
    let d0 = a0
    let a1 = a0
    let b1 = a0
    let c1 = a0
    let d1 = a0
    let y: usize = 0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let s0 = i32x4.splat(0)
      let t0 = s0
      let p0 = s0
      let r0 = s0
      let s1 = s0
      let t1 = s0
      let p1 = s0
      let r1 = s0
      for (let q: usize = 0; q < 256; q += 16) {
        const u0 = v128.load8x8_s(u + q, 16)
        const u1 = v128.load8x8_s(u + q, 24)
        const v0 = v128.load8x8_s(v + q, 16)
        const v1 = v128.load8x8_s(v + q, 24)
        s0 = addPair(s0, u0, x0 + y)
        t0 = addPair(t0, u1, x0 + y)
        p0 = addPair(p0, v0, x0 + y)
        r0 = addPair(r0, v1, x0 + y)
        s1 = addPair(s1, u0, x1 + y)
        t1 = addPair(t1, u1, x1 + y)
        p1 = addPair(p1, v0, x1 + y)
        r1 = addPair(r1, v1, x1 + y)
        y += 4
      }
      const scale = toScales + b * 4
      let dx = v128.load32_splat(x0 + scale)
      a0 = addScaled(a0, expandOf(v128.load16x4_s(u), mask, e0), dx, s0)
      b0 = addScaled(b0, expandOf(v128.load16x4_s(u, 8), mask, e1), dx, t0)
      c0 = addScaled(c0, expandOf(v128.load16x4_s(v), mask, f0), dx, p0)
      d0 = addScaled(d0, expandOf(v128.load16x4_s(v, 8), mask, f1), dx, r0)
      dx = v128.load32_splat(x1 + scale)
      a1 = addScaled(a1, expandOf(v128.load16x4_s(u), mask, e0), dx, s1)
      b1 = addScaled(b1, expandOf(v128.load16x4_s(u, 8), mask, e1), dx, t1)
      c1 = addScaled(c1, expandOf(v128.load16x4_s(v), mask, f0), dx, p1)
      d1 = addScaled(d1, expandOf(v128.load16x4_s(v, 8), mask, f1), dx, r1)
      u += BLOCK
      v += BLOCK
    }
    const h = g + far
    const both = g * 2 + 1 < <usize>groups
    const bothFar = h * 2 + 1 < <usize>groups
    storePair(out0 + g * 32, a0, b0, both)
    storePair(out1 + g * 32, a1, b1, both)
    storePair(out0 + h * 32, c0, d0, bothFar)
    storePair(out1 + h * 32, c1, d1, bothFar)
  }
}

/** What `matmul_q8_0_x4` does, with the same bits. */
export function matmul_q8_0_x4_tall(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const mask = held(HALF_MASK, blocks)
  const pairBytes = <usize>blocks * BLOCK + 32
  const toScales = <usize>blocks * 64
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
    let b0 = a0
    let c0 = a0
    let d0 = a0
    let a1 = a0
    let b1 = a0
    let c1 = a0
    let d1 = a0
    let a2 = a0
    let b2 = a0
    let c2 = a0
    let d2 = a0
    let a3 = a0
    let b3 = a0
    let c3 = a0
    let d3 = a0
    let y: usize = 0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let s0 = i32x4.splat(0)
      let t0 = s0
      let p0 = s0
      let r0 = s0
      let s1 = s0
      let t1 = s0
      let p1 = s0
      let r1 = s0
      let s2 = s0
      let t2 = s0
      let p2 = s0
      let r2 = s0
      let s3 = s0
      let t3 = s0
      let p3 = s0
      let r3 = s0
      for (let q: usize = 0; q < 256; q += 32) {
        let u0 = v128.load8x8_s(u + q, 16)
        let u1 = v128.load8x8_s(u + q, 24)
        let v0 = v128.load8x8_s(v + q, 16)
        let v1 = v128.load8x8_s(v + q, 24)
        s0 = addPair(s0, u0, x0 + y)
        t0 = addPair(t0, u1, x0 + y)
        p0 = addPair(p0, v0, x0 + y)
        r0 = addPair(r0, v1, x0 + y)
        s1 = addPair(s1, u0, x1 + y)
        t1 = addPair(t1, u1, x1 + y)
        p1 = addPair(p1, v0, x1 + y)
        r1 = addPair(r1, v1, x1 + y)
        s2 = addPair(s2, u0, x2 + y)
        t2 = addPair(t2, u1, x2 + y)
        p2 = addPair(p2, v0, x2 + y)
        r2 = addPair(r2, v1, x2 + y)
        s3 = addPair(s3, u0, x3 + y)
        t3 = addPair(t3, u1, x3 + y)
        p3 = addPair(p3, v0, x3 + y)
        r3 = addPair(r3, v1, x3 + y)
        u0 = v128.load8x8_s(u + q, 32)
        u1 = v128.load8x8_s(u + q, 40)
        v0 = v128.load8x8_s(v + q, 32)
        v1 = v128.load8x8_s(v + q, 40)
        s0 = addNext(s0, u0, x0 + y)
        t0 = addNext(t0, u1, x0 + y)
        p0 = addNext(p0, v0, x0 + y)
        r0 = addNext(r0, v1, x0 + y)
        s1 = addNext(s1, u0, x1 + y)
        t1 = addNext(t1, u1, x1 + y)
        p1 = addNext(p1, v0, x1 + y)
        r1 = addNext(r1, v1, x1 + y)
        s2 = addNext(s2, u0, x2 + y)
        t2 = addNext(t2, u1, x2 + y)
        p2 = addNext(p2, v0, x2 + y)
        r2 = addNext(r2, v1, x2 + y)
        s3 = addNext(s3, u0, x3 + y)
        t3 = addNext(t3, u1, x3 + y)
        p3 = addNext(p3, v0, x3 + y)
        r3 = addNext(r3, v1, x3 + y)
        y += 8
      }
      const scale = toScales + b * 4
      let dx = v128.load32_splat(x0 + scale)
      a0 = addScaled(a0, expandOf(v128.load16x4_s(u), mask, e0), dx, s0)
      b0 = addScaled(b0, expandOf(v128.load16x4_s(u, 8), mask, e1), dx, t0)
      c0 = addScaled(c0, expandOf(v128.load16x4_s(v), mask, f0), dx, p0)
      d0 = addScaled(d0, expandOf(v128.load16x4_s(v, 8), mask, f1), dx, r0)
      dx = v128.load32_splat(x1 + scale)
      a1 = addScaled(a1, expandOf(v128.load16x4_s(u), mask, e0), dx, s1)
      b1 = addScaled(b1, expandOf(v128.load16x4_s(u, 8), mask, e1), dx, t1)
      c1 = addScaled(c1, expandOf(v128.load16x4_s(v), mask, f0), dx, p1)
      d1 = addScaled(d1, expandOf(v128.load16x4_s(v, 8), mask, f1), dx, r1)
      dx = v128.load32_splat(x2 + scale)
      a2 = addScaled(a2, expandOf(v128.load16x4_s(u), mask, e0), dx, s2)
      b2 = addScaled(b2, expandOf(v128.load16x4_s(u, 8), mask, e1), dx, t2)
      c2 = addScaled(c2, expandOf(v128.load16x4_s(v), mask, f0), dx, p2)
      d2 = addScaled(d2, expandOf(v128.load16x4_s(v, 8), mask, f1), dx, r2)
      dx = v128.load32_splat(x3 + scale)
      a3 = addScaled(a3, expandOf(v128.load16x4_s(u), mask, e0), dx, s3)
      b3 = addScaled(b3, expandOf(v128.load16x4_s(u, 8), mask, e1), dx, t3)
      c3 = addScaled(c3, expandOf(v128.load16x4_s(v), mask, f0), dx, p3)
      d3 = addScaled(d3, expandOf(v128.load16x4_s(v, 8), mask, f1), dx, r3)
      u += BLOCK
      v += BLOCK
    }
    const h = g + far
    const both = g * 2 + 1 < <usize>groups
    const bothFar = h * 2 + 1 < <usize>groups
    storePair(out0 + g * 32, a0, b0, both)
    storePair(out1 + g * 32, a1, b1, both)
    storePair(out2 + g * 32, a2, b2, both)
    storePair(out3 + g * 32, a3, b3, both)
    storePair(out0 + h * 32, c0, d0, bothFar)
    storePair(out1 + h * 32, c1, d1, bothFar)
    storePair(out2 + h * 32, c2, d2, bothFar)
    storePair(out3 + h * 32, c3, d3, bothFar)
  }
}
