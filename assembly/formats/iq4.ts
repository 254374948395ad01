// The sixteen values of a nibble n in IQ4_NL and IQ4_XS, and how products with them are summed, two groups side by side
// (pairs.ts). Each format has its products twice.
//
// whole, where the product takes unsigned bytes of 8 bits (`wholeBytes`): the table holds value + 128, and the 128 are
// subtracted where a sum starts. Lanes are 32 bits wide.
//
// split, anywhere else: the values do not fit the unsigned 7 bits of a lane, so a value is split, and nibbles and rests
// are multiplied apart:
//     value(n) = 16 (n - 8) + rest(n) - 16
//     n         0    1    2    3    4    5    6    7   8   9  10  11  12  13  14   15
//     value  -127 -104  -83  -65  -49  -35  -22  -10   1  13  25  38  53  69  89  113
//     rest     17   24   29   31   31   29   26   22  17  13   9   6   5   5   9   17
// The 8 and the 16 are subtracted where their sums start. With that, 32 columns fit 16 bits: at most 8 * 2 * 15 * 127 =
// 30480 in an i16 lane. On the way a lane may wrap around, and it wraps back.
import { held } from '../lanes/held'
import { addDot, addDot16, addWhole } from '../lanes/quads'
import { high, low } from './block32'

const PLUS_128: i32 = 0x80808080 // as an exclusive or, to bytes

/** The values plus 128, held. */
// @ts-ignore: decorator
@inline export function valueTable(positive: i32): v128 {
  return v128.xor(i8x16(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113), held(PLUS_128, positive))
}

/** The rests, held. */
// @ts-ignore: decorator
@inline export function restTable(positive: i32): v128 {
  return v128.or(i8x16(17, 24, 29, 31, 31, 29, 26, 22, 17, 13, 9, 6, 5, 5, 9, 17), held(0, positive))
}

/**
 * The same 128 bits. V8 makes no 256-bit look-up, nor 256-bit operations from its result. But where a lane is replaced,
 * it puts two vectors together, and goes on with 256 bits.
 */
// @ts-ignore: decorator
@inline export function joined(v: v128): v128 {
  return f64x2.replace_lane(v, 0, f64x2.extract_lane(v, 0))
}

/**
 * Looks 16 nibbles up. The relaxed look-up is one instruction fewer, and the same in all engines for places below 16.
 */
// @ts-ignore: decorator
@inline export function lookUp(table: v128, nibbles: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? i8x16.relaxed_swizzle(table, nibbles) : i8x16.swizzle(table, nibbles)
}

/** `lookUp`, then `joined`. */
// @ts-ignore: decorator
@inline export function lookUpJoined(table: v128, nibbles: v128): v128 {
  return joined(lookUp(table, nibbles))
}

/**
 * Adds a vector's whole values. relaxed-simd sums them in 128 bits, as many instructions as to join every look-up;
 * `valueSum` joins the sums.
 */
// @ts-ignore: decorator
@inline export function addValues(sum: v128, w: v128, x: usize, table: v128, nibble: v128, even: v128): v128 {
  const l = lookUp(table, low(w, nibble))
  const h = lookUp(table, high(w, nibble))
  return addWhole(addWhole(sum, ASC_FEATURE_RELAXED_SIMD ? l : joined(l), x, 0, even), ASC_FEATURE_RELAXED_SIMD ? h : joined(h), x, 4, even)
}

/** The result of `addValues`, joined. */
// @ts-ignore: decorator
@inline export function valueSum(sum: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? joined(sum) : sum
}

/** Adds a vector's rests, in 128 bits: fewer instructions than to join every look-up. `joined` joins the sums. */
// @ts-ignore: decorator
@inline export function addRests(sum: v128, w: v128, x: usize, table: v128, nibble: v128, even: v128): v128 {
  return addDot16(addDot(sum, lookUp(table, low(w, nibble)), x, 0, even), lookUp(table, high(w, nibble)), x, even)
}
