// Float32 weights to Q4_K blocks; the oracle is encodeQ4K in src/format/quants/q4_k.ts.
import { storeNibbles, storeScaleMins } from './bitFields'
import { quantizeScaleMins } from './scaleMinSearch'

/** `blocks` blocks of 256 float32 at src to 144 bytes each at dst. */
export function encode_q4_k(src: usize, blocks: i32, dst: usize, room: usize, importance: usize): void {
  for (let b = 0; b < blocks; b++) {
    quantizeScaleMins(src, dst, room, 32, 15, 14, 21, 63, false, importance, 2)
    storeScaleMins(room, dst + 4)
    storeNibbles(room, dst + 16)
    src += 1024
    if (importance) importance += 1024
    dst += 144
  }
}
