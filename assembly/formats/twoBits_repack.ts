// Packing of weights of two bits, for Q2_K and the ternary formats. In their files, columns 16s .. 16s + 15 of 256 are
// bits 2k and 2k + 1 of the 16 bytes from (s >> 3) * 32 + (s & 1) * 16, k = (s >> 1) & 3. In a bank, 16 columns of four
// rows are a vector: byte 4r + c, bits 2j and 2j + 1: row r, column 4j + c. Packing turns four rows' 16 bytes into four
// vectors with a quad of each row. In these it exchanges quads (which become the bits) for bits (which become vectors).
import { held } from '../lanes/held'
import { quadOf } from '../lanes/rows'

// The even fields (bits 0, 2, ..) of a and of b, alternating. Masks: of the even fields (`low`) and of the odd ones,
// `width` bits each.
// @ts-ignore: decorator
@inline function evenFields(a: v128, b: v128, low: v128, high: v128, width: i32): v128 {
  return v128.or(v128.and(a, low), v128.and(i16x8.shl(b, width), high))
}

// The same for the odd fields.
// @ts-ignore: decorator
@inline function oddFields(a: v128, b: v128, low: v128, high: v128, width: i32): v128 {
  return v128.or(v128.and(i16x8.shr_u(a, width), low), v128.and(b, high))
}

/** Packs 16 bytes of each of four rows into four vectors, every second of those from `to` on, `stride` bytes apart. */
// @ts-ignore: decorator
@inline export function exchangeTwoBits(r0: v128, r1: v128, r2: v128, r3: v128, mask: v128, to: usize, stride: usize): void {
  const low2 = v128.and(held(0x33333333, <i32>stride), mask)
  const high2 = v128.and(held(<i32>0xcccccccc, <i32>stride), mask)
  const low4 = held(0x0f0f0f0f, <i32>stride)
  const high4 = held(<i32>0xf0f0f0f0, <i32>stride)
  const q0 = quadOf(0, r0, r1, r2, r3)
  const q1 = quadOf(1, r0, r1, r2, r3)
  const q2 = quadOf(2, r0, r1, r2, r3)
  const q3 = quadOf(3, r0, r1, r2, r3)
  const e = evenFields(q0, q1, low2, high2, 2)
  const f = evenFields(q2, q3, low2, high2, 2)
  const g = oddFields(q0, q1, low2, high2, 2)
  const h = oddFields(q2, q3, low2, high2, 2)
  v128.store(to, evenFields(e, f, low4, high4, 4))
  v128.store(to + 2 * stride, evenFields(g, h, low4, high4, 4))
  v128.store(to + 4 * stride, oddFields(e, f, low4, high4, 4))
  v128.store(to + 6 * stride, oddFields(g, h, low4, high4, 4))
}

/** Where the first of the four vectors of a row's bytes c .. c + 15 is among 16 vectors. */
// @ts-ignore: decorator
@inline export function vectorOf(c: usize): usize {
  return ((c & 16) >> 4) + (c >> 5) * 8
}

/**
 * Packs the 64 bytes of each of four rows, from p0 to p3 on, into 16 vectors at dst, `stride` bytes apart. mask: the
 * lanes of rows that there are.
 */
// @ts-ignore: decorator
@inline export function packTwoBits(p0: usize, p1: usize, p2: usize, p3: usize, mask: v128, dst: usize, stride: usize): void {
  for (let c: usize = 0; c < 64; c += 16) {
    exchangeTwoBits(v128.load(p0 + c), v128.load(p1 + c), v128.load(p2 + c), v128.load(p3 + c), mask, dst + vectorOf(c) * stride, stride)
  }
}
