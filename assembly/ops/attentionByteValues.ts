// What attention with a cache of 8 bits (kvCache.ts) adds to its parts: weights of positions times values, as sums of
// integers over the 32 positions of a block, exact in any order.
//
// A weight, with the scale of the position's values in it, is rounded to 15 bits, not to 8: pairs of 16-bit numbers are
// multiplied either way. 32 products of 127 and 32767 are below 2^27; their sum is rounded once, to a float32.
import { held } from '../lanes/held'
import { widenScales } from './attentionBytes'
import { KV_GROUP } from './kvCache'

const WEIGHT_STEPS: f32 = 32767
const WEIGHT_STEPS_BITS: i32 = 0x46fffe00
/** 2^-100 as a float. A block whose weights are all smaller adds nothing: its steps of 1 would not be finite. */
const LEAST_WEIGHT: i32 = 0x0d800000
/** 2^23 as a float: a number from 0 to 2^22 plus this has the nearest whole one in its low bits, ties to even. */
const TO_WHOLE: i32 = 0x4b000000

/**
 * The scales of a block of values to float32: (groups, 32) at `dst`, 0 outside of from .. to. Behind them 0 for each
 * group, or NaN where a scale in the range is one.
 */
export function widenValueScales(values: usize, headDim: i32, from: i32, to: i32, dst: usize): void {
  const groups = <usize>((headDim + KV_GROUP - 1) / KV_GROUP)
  widenScales(values + <usize>headDim * 32, headDim, dst)
  for (let g: usize = 0; g < groups; g++) {
    const at = dst + g * 128
    for (let i: usize = 0; i < <usize>from; i++) store<f32>(at + i * 4, 0)
    for (let i = <usize>to; i < 32; i++) store<f32>(at + i * 4, 0)
    let sum = v128.load(at)
    for (let i: usize = 16; i < 128; i += 16) sum = f32x4.add(sum, v128.load(at + i))
    sum = f32x4.add(sum, v128.shuffle<i64>(sum, sum, 1, 0))
    sum = f32x4.add(sum, v128.shuffle<i32>(sum, sum, 1, 0, 3, 2))
    store<f32>(dst + groups * 128 + g * 4, f32x4.extract_lane(sum, 0) * 0)
  }
}

/**
 * Adds the weighted values of a block to the parts of `rows` rows, each scaled by its `kept`. p: (rows, 32) weights of
 * the positions. scales: as `widenValueScales` leaves them; room behind them for 4 * groups * 68 bytes.
 */
export function mixBytes(part: usize, rows: i32, kept: usize, p: usize, values: usize, scales: usize, headDim: i32): void {
  const partBytes = <usize>headDim * 4 + 16
  const groups = <usize>((headDim + KV_GROUP - 1) / KV_GROUP)
  const steps = scales + groups * 132
  const weights = (steps + groups * 16 + 15) & ~15
  for (; rows >= 4; rows -= 4) {
    for (let r: usize = 0; r < 4; r++) roundWeights(p + r * 128, scales, groups, weights + r * 64, steps + r * 4)
    mixBytes4(part, partBytes, kept, weights, steps, values, headDim)
    part += 4 * partBytes
    kept += 16
    p += 512
  }
  for (; rows > 0; rows--) {
    roundWeights(p, scales, groups, weights, steps)
    mixBytes1(part, kept, weights, steps, values, headDim)
    part += partBytes
    kept += 4
    p += 128
  }
}

/**
 * Rounds the weights of a row to steps of 1/32767 of the largest of a group: of each group 32 i16, 256 bytes apart, at
 * `to`, and the step, 16 bytes apart.
 */
function roundWeights(p: usize, scales: usize, groups: usize, to: usize, steps: usize): void {
  const nan = scales + groups * 128
  const whole = held(TO_WHOLE, <i32>groups)
  const least = held(LEAST_WEIGHT, <i32>groups)
  const steps1 = held(WEIGHT_STEPS_BITS, <i32>groups)
  for (let g: usize = 0; g < groups; g++) {
    const a = f32x4.mul(v128.load(p), v128.load(scales))
    const b = f32x4.mul(v128.load(p, 16), v128.load(scales, 16))
    const c = f32x4.mul(v128.load(p, 32), v128.load(scales, 32))
    const d = f32x4.mul(v128.load(p, 48), v128.load(scales, 48))
    const e = f32x4.mul(v128.load(p, 64), v128.load(scales, 64))
    const f = f32x4.mul(v128.load(p, 80), v128.load(scales, 80))
    const h = f32x4.mul(v128.load(p, 96), v128.load(scales, 96))
    const i = f32x4.mul(v128.load(p, 112), v128.load(scales, 112))
    let most = f32x4.pmax(f32x4.pmax(f32x4.pmax(a, b), f32x4.pmax(c, d)), f32x4.pmax(f32x4.pmax(e, f), f32x4.pmax(h, i)))
    most = f32x4.pmax(most, v128.shuffle<i64>(most, most, 1, 0))
    most = f32x4.pmax(most, v128.shuffle<i32>(most, most, 1, 0, 3, 2))
    most = f32x4.pmax(most, least)
    store<f32>(steps + g * 16, f32x4.extract_lane(most, 0) / WEIGHT_STEPS + load<f32>(nan + g * 4))
    const by = f32x4.div(steps1, most)
    v128.store(to, i16x8.narrow_i32x4_s(wholeOf(a, by, whole), wholeOf(b, by, whole)))
    v128.store(to, i16x8.narrow_i32x4_s(wholeOf(c, by, whole), wholeOf(d, by, whole)), 16)
    v128.store(to, i16x8.narrow_i32x4_s(wholeOf(e, by, whole), wholeOf(f, by, whole)), 32)
    v128.store(to, i16x8.narrow_i32x4_s(wholeOf(h, by, whole), wholeOf(i, by, whole)), 48)
    scales += 128
    to += 256
  }
}

