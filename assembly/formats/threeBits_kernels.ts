// The kernels of the expanded layouts of IQ2 and IQ1_M, out of threeBits.ts. The formats of IQ2 differ in their blocks
// alone, which are gone once they are packed.
import { threeBitsX1 } from './threeBits'
import { threeBitsX4 } from './threeBitsX4'

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token. */
export function matmul_iq2_expanded_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  threeBitsX1(weights, groups, blocks, x, out, true)
}

/** The same for four tokens. Every output is the bits that the kernel for one gives. */
export function matmul_iq2_expanded_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  threeBitsX4(weights, groups, blocks, x0, x1, x2, x3, out0, out1, out2, out3, true)
}

/** `matmul_iq2_expanded_x1` for IQ1_M. */
export function matmul_iq1_m_expanded_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  threeBitsX1(weights, groups, blocks, x, out, false)
}

/** `matmul_iq2_expanded_x4` for IQ1_M. */
export function matmul_iq1_m_expanded_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  threeBitsX4(weights, groups, blocks, x0, x1, x2, x3, out0, out1, out2, out3, false)
}
