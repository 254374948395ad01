// Q5_K: Q4_K with a fifth bit per weight; the oracle is src/quants/q5_k.ts.
//
// A group is 4 rows: a 16-byte header (half.ts), then per 256 columns a unit of 720 bytes (704 in the file): 0..79 as in q4_k.ts, then
//    80   8 sub-blocks x 80 bytes as in fiveBits.ts
// Half a sub-block (16 columns) sums to at most 4 * 2 * 31 * 127 = 31496 in an i16 lane.
import { addDot, evenMask, held, inOrder, quadBytes } from './lanes'
import { HALF_MASK } from './half'
import { SUMS, activationScales, activationSums } from './q8_k'
import { finish, minSum, scalesOf } from './scaleMin'
import { FIVE, firstHalf, inPlace, joined, lastQuad, secondHalf, storeQuads } from './fiveBits'
import { repackScalesAndMins } from './kPacking'
import { stripOf, stripStart } from './strips'

const UNIT: usize = 720

/** Where the two bytes of the i16 lanes of a row come from among the scales of a sub-block: to be held. */
// @ts-ignore: decorator
@inline function rowScales(positive: i32): v128 {
  return v128.or(i8x16(0, -1, 0, -1, 1, -1, 1, -1, 2, -1, 2, -1, 3, -1, 3, -1), held(0, positive))
}

/** The scales of sub-block k, twice in the lane of a row; simd: once. */
// @ts-ignore: decorator
@inline function scalesTwice(w: usize, k: usize, rows: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i8x16.relaxed_swizzle(v128.load32_splat(w + k * 4, 16), rows)
  return i32x4.extend_low_i16x8_s(scalesOf(w, k))
}

/** isum + s * scale. */
// @ts-ignore: decorator
@inline function addHalf(isum: v128, s: v128, scales: v128): v128 {
  return i32x4.add(isum, ASC_FEATURE_RELAXED_SIMD ? i32x4.dot_i16x8_s(s, scales) : i32x4.mul(s, scales))
}

/** isum + (s + t) * scale. */
// @ts-ignore: decorator
@inline function addHalves(isum: v128, s: v128, t: v128, scales: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? addHalf(addHalf(isum, s, scales), t, scales) : addHalf(isum, i32x4.add(s, t), scales)
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token, four strips at a time (strips.ts). */
export function matmul_q5_k_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const five = held(FIVE, blocks)
  const rows = rowScales(blocks)
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
        const q = k * 80 + 80
        const s0 = firstHalf(w0 + q, y, five, even)
        const s1 = firstHalf(w1 + q, y, five, even)
        const s2 = firstHalf(w2 + q, y, five, even)
        const s3 = firstHalf(w3 + q, y, five, even)
        inOrder(blocks)
        i0 = addHalves(i0, s0, secondHalf(w0 + q, y, five, even), scalesTwice(w0, k, rows))
        i1 = addHalves(i1, s1, secondHalf(w1 + q, y, five, even), scalesTwice(w1, k, rows))
        i2 = addHalves(i2, s2, secondHalf(w2 + q, y, five, even), scalesTwice(w2, k, rows))
        i3 = addHalves(i3, s3, secondHalf(w3 + q, y, five, even), scalesTwice(w3, k, rows))
        y += 8 * quad
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
  const rows = rowScales(blocks)
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
    let y: usize = 0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let i0 = i32x4.splat(0)
      let i1 = i0
      let i2 = i0
      let i3 = i0
      let j0 = i0
      let j1 = i0
      let j2 = i0
      let j3 = i0
      for (let k: usize = 0; k < 8; k++) {
        let q = w + k * 80 + 80
        let s0 = i32x4.splat(0)
        let s1 = s0
        let s2 = s0
        let s3 = s0
        let t0 = s0
        let t1 = s0
        let t2 = s0
        let t3 = s0
        for (const stop = q + 64; q < stop; q += 16) {
          const u = inPlace(q, five)
          const v = inPlace(q + toPartner, five)
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
        let c = scalesTwice(w, k, rows)
        let d = scalesTwice(w + toPartner, k, rows)
        i0 = addHalf(i0, s0, c)
        j0 = addHalf(j0, t0, d)
        i1 = addHalf(i1, s1, c)
        j1 = addHalf(j1, t1, d)
        i2 = addHalf(i2, s2, c)
        j2 = addHalf(j2, t2, d)
        i3 = addHalf(i3, s3, c)
        j3 = addHalf(j3, t3, d)
        s0 = i32x4.splat(0)
        s1 = s0
        s2 = s0
        s3 = s0
        t0 = s0
        t1 = s0
        t2 = s0
        t3 = s0
        let u = inPlace(q, five)
        let v = inPlace(q + toPartner, five)
        s0 = addDot(s0, u, x0 + y, 0, even)
        t0 = addDot(t0, v, x0 + y, 0, even)
        s1 = addDot(s1, u, x1 + y, 0, even)
        t1 = addDot(t1, v, x1 + y, 0, even)
        s2 = addDot(s2, u, x2 + y, 0, even)
        t2 = addDot(t2, v, x2 + y, 0, even)
        s3 = addDot(s3, u, x3 + y, 0, even)
        t3 = addDot(t3, v, x3 + y, 0, even)
        y += quad
        q -= 64
        for (const stop = q + 64; q < stop; q += 32) {
          const u = joined(q, five)
          const v = joined(q + toPartner, five)
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
        u = lastQuad(q - 64, five)
        v = lastQuad(q - 64 + toPartner, five)
        s0 = addDot(s0, u, x0 + y, 0, even)
        t0 = addDot(t0, v, x0 + y, 0, even)
        s1 = addDot(s1, u, x1 + y, 0, even)
        t1 = addDot(t1, v, x1 + y, 0, even)
        s2 = addDot(s2, u, x2 + y, 0, even)
        t2 = addDot(t2, v, x2 + y, 0, even)
        s3 = addDot(s3, u, x3 + y, 0, even)
        t3 = addDot(t3, v, x3 + y, 0, even)
        y += quad
        c = scalesTwice(w, k, rows)
        d = scalesTwice(w + toPartner, k, rows)
        i0 = addHalf(i0, s0, c)
        j0 = addHalf(j0, t0, d)
        i1 = addHalf(i1, s1, c)
        j1 = addHalf(j1, t1, d)
        i2 = addHalf(i2, s2, c)
        j2 = addHalf(j2, t2, d)
        i3 = addHalf(i3, s3, c)
        j3 = addHalf(j3, t3, d)
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
