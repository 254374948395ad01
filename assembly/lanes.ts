// The lane tricks that the matrix kernels share, and the only place where the two builds differ in their inner products.
//
// Weights stand four rows side by side: a v128 is 4 rows x 4 columns of bytes, and one i32 lane is one row, so that no horizontal sum is ever needed:
//     byte   0 1 2 3 | 4 5 6 7 | 8 9 10 11 | 12 13 14 15
//     row      0     |    1    |     2     |      3          columns 4q .. 4q+3 of each
// Activations come as quads of four columns. relaxed-simd: a quad is 4 x i8, splat to all rows. simd: a quad is 4 x i16 in the order 0 2 1 3, so that the even
// and the odd bytes of the weights, widened in place, each meet a splat pair. Both are exact integer sums: the two builds agree in every bit.

/** Bytes of one activation quad (4 columns) of a K-quant's activations. */
// @ts-ignore: decorator
@inline export function quadBytes(): usize {
  return ASC_FEATURE_RELAXED_SIMD ? 4 : 8
}

/** A splat constant that V8 keeps in a register. It re-creates literal constants (3 instructions) at every use; `positive >> 31` is 0, but the engine cannot know. */
// @ts-ignore: decorator
@inline export function held(bits: i32, positive: i32): v128 {
  return i32x4.splat(bits | (positive >> 31))
}

/**
 * Keeps what stands before it before what stands after it. Left alone, the optimiser computes each value where it is needed, strip after strip, and a core finds
 * too little to do at the same time. The engine drops the branch, which is never taken.
 *
 * Not after sums that are made outside a loop, where groups stand side by side: some of them still move over the branch, and V8 makes one operation of two only within
 * a basic block.
 */
// @ts-ignore: decorator
@inline export function inOrder(positive: i32): void {
  if (positive < 0) unreachable()
}

/** What the simd build needs to take the even bytes, held; `relaxed-simd` has no use for it. */
// @ts-ignore: decorator
@inline export function evenMask(positive: i32): v128 {
  return held(0x00ff00ff, positive)
}

/** Adds 4 rows x 4 columns of unsigned 7-bit `bytes` times quad `quad` at x. relaxed-simd: 8 x i16, two lanes a row. simd: 4 x i32, a lane a row. */
// @ts-ignore: decorator
@inline export function addDot(sum: v128, bytes: v128, x: usize, quad: usize, even: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.add(sum, i16x8.relaxed_dot_i8x16_i7x16_s(v128.load32_splat(x + quad * 4), bytes))
  sum = i32x4.add(sum, i32x4.dot_i16x8_s(v128.and(bytes, even), v128.load32_splat(x + quad * 8)))
  return i32x4.add(sum, i32x4.dot_i16x8_s(i16x8.shr_u(bytes, 8), v128.load32_splat(x + quad * 8 + 4)))
}

/**
 * Whether the relaxed 8-bit dot product takes its second operand as unsigned bytes and sums four products in 32 bits without saturation, as AVX-VNNI does it in one instruction. Only there may
 * the bytes of `addWhole` have 8 bits. positive: so that it is asked when it runs, and not by the optimiser.
 */
// @ts-ignore: decorator
@inline export function wholeBytes(positive: i32): bool {
  if (!ASC_FEATURE_RELAXED_SIMD) return true
  return i32x4.extract_lane(i32x4.relaxed_dot_i8x16_i7x16_add_s(held(0x81818181, positive), held(-1, positive), i32x4.splat(0)), 0) == 4 * -127 * 255
}

/** Adds 4 rows x 4 columns of unsigned 8-bit `bytes` times quad `quad` at x, to 4 x i32, a lane a row. Where `wholeBytes`. */
// @ts-ignore: decorator
@inline export function addWhole(sum: v128, bytes: v128, x: usize, quad: usize, even: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? i32x4.relaxed_dot_i8x16_i7x16_add_s(v128.load32_splat(x + quad * 4), bytes, sum) : addDot(sum, bytes, x, quad, even)
}

