// IQ1_M: 256 weights of a row in groups of eight out of a grid, weight = d / 8 * (2 scale + 1) * (8 * value + move),
// where move is 1 or -1 for each group. The oracle is src/format/quants/iq1_m.ts. A row in a unit (gridRows.ts), 56
// bytes as in the file:
//     0   32 indices, one for each 8 columns: their low 8 bits
//    32   32 nibbles, low ones first: the high 3 bits of an index, and 1 to move down
//    48   4 words of 16 bits: four times 3 bits of scale, one for each 16 columns, and 4 bits of d
// The grid holds 8 * (value + 1). With 2 more for each move up, a column counts 9 too much.
import { GRID_IQ1, twoGroups } from '../lanes/grids'
import { eightRows, rowAt } from '../lanes/rows'
import { copy, GridFormat, gridX1, packRows, scaleHeaders, unitBytes } from './gridRows'
import { gridX4 } from './gridX4'
import { raiseScales } from './halves_repack'

const BLOCK: usize = 56

/** Twice the byte of group 2k (of 16), then that of 2k + 1, eight times each. */
// @ts-ignore: decorator
@inline function ofGroups(v: v128, k: i32): v128 {
  const places = i8x16.add(i8x16(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1), i8x16.splat(<i8>(2 * k)))
  return ASC_FEATURE_RELAXED_SIMD ? i8x16.relaxed_swizzle(v, places) : i8x16.swizzle(v, places)
}

@final @unmanaged class Iq1M extends GridFormat {
  // @ts-ignore: decorator
  @inline bytes(): usize {
    return BLOCK
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
    return false
  }

  // @ts-ignore: decorator
  @inline signs(p: usize, h: usize): v128 {
    // 2 for each group that moves up
    const down = v128.not(i16x8.extend_low_i8x16_u(v128.load64_zero(p + h * 8, 32)))
    return v128.or(i16x8.shr_u(v128.and(down, i16x8.splat(8)), 2), i16x8.shl(v128.and(down, i16x8.splat(0x80)), 2))
  }

  // @ts-ignore: decorator
  @inline scales(p: usize, h: usize): v128 {
    const two = v128.load32_splat(p + h * 4, 48)
    const fields = v128.and(v128.shuffle<i16>(two, two, 0, 0, 0, 0, 1, 1, 1, 1), i16x8(7, 0x38, 0x1c0, 0xe00, 7, 0x38, 0x1c0, 0xe00))
    return v128.or(i16x8.shr_u(i16x8.mul(fields, i16x8(512, 64, 8, 1, 512, 64, 8, 1)), 8), i16x8.splat(1))
  }

  // @ts-ignore: decorator
  @inline magnitudes(p: usize, h: usize, j: usize, second: bool, signs: v128): v128 {
    const at = p + h * 16 + j * 4 + (second ? 2 : 0)
    const nibbles = <usize>load<u8>(p + h * 8 + j * 2 + (second ? 1 : 0), 32)
    const groups = twoGroups(GRID_IQ1, (<usize>load<u8>(at) << 3) | ((nibbles << 11) & 0x3800), (<usize>load<u8>(at, 1) << 3) | ((nibbles << 7) & 0x3800))
    return v128.or(groups, ofGroups(signs, 2 * <i32>j + (second ? 1 : 0)))
  }

  // @ts-ignore: decorator
  @inline excess(p: usize, h: usize, scales: v128): v128 {
    return i16x8.mul(scales, i16x8.splat(9))
  }

  // @ts-ignore: decorator
  @inline pack(src: usize, dst: usize): void {
    copy(src, dst, BLOCK)
  }
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token. */
export function matmul_iq1_m_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  gridX1<Iq1M>(weights, groups, blocks, x, out)
}

/** The same for four tokens. Every output is the bits that `matmul_iq1_m_x1` gives. */
export function matmul_iq1_m_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  gridX4<Iq1M>(weights, groups, blocks, x0, x1, x2, x3, out0, out1, out2, out3)
}

/** d of the block at p, a half. */
// @ts-ignore: decorator
@inline export function halfOf(p: usize): u32 {
  return (load<u16>(p, 48) >> 12) | ((load<u16>(p, 50) >> 8) & 0xf0) | ((load<u16>(p, 52) >> 4) & 0xf00) | (load<u16>(p, 54) & 0xf000)
}

/** Packs `rows` consecutive rows of a file (56 bytes per 256 weights). Returns how many scales are not finite. */
export function repack_iq1_m(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * BLOCK
  let bad = 0
  for (; rows > 0; rows -= 8) {
    packRows<Iq1M>(src, rows, blocks, BLOCK, dst)
    const mask = eightRows(rows)
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const unit = dst + 32 + b * unitBytes<Iq1M>()
      for (let r = 0; r < 8; r++) store<u16>(unit + r * 2, halfOf(rowAt(src + b * BLOCK, rowBytes, r, rows)))
      v128.store(unit, v128.and(v128.load(unit), mask))
    }
    bad += raiseScales(dst, 32, blocks, unitBytes<Iq1M>(), 1)
    scaleHeaders(dst, 0.125)
    src += rowBytes * 8
    dst += <usize>blocks * unitBytes<Iq1M>() + 32
  }
  return bad
}
