// The cache of keys and values of one kv head, in blocks of 32 positions. Keys are headDim x 32: a lane is a position,
// so that scores need no horizontal sum. Values are 32 x headDim. Numbers are float16, or float32 for models whose own
// weights are.
import { toHalf } from '../lanes/half'

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
