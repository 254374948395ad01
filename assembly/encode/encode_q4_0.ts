// Float32 weights to Q4_0 blocks; the oracle is encodeQ40 in src/format/quants/q4_0.ts.
import { largestOf, roundSigned, storeHalf } from './rounding'

/** `blocks` blocks of 32 float32 at src to 18 bytes each at dst. */
export function encode_q4_0(src: usize, blocks: i32, dst: usize, room: usize): void {
  const least = f32x4.splat(-8)
  const most = f32x4.splat(7)
  for (let b = 0; b < blocks; b++) {
    const d = storeHalf(dst, largestOf(src, 32) / -8)
    const inverse = f32x4.splat(d == 0 ? 0 : <f32>1 / d)
    const low = i8x16.add(roundSigned(src, inverse, least, most), i8x16.splat(8))
    const high = i8x16.add(roundSigned(src + 64, inverse, least, most), i8x16.splat(8))
    v128.store(dst, v128.or(low, i8x16.shl(high, 4)), 2)
    src += 128
    dst += 18
  }
}
