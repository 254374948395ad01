// TQ1_0: ternary weights, in the layout and with the products of ternary.ts. The oracle is src/format/quants/tq1_0.ts.
import { ternaryX1, ternaryX4 } from './ternary'
import { repackDigits } from './ternary_repack'

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token. */
export function matmul_tq1_0_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  ternaryX1(weights, groups, blocks, x, out)
}

/** The same for four tokens. Every output is the bits that `matmul_tq1_0_x1` gives. */
export function matmul_tq1_0_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  ternaryX4(weights, groups, blocks, x0, x1, x2, x3, out0, out1, out2, out3)
}

/** Packs `rows` consecutive rows of a file. Returns how many scales are not finite. */
export function repack_tq1_0(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  return repackDigits(src, rows, blocks, dst)
}
