// F16 weights, widened exactly, against float32 activations; the oracle is src/format/quants/f16.ts. Layout and
// products are those of halfRows.ts.
import { timesFourTall, timesTwo } from './halfPairs'
import { timesFour, timesOne } from './halfRows'
import { packHalves } from './halves_repack'

/** out (groups * 4 rows) = weights (groups * 4 rows, columns) x one token (columns). */
export function matmul_f16_x1(weights: usize, groups: i32, columns: i32, x: usize, out: usize): void {
  timesOne<i16>(weights, groups, columns, x, out)
}

/** The same for two tokens. Every output is the bits that `matmul_f16_x1` gives. */
export function matmul_f16_x2(weights: usize, groups: i32, columns: i32, x0: usize, x1: usize, out0: usize, out1: usize): void {
  timesTwo<i16>(weights, groups, columns, x0, x1, out0, out1)
}

/** The same for four tokens. Every output is the bits that `matmul_f16_x1` gives. */
export function matmul_f16_x4(weights: usize, groups: i32, columns: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  timesFour<i16>(weights, groups, columns, x0, x1, x2, x3, out0, out1, out2, out3)
}

/** What `matmul_f16_x4` does, with the same bits. */
export function matmul_f16_x4_tall(weights: usize, groups: i32, columns: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  timesFourTall<i16>(weights, groups, columns, x0, x1, x2, x3, out0, out1, out2, out3)
}

/** Packs `rows` consecutive rows of f16 into pairs of groups of four. Returns how many weights are not finite. */
export function repack_f16(src: usize, rows: i32, columns: i32, dst: usize): i32 {
  const rowBytes = <usize>columns * 2
  let bad = 0
  for (; rows > 0; rows -= 8) {
    bad += packHalves(src, rowBytes, rows, columns, 2, 1, dst, 16)
    src += 8 * rowBytes
    dst += 8 * rowBytes + 32
  }
  return bad
}
