// BF16 weights, widened exactly, against float32 activations; the oracle is src/format/quants/bf16.ts. Layout and
// products are those of halfRows.ts.
import { held } from '../lanes/held'
import { timesFourTall, timesTwo } from './halfPairs'
import { timesFour, timesOne } from './halfRows'
import { gatherHalves } from './halves_repack'

/** out (groups * 4 rows) = weights (groups * 4 rows, columns) x one token (columns). */
export function matmul_bf16_x1(weights: usize, groups: i32, columns: i32, x: usize, out: usize): void {
  timesOne<u16>(weights, groups, columns, x, out)
}

/** The same for two tokens. Every output is the bits that `matmul_bf16_x1` gives. */
export function matmul_bf16_x2(weights: usize, groups: i32, columns: i32, x0: usize, x1: usize, out0: usize, out1: usize): void {
  timesTwo<u16>(weights, groups, columns, x0, x1, out0, out1)
}

/** The same for four tokens. Every output is the bits that `matmul_bf16_x1` gives. */
export function matmul_bf16_x4(weights: usize, groups: i32, columns: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  timesFour<u16>(weights, groups, columns, x0, x1, x2, x3, out0, out1, out2, out3)
}

/** What `matmul_bf16_x4` does, with the same bits. */
export function matmul_bf16_x4_tall(weights: usize, groups: i32, columns: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  timesFourTall<u16>(weights, groups, columns, x0, x1, x2, x3, out0, out1, out2, out3)
}

/** Packs `rows` consecutive rows of bf16 into pairs of groups of four. Returns how many weights are not finite. */
export function repack_bf16(src: usize, rows: i32, columns: i32, dst: usize): i32 {
  const rowBytes = <usize>columns * 2
  const exponent = held(0x7f807f80, columns)
  let bad = i32x4.splat(0)
  for (; rows > 0; rows -= 8) {
    gatherHalves(src, rowBytes, rows, columns, 2, 1, dst, 16)
    for (const end = dst + 8 * rowBytes; dst < end; dst += 16) {
      bad = i32x4.sub(bad, i32x4.extadd_pairwise_i16x8_s(i16x8.eq(v128.and(v128.load(dst), exponent), exponent)))
    }
    src += 8 * rowBytes
  }
  return i32x4.extract_lane(bad, 0) + i32x4.extract_lane(bad, 1) + i32x4.extract_lane(bad, 2) + i32x4.extract_lane(bad, 3)
}
