// Stores quants, scales and mins in the bit fields that more than one format has.
import { MIN_INTEGERS, SCALE_INTEGERS } from './scaleMinSearch'

/** The low two bits of 256 quants at q, to the 64 bytes of Q2_K and Q3_K. */
// @ts-ignore: decorator
@inline export function storeLowBits(q: usize, dst: usize): void {
  const mask = i8x16.splat(3)
  for (let h: usize = 0; h < 2; h++) {
    for (let l: usize = 0; l < 32; l += 16) {
      const at = q + h * 128 + l
      const first = v128.and(v128.load(at), mask)
      const second = i8x16.shl(v128.and(v128.load(at, 32), mask), 2)
      const third = i8x16.shl(v128.and(v128.load(at, 64), mask), 4)
      const fourth = i8x16.shl(v128.load(at, 96), 6)
      v128.store(dst + h * 32 + l, v128.or(v128.or(first, second), v128.or(third, fourth)))
    }
  }
}

/** 8 scales and 8 mins, to the 12 bytes of Q4_K and Q5_K. */
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

/** The low four bits of 256 quants at q, to 128 bytes. */
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
