// Reading rows for packing: whole vectors of four or eight rows, transposed so that a vector holds a little of each. A
// row that is missing at the end of a matrix is read as the last one, then masked, so that groups need no conditions.

/** Row r of the `rows` rows from src on. */
// @ts-ignore: decorator
@inline export function rowAt(src: usize, rowBytes: usize, r: i32, rows: i32): usize {
  return src + <usize>min(r, rows - 1) * rowBytes
}

/** The mask that keeps the first `rows` lanes of 32 bits, a lane a row. */
// @ts-ignore: decorator
@inline export function fourRows(rows: i32): v128 {
  return i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(rows))
}

/** The same for lanes of 16 bits. */
// @ts-ignore: decorator
@inline export function eightRows(rows: i32): v128 {
  return i16x8.lt_s(i16x8(0, 1, 2, 3, 4, 5, 6, 7), i16x8.splat(<i16>min(rows, 8)))
}

/** Quad k (bytes 4k to 4k + 3) of each of four rows of 16 bytes. */
// @ts-ignore: decorator
@inline export function quadOf(k: i32, r0: v128, r1: v128, r2: v128, r3: v128): v128 {
  const a = k < 2 ? v128.shuffle<i32>(r0, r1, 0, 4, 1, 5) : v128.shuffle<i32>(r0, r1, 2, 6, 3, 7)
  const b = k < 2 ? v128.shuffle<i32>(r2, r3, 0, 4, 1, 5) : v128.shuffle<i32>(r2, r3, 2, 6, 3, 7)
  return k & 1 ? v128.shuffle<i64>(a, b, 1, 3) : v128.shuffle<i64>(a, b, 0, 2)
}

/** A quad of each of four rows, row after row, to column after column. */
// @ts-ignore: decorator
@inline export function across(quad: v128): v128 {
  return v128.shuffle<i8>(quad, quad, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)
}

/** Two groups' 4 rows x 4 bytes to 4 x 8 rows at dst. */
// @ts-ignore: decorator
@inline export function storeScales(dst: usize, g: v128, h: v128): void {
  v128.store(dst, v128.shuffle<i8>(g, h, 0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29))
  v128.store(dst, v128.shuffle<i8>(g, h, 2, 6, 10, 14, 18, 22, 26, 30, 3, 7, 11, 15, 19, 23, 27, 31), 16)
}

/** Pair k (bytes 2k and 2k + 1) of each of eight rows of 16 bytes. */
// @ts-ignore: decorator
@inline export function pairOf(k: i32, r0: v128, r1: v128, r2: v128, r3: v128, r4: v128, r5: v128, r6: v128, r7: v128): v128 {
  const a = fourPairs(k < 4, r0, r1)
  const b = fourPairs(k < 4, r2, r3)
  const c = fourPairs(k < 4, r4, r5)
  const d = fourPairs(k < 4, r6, r7)
  const e = k & 2 ? v128.shuffle<i32>(a, b, 2, 6, 3, 7) : v128.shuffle<i32>(a, b, 0, 4, 1, 5)
  const f = k & 2 ? v128.shuffle<i32>(c, d, 2, 6, 3, 7) : v128.shuffle<i32>(c, d, 0, 4, 1, 5)
  return k & 1 ? v128.shuffle<i64>(e, f, 1, 3) : v128.shuffle<i64>(e, f, 0, 2)
}

// The first or last four pairs of two rows, alternating.
// @ts-ignore: decorator
@inline function fourPairs(first: bool, r: v128, s: v128): v128 {
  return first ? v128.shuffle<i16>(r, s, 0, 8, 1, 9, 2, 10, 3, 11) : v128.shuffle<i16>(r, s, 4, 12, 5, 13, 6, 14, 7, 15)
}
