// Float32 weights to Q4_K blocks; the oracle is encodeQ4K in src/format/quants/q4_k.ts.
import { MIN_INTEGERS, quantizeScaleMins, SCALE_INTEGERS } from './scaleMinSearch'

/** `blocks` blocks of 256 float32 at src to 144 bytes each at dst. */
export function encode_q4_k(src: usize, blocks: i32, dst: usize, room: usize): void {
  for (let b = 0; b < blocks; b++) {
    quantizeScaleMins(src, dst, room, 32, 15, 14, 21, 63, false)
    storeScaleMins(room, dst + 4)
    storeNibbles(room, dst + 16)
    src += 1024
    dst += 144
  }
}

/** 8 scales and 8 mins into the 12 bytes that Q4_K and Q5_K have for them. */
// @ts-ignore: decorator
@inline export function storeScaleMins(room: usize, dst: usize): void {
  for (let j: usize = 0; j < 4; j++) {
    const scale = load<u32>(room + j * 4, SCALE_INTEGERS)
    const min = load<u32>(room + j * 4, MIN_INTEGERS)
    const laterScale = load<u32>(room + j * 4 + 16, SCALE_INTEGERS)
    const laterMin = load<u32>(room + j * 4 + 16, MIN_INTEGERS)
    store<u8>(dst + j, <u8>(scale | ((laterScale >> 4) << 6)))
    store<u8>(dst + j, <u8>(min | ((laterMin >> 4) << 6)), 4)
    store<u8>(dst + j, <u8>((laterScale & 15) | ((laterMin & 15) << 4)), 8)
  }
}

/** The low four bits of 256 quants at q into 128 bytes. */
// @ts-ignore: decorator
@inline export function storeNibbles(q: usize, dst: usize): void {
  const mask = i8x16.splat(15)
  for (let c: usize = 0; c < 4; c++) {
    for (let l: usize = 0; l < 32; l += 16) {
      const at = q + c * 64 + l
      v128.store(dst + c * 32 + l, v128.or(v128.and(v128.load(at), mask), i8x16.shl(v128.load(at, 32), 4)))
    }
  }
}