/** addDot to nothing. */
// @ts-ignore: decorator
@inline export function dot(bytes: v128, x: usize, quad: usize, even: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.relaxed_dot_i8x16_i7x16_s(v128.load32_splat(x + quad * 4), bytes)
  const low = i32x4.dot_i16x8_s(v128.and(bytes, even), v128.load32_splat(x + quad * 8))
  return i32x4.add(low, i32x4.dot_i16x8_s(i16x8.shr_u(bytes, 8), v128.load32_splat(x + quad * 8 + 4)))
}

/** addDot of the quad 16 columns after the one at x. */
// @ts-ignore: decorator
@inline export function addDot16(sum: v128, bytes: v128, x: usize, even: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.add(sum, i16x8.relaxed_dot_i8x16_i7x16_s(v128.load32_splat(x, 16), bytes))
  sum = i32x4.add(sum, i32x4.dot_i16x8_s(v128.and(bytes, even), v128.load32_splat(x, 32)))
  return i32x4.add(sum, i32x4.dot_i16x8_s(i16x8.shr_u(bytes, 8), v128.load32_splat(x, 36)))
}

/** isum + s * scale for the even (low) sub-block of `scales`: 8 x i16, rows 0..3 of an even sub-block, then rows 0..3 of the odd one. */
// @ts-ignore: decorator
@inline export function addScaled1Low(isum: v128, s: v128, scales: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.add(isum, i32x4.dot_i16x8_s(s, v128.shuffle<i16>(scales, scales, 0, 0, 1, 1, 2, 2, 3, 3)))
  return i32x4.add(isum, i32x4.mul(s, i32x4.extend_low_i16x8_s(scales)))
}

/** The same for the odd (high) sub-block. */
// @ts-ignore: decorator
@inline export function addScaled1High(isum: v128, s: v128, scales: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.add(isum, i32x4.dot_i16x8_s(s, v128.shuffle<i16>(scales, scales, 4, 4, 5, 5, 6, 6, 7, 7)))
  return i32x4.add(isum, i32x4.mul(s, i32x4.extend_high_i16x8_s(scales)))
}

/** Of 8 rows' scales of a sub-block, i16, those of the first or the second group as `scaled` wants them. */
// @ts-ignore: decorator
@inline export function spread(scales: v128, second: bool): v128 {
  if (!ASC_FEATURE_RELAXED_SIMD) return second ? i32x4.extend_high_i16x8_s(scales) : i32x4.extend_low_i16x8_s(scales)
  const wide = second ? i32x4.extend_high_i16x8_u(scales) : i32x4.extend_low_i16x8_u(scales)
  return v128.or(wide, i32x4.shl(wide, 16))
}

/** A sub-block's sum times its scale (`spread`), a lane a row. */
// @ts-ignore: decorator
@inline export function scaled(sum: v128, scale: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? i32x4.dot_i16x8_s(sum, scale) : i32x4.mul(sum, scale)
}

/** What a sum of products starts from so that each weight counts `offset` (held, in both halves of each lane) more: offset times the sums of x at `sums` (q8_1.ts). */
// @ts-ignore: decorator
@inline export function startAt(sums: usize, offset: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.mul(v128.load32_splat(sums), offset)
  return i32x4.dot_i16x8_s(v128.load32_splat(sums), offset)
}

/** What a sum of products starts from where the activations hold it ready: the pair at `sums` (q8_k.ts). */
// @ts-ignore: decorator
@inline export function startFrom(sums: usize): v128 {
  const pair = v128.load32_splat(sums)
  return ASC_FEATURE_RELAXED_SIMD ? pair : i32x4.extadd_pairwise_i16x8_s(pair)
}

/** Two of addDot's sums. */
// @ts-ignore: decorator
@inline export function plus(s: v128, t: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? i16x8.add(s, t) : i32x4.add(s, t)
}

/** What addDot has summed, a lane a row, with 1 in either half of each lane held: the engine's own constant takes two instructions. */
// @ts-ignore: decorator
@inline export function rowSumsBy(sum: v128, ones: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? i32x4.dot_i16x8_s(sum, ones) : sum
}
