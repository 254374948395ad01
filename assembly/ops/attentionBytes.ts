// Scores of attention with a cache of 8 bits (kvCache.ts): sums of integers, exact in any order, for 32 dimensions at a
// time; their scales are multiplied in one order.
//
// A query is rounded to 13 bits, not to 8: pairs of 16-bit numbers are multiplied either way. 32 products of 127 and
// 4095 are below 2^24, so that their sum is exact as a float32, too.
import { held } from '../lanes/held'
import { KV_GROUP } from './kvCache'

const QUERY_STEPS: f32 = 4095

/** Bytes of a query as scores read it: (headDim) i16, and a float32 scale for each group, up to a multiple of 16. */
// @ts-ignore: decorator
@inline export function roundedQueryBytes(headDim: i32): usize {
  return (<usize>headDim * 2 + <usize>((headDim + KV_GROUP - 1) / KV_GROUP) * 4 + 15) & ~15
}

/** Rounds the queries of `heads` heads, (heads, headDim) float32 at q, to `to`. A group with a NaN has a NaN scale. */
export function roundQueries(q: usize, heads: i32, headDim: i32, to: usize): void {
  const rowBytes = roundedQueryBytes(headDim)
  for (; heads > 0; heads--) {
    let scales = to + <usize>headDim * 2
    for (let start: usize = 0; start < <usize>headDim; start += <usize>KV_GROUP) {
      const end = min(start + <usize>KV_GROUP, <usize>headDim)
      let most = f32x4.abs(v128.load(q + start * 4))
      for (let d = start + 4; d < end; d += 4) most = f32x4.max(most, f32x4.abs(v128.load(q + d * 4)))
      most = f32x4.max(most, v128.shuffle<i64>(most, most, 1, 0))
      most = f32x4.max(most, v128.shuffle<i32>(most, most, 1, 0, 3, 2))
      const scale = f32x4.extract_lane(most, 0) / QUERY_STEPS
      const step = f32x4.splat(scale == 0 ? Infinity : scale)
      for (let d = start; d < end; d += 4) {
        const steps = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.div(v128.load(q + d * 4), step)))
        v128.store64_lane(to + d * 2, i16x8.narrow_i32x4_s(steps, steps), 0)
      }
      store<f32>(scales, scale)
      scales += 4
    }
    q += <usize>headDim * 4
    to += rowBytes
  }
}

/** The scales of a block to float32, none of which is negative: (groups, 32) at `to`. */
export function widenScales(from: usize, headDim: i32, to: usize): void {
  const count = <usize>((headDim + KV_GROUP - 1) / KV_GROUP) * 32
  const bias = held(112 << 23, headDim)
  const step = held(0x33800000, headDim) // 2^-24
  const least = held(0x400, headDim)
  const most = held(0x7bff, headDim)
  for (let i: usize = 0; i < count; i += 4) {
    const half = v128.load16x4_u(from + i * 2)
    const normal = i32x4.add(i32x4.shl(half, 13), bias)
    const subnormal = f32x4.mul(f32x4.convert_i32x4_s(half), step)
    const value = v128.bitselect(subnormal, normal, i32x4.gt_s(least, half))
    v128.store(to + i * 4, v128.or(value, i32x4.gt_s(half, most))) // an infinity becomes NaN
  }
}

/** Makes `bytes` at p zero, a multiple of 128. */
// @ts-ignore: decorator
@inline function clear(p: usize, bytes: usize): void {
  const zero = i32x4.splat(0)
  for (let end = p + bytes; p < end; p += 128) {
    v128.store(p, zero)
    v128.store(p, zero, 16)
    v128.store(p, zero, 32)
    v128.store(p, zero, 48)
    v128.store(p, zero, 64)
    v128.store(p, zero, 80)
    v128.store(p, zero, 96)
    v128.store(p, zero, 112)
  }
}

/**
 * Scores of `rows` rounded queries with the 32 positions of a block, unscaled: (rows, 32) at p. scales: (groups, 32)
 * float32.
 */
export function scoresOfBytes(q: usize, rows: i32, keys: usize, scales: usize, headDim: i32, p: usize): void {
  const rowBytes = roundedQueryBytes(headDim)
  for (; rows >= 4; rows -= 4) {
    scoresOfBytes4(q, rowBytes, keys, scales, headDim, p)
    q += 4 * rowBytes
    p += 512
  }
  for (; rows > 0; rows--) {
    scoresOfBytes1(q, keys, scales, headDim, p)
    q += rowBytes
    p += 128
  }
}

