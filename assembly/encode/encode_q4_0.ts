// Float32 weights to Q4_0 blocks; the oracle is encodeQ40 in src/format/quants/q4_0.ts.
import { placeFour } from './importance'
import { largestOf, roundSigned, storeHalf } from './rounding'
import { findScalesOf32 } from './scaleSearch'

/** `blocks` blocks of 32 float32 at src to 18 bytes each at dst. With importances, scales are searched. */
export function encode_q4_0(src: usize, blocks: i32, dst: usize, room: usize, importance: usize): void {
  if (!importance) {
    for (let b = 0; b < blocks; b++) store32(src + <usize>b * 128, largestOf(src + <usize>b * 128, 32) / -8, dst + <usize>b * 18)
    return
  }
  const scales = room + 1024
  for (let b = 0; b < blocks; b += 4) {
    const count = <usize>min(4, blocks - b)
    placeFour(src, count, importance, 1, room)
    v128.store(scales, findScalesOf32(room, 8))
    for (let k: usize = 0; k < count; k++) store32(src + k * 128, load<f32>(scales + k * 4), dst + k * 18)
    src += 512
    importance += 512
    dst += 72
  }
}

/** 32 float32 to a block of this scale. */
// @ts-ignore: decorator
@inline function store32(src: usize, scale: f32, dst: usize): void {
  const d = storeHalf(dst, scale)
  const inverse = f32x4.splat(d == 0 ? 0 : <f32>1 / d)
  const least = f32x4.splat(-8)
  const most = f32x4.splat(7)
  const low = i8x16.add(roundSigned(src, inverse, least, most), i8x16.splat(8))
  const high = i8x16.add(roundSigned(src + 64, inverse, least, most), i8x16.splat(8))
  v128.store(dst, v128.or(low, i8x16.shl(high, 4)), 2)
}
