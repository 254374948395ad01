// What Q4_K and Q5_K share at load time: both blocks open with d, dmin (f16) and twelve bytes of packed 6-bit scales and mins, and hold nibbles in chunks of 64.
import { canRaise, isFiniteHalf, raise, storeFactor } from './half'
import { storeTransposed } from './lanes'

// The 6-bit scale (or min) j of the twelve bytes at p, as ggml packs them: 0..3 in the low 6 bits, 4..7 split in a nibble and two bits.
// @ts-ignore: decorator
@inline function scaleOf(p: usize, j: usize): u32 {
  return j < 4 ? load<u8>(p + j) & 63 : (load<u8>(p + j + 4) & 15) | ((load<u8>(p + j - 4) >> 6) << 4)
}

// @ts-ignore: decorator
@inline function minOf(p: usize, j: usize): u32 {
  return j < 4 ? load<u8>(p + j + 4) & 63 : (load<u8>(p + j + 4) >> 4) | ((load<u8>(p + j) >> 6) << 4)
}

/** Header, d, dmin, scales and mins of one group, the `which`-th of `width` that stand side by side. Returns how many of d and dmin are not finite. */
export function repackScalesAndMins(src: usize, valid: i32, blocks: i32, blockBytes: usize, dst: usize, unit: usize, width: usize, which: usize): i32 {
  const rowBytes = <usize>blocks * blockBytes
  let raised = true
  let bad = 0
  for (let r: usize = 0; r < <usize>valid; r++) {
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const d = <u32>load<u16>(src + r * rowBytes + b * blockBytes)
      const m = <u32>load<u16>(src + r * rowBytes + b * blockBytes, 2)
      if (!isFiniteHalf(d)) bad++
      if (!isFiniteHalf(m)) bad++
      if (!canRaise(d) || !canRaise(m)) raised = false
    }
  }
  storeFactor(dst + which * 16, raised)
  dst += width * 16
  for (let b: usize = 0; b < <usize>blocks; b++) {
    for (let r: usize = 0; r < 4; r++) {
      const block = src + r * rowBytes + b * blockBytes
      const real = r < <usize>valid
      const d = real ? <u32>load<u16>(block) : 0
      const m = real ? <u32>load<u16>(block, 2) : 0
      const lane = which * 4 + r
      store<u16>(dst + lane * 2, raised ? raise(d) : d)
      store<u16>(dst + (width * 4 + lane) * 2, raised ? raise(m) : m)
      for (let j: usize = 0; j < 8; j++) {
        store<u8>(dst + (4 + j) * width * 4 + lane, real ? scaleOf(block + 4, j) : 0)
        store<u8>(dst + (6 + (j >> 1)) * width * 8 + lane * 2 + (j & 1), real ? minOf(block + 4, j) : 0)
      }
    }
    dst += unit
  }
  return bad
}

// Low (even sub-block) or high (odd) nibbles of 32 bytes at p: columns 0..15 to the low, 16..31 to the high nibbles of 16 bytes.
// @ts-ignore: decorator
@inline function pairNibbles(p: usize, odd: bool, real: bool): v128 {
  if (!real) return i32x4.splat(0)
  const a = v128.load(p)
  const b = v128.load(p, 16)
  const mask = i8x16.splat(15)
  if (odd) return v128.or(v128.and(i16x8.shr_u(a, 4), mask), v128.andnot(b, mask))
  return v128.or(v128.and(a, mask), i16x8.shl(v128.and(b, mask), 4))
}

/** The 128 bytes of nibbles of one block of each of 4 rows (rowBytes apart) to 8 x 4 vectors at dst, `step` bytes apart. */
export function repackNibbles(src: usize, rowBytes: usize, valid: i32, dst: usize, step: usize): void {
  for (let s: usize = 0; s < 8; s++) {
    const p = src + (s >> 1) * 32
    const odd = (s & 1) == 1
    const r0 = pairNibbles(p, odd, valid > 0)
    const r1 = pairNibbles(p + rowBytes, odd, valid > 1)
    const r2 = pairNibbles(p + 2 * rowBytes, odd, valid > 2)
    storeTransposed(dst + s * 4 * step, r0, r1, r2, pairNibbles(p + 3 * rowBytes, odd, valid > 3), step)
  }
}
