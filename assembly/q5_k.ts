// Q5_K: Q4_K with a fifth bit per weight; the oracle is src/quants/q5_k.ts.
//
// A group is 4 rows: a 16-byte header (half.ts), then per 256 columns a unit of 720 bytes (704 in the file): 0..79 as in q4_k.ts, then
//    80   8 sub-blocks x 80 bytes as in fiveBits.ts
// Half a sub-block (16 columns) sums to at most 4 * 2 * 31 * 127 = 31496 in an i16 lane.
import { addDot, addScaled1Low, evenMask, held, quadBytes } from './lanes'
import { HALF_MASK } from './half'
import { SUMS, activationScales, activationSums } from './q8_k'
import { finish, minSum, scalesOf } from './scaleMin'
import { FIVE, SIXTH, THREE, UPPER, scattered, split, storeQuads } from './fiveBits'
import { repackScalesAndMins } from './kPacking'
import { stripOf, stripStart } from './strips'

const UNIT: usize = 720
// @ts-ignore: decorator
@inline function addScaled(isum: v128, s: v128, w: usize, k: usize): v128 {
  return addScaled1Low(isum, s, scalesOf(w, k))
}

/** Quad 4, 5 (at q), 6 (5 at q + 32) and 7 of the sub-block whose vectors are at q + 80. */
// @ts-ignore: decorator
@inline function quad4(q: usize, five: v128): v128 {
  return v128.and(v128.load(q, 144), five)
}

// @ts-ignore: decorator
@inline function quad5(q: usize, three: v128, upper: v128): v128 {
  return split(v128.load(q, 80), v128.load(q, 96), three, upper)
}

