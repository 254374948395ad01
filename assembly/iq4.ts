// What IQ4_NL and IQ4_XS share: the sixteen values of a nibble n. Neither bound of them fits the unsigned 7 bits that the lanes take, so a value is split:
//     value(n) = 16 n + rest(n) - 139
//     n         0    1    2    3    4    5    6    7   8   9  10  11  12  13  14   15
//     value  -127 -104  -83  -65  -49  -35  -22  -10   1  13  25  38  53  69  89  113
//     rest     12   19   24   26   26   24   21   17  12   8   4   1   0   0   4   12
// Nibbles and rests are multiplied on their own, with one look-up, and 139 is taken off through the sums of x: exact integers all of it.
import { held } from './lanes'

/** value(n) - 16 n - rest(n). */
export const BASE: i32 = -139

/** The rests, held. */
// @ts-ignore: decorator
@inline export function restTable(positive: i32): v128 {
  return v128.or(i8x16(12, 19, 24, 26, 26, 24, 21, 17, 12, 8, 4, 1, 0, 0, 4, 12), held(0, positive))
}

/** The rests of 16 nibbles. The relaxed look-up is one instruction fewer, and the same everywhere for places below 16. */
// @ts-ignore: decorator
@inline export function rest(table: v128, nibbles: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? i8x16.relaxed_swizzle(table, nibbles) : i8x16.swizzle(table, nibbles)
}
