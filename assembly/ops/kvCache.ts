// The cache of keys and values of one kv head, in blocks of 32 positions. Keys are headDim x 32: a lane is a position,
// so that scores need no horizontal sum. Values are 32 x headDim. Numbers are float16, or float32 for models whose own
// weights are, or 8 bits.
import { fromHalf1, toHalf } from '../lanes/half'

/**
 * Rounds one position's key and value (headDim float32 each) into the cache of their kv head. `keys` and `values` point
 * to the head's first block.
 */
export function store_kv_f16(key: usize, value: usize, headDim: i32, keys: usize, values: usize, position: i32): void {
  const block = <usize>(position >> 5) * <usize>headDim * 64
  const slot = <usize>(position & 31)
  keys += block + slot * 2
  values += block + slot * <usize>headDim * 2
  for (let d: usize = 0; d < <usize>headDim; d += 4) {
    const k = toHalf(v128.load(key + d * 4))
    store<u16>(keys + d * 64, i32x4.extract_lane(k, 0))
    store<u16>(keys + d * 64, i32x4.extract_lane(k, 1), 64)
    store<u16>(keys + d * 64, i32x4.extract_lane(k, 2), 128)
    store<u16>(keys + d * 64, i32x4.extract_lane(k, 3), 192)
    const v = toHalf(v128.load(value + d * 4))
    v128.store64_lane(values + d * 2, i16x8.narrow_i32x4_u(v, v), 0)
  }
}

/** The same for a cache of float32. */
export function store_kv_f32(key: usize, value: usize, headDim: i32, keys: usize, values: usize, position: i32): void {
  const block = <usize>(position >> 5) * <usize>headDim * 128
  const slot = <usize>(position & 31)
  keys += block + slot * 4
  values += block + slot * <usize>headDim * 4
  for (let d: usize = 0; d < <usize>headDim; d++) store<f32>(keys + d * 128, load<f32>(key + d * 4))
  memory.copy(values, value, <usize>headDim * 4)
}

/** Dimensions that share a scale in a cache of 8 bits; the last group of a head may have fewer. */
export const KV_GROUP: i32 = 32

/** Bytes of a block of 32 positions in 8 bits, keys or values: an i8 a number, a float16 a position and group. */
// @ts-ignore: decorator
@inline export function byteBlockBytes(headDim: i32): usize {
  return <usize>headDim * 32 + <usize>((headDim + KV_GROUP - 1) / KV_GROUP) * 64
}

/**
 * The same for a cache of 8 bits. A group's scale is the float16 next to 1/127 of its largest magnitude; numbers are
 * the nearest multiples of it, ties to even. A group with a NaN has a NaN for its scale. A block of keys is (headDim /
 * 2, 32, 2) i8, so that two dimensions of four positions are one load. One of values is (headDim / 8, 16, 8, 2) i8, two
 * positions of four dimensions a load; if the width is no multiple of 8, the last 4 dimensions are (16, 4, 2). Behind
 * either are (groups, 32) scales.
 */
export function store_kv_q8(key: usize, value: usize, headDim: i32, keys: usize, values: usize, position: i32): void {
  const block = <usize>(position >> 5) * byteBlockBytes(headDim)
  const slot = <usize>(position & 31)
  const groups = <usize>((headDim + KV_GROUP - 1) / KV_GROUP)
  const keyScales = keys + block + <usize>headDim * 32 + slot * 2
  const valueScales = values + block + <usize>headDim * 32 + slot * 2
  keys += block + slot * 2
  values += block + (slot & 1)
  for (let g: usize = 0; g < groups; g++) {
    const start = g * <usize>KV_GROUP
    const end = min(start + <usize>KV_GROUP, <usize>headDim)
    const keyStep = storeScale(key + start * 4, end - start, keyScales + g * 64)
    const valueStep = storeScale(value + start * 4, end - start, valueScales + g * 64)
    for (let d = start; d < end; d += 4) {
      const k = bytesOf(v128.load(key + d * 4), keyStep)
      const to = keys + d * 32
      store<u8>(to, i32x4.extract_lane(k, 0))
      store<u8>(to, i32x4.extract_lane(k, 1), 1)
      store<u8>(to, i32x4.extract_lane(k, 2), 64)
      store<u8>(to, i32x4.extract_lane(k, 3), 65)
      const v = bytesOf(v128.load(value + d * 4), valueStep)
      const tile = d & ~7
      const width = min<usize>(8, <usize>headDim - tile)
      const at = values + tile * 32 + (slot >> 1) * width * 2 + (d - tile) * 2
      store<u8>(at, i32x4.extract_lane(v, 0))
      store<u8>(at, i32x4.extract_lane(v, 1), 2)
      store<u8>(at, i32x4.extract_lane(v, 2), 4)
      store<u8>(at, i32x4.extract_lane(v, 3), 6)
    }
  }
}

/** Stores the scale of `count` floats; returns what they are divided by: the scale, or infinity where it is 0. */
function storeScale(from: usize, count: usize, to: usize): v128 {
  let most = f32x4.abs(v128.load(from))
  for (let i: usize = 4; i < count; i += 4) most = f32x4.max(most, f32x4.abs(v128.load(from + i * 4))) // a NaN stays one
  most = f32x4.max(most, v128.shuffle<i64>(most, most, 1, 0))
  most = f32x4.max(most, v128.shuffle<i32>(most, most, 1, 0, 3, 2))
  store<u16>(to, i32x4.extract_lane(toHalf(f32x4.div(most, f32x4.splat(127))), 0))
  const step = fromHalf1(to)
  return f32x4.splat(step == 0 ? Infinity : step)
}

/** Four floats in steps: whole numbers from -127 to 127, 0 for NaN. */
// @ts-ignore: decorator
@inline function bytesOf(x: v128, step: v128): v128 {
  const steps = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.div(x, step)))
  return i32x4.max_s(i32x4.min_s(steps, i32x4.splat(127)), i32x4.splat(-127))
}
