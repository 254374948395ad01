// Q6_K: 256 weights of a row in 16 sub-blocks of 16, weight = d * scale * (q - 32); the oracle is src/quants/q6_k.ts.
//
// A group is 4 rows: a 16-byte header (half.ts), then per 256 columns a unit of 848 bytes (840 in the file):
//     0   d     4 rows x f16, raised; 8 bytes unused
//    16   scale 16 sub-blocks x 4 rows x i8
//    80   q     8 pairs of sub-blocks x 6 vectors of 16 bytes; byte 4r + c is for row r. Of the pair's eight quads of columns, quad k (columns 4k + c) is in
//                   bits    0-5      6-7
//           vector 0        quad 0   bits 4, 5 of quad 6
//           vector 1        quad 1   bits 2, 3 of quad 6
//           vector 2        quad 2   bits 0, 1 of quad 6
//           vectors 3 to 5  quad 3 to 5, and the same bits of quad 7
//           so that six quads of eight are a mask.
// The 32 is taken off where the sum of a sub-block starts, at -32 times the sum of x. With that, 16 columns fit 16 bits: at most 4 * 2 * 32 * 127 = 32512 in an i16
// lane. On the way a lane may wrap around, and it wraps back.
import { addDot, addScaled1High, addScaled1Low, evenMask, held, quadBytes, startFrom } from './lanes'
import { HALF_MASK, canRaise, expand, isFiniteHalf, raise, storeFactor } from './half'
import { SUMS, activationScales, activationSums } from './q8_k'
import { stripOf, stripStart } from './strips'

const UNIT: usize = 848
const SIX: i32 = 0x3f3f3f3f
const UPPER: i32 = 0x30303030
const MIDDLE: i32 = 0x0c0c0c0c
const LOWER: i32 = 0x03030303

/** Quad 6 of the pair whose vectors are at q + 80, or quad 7 of those at q + 80 - 48. */
// @ts-ignore: decorator
@inline function joined(q: usize, upper: v128, middle: v128, lower: v128): v128 {
  const high = v128.or(v128.and(i16x8.shr_u(v128.load(q, 80), 2), upper), v128.and(i16x8.shr_u(v128.load(q, 96), 4), middle))
  return v128.or(high, v128.and(i16x8.shr_u(v128.load(q, 112), 6), lower))
}

/** Sum of scale * 32 * (sum of x) of two sub-blocks: the scales, interleaved to pairs a row, meet the two sums. */
// @ts-ignore: decorator
@inline export function bias(isum: v128, scales: v128, sums: usize): v128 {
  const odd = v128.shuffle<i64>(scales, scales, 1, 1)
  return i32x4.add(isum, i32x4.dot_i16x8_s(v128.shuffle<i16>(scales, odd, 0, 8, 1, 9, 2, 10, 3, 11), v128.load32_splat(sums)))
}

