// IQ3_XXS: 256 weights of a row in groups of four out of a grid, weight = d / 4 * (2 scale + 1) * sign * magnitude. The
// oracle is src/format/quants/iq3_xxs.ts. A row in a unit (gridRows.ts), 96 bytes as in the file:
//     0   64 indices, one for each 4 columns
//    64   2 times 16 bytes of signs and scales (evenSigned.ts)
import { evenSigns, fourGroups, GRID_IQ3_XXS } from '../lanes/grids'
import { packSigns, scalesBeside } from './evenSigned'
import { GridFormat, copy, gridX1, repackGrid } from './gridRows'
import { gridX4 } from './gridX4'

@final @unmanaged class Iq3Xxs extends GridFormat {
  // @ts-ignore: decorator
  @inline bytes(): usize {
    return 96
  }

  // @ts-ignore: decorator
  @inline factor(): f32 {
    return 0.25
  }

  // @ts-ignore: decorator
  @inline wide(): bool {
    return true
  }

  // @ts-ignore: decorator
  @inline signed(): bool {
    return true
  }

  // @ts-ignore: decorator
  @inline signs(p: usize, h: usize): v128 {
    return evenSigns(v128.load(p + h * 16, 64))
  }

  // @ts-ignore: decorator
  @inline scales(p: usize, h: usize): v128 {
    return scalesBeside(p + 64 + h * 16)
  }

  // @ts-ignore: decorator
  @inline magnitudes(p: usize, h: usize, j: usize, second: bool, signs: v128): v128 {
    const at = p + h * 32 + j * 8 + (second ? 4 : 0)
    return fourGroups(GRID_IQ3_XXS, <usize>load<u8>(at) << 2, <usize>load<u8>(at, 1) << 2, <usize>load<u8>(at, 2) << 2, <usize>load<u8>(at, 3) << 2)
  }

  // @ts-ignore: decorator
  @inline excess(p: usize, h: usize, scales: v128): v128 {
    return scales
  }

  // @ts-ignore: decorator
  @inline pack(src: usize, dst: usize): void {
    copy(src, dst, 64)
    packSigns(v128.load(src, 64), dst + 64)
    packSigns(v128.load(src, 80), dst + 80)
  }
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token. */
export function matmul_iq3_xxs_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  gridX1<Iq3Xxs>(weights, groups, blocks, x, out)
}

/** The same for four tokens. Every output is the bits that `matmul_iq3_xxs_x1` gives. */
export function matmul_iq3_xxs_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  gridX4<Iq3Xxs>(weights, groups, blocks, x0, x1, x2, x3, out0, out1, out2, out3)
}

/** Packs `rows` consecutive rows of a file (98 bytes per 256 weights). Returns how many scales are not finite. */
export function repack_iq3_xxs(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  return repackGrid<Iq3Xxs>(src, rows, blocks, dst)
}
