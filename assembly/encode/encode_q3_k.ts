// Float32 weights to Q3_K blocks; the oracle is encodeQ3K in src/format/quants/q3_k.ts.
import { storeLowBits } from './bitFields'
import { quantizeScaled } from './scaleSearch'

/** `blocks` blocks of 256 float32 at src to 110 bytes each at dst. */
export function encode_q3_k(src: usize, blocks: i32, dst: usize, room: usize, importance: usize): void {
  for (let b = 0; b < blocks; b++) {
    quantizeScaled(src, dst + 108, room, 4, 32, true, importance, 2)
    for (let i: usize = 0; i < 256; i += 16) v128.store(room + i, i8x16.add(v128.load(room + i), i8x16.splat(4)))
    for (let l: usize = 0; l < 32; l += 16) {
      let third = i8x16.splat(0)
      for (let k: i32 = 0; k < 8; k++) third = v128.or(third, i8x16.shl(i8x16.shr_u(v128.load(room + <usize>k * 32 + l), 2), k))
      v128.store(dst + l, third)
    }
    storeLowBits(room, dst + 32)
    store<u32>(dst, 0, 96)
    store<u32>(dst, 0, 100)
    store<u32>(dst, 0, 104)
    for (let j: usize = 0; j < 16; j++) {
      const scale = load<u32>(room + j * 4, 320) + 32
      const nibble = dst + 96 + (j & 7)
      const top = dst + 104 + (j & 3)
      store<u8>(nibble, load<u8>(nibble) | <u8>((scale & 15) << (j < 8 ? 0 : 4)))
      store<u8>(top, load<u8>(top) | <u8>((scale >> 4) << (2 * (<u32>j >> 2))))
    }
    src += 1024
    if (importance) importance += 1024
    dst += 110
  }
}