/** acc + d * dx * isum. */
// @ts-ignore: decorator
@inline function finish(acc: v128, w: usize, dx: v128, isum: v128, mask: v128, factor: v128): v128 {
  return f32x4.add(acc, f32x4.mul(f32x4.mul(expand(w, mask, factor), dx), f32x4.convert_i32x4_s(isum)))
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token, four strips at a time (strips.ts). */
export function matmul_q6_k_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const six = held(SIX, blocks)
  const upper = held(UPPER, blocks)
  const middle = held(MIDDLE, blocks)
  const lower = held(LOWER, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const xUnit = quad * 64
  const scales = activationScales(x, blocks)
  const starts = activationSums(x, blocks) + 48
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
      let start = starts + b * SUMS
      for (let k: usize = 0; k < 8; k++) {
        let s0 = startFrom(start)
        let s1 = s0
        let s2 = s0
        let s3 = s0
        let q = k * 96
        for (const stop = q + 64; q < stop; q += 16) {
          s0 = addDot(s0, v128.and(v128.load(w0 + q, 80), six), y, 0, even)
          s1 = addDot(s1, v128.and(v128.load(w1 + q, 80), six), y, 0, even)
          s2 = addDot(s2, v128.and(v128.load(w2 + q, 80), six), y, 0, even)
          s3 = addDot(s3, v128.and(v128.load(w3 + q, 80), six), y, 0, even)
          y += quad
        }
        i0 = addScaled1Low(i0, s0, v128.load8x8_s(w0 + k * 8, 16))
        i1 = addScaled1Low(i1, s1, v128.load8x8_s(w1 + k * 8, 16))
        i2 = addScaled1Low(i2, s2, v128.load8x8_s(w2 + k * 8, 16))
        i3 = addScaled1Low(i3, s3, v128.load8x8_s(w3 + k * 8, 16))
        s0 = startFrom(start + 4)
        s1 = s0
        s2 = s0
        s3 = s0
        for (const stop = q + 32; q < stop; q += 16) {
          s0 = addDot(s0, v128.and(v128.load(w0 + q, 80), six), y, 0, even)
          s1 = addDot(s1, v128.and(v128.load(w1 + q, 80), six), y, 0, even)
          s2 = addDot(s2, v128.and(v128.load(w2 + q, 80), six), y, 0, even)
          s3 = addDot(s3, v128.and(v128.load(w3 + q, 80), six), y, 0, even)
          y += quad
        }
        q -= 96
        for (const stop = q + 96; q < stop; q += 48) {
          s0 = addDot(s0, joined(w0 + q, upper, middle, lower), y, 0, even)
          s1 = addDot(s1, joined(w1 + q, upper, middle, lower), y, 0, even)
          s2 = addDot(s2, joined(w2 + q, upper, middle, lower), y, 0, even)
          s3 = addDot(s3, joined(w3 + q, upper, middle, lower), y, 0, even)
          y += quad
        }
        i0 = addScaled1High(i0, s0, v128.load8x8_s(w0 + k * 8, 16))
        i1 = addScaled1High(i1, s1, v128.load8x8_s(w1 + k * 8, 16))
        i2 = addScaled1High(i2, s2, v128.load8x8_s(w2 + k * 8, 16))
        i3 = addScaled1High(i3, s3, v128.load8x8_s(w3 + k * 8, 16))
        start += 8
      }
      const dx = v128.load32_splat(scales + b * 4)
      a0 = finish(a0, w0, dx, i0, mask, f0)
      a1 = finish(a1, w1, dx, i1, mask, f1)
      a2 = finish(a2, w2, dx, i2, mask, f2)
      a3 = finish(a3, w3, dx, i3, mask, f3)
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

/** The same for four tokens, two groups at a time as in q4_k.ts. Every output is the bits that `matmul_q6_k_x1` gives. */
export function matmul_q6_k_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const six = held(SIX, blocks)
  const upper = held(UPPER, blocks)
  const middle = held(MIDDLE, blocks)
  const lower = held(LOWER, blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const toScales = activationScales(0, blocks)
  const toStarts = activationSums(0, blocks) + 48
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
      let start = toStarts + b * SUMS
      for (let k: usize = 0; k < 8; k++) {
        let s0 = startFrom(x0 + start)
        let s1 = startFrom(x1 + start)
        let s2 = startFrom(x2 + start)
        let s3 = startFrom(x3 + start)
        let t0 = s0
        let t1 = s1
        let t2 = s2
        let t3 = s3
        let q = w + k * 96
        for (const stop = q + 64; q < stop; q += 16) {
          const u = v128.and(v128.load(q, 80), six)
          const v = v128.and(v128.load(q + toPartner, 80), six)
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
        const m = v128.load8x8_s(w + k * 8, 16)
        const n = v128.load8x8_s(w + toPartner + k * 8, 16)
        i0 = addScaled1Low(i0, s0, m)
        j0 = addScaled1Low(j0, t0, n)
        i1 = addScaled1Low(i1, s1, m)
        j1 = addScaled1Low(j1, t1, n)
        i2 = addScaled1Low(i2, s2, m)
        j2 = addScaled1Low(j2, t2, n)
        i3 = addScaled1Low(i3, s3, m)
        j3 = addScaled1Low(j3, t3, n)
        s0 = startFrom(x0 + start + 4)
        s1 = startFrom(x1 + start + 4)
        s2 = startFrom(x2 + start + 4)
        s3 = startFrom(x3 + start + 4)
        t0 = s0
        t1 = s1
        t2 = s2
        t3 = s3
        for (const stop = q + 32; q < stop; q += 16) {
          const u = v128.and(v128.load(q, 80), six)
          const v = v128.and(v128.load(q + toPartner, 80), six)
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
        q -= 96
        for (const stop = q + 96; q < stop; q += 48) {
          const u = joined(q, upper, middle, lower)
          const v = joined(q + toPartner, upper, middle, lower)
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
        i0 = addScaled1High(i0, s0, m)
        j0 = addScaled1High(j0, t0, n)
        i1 = addScaled1High(i1, s1, m)
        j1 = addScaled1High(j1, t1, n)
        i2 = addScaled1High(i2, s2, m)
        j2 = addScaled1High(j2, t2, n)
        i3 = addScaled1High(i3, s3, m)
        j3 = addScaled1High(j3, t3, n)
        start += 8
      }
      const scale = toScales + b * 4
      a0 = finish(a0, w, v128.load32_splat(x0 + scale), i0, mask, e)
      b0 = finish(b0, w + toPartner, v128.load32_splat(x0 + scale), j0, mask, f)
      a1 = finish(a1, w, v128.load32_splat(x1 + scale), i1, mask, e)
      b1 = finish(b1, w + toPartner, v128.load32_splat(x1 + scale), j1, mask, f)
      a2 = finish(a2, w, v128.load32_splat(x2 + scale), i2, mask, e)
      b2 = finish(b2, w + toPartner, v128.load32_splat(x2 + scale), j2, mask, f)
      a3 = finish(a3, w, v128.load32_splat(x3 + scale), i3, mask, e)
      b3 = finish(b3, w + toPartner, v128.load32_splat(x3 + scale), j3, mask, f)
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

// In the file: ql 128 bytes, qh 64, scales 16 x i8, d. Columns 32k .. 32k+31 are nibbles (low for k % 4 < 2) of ql from (k >> 2) * 64 + (k & 1) * 32, and bits
// 2 * (k & 3) of qh from (k >> 2) * 32.
// Columns 4j + c, j = 0 .. 3, of 16 from column 32k + 16h of a block, whole.
// @ts-ignore: decorator
@inline function quants(block: usize, k: i32, h: usize): v128 {
  const ql = v128.load(block + <usize>((k >> 2) * 64 + (k & 1) * 32) + 16 * h)
  const qh = v128.load(block + <usize>(k >> 2) * 32 + 16 * h, 128)
  const nibbles = v128.and(i16x8.shr_u(ql, (k & 2) << 1), i8x16.splat(15))
  return v128.or(nibbles, i16x8.shl(v128.and(i16x8.shr_u(qh, (k & 3) * 2), i8x16.splat(3)), 4))
}

// One row's eight quads (a, b: four each) to its four bytes of six vectors at dst.
// @ts-ignore: decorator
@inline function storeRow(dst: usize, a: v128, b: v128): void {
  const six = i32x4.extract_lane(b, 2)
  const seven = i32x4.extract_lane(b, 3)
  store<u32>(dst, i32x4.extract_lane(a, 0) | ((six & UPPER) << 2))
  store<u32>(dst, i32x4.extract_lane(a, 1) | ((six & MIDDLE) << 4), 16)
  store<u32>(dst, i32x4.extract_lane(a, 2) | ((six & LOWER) << 6), 32)
  store<u32>(dst, i32x4.extract_lane(a, 3) | ((seven & UPPER) << 2), 48)
  store<u32>(dst, i32x4.extract_lane(b, 0) | ((seven & MIDDLE) << 4), 64)
  store<u32>(dst, i32x4.extract_lane(b, 1) | ((seven & LOWER) << 6), 80)
}

/** File blocks of `rows` consecutive rows (210 bytes per 256 weights) to groups of four. Returns how many scales are not finite. */
export function repack_q6_k(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 210
  let bad = 0
  for (let row = 0; row < rows; row += 4) {
    const valid = <usize>min(4, rows - row)
    let raised = true
    for (let r: usize = 0; r < valid; r++) {
      for (let b: usize = 0; b < <usize>blocks; b++) {
        const d = <u32>load<u16>(src + r * rowBytes + b * 210, 208)
        if (!isFiniteHalf(d)) bad++
        if (!canRaise(d)) raised = false
      }
    }
    storeFactor(dst, raised)
    dst += 16
    for (let b: usize = 0; b < <usize>blocks; b++) {
      memory.fill(dst, 0, UNIT)
      for (let r: usize = 0; r < valid; r++) {
        const block = src + r * rowBytes + b * 210
        const d = <u32>load<u16>(block, 208)
        store<u16>(dst + r * 2, raised ? raise(d) : d)
        for (let s: usize = 0; s < 16; s++) store<u8>(dst + s * 4 + r, load<u8>(block + s, 192), 16)
        for (let k = 0; k < 8; k++) storeRow(dst + <usize>k * 96 + r * 4 + 80, quants(block, k, 0), quants(block, k, 1))
      }
      dst += UNIT
    }
    src += rowBytes * 4
  }
  return bad
}
