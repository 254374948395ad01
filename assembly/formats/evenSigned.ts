// What IQ2_XXS and IQ3_XXS share: in the file, for each 32 columns 32 bits, from bit 0 up four times seven bits of
// signs, each of 8 columns, then four bits of scale. In a unit (gridRows.ts), for each 128 columns 16 bytes, as
// `signMask` takes them; bytes 7 and 15 hold the scales of 32 columns each, two in a byte, low ones first.
import { signsByColumn } from '../lanes/grids'

/** The scales n in the 16 bytes at p, each for 2n + 1: 8 x i16, the same for two times 16 columns. */
// @ts-ignore: decorator
@inline export function scalesBeside(p: usize): v128 {
  const v = v128.load(p)
  const scales = v128.or(v128.and(i64x2.shr_u(v, 55), i64x2.splat(0x1e)), v128.and(i64x2.shr_u(v, 27), i64x2.splat(0x1e00000000)))
  const odd = v128.or(scales, i32x4.splat(1))
  return v128.or(odd, i32x4.shl(odd, 16))
}

/** Packs four words of the file, of 128 columns, to 16 bytes at dst. */
// @ts-ignore: decorator
@inline export function packSigns(words: v128, dst: usize): void {
  const low = v128.or(v128.and(words, i32x4.splat(0x7f)), v128.and(i32x4.shl(words, 1), i32x4.splat(0x7f00)))
  const high = v128.or(v128.and(i32x4.shl(words, 2), i32x4.splat(0x7f0000)), v128.and(i32x4.shl(words, 3), i32x4.splat(0x7f000000)))
  const scales = i32x4.shr_u(words, 28)
  const pairs = v128.or(i64x2.shl(scales, 56), v128.and(i64x2.shl(i64x2.shr_u(scales, 32), 60), i64x2.splat(0xf000000000000000)))
  v128.store(dst, v128.or(signsByColumn(v128.or(low, high)), pairs))
}
