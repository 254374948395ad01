// IQ2_XS: 256 weights of a row in groups of eight out of a grid, weight = d / 8 * (2 scale + 1) * sign * magnitude. The
// oracle is src/format/quants/iq2_xs.ts. A row in a unit (gridRows.ts), 72 bytes as in the file, in another order:
//     0   32 indices, one for each 8 columns: their low 8 bits
//    32   2 times 16 bytes of signs (`signMask`), of which bytes 7 and 15 hold the indices' ninth bits instead
//    64   16 nibbles of scale, one for each 16 columns
import { evenSigns, GRID_IQ2_XS, signsByColumn, twoGroups } from '../lanes/grids'
import { GridFormat, gridX1, repackGrid } from './gridRows'
import { gridX4 } from './gridX4'
import { nibbleScales } from './nibbleScales'

/** Packs 16 groups, 9 bits of index and 7 of signs each: 16 bytes of indices at dst, and of signs at signs. */
// @ts-ignore: decorator
@inline function packGroups(src: usize, dst: usize, signs: usize): void {
  const a = v128.load(src)
  const b = v128.load(src, 16)
  const byte = i16x8.splat(0xff)
  v128.store(dst, i8x16.narrow_i16x8_u(v128.and(a, byte), v128.and(b, byte)))
  const ninths = i8x16.bitmask(i8x16.narrow_i16x8_s(i16x8.shl(a, 7), i16x8.shl(b, 7)))
  const seven = signsByColumn(i8x16.narrow_i16x8_u(i16x8.shr_u(a, 9), i16x8.shr_u(b, 9)))
  v128.store(signs, i8x16.replace_lane(i8x16.replace_lane(seven, 7, <i8>ninths), 15, <i8>(ninths >> 8)))
}

@final @unmanaged class Iq2Xs extends GridFormat {
  // @ts-ignore: decorator
  @inline bytes(): usize {
    return 72
  }

  // @ts-ignore: decorator
  @inline factor(): f32 {
    return 0.125
  }

  // @ts-ignore: decorator
  @inline wide(): bool {
    return false
  }

  // @ts-ignore: decorator
  @inline signed(): bool {
    return true
  }

  // @ts-ignore: decorator
  @inline signs(p: usize, h: usize): v128 {
    return evenSigns(v128.load(p + h * 16, 32))
  }

  // @ts-ignore: decorator
  @inline scales(p: usize, h: usize): v128 {
    return nibbleScales(p + 64 + h * 4)
  }

  // @ts-ignore: decorator
  @inline magnitudes(p: usize, h: usize, j: usize, second: bool, signs: v128): v128 {
    const at = p + h * 16 + j * 4 + (second ? 2 : 0)
    const ninths = <usize>load<u8>(p + h * 16 + (j >> 1) * 8, 39)
    const n = (j & 1) * 4 + (second ? 2 : 0)
    return twoGroups(GRID_IQ2_XS, (<usize>load<u8>(at) << 3) | ((ninths << (11 - n)) & 0x800), (<usize>load<u8>(at, 1) << 3) | ((ninths << (10 - n)) & 0x800))
  }

  // @ts-ignore: decorator
  @inline excess(p: usize, h: usize, scales: v128): v128 {
    return scales
  }

  // @ts-ignore: decorator
  @inline pack(src: usize, dst: usize): void {
    packGroups(src, dst, dst + 32)
    packGroups(src + 32, dst + 16, dst + 48)
    store<u64>(dst, load<u64>(src, 64), 64)
  }
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token. */
export function matmul_iq2_xs_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  gridX1<Iq2Xs>(weights, groups, blocks, x, out)
}

/** The same for four tokens. Every output is the bits that `matmul_iq2_xs_x1` gives. */
export function matmul_iq2_xs_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  gridX4<Iq2Xs>(weights, groups, blocks, x0, x1, x2, x3, out0, out1, out2, out3)
}

/** Packs `rows` consecutive rows of a file (74 bytes per 256 weights). Returns how many scales are not finite. */
export function repack_iq2_xs(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  return repackGrid<Iq2Xs>(src, rows, blocks, dst)
}
