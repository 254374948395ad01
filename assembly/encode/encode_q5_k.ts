// Float32 weights to Q5_K blocks; the oracle is encodeQ5K in src/format/quants/q5_k.ts.
import { storeNibbles, storeScaleMins } from './bitFields'
import { quantizeScaleMins } from './scaleMinSearch'

/** `blocks` blocks of 256 float32 at src to 176 bytes each at dst. */
export function encode_q5_k(src: usize, blocks: i32, dst: usize, room: usize, importance: usize): void {
  for (let b = 0; b < blocks; b++) {
    quantizeScaleMins(src, dst, room, 32, 31, 30.5, 16, 63, false, importance, 2)
    storeScaleMins(room, dst + 4)
    for (let l: usize = 0; l < 32; l += 16) {
      let fifth = i8x16.splat(0)
      for (let k: i32 = 0; k < 8; k++) fifth = v128.or(fifth, i8x16.shl(i8x16.shr_u(v128.load(room + <usize>k * 32 + l), 4), k))
      v128.store(dst + l, fifth, 16)
    }
    storeNibbles(room, dst + 48)
    src += 1024
    if (importance) importance += 1024
    dst += 176
  }
}
