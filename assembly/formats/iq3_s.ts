// IQ3_S: 256 weights of a row in groups of four out of a grid, weight = d * (2 scale + 1) * sign * magnitude. The
// oracle is src/format/quants/iq3_s.ts. A row in a unit (gridRows.ts), 108 bytes as in the file, in another order:
//     0   64 indices, one for each 4 columns: their low 8 bits
//    64   2 times 16 bytes of signs (`signMask`)
//    96   64 ninth bits of the indices
//   104   8 nibbles of scale, one for each 32 columns
import { fourGroups, GRID_IQ3_S, signsByColumn } from '../lanes/grids'
import { copy, GridFormat, gridX1, repackGrid } from './gridRows'
import { gridX4 } from './gridX4'

/** Byte offset in the grid of the group whose low bits are at `at`, and whose ninth bit is bit n of `ninths`. */
// @ts-ignore: decorator
@inline function place(at: usize, ninths: usize, n: usize): usize {
  return (<usize>load<u8>(at) << 2) | ((ninths << (10 - n)) & 0x400)
}

@final @unmanaged class Iq3S extends GridFormat {
  // @ts-ignore: decorator
  @inline bytes(): usize {
    return 108
  }

  // @ts-ignore: decorator
  @inline factor(): f32 {
    return 1
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
    return v128.load(p + h * 16, 64)
  }

  // @ts-ignore: decorator
  @inline scales(p: usize, h: usize): v128 {
    const nibbles = v128.and(i32x4.splat(load<u16>(p + h * 2, 104)), i32x4(0xf, 0xf0, 0xf00, 0xf000))
    const odd = v128.or(i32x4.shr_u(i32x4.mul(nibbles, i32x4(1 << 13, 1 << 9, 1 << 5, 1 << 1)), 12), i32x4.splat(1))
    return v128.or(odd, i32x4.shl(odd, 16))
  }

  // @ts-ignore: decorator
  @inline magnitudes(p: usize, h: usize, j: usize, second: bool, signs: v128): v128 {
    const at = p + h * 32 + j * 8 + (second ? 4 : 0)
    const ninths = <usize>load<u8>(p + h * 4 + j, 96)
    const n: usize = second ? 4 : 0
    return fourGroups(GRID_IQ3_S, place(at, ninths, n), place(at + 1, ninths, n + 1), place(at + 2, ninths, n + 2), place(at + 3, ninths, n + 3))
  }

  // @ts-ignore: decorator
  @inline excess(p: usize, h: usize, scales: v128): v128 {
    return scales
  }

  // @ts-ignore: decorator
  @inline pack(src: usize, dst: usize): void {
    copy(src, dst, 64)
    v128.store(dst, signsByColumn(v128.load(src, 72)), 64)
    v128.store(dst, signsByColumn(v128.load(src, 88)), 80)
    store<u64>(dst, load<u64>(src, 64), 96)
    store<u32>(dst, load<u32>(src, 104), 104)
  }
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token. */
export function matmul_iq3_s_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  gridX1<Iq3S>(weights, groups, blocks, x, out)
}

/** The same for four tokens. Every output is the bits that `matmul_iq3_s_x1` gives. */
export function matmul_iq3_s_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  gridX4<Iq3S>(weights, groups, blocks, x0, x1, x2, x3, out0, out1, out2, out3)
}

/** Packs `rows` consecutive rows of a file (110 bytes per 256 weights). Returns how many scales are not finite. */
export function repack_iq3_s(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  return repackGrid<Iq3S>(src, rows, blocks, dst)
}
