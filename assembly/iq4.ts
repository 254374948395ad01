// What IQ4_NL and IQ4_XS share: the sixteen values of a nibble n, and how their groups are summed, two side by side (pairs.ts).
//
// relaxed-simd: neither bound of the values fits the unsigned 7 bits that the lanes take, so a value is split, and nibbles and rests are multiplied apart:
//     value(n) = 16 (n - 8) + rest(n) - 16
//     n         0    1    2    3    4    5    6    7   8   9  10  11  12  13  14   15
//     value  -127 -104  -83  -65  -49  -35  -22  -10   1  13  25  38  53  69  89  113
//     rest     17   24   29   31   31   29   26   22  17  13   9   6   5   5   9   17
// The 8 and the 16 are taken off where their sums start. With that, 32 columns fit 16 bits: at most 8 * 2 * 15 * 127 = 30480 in an i16 lane. On the way a
// lane may wrap around, and it wraps back.
//
// simd: lanes are 32 bits wide, and what is looked up is the whole value, plus 128; nothing is left for the nibbles.
import { addDot, addDot16, held, plus } from './lanes'
import { addNibbles, high, low } from './block32'

const PLUS_128: i32 = 0x80808080 // as an exclusive or, to bytes

/** What is looked up, held. */
// @ts-ignore: decorator
@inline export function restTable(positive: i32): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return v128.or(i8x16(17, 24, 29, 31, 31, 29, 26, 22, 17, 13, 9, 6, 5, 5, 9, 17), held(0, positive))
  return v128.xor(i8x16(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113), held(PLUS_128, positive))
}

/**
 * The same 128 bits. V8 makes no 256-bit look-up, nor anything that needs one; but where a lane is replaced it puts two vectors together, and goes on
 * with 256 bits.
 */
// @ts-ignore: decorator
@inline function joined(v: v128): v128 {
  return f64x2.replace_lane(v, 0, f64x2.extract_lane(v, 0))
}

/** The rests of 16 nibbles. The relaxed look-up is one instruction fewer, and the same everywhere for places below 16. */
// @ts-ignore: decorator
@inline function lookUp(table: v128, nibbles: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? i8x16.relaxed_swizzle(table, nibbles) : i8x16.swizzle(table, nibbles)
}

/** The same, to go on with 256 bits. */
// @ts-ignore: decorator
@inline export function rest(table: v128, nibbles: v128): v128 {
  return joined(lookUp(table, nibbles))
}

/** What the rests' sum starts from, by what that of the nibbles does: twice as much, or all of it. */
// @ts-ignore: decorator
@inline export function restStart(start: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? plus(start, start) : i32x4.shl(start, 4)
}

/** Adds a vector's nibbles. */
// @ts-ignore: decorator
@inline export function addTens(sum: v128, w: v128, x: usize, nibble: v128, even: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? addNibbles(sum, w, x, nibble, even) : sum
}

/** Adds a vector's rests. relaxed-simd sums them in 128 bits: fewer instructions than to join every look-up. `restSum` joins the sums. */
// @ts-ignore: decorator
@inline export function addRests(sum: v128, w: v128, x: usize, table: v128, nibble: v128, even: v128): v128 {
  const l = lookUp(table, low(w, nibble))
  const h = lookUp(table, high(w, nibble))
  return addDot16(addDot(sum, ASC_FEATURE_RELAXED_SIMD ? l : joined(l), x, 0, even), ASC_FEATURE_RELAXED_SIMD ? h : joined(h), x, even)
}

/** What addRests has summed, to go on with 256 bits. */
// @ts-ignore: decorator
@inline export function restSum(sum: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? joined(sum) : sum
}
