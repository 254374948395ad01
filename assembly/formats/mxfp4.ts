// MXFP4: blocks of 32, weight = 2^(e - 128) * value(q), values from a table. The oracle is src/format/quants/mxfp4.ts.
//
// Two groups of 4 rows stand side by side (pairs.ts), without a header. Per block 136 bytes, as in the file:
//     0   e  8 rows x u8
//     8   q  2 x 64 bytes, laid out as block32.ts says
// The table holds value + 12. The 12 is subtracted where the sum of a block starts, at -12 times the sum of x; with it,
// a lane of 16 bits may wrap around on the way, and it wraps back: a block sums to at most 8 * 2 * 12 * 127 = 24384.
import { held, inOrder } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { addDot, addDot16, evenMask, quadBytes, rowSumsBy, startAt } from '../lanes/quads'
import { rowAt } from '../lanes/rows'
import { addScaled } from '../lanes/scales'
import { activationScales, activationSums } from '../ops/quantize_q8_1'
import { high, low, packNibbles } from './block32'
import { joined, lookUp, lookUpJoined } from './iq4'

const BLOCK: usize = 136
const OFFSET: i32 = 0xfff4fff4 // -12 in either half

/** Bytes of two groups, a multiple of 16. */
// @ts-ignore: decorator
@inline function pairBytesOf(blocks: i32): usize {
  return (<usize>blocks * BLOCK + 15) & ~15
}

/** The values plus 12, held. */
// @ts-ignore: decorator
@inline function valueTable(positive: i32): v128 {
  return v128.or(i8x16(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0), held(0, positive))
}

/**
 * 2^(e - 128) for the first or the second four of eight e. one: 0x00200000, the bits of the first, 2^-128, which is
 * subnormal; held.
 */
// @ts-ignore: decorator
@inline function powersOf(eight: v128, second: bool, one: v128): v128 {
  const e = second ? i32x4.extend_high_i16x8_u(eight) : i32x4.extend_low_i16x8_u(eight)
  const normal = i32x4.sub(i32x4.shl(e, 23), i32x4.shl(one, 2))
  return i32x4.max_s(normal, i32x4.add(i32x4.shl(e, 21), one))
}

/** Adds the values of a vector of nibbles. */
// @ts-ignore: decorator
@inline function addValues(sum: v128, w: v128, x: usize, table: v128, nibble: v128, even: v128): v128 {
  return addDot16(addDot(sum, lookUp(table, low(w, nibble)), x, 0, even), lookUp(table, high(w, nibble)), x, even)
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 32) x one token, in two strips (strips.ts). */
export function matmul_mxfp4_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const offset = held(OFFSET, blocks)
  const table = valueTable(blocks)
  const one = held(0x00200000, blocks)
  const ones = held(0x00010001, blocks)
  const quad = quadBytes()
  const scales = activationScales(x, blocks)
  const sums = activationSums(x, blocks)
  const pairBytes = pairBytesOf(blocks)
  const pairs = (<usize>groups + 1) >> 1
  const strip = (pairs + 1) >> 1
  const far = pairs - strip
  for (let g: usize = 0; g < strip; g++) {
    let u = weights + g * pairBytes
    let v = u + far * pairBytes
    let a0 = f32x4.splat(0)
    let a1 = a0
    let b0 = a0
    let b1 = a0
    let y = x
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const start = startAt(sums + b * 4, offset)
      let s0 = start
      let s1 = start
      let t0 = start
      let t1 = start
      for (let k: usize = 0; k < 128; k += 32) {
        s0 = addValues(s0, v128.load(u + k, 8), y, table, nibble, even)
        s1 = addValues(s1, v128.load(u + k, 24), y, table, nibble, even)
        t0 = addValues(t0, v128.load(v + k, 8), y, table, nibble, even)
        t1 = addValues(t1, v128.load(v + k, 24), y, table, nibble, even)
        y += quad
      }
      y += 4 * quad
      inOrder(blocks)
      const dx = v128.load32_splat(scales + b * 4)
      const d = v128.load8x8_u(u)
      const h = v128.load8x8_u(v)
      a0 = addScaled(a0, powersOf(d, false, one), dx, rowSumsBy(joined(s0), ones))
      a1 = addScaled(a1, powersOf(d, true, one), dx, rowSumsBy(joined(s1), ones))
      b0 = addScaled(b0, powersOf(h, false, one), dx, rowSumsBy(joined(t0), ones))
      b1 = addScaled(b1, powersOf(h, true, one), dx, rowSumsBy(joined(t1), ones))
      u += BLOCK
      v += BLOCK
    }
    storePair(out + g * 32, a0, a1, g * 2 + 1 < <usize>groups)
    storePair(out + (g + far) * 32, b0, b1, (g + far) * 2 + 1 < <usize>groups)
  }
}

