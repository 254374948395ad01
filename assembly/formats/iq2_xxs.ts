// IQ2_XXS: 256 weights of a row in groups of eight out of a grid, weight = d / 8 * (2 scale + 1) * sign * magnitude.
// The oracle is src/format/quants/iq2_xxs.ts. A row in a unit (gridRows.ts), 64 bytes as in the file, in another order:
//     0   32 indices, one for each 8 columns
//    32   2 times 16 bytes of signs and scales (evenSigned.ts)
import { evenSigns, GRID_IQ2_XXS, twoGroups } from '../lanes/grids'
import { packSigns, scalesBeside } from './evenSigned'
import { GridFormat, gridX1, repackGrid } from './gridRows'
import { gridX4 } from './gridX4'

@final @unmanaged class Iq2Xxs extends GridFormat {
  // @ts-ignore: decorator
  @inline bytes(): usize {
    return 64
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
    return true
  }

  // @ts-ignore: decorator
  @inline signs(p: usize, h: usize): v128 {
    return evenSigns(v128.load(p + h * 16, 32))
  }

  // @ts-ignore: decorator
  @inline scales(p: usize, h: usize): v128 {
    return scalesBeside(p + 32 + h * 16)
  }

  // @ts-ignore: decorator
  @inline magnitudes(p: usize, h: usize, j: usize, second: bool, signs: v128): v128 {
    const at = p + h * 16 + j * 4 + (second ? 2 : 0)
    return twoGroups(GRID_IQ2_XXS, <usize>load<u8>(at) << 3, <usize>load<u8>(at, 1) << 3)
  }

  // @ts-ignore: decorator
  @inline excess(p: usize, h: usize, scales: v128): v128 {
    return scales
  }

  // @ts-ignore: decorator
  @inline pack(src: usize, dst: usize): void {
    const a = v128.load(src)
    const b = v128.load(src, 16)
    const c = v128.load(src, 32)
    const d = v128.load(src, 48)
    v128.store(dst, v128.shuffle<i32>(a, b, 0, 2, 4, 6))
    v128.store(dst, v128.shuffle<i32>(c, d, 0, 2, 4, 6), 16)
    packSigns(v128.shuffle<i32>(a, b, 1, 3, 5, 7), dst + 32)
    packSigns(v128.shuffle<i32>(c, d, 1, 3, 5, 7), dst + 48)
  }
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token. */
export function matmul_iq2_xxs_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  gridX1<Iq2Xxs>(weights, groups, blocks, x, out)
}

/** The same for four tokens. Every output is the bits that `matmul_iq2_xxs_x1` gives. */
export function matmul_iq2_xxs_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  gridX4<Iq2Xxs>(weights, groups, blocks, x0, x1, x2, x3, out0, out1, out2, out3)
}

/** Packs `rows` consecutive rows of a file (66 bytes per 256 weights). Returns how many scales are not finite. */
export function repack_iq2_xxs(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  return repackGrid<Iq2Xxs>(src, rows, blocks, dst)
}
