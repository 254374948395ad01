// The search for the scales of 32 weights of IQ4_NL and IQ4_XS, four sub-blocks at a time, a lane each. The oracle is
// src/format/quants/iq4Search.ts, and so is the table: for the halves from -128 to 127.5 the nearest of the 16 values,
// as float32, and then its place, a byte each.

// Layout of `room`: the values of four sub-blocks, (32, 4 sub-blocks), which become shares; and how much errors count.
// @ts-ignore: decorator
@inline export const WEIGHTS: usize = 512
/** After both. */
// @ts-ignore: decorator
@inline export const ROOM_LEFT: usize = 1024
// @ts-ignore: decorator
@inline const PLACES: usize = 2048

// 1.5 * 2^23: the low bits of a sum with it are a whole number's
// @ts-ignore: decorator
@inline const WHOLE: f32 = 12582912

/**
 * The bits of the half that is next to x and not below it, plus those of WHOLE; within the table. A border between two
 * values is a half, and belongs to the lower.
 */
// @ts-ignore: decorator
@inline function halves(x: v128): v128 {
  const twice = f32x4.ceil(f32x4.add(x, x))
  return f32x4.add(f32x4.pmax(f32x4.splat(-256), f32x4.pmin(f32x4.splat(255), twice)), f32x4.splat(WHOLE))
}

/** The table's values nearest to four numbers. */
// @ts-ignore: decorator
@inline function valuesNear(x: v128, table: usize): v128 {
  const from = i32x4.splat(<i32>table + 1024 - (reinterpret<i32>(WHOLE) << 2))
  const at = i32x4.add(i32x4.shl(halves(x), 2), from)
  let values = v128.load32_zero(i32x4.extract_lane(at, 0))
  values = v128.load32_lane(i32x4.extract_lane(at, 1), values, 1)
  values = v128.load32_lane(i32x4.extract_lane(at, 2), values, 2)
  return v128.load32_lane(i32x4.extract_lane(at, 3), values, 3)
}

/**
 * The scales of the four sub-blocks in `room`. weighed: whether WEIGHTS are there; else a value counts with its square.
 */
// @ts-ignore: decorator
@inline function find(room: usize, table: usize, weighed: bool): v128 {
  const end = room + 512
  let largest = f32x4.splat(0)
  for (let p = room; p < end; p += 16) {
    const value = v128.load(p)
    largest = v128.bitselect(value, largest, f32x4.gt(f32x4.abs(value), f32x4.abs(largest)))
  }
  const some = f32x4.ge(f32x4.abs(largest), f32x4.splat(1e-30)) // which is just above the oracle's, a float64
  const divisor = v128.bitselect(largest, f32x4.splat(1), some)
  for (let p = room; p < end; p += 16) {
    const share = f32x4.div(v128.load(p), divisor)
    v128.store(p, share)
    if (!weighed) v128.store(p, f32x4.mul(share, share), WEIGHTS)
  }
  let scale = f32x4.splat(0)
  let explained = scale
  const candidates = weighed ? 30 : 15
  for (let candidate = 0; candidate < candidates; candidate++) {
    const multiplier = f32x4.splat(<f32>(candidate < 15 ? candidate - 134 : candidate + 91)) // -127 or 113, from -7 to 7 beside it
    let products = f32x4.splat(0)
    let squares = products
    for (let p = room; p < end; p += 16) {
      const share = v128.load(p)
      const value = valuesNear(f32x4.mul(multiplier, share), table)
      const weight = f32x4.mul(v128.load(p, WEIGHTS), value)
      products = f32x4.add(products, f32x4.mul(weight, share))
      squares = f32x4.add(squares, f32x4.mul(weight, value))
    }
    const tried = f32x4.div(products, squares)
    const gain = f32x4.mul(tried, products)
    const better = f32x4.gt(gain, explained)
    scale = v128.bitselect(tried, scale, better)
    explained = v128.bitselect(gain, explained, better)
  }
  return v128.and(f32x4.mul(scale, largest), some)
}

/** The scales of the four sub-blocks in `room`, in which a value counts with its square. */
export function findIQ4Scales(room: usize, table: usize): v128 {
  return find(room, table, false)
}

/** The same by WEIGHTS. */
export function findWeighedIQ4Scales(room: usize, table: usize): v128 {
  return find(room, table, true)
}

/** The places of 32 float32 times `inverse`, to 16 bytes: a nibble each, the first 16 in the low ones. */
export function storePlaces(src: usize, inverse: f32, table: usize, dst: usize): void {
  const factor = f32x4.splat(inverse)
  const from = i32x4.splat(<i32>(table + PLACES) + 256 - reinterpret<i32>(WHOLE))
  for (let i: usize = 0; i < 16; i += 4) {
    const low = i32x4.add(halves(f32x4.mul(v128.load(src + i * 4), factor)), from)
    const high = i32x4.add(halves(f32x4.mul(v128.load(src + i * 4, 64), factor)), from)
    store<u8>(dst + i, load<u8>(i32x4.extract_lane(low, 0)) | (load<u8>(i32x4.extract_lane(high, 0)) << 4))
    store<u8>(dst + i, load<u8>(i32x4.extract_lane(low, 1)) | (load<u8>(i32x4.extract_lane(high, 1)) << 4), 1)
    store<u8>(dst + i, load<u8>(i32x4.extract_lane(low, 2)) | (load<u8>(i32x4.extract_lane(high, 2)) << 4), 2)
    store<u8>(dst + i, load<u8>(i32x4.extract_lane(low, 3)) | (load<u8>(i32x4.extract_lane(high, 3)) << 4), 3)
  }
}