/** A weight in steps, as a whole number. */
// @ts-ignore: decorator
@inline function wholeOf(weight: v128, by: v128, whole: v128): v128 {
  return i32x4.sub(f32x4.add(f32x4.mul(weight, by), whole), whole)
}

/** weights: (groups, 4, 32) i16; steps: (groups, 4) float32. */
function mixBytes4(o: usize, partBytes: usize, kept: usize, weights: usize, steps: usize, values: usize, headDim: i32): void {
  const o1 = o + partBytes
  const o2 = o1 + partBytes
  const o3 = o2 + partBytes
  const last = <usize>headDim & ~7
  let d: usize = 0
  for (; d < last; d += 8) {
    const g = d / <usize>KV_GROUP
    const w = weights + g * 256
    let a0 = i32x4.splat(0)
    let b0 = a0
    let a1 = a0
    let b1 = a0
    let a2 = a0
    let b2 = a0
    let a3 = a0
    let b3 = a0
    for (let i = w; i < w + 64; i += 4) {
      const a = v128.load8x8_s(values)
      const b = v128.load8x8_s(values, 8)
      let x = v128.load32_splat(i)
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(a, x))
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(b, x))
      x = v128.load32_splat(i, 64)
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(a, x))
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(b, x))
      x = v128.load32_splat(i, 128)
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(a, x))
      b2 = i32x4.add(b2, i32x4.dot_i16x8_s(b, x))
      x = v128.load32_splat(i, 192)
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(a, x))
      b3 = i32x4.add(b3, i32x4.dot_i16x8_s(b, x))
      values += 16
    }
    const at = d * 4
    const step = steps + g * 16
    addTo(o + at, v128.load32_splat(kept), a0, b0, v128.load32_splat(step))
    addTo(o1 + at, v128.load32_splat(kept, 4), a1, b1, v128.load32_splat(step, 4))
    addTo(o2 + at, v128.load32_splat(kept, 8), a2, b2, v128.load32_splat(step, 8))
    addTo(o3 + at, v128.load32_splat(kept, 12), a3, b3, v128.load32_splat(step, 12))
  }
  if (d < <usize>headDim) {
    const g = d / <usize>KV_GROUP
    for (let r: usize = 0; r < 4; r++) mixRest(o + r * partBytes + d * 4, load<f32>(kept + r * 4), weights + g * 256 + r * 64, load<f32>(steps + g * 16 + r * 4), values)
  }
}

/** The same for one row, whose weights have the places of four. */
function mixBytes1(o: usize, kept: usize, weights: usize, steps: usize, values: usize, headDim: i32): void {
  const last = <usize>headDim & ~7
  let d: usize = 0
  for (; d < last; d += 8) {
    const g = d / <usize>KV_GROUP
    const w = weights + g * 256
    let a = i32x4.splat(0)
    let b = a
    for (let i = w; i < w + 64; i += 4) {
      const x = v128.load32_splat(i)
      a = i32x4.add(a, i32x4.dot_i16x8_s(v128.load8x8_s(values), x))
      b = i32x4.add(b, i32x4.dot_i16x8_s(v128.load8x8_s(values, 8), x))
      values += 16
    }
    addTo(o + d * 4, v128.load32_splat(kept), a, b, v128.load32_splat(steps + g * 16))
  }
  if (d < <usize>headDim) {
    const g = d / <usize>KV_GROUP
    mixRest(o + d * 4, load<f32>(kept), weights + g * 256, load<f32>(steps + g * 16), values)
  }
}

/** Eight sums of a part: scaled by `kept`, plus sums of a block in steps. All is read before anything is written. */
// @ts-ignore: decorator
@inline function addTo(o: usize, kept: v128, a: v128, b: v128, step: v128): void {
  const x = f32x4.add(f32x4.mul(kept, v128.load(o)), f32x4.mul(f32x4.convert_i32x4_s(a), step))
  const y = f32x4.add(f32x4.mul(kept, v128.load(o, 16)), f32x4.mul(f32x4.convert_i32x4_s(b), step))
  v128.store(o, x)
  v128.store(o, y, 16)
}

/** The last four dimensions of a head whose width is no multiple of eight. */
function mixRest(o: usize, kept: f32, weights: usize, step: f32, values: usize): void {
  let sum = i32x4.splat(0)
  for (let i = weights; i < weights + 64; i += 4) {
    sum = i32x4.add(sum, i32x4.dot_i16x8_s(v128.load8x8_s(values), v128.load32_splat(i)))
    values += 8
  }
  v128.store(o, f32x4.add(f32x4.mul(f32x4.splat(kept), v128.load(o)), f32x4.mul(f32x4.convert_i32x4_s(sum), f32x4.splat(step))))
}
