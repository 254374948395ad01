// Float32 weights to Q8_0 blocks; the oracle is encodeQ80 in src/format/quants/q8_0.ts.
import { largestOf, roundSigned, storeHalf } from './rounding'

/**
 * `blocks` blocks of 32 float32 at src to 34 bytes each at dst. The byte after the last block may be read, as may the
 * seven after it.
 */
export function encode_q8_0(src: usize, blocks: i32, dst: usize, room: usize): void {
  const least = f32x4.splat(-127)
  const most = f32x4.splat(127)
  for (let b = 0; b < blocks; b++) {
    const d = storeHalf(dst, abs(largestOf(src, 32)) / 127)
    const inverse = f32x4.splat(d == 0 ? 0 : <f32>1 / d)
    v128.store(dst, roundSigned(src, inverse, least, most), 2)
    v128.store(dst, roundSigned(src + 64, inverse, least, most), 18)
    src += 128
    dst += 34
  }
}