// The first group is added to zeros, as others are to those before them: behind a branch V8 makes no 256-bit vectors.
function scoresOfBytes4(q: usize, rowBytes: usize, keys: usize, scales: usize, headDim: i32, p: usize): void {
  const q1 = q + rowBytes
  const q2 = q1 + rowBytes
  const q3 = q2 + rowBytes
  const queryScales = <usize>headDim * 2
  clear(p, 512)
  for (let tile: usize = 0; tile < 32; tile += 8) {
    const out = p + tile * 4
    let k = keys + tile * 2
    let d: usize = 0
    for (let g: usize = 0; d < <usize>headDim; g++) {
      const end = min(d + <usize>KV_GROUP, <usize>headDim)
      let a0 = i32x4.splat(0)
      let b0 = a0
      let a1 = a0
      let b1 = a0
      let a2 = a0
      let b2 = a0
      let a3 = a0
      let b3 = a0
      for (; d < end; d += 2) {
        const a = v128.load8x8_s(k)
        const b = v128.load8x8_s(k, 8)
        let x = v128.load32_splat(q + d * 2)
        a0 = i32x4.add(a0, i32x4.dot_i16x8_s(a, x))
        b0 = i32x4.add(b0, i32x4.dot_i16x8_s(b, x))
        x = v128.load32_splat(q1 + d * 2)
        a1 = i32x4.add(a1, i32x4.dot_i16x8_s(a, x))
        b1 = i32x4.add(b1, i32x4.dot_i16x8_s(b, x))
        x = v128.load32_splat(q2 + d * 2)
        a2 = i32x4.add(a2, i32x4.dot_i16x8_s(a, x))
        b2 = i32x4.add(b2, i32x4.dot_i16x8_s(b, x))
        x = v128.load32_splat(q3 + d * 2)
        a3 = i32x4.add(a3, i32x4.dot_i16x8_s(a, x))
        b3 = i32x4.add(b3, i32x4.dot_i16x8_s(b, x))
        k += 64
      }
      const keyScales = scales + g * 128 + tile * 4
      const ka = v128.load(keyScales)
      const kb = v128.load(keyScales, 16)
      const at = queryScales + g * 4
      addScaled(out, a0, b0, ka, kb, v128.load32_splat(q + at))
      addScaled(out + 128, a1, b1, ka, kb, v128.load32_splat(q1 + at))
      addScaled(out + 256, a2, b2, ka, kb, v128.load32_splat(q2 + at))
      addScaled(out + 384, a3, b3, ka, kb, v128.load32_splat(q3 + at))
    }
  }
}

function scoresOfBytes1(q: usize, keys: usize, scales: usize, headDim: i32, p: usize): void {
  const queryScales = q + <usize>headDim * 2
  clear(p, 128)
  for (let tile: usize = 0; tile < 32; tile += 8) {
    const out = p + tile * 4
    let k = keys + tile * 2
    let d: usize = 0
    for (let g: usize = 0; d < <usize>headDim; g++) {
      const end = min(d + <usize>KV_GROUP, <usize>headDim)
      let a = i32x4.splat(0)
      let b = a
      for (; d < end; d += 2) {
        const x = v128.load32_splat(q + d * 2)
        a = i32x4.add(a, i32x4.dot_i16x8_s(v128.load8x8_s(k), x))
        b = i32x4.add(b, i32x4.dot_i16x8_s(v128.load8x8_s(k, 8), x))
        k += 64
      }
      const keyScales = scales + g * 128 + tile * 4
      addScaled(out, a, b, v128.load(keyScales), v128.load(keyScales, 16), v128.load32_splat(queryScales + g * 4))
    }
  }
}

/** Adds the sums of a group, eight positions of them, to a row's scores. All is read before anything is written. */
// @ts-ignore: decorator
@inline function addScaled(out: usize, a: v128, b: v128, ka: v128, kb: v128, scale: v128): void {
  const x = f32x4.add(v128.load(out), f32x4.mul(f32x4.convert_i32x4_s(a), f32x4.mul(ka, scale)))
  const y = f32x4.add(v128.load(out, 16), f32x4.mul(f32x4.convert_i32x4_s(b), f32x4.mul(kb, scale)))
  v128.store(out, x)
  v128.store(out, y, 16)
}
