// The products of attention with a cache of 8 bits (kvCache.ts). Scores are sums of integers, exact in any order, for
// 32 dimensions at a time; their scales are multiplied in one order. Values are widened to float32, exactly: a block is
// widened once and read by all rows.
//
// A query is rounded to 13 bits, not to 8: pairs of 16-bit numbers are multiplied either way. 32 products of 127 and
// 4095 are below 2^24, so that their sum is exact as a float32, too.
import { fromHalf, fromHalf1 } from '../lanes/half'
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

/** Scores of `rows` rounded queries with the 32 positions of a block, unscaled: (rows, 32) at p. */
export function scoresOfBytes(q: usize, rows: i32, keys: usize, headDim: i32, p: usize): void {
  const rowBytes = roundedQueryBytes(headDim)
  for (; rows >= 4; rows -= 4) {
    scoresOfBytes4(q, rowBytes, keys, headDim, p)
    q += 4 * rowBytes
    p += 512
  }
  for (; rows > 0; rows--) {
    scoresOfBytes1(q, keys, headDim, p)
    q += rowBytes
    p += 128
  }
}

function scoresOfBytes4(q: usize, rowBytes: usize, keys: usize, headDim: i32, p: usize): void {
  const q1 = q + rowBytes
  const q2 = q1 + rowBytes
  const q3 = q2 + rowBytes
  const queryScales = <usize>headDim * 2
  const keyScales = keys + <usize>headDim * 32
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
        k += 64
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
      }
      const scales = keyScales + g * 64 + tile * 2
      const ka = fromHalf(scales)
      const kb = fromHalf(scales + 8)
      const at = queryScales + g * 4
      addScaled(out, a0, b0, ka, kb, v128.load32_splat(q + at), g)
      addScaled(out + 128, a1, b1, ka, kb, v128.load32_splat(q1 + at), g)
      addScaled(out + 256, a2, b2, ka, kb, v128.load32_splat(q2 + at), g)
      addScaled(out + 384, a3, b3, ka, kb, v128.load32_splat(q3 + at), g)
    }
  }
}

function scoresOfBytes1(q: usize, keys: usize, headDim: i32, p: usize): void {
  const queryScales = q + <usize>headDim * 2
  const keyScales = keys + <usize>headDim * 32
  for (let tile: usize = 0; tile < 32; tile += 8) {
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
      const scales = keyScales + g * 64 + tile * 2
      addScaled(p + tile * 4, a, b, fromHalf(scales), fromHalf(scales + 8), v128.load32_splat(queryScales + g * 4), g)
    }
  }
}

/** Adds the sums of a group, eight positions of them, to a row's scores: the first group's are the first. */
// @ts-ignore: decorator
@inline function addScaled(out: usize, a: v128, b: v128, ka: v128, kb: v128, scale: v128, group: usize): void {
  let x = f32x4.mul(f32x4.convert_i32x4_s(a), f32x4.mul(ka, scale))
  let y = f32x4.mul(f32x4.convert_i32x4_s(b), f32x4.mul(kb, scale))
  if (group) {
    x = f32x4.add(v128.load(out), x)
    y = f32x4.add(v128.load(out, 16), y)
  }
  v128.store(out, x)
  v128.store(out, y, 16)
}

/** The first `count` positions of a block of values to float32: (count, headDim) at `to`. */
export function widenValues(values: usize, headDim: i32, count: i32, to: usize): void {
  let scales = values + <usize>headDim * 32
  for (; count > 0; count--) {
    for (let start: usize = 0; start < <usize>headDim; start += <usize>KV_GROUP) {
      const end = min(start + <usize>KV_GROUP, <usize>headDim)
      const scale = f32x4.splat(fromHalf1(scales))
      scales += 2
      let d = start
      for (; d + 8 <= end; d += 8) {
        const x = v128.load8x8_s(values + d)
        v128.store(to + d * 4, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(x)), scale))
        v128.store(to + d * 4, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(x)), scale), 16)
      }
      if (d < end) {
        const x = i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(values + d)))
        v128.store(to + d * 4, f32x4.mul(f32x4.convert_i32x4_s(x), scale))
      }
    }
    values += <usize>headDim
    to += <usize>headDim * 4
  }
}
