// Float32 weights to Q2_K blocks; the oracle is encodeQ2K in src/format/quants/q2_k.ts.
import { storeLowBits } from './bitFields'
import { MIN_INTEGERS, quantizeScaleMins, SCALE_INTEGERS } from './scaleMinSearch'

/** `blocks` blocks of 256 float32 at src to 84 bytes each at dst. The six bytes after the last block may be read. */
export function encode_q2_k(src: usize, blocks: i32, dst: usize, room: usize, importance: usize): void {
  for (let b = 0; b < blocks; b++) {
    quantizeScaleMins(src, dst + 80, room, 16, 3, 2.5, 16, 15, true, importance, 1)
    for (let j: usize = 0; j < 16; j++) {
      store<u8>(dst + j, load<u8>(room + j * 4, SCALE_INTEGERS) | (load<u8>(room + j * 4, MIN_INTEGERS) << 4))
    }
    storeLowBits(room, dst + 16)
    src += 1024
    if (importance) importance += 1024
    dst += 84
  }
}
