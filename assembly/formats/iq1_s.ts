// IQ1_S: 256 weights of a row in groups of eight out of a grid, weight = d / 8 * (2 scale + 1) * (8 * value + move),
// where move is 1 or -1 for 32 columns. The oracle is src/format/quants/iq1_s.ts. A row in a unit (gridRows.ts), 48
// bytes as in the file:
//     0   32 indices, one for each 8 columns: their low 8 bits
//    32   8 words of 16 bits, one for each 32 columns: four times the high 3 bits of an index, 3 bits of scale, and 1
//         to move down
// The grid holds 8 * (value + 1), so that a column counts 8 - move too much.
import { GRID_IQ1, twoGroups } from '../lanes/grids'
import { copy, GridFormat, gridX1, repackGrid } from './gridRows'
import { gridX4 } from './gridX4'

/** The words of 128 columns, 4 x i32. */
// @ts-ignore: decorator
@inline function words(p: usize, h: usize): v128 {
  return v128.load16x4_u(p + h * 8, 32)
}

@final @unmanaged class Iq1S extends GridFormat {
  // @ts-ignore: decorator
  @inline bytes(): usize {
    return 48
  }

  // @ts-ignore: decorator
  @inline factor(): f32 {
    return 0.125
  }

  // @ts-ignore: decorator
  @inline wide(): bool {
    return true
  }

  // @ts-ignore: decorator
  @inline signed(): bool {
    return false
  }

  // @ts-ignore: decorator
  @inline signs(p: usize, h: usize): v128 {
    return i32x4.splat(0)
  }

  // @ts-ignore: decorator
  @inline scales(p: usize, h: usize): v128 {
    const odd = v128.or(v128.and(i32x4.shr_u(words(p, h), 11), i32x4.splat(14)), i32x4.splat(1))
    return v128.or(odd, i32x4.shl(odd, 16))
  }

  // @ts-ignore: decorator
  @inline magnitudes(p: usize, h: usize, j: usize, second: bool, signs: v128): v128 {
    const at = p + h * 16 + j * 4 + (second ? 2 : 0)
    const word = <usize>load<u16>(p + h * 8 + j * 2, 32)
    if (second) return twoGroups(GRID_IQ1, (<usize>load<u8>(at) << 3) | ((word << 5) & 0x3800), (<usize>load<u8>(at, 1) << 3) | ((word << 2) & 0x3800))
    return twoGroups(GRID_IQ1, (<usize>load<u8>(at) << 3) | ((word << 11) & 0x3800), (<usize>load<u8>(at, 1) << 3) | ((word << 8) & 0x3800))
  }

  // @ts-ignore: decorator
  @inline excess(p: usize, h: usize, scales: v128): v128 {
    // 7, or 9 where the move is down
    const moves = i32x4.add(v128.and(i32x4.shr_u(words(p, h), 14), i32x4.splat(2)), i32x4.splat(7))
    return i16x8.mul(scales, v128.or(moves, i32x4.shl(moves, 16)))
  }

  // @ts-ignore: decorator
  @inline pack(src: usize, dst: usize): void {
    copy(src, dst, 48)
  }
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token. */
export function matmul_iq1_s_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  gridX1<Iq1S>(weights, groups, blocks, x, out)
}

/** The same for four tokens. Every output is the bits that `matmul_iq1_s_x1` gives. */
export function matmul_iq1_s_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  gridX4<Iq1S>(weights, groups, blocks, x0, x1, x2, x3, out0, out1, out2, out3)
}

/** Packs `rows` consecutive rows of a file (50 bytes per 256 weights). Returns how many scales are not finite. */
export function repack_iq1_s(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  return repackGrid<Iq1S>(src, rows, blocks, dst)
}
