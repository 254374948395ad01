// Float32 weights to Q6_K blocks; the oracle is encodeQ6K in src/format/quants/q6_k.ts.
import { quantizeScaled } from './scaleSearch'

/** 16 quants at `room`, made unsigned. */
// @ts-ignore: decorator
@inline function raised(room: usize): v128 {
  return i8x16.add(v128.load(room), i8x16.splat(32))
}

/** `blocks` blocks of 256 float32 at src to 210 bytes each at dst. */
export function encode_q6_k(src: usize, blocks: i32, dst: usize, room: usize, importance: usize): void {
  const low = i8x16.splat(15)
  for (let b = 0; b < blocks; b++) {
    quantizeScaled(src, dst + 208, room, 32, 128, false, importance, 0)
    for (let h: usize = 0; h < 2; h++) {
      for (let l: usize = 0; l < 32; l += 16) {
        const q = room + h * 128 + l
        const first = raised(q)
        const second = raised(q + 32)
        const third = raised(q + 64)
        const fourth = raised(q + 96)
        const nibbles = dst + h * 64 + l
        v128.store(nibbles, v128.or(v128.and(first, low), i8x16.shl(third, 4)))
        v128.store(nibbles, v128.or(v128.and(second, low), i8x16.shl(fourth, 4)), 32)
        const top = v128.or(
          v128.or(i8x16.shr_u(first, 4), i8x16.shl(i8x16.shr_u(second, 4), 2)),
          v128.or(i8x16.shl(i8x16.shr_u(third, 4), 4), i8x16.shl(i8x16.shr_u(fourth, 4), 6)),
        )
        v128.store(dst + h * 32 + l, top, 128)
      }
    }
    for (let j: usize = 0; j < 16; j++) store<u8>(dst + j, load<u8>(room + j * 4, 320), 192)
    src += 1024
    if (importance) importance += 1024
    dst += 210
  }
}
