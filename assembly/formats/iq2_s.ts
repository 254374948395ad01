// IQ2_S: 256 weights of a row in groups of eight out of a grid, weight = d / 8 * (2 scale + 1) * sign * magnitude. The
// oracle is src/format/quants/iq2_s.ts. A row in a unit (gridRows.ts), 80 bytes as in the file:
//     0   32 indices, one for each 8 columns: their low 8 bits
//    32   2 times 16 bytes of signs (`signMask`)
//    64   high 2 bits of the indices, four in a byte
//    72   16 nibbles of scale, one for each 16 columns
import { GRID_IQ2_S, signsByColumn, twoGroups } from '../lanes/grids'
import { copy, GridFormat, gridX1, repackGrid } from './gridRows'
import { gridX4 } from './gridX4'
import { nibbleScales } from './nibbleScales'

@final @unmanaged class Iq2S extends GridFormat {
  // @ts-ignore: decorator
  @inline bytes(): usize {
    return 80
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
    return v128.load(p + h * 16, 32)
  }

  // @ts-ignore: decorator
  @inline scales(p: usize, h: usize): v128 {
    return nibbleScales(p + 72 + h * 4)
  }

  // @ts-ignore: decorator
  @inline magnitudes(p: usize, h: usize, j: usize, second: bool, signs: v128): v128 {
    const at = p + h * 16 + j * 4 + (second ? 2 : 0)
    const high = <usize>load<u8>(p + h * 4 + j, 64)
    const n: usize = second ? 4 : 0
    return twoGroups(GRID_IQ2_S, (<usize>load<u8>(at) << 3) | ((high << (11 - n)) & 0x1800), (<usize>load<u8>(at, 1) << 3) | ((high << (9 - n)) & 0x1800))
  }

  // @ts-ignore: decorator
  @inline excess(p: usize, h: usize, scales: v128): v128 {
    return scales
  }

  // @ts-ignore: decorator
  @inline pack(src: usize, dst: usize): void {
    copy(src, dst, 32)
    v128.store(dst, signsByColumn(v128.load(src, 32)), 32)
    v128.store(dst, signsByColumn(v128.load(src, 48)), 48)
    copy(src + 64, dst + 64, 16)
  }
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token. */
export function matmul_iq2_s_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  gridX1<Iq2S>(weights, groups, blocks, x, out)
}

/** The same for four tokens. Every output is the bits that `matmul_iq2_s_x1` gives. */
export function matmul_iq2_s_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  gridX4<Iq2S>(weights, groups, blocks, x0, x1, x2, x3, out0, out1, out2, out3)
}

/** Packs `rows` consecutive rows of a file (82 bytes per 256 weights). Returns how many scales are not finite. */
export function repack_iq2_s(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  return repackGrid<Iq2S>(src, rows, blocks, dst)
}