// @ts-ignore: decorator
@inline function quad7(q: usize, three: v128, sixth: v128): v128 {
  return scattered(v128.load(q, 144), v128.load(q, 96), v128.load(q, 128), three, sixth)
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token, four strips at a time (strips.ts). */
export function matmul_q5_k_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const five = held(FIVE, blocks)
  const three = held(THREE, blocks)
  const upper = held(UPPER, blocks)
  const sixth = held(SIXTH, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const xUnit = quad * 64
  const scales = activationScales(x, blocks)
  const sums = activationSums(x, blocks)
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
      let i0 = i32x4.splat(0)
      let i1 = i0
      let i2 = i0
      let i3 = i0
      let y = x + b * xUnit
      for (let k: usize = 0; k < 8; k++) {
        let s0 = i32x4.splat(0)
        let s1 = s0
        let s2 = s0
        let s3 = s0
        let q = k * 80
        for (const stop = q + 64; q < stop; q += 16) {
          s0 = addDot(s0, v128.and(v128.load(w0 + q, 80), five), y, 0, even)
          s1 = addDot(s1, v128.and(v128.load(w1 + q, 80), five), y, 0, even)
          s2 = addDot(s2, v128.and(v128.load(w2 + q, 80), five), y, 0, even)
          s3 = addDot(s3, v128.and(v128.load(w3 + q, 80), five), y, 0, even)
          y += quad
        }
        i0 = addScaled(i0, s0, w0, k)
        i1 = addScaled(i1, s1, w1, k)
        i2 = addScaled(i2, s2, w2, k)
        i3 = addScaled(i3, s3, w3, k)
        s0 = i32x4.splat(0)
        s1 = s0
        s2 = s0
        s3 = s0
        q -= 64
        s0 = addDot(s0, quad4(w0 + q, five), y, 0, even)
        s1 = addDot(s1, quad4(w1 + q, five), y, 0, even)
        s2 = addDot(s2, quad4(w2 + q, five), y, 0, even)
        s3 = addDot(s3, quad4(w3 + q, five), y, 0, even)
        y += quad
        for (const stop = q + 64; q < stop; q += 32) {
          s0 = addDot(s0, quad5(w0 + q, three, upper), y, 0, even)
          s1 = addDot(s1, quad5(w1 + q, three, upper), y, 0, even)
          s2 = addDot(s2, quad5(w2 + q, three, upper), y, 0, even)
          s3 = addDot(s3, quad5(w3 + q, three, upper), y, 0, even)
          y += quad
        }
        q -= 64
        s0 = addDot(s0, quad7(w0 + q, three, sixth), y, 0, even)
        s1 = addDot(s1, quad7(w1 + q, three, sixth), y, 0, even)
        s2 = addDot(s2, quad7(w2 + q, three, sixth), y, 0, even)
        s3 = addDot(s3, quad7(w3 + q, three, sixth), y, 0, even)
        y += quad
        i0 = addScaled(i0, s0, w0, k)
        i1 = addScaled(i1, s1, w1, k)
        i2 = addScaled(i2, s2, w2, k)
        i3 = addScaled(i3, s3, w3, k)
      }
      const dx = v128.load32_splat(scales + b * 4)
      const sum = sums + b * SUMS
      a0 = finish(a0, w0, dx, i0, minSum(w0, sum), mask, f0)
      a1 = finish(a1, w1, dx, i1, minSum(w1, sum), mask, f1)
      a2 = finish(a2, w2, dx, i2, minSum(w2, sum), mask, f2)
      a3 = finish(a3, w3, dx, i3, minSum(w3, sum), mask, f3)
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

/** The same for four tokens, two groups at a time as in q4_k.ts. Every output is the bits that `matmul_q5_k_x1` gives. */
export function matmul_q5_k_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const five = held(FIVE, blocks)
  const three = held(THREE, blocks)
  const upper = held(UPPER, blocks)
  const sixth = held(SIXTH, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const toScales = activationScales(0, blocks)
  const toSums = activationSums(0, blocks)
  const groupBytes = <usize>blocks * UNIT + 16
  for (let g: usize = 0; g < <usize>groups; g += 2) {
    // of an odd number, the last group is its own partner
    const partner: usize = g + 1 < <usize>groups ? 1 : 0
    const toPartner = partner * groupBytes
    let w = weights + g * groupBytes
    const e = v128.load(w)
    const f = v128.load(w + toPartner)
    w += 16
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
      let y = b * 64 * quad
      for (let k: usize = 0; k < 8; k++) {
        let s0 = i32x4.splat(0)
        let s1 = s0
        let s2 = s0
        let s3 = s0
        let t0 = s0
        let t1 = s0
        let t2 = s0
        let t3 = s0
        let q = w + k * 80
        for (const stop = q + 64; q < stop; q += 16) {
          const u = v128.and(v128.load(q, 80), five)
          const v = v128.and(v128.load(q + toPartner, 80), five)
          s0 = addDot(s0, u, x0 + y, 0, even)
          t0 = addDot(t0, v, x0 + y, 0, even)
          s1 = addDot(s1, u, x1 + y, 0, even)
          t1 = addDot(t1, v, x1 + y, 0, even)
          s2 = addDot(s2, u, x2 + y, 0, even)
          t2 = addDot(t2, v, x2 + y, 0, even)
          s3 = addDot(s3, u, x3 + y, 0, even)
          t3 = addDot(t3, v, x3 + y, 0, even)
          y += quad
        }
        const m = scalesOf(w, k)
        const n = scalesOf(w + toPartner, k)
        i0 = addScaled1Low(i0, s0, m)
        j0 = addScaled1Low(j0, t0, n)
        i1 = addScaled1Low(i1, s1, m)
        j1 = addScaled1Low(j1, t1, n)
        i2 = addScaled1Low(i2, s2, m)
        j2 = addScaled1Low(j2, t2, n)
        i3 = addScaled1Low(i3, s3, m)
        j3 = addScaled1Low(j3, t3, n)
        s0 = i32x4.splat(0)
        s1 = s0
        s2 = s0
        s3 = s0
        t0 = s0
        t1 = s0
        t2 = s0
        t3 = s0
        q -= 64
        let u = quad4(q, five)
        let v = quad4(q + toPartner, five)
        s0 = addDot(s0, u, x0 + y, 0, even)
        t0 = addDot(t0, v, x0 + y, 0, even)
        s1 = addDot(s1, u, x1 + y, 0, even)
        t1 = addDot(t1, v, x1 + y, 0, even)
        s2 = addDot(s2, u, x2 + y, 0, even)
        t2 = addDot(t2, v, x2 + y, 0, even)
        s3 = addDot(s3, u, x3 + y, 0, even)
        t3 = addDot(t3, v, x3 + y, 0, even)
        y += quad
        for (const stop = q + 64; q < stop; q += 32) {
          const u = quad5(q, three, upper)
          const v = quad5(q + toPartner, three, upper)
          s0 = addDot(s0, u, x0 + y, 0, even)
          t0 = addDot(t0, v, x0 + y, 0, even)
          s1 = addDot(s1, u, x1 + y, 0, even)
          t1 = addDot(t1, v, x1 + y, 0, even)
          s2 = addDot(s2, u, x2 + y, 0, even)
          t2 = addDot(t2, v, x2 + y, 0, even)
          s3 = addDot(s3, u, x3 + y, 0, even)
          t3 = addDot(t3, v, x3 + y, 0, even)
          y += quad
        }
        q -= 64
        u = quad7(q, three, sixth)
        v = quad7(q + toPartner, three, sixth)
        s0 = addDot(s0, u, x0 + y, 0, even)
        t0 = addDot(t0, v, x0 + y, 0, even)
        s1 = addDot(s1, u, x1 + y, 0, even)
        t1 = addDot(t1, v, x1 + y, 0, even)
        s2 = addDot(s2, u, x2 + y, 0, even)
        t2 = addDot(t2, v, x2 + y, 0, even)
        s3 = addDot(s3, u, x3 + y, 0, even)
        t3 = addDot(t3, v, x3 + y, 0, even)
        y += quad
        i0 = addScaled1Low(i0, s0, m)
        j0 = addScaled1Low(j0, t0, n)
        i1 = addScaled1Low(i1, s1, m)
        j1 = addScaled1Low(j1, t1, n)
        i2 = addScaled1Low(i2, s2, m)
        j2 = addScaled1Low(j2, t2, n)
        i3 = addScaled1Low(i3, s3, m)
        j3 = addScaled1Low(j3, t3, n)
      }
      const d = toScales + b * 4
      const m = toSums + b * SUMS
      a0 = finish(a0, w, v128.load32_splat(x0 + d), i0, minSum(w, x0 + m), mask, e)
      b0 = finish(b0, w + toPartner, v128.load32_splat(x0 + d), j0, minSum(w + toPartner, x0 + m), mask, f)
      a1 = finish(a1, w, v128.load32_splat(x1 + d), i1, minSum(w, x1 + m), mask, e)
      b1 = finish(b1, w + toPartner, v128.load32_splat(x1 + d), j1, minSum(w + toPartner, x1 + m), mask, f)
      a2 = finish(a2, w, v128.load32_splat(x2 + d), i2, minSum(w, x2 + m), mask, e)
      b2 = finish(b2, w + toPartner, v128.load32_splat(x2 + d), j2, minSum(w + toPartner, x2 + m), mask, f)
      a3 = finish(a3, w, v128.load32_splat(x3 + d), i3, minSum(w, x3 + m), mask, e)
      b3 = finish(b3, w + toPartner, v128.load32_splat(x3 + d), j3, minSum(w + toPartner, x3 + m), mask, f)
      w += UNIT
    }
    const to = (g + partner) * 16
    v128.store(out0 + g * 16, a0)
    v128.store(out1 + g * 16, a1)
    v128.store(out2 + g * 16, a2)
    v128.store(out3 + g * 16, a3)
    v128.store(out0 + to, b0)
    v128.store(out1 + to, b1)
    v128.store(out2 + to, b2)
    v128.store(out3 + to, b3)
  }
}

// 16 columns of sub-block s of a block, from column 16h on, whole: the fifth bits are bits s of its bytes 16 .. 47, the nibbles follow.
// @ts-ignore: decorator
@inline function quants(block: usize, s: i32, h: usize): v128 {
  const nibbles = v128.and(i16x8.shr_u(v128.load(block + <usize>(s >> 1) * 32 + 16 * h, 48), (s & 1) * 4), i8x16.splat(15))
  return v128.or(nibbles, i16x8.shl(v128.and(i16x8.shr_u(v128.load(block + 16 * h, 16), s), i8x16.splat(1)), 4))
}

/** File blocks of `rows` consecutive rows (176 bytes per 256 weights) to groups of four. Returns how many scales are not finite. */
export function repack_q5_k(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 176
  let bad = 0
  for (let row = 0; row < rows; row += 4) {
    const valid = min(4, rows - row)
    bad += repackScalesAndMins(src, valid, blocks, 176, dst, UNIT, 1, 0)
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const block = src + b * 176
      const unit = dst + 16 + b * UNIT
      for (let s = 0; s < 8; s++) {
        for (let r: usize = 0; r < 4; r++) {
          const real = r < <usize>valid
          const a = real ? quants(block + r * rowBytes, s, 0) : i32x4.splat(0)
          const c = real ? quants(block + r * rowBytes, s, 1) : i32x4.splat(0)
          const to = unit + <usize>s * 80 + r * 4 + 80
          storeQuads(to, i32x4.extract_lane(a, 0), i32x4.extract_lane(a, 1), i32x4.extract_lane(a, 2), i32x4.extract_lane(a, 3), i32x4.extract_lane(c, 0), i32x4.extract_lane(c, 1), i32x4.extract_lane(c, 2), i32x4.extract_lane(c, 3))
        }
      }
    }
    src += rowBytes * 4
    dst += 16 + <usize>blocks * UNIT
  }
  return bad
}