/** The same for four tokens. Every output is the bits that `matmul_mxfp4_x1` gives. */
export function matmul_mxfp4_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const offset = held(OFFSET, blocks)
  const table = valueTable(blocks)
  const one = held(0x00200000, blocks)
  const ones = held(0x00010001, blocks)
  const quad = quadBytes()
  const toScales = activationScales(0, blocks)
  const toSums = activationSums(0, blocks)
  const pairBytes = pairBytesOf(blocks)
  for (let g: usize = 0; g < <usize>groups; g += 2) {
    let w = weights + (g >> 1) * pairBytes
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    let b0 = a0
    let b1 = a0
    let b2 = a0
    let b3 = a0
    let y: usize = 0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let at = w + 8
      const start = toSums + b * 4
      let s0 = startAt(x0 + start, offset)
      let s1 = startAt(x1 + start, offset)
      let s2 = startAt(x2 + start, offset)
      let s3 = startAt(x3 + start, offset)
      let t0 = s0
      let t1 = s1
      let t2 = s2
      let t3 = s3
      for (const stop = at + 128; at < stop; at += 32) {
        const u = v128.load(at)
        const v = v128.load(at, 16)
        const ul = lookUpJoined(table, low(u, nibble))
        const vl = lookUpJoined(table, low(v, nibble))
        const uh = lookUpJoined(table, high(u, nibble))
        const vh = lookUpJoined(table, high(v, nibble))
        s0 = addDot16(addDot(s0, ul, x0 + y, 0, even), uh, x0 + y, even)
        t0 = addDot16(addDot(t0, vl, x0 + y, 0, even), vh, x0 + y, even)
        s1 = addDot16(addDot(s1, ul, x1 + y, 0, even), uh, x1 + y, even)
        t1 = addDot16(addDot(t1, vl, x1 + y, 0, even), vh, x1 + y, even)
        s2 = addDot16(addDot(s2, ul, x2 + y, 0, even), uh, x2 + y, even)
        t2 = addDot16(addDot(t2, vl, x2 + y, 0, even), vh, x2 + y, even)
        s3 = addDot16(addDot(s3, ul, x3 + y, 0, even), uh, x3 + y, even)
        t3 = addDot16(addDot(t3, vl, x3 + y, 0, even), vh, x3 + y, even)
        y += quad
      }
      y += 4 * quad
      inOrder(blocks)
      const scale = toScales + b * 4
      const exponents = v128.load8x8_u(w)
      const d = powersOf(exponents, false, one)
      const h = powersOf(exponents, true, one)
      a0 = addScaled(a0, d, v128.load32_splat(x0 + scale), rowSumsBy(s0, ones))
      b0 = addScaled(b0, h, v128.load32_splat(x0 + scale), rowSumsBy(t0, ones))
      a1 = addScaled(a1, d, v128.load32_splat(x1 + scale), rowSumsBy(s1, ones))
      b1 = addScaled(b1, h, v128.load32_splat(x1 + scale), rowSumsBy(t1, ones))
      a2 = addScaled(a2, d, v128.load32_splat(x2 + scale), rowSumsBy(s2, ones))
      b2 = addScaled(b2, h, v128.load32_splat(x2 + scale), rowSumsBy(t2, ones))
      a3 = addScaled(a3, d, v128.load32_splat(x3 + scale), rowSumsBy(s3, ones))
      b3 = addScaled(b3, h, v128.load32_splat(x3 + scale), rowSumsBy(t3, ones))
      w += BLOCK
    }
    const both = g + 1 < <usize>groups
    storePair(out0 + g * 16, a0, b0, both)
    storePair(out1 + g * 16, a1, b1, both)
    storePair(out2 + g * 16, a2, b2, both)
    storePair(out3 + g * 16, a3, b3, both)
  }
}

/**
 * Packs `rows` consecutive rows of a file (17 bytes per 32 weights); missing rows become zeros. Returns how many scales
 * are above 2^124, with which a weight may not be finite.
 */
export function repack_mxfp4(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 17
  let bad = 0
  for (; rows > 0; rows -= 8) {
    packNibbles(src + 1, rowBytes, 0, rows, blocks, 17, dst + 8, BLOCK)
    packNibbles(src + 1, rowBytes, 4, rows, blocks, 17, dst + 24, BLOCK)
    for (let b: usize = 0; b < <usize>blocks; b++) {
      for (let r = 0; r < 8; r++) {
        const e = r < rows ? load<u8>(rowAt(src + b * 17, rowBytes, r, rows)) : 0
        bad += i32(e > 252)
        store<u8>(dst + b * BLOCK + r, e)
      }
    }
    if (blocks & 1) store<u64>(dst + <usize>blocks * BLOCK, 0)
    src += rowBytes * 8
    dst += pairBytesOf(blocks)
  }
  return bad
}
