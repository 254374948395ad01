// IQ4_XS: 256 weights of a row in 8 sub-blocks of 32, weight = d * scale * value(q), values from a table (iq4.ts); the oracle is src/quants/iq4_xs.ts.
//
// A group is 4 rows: a 16-byte header (half.ts), then per 256 columns a unit of 560 bytes (544 in the file):
//     0   d     4 rows x f16, raised; 8 bytes unused
//    16   scale 8 sub-blocks x 4 rows x i8
//    48   q     8 sub-blocks x 4 vectors of 16 bytes, as in q4_k.ts
import { addDot, addScaled1High, addScaled1Low, addScaledHigh, addScaledLow, evenMask, held, quadBytes } from './lanes'
import { HALF_MASK, canRaise, expand, isFiniteHalf, raise, storeFactor } from './half'
import { SUMS, activationScales, activationSums } from './q8_k'
import { addPair, high, low, repackNibbles } from './block32'
import { BASE, rest, restTable } from './iq4'
import { bias } from './q6_k'
import { stripOf, stripStart } from './strips'

const UNIT: usize = 560

/**
 * Two vectors, unpacked to four, of nibbles or rests. Lanes of 16 bits hold the nibbles of a sub-block, at most 8 * 2 * 15 * 127 = 30480, and the rests of half
 * of one, at most 4 * 2 * 26 * 127 = 26416. `first` is vector 0 or 2.
 */
// @ts-ignore: decorator
@inline function fourDots(sum: v128, x: usize, first: usize, a: v128, b: v128, c: v128, d: v128, even: v128): v128 {
  return addDot(addDot(addDot(addDot(sum, a, x, first, even), b, x, first + 4, even), c, x, first + 1, even), d, x, first + 5, even)
}

/** isum + scale * (16 * nibbles + rests). `odd`: whether the sub-block is the second of the pair in `scales`. */
// @ts-ignore: decorator
@inline function addSubBlock(isum: v128, q: usize, x: usize, scales: v128, odd: bool, nibble: v128, table: v128, even: v128): v128 {
  const zero = i32x4.splat(0)
  let w = v128.load(q)
  let l = low(w, nibble)
  let h = high(w, nibble)
  let n = addPair(zero, l, h, x, 0, even)
  let r = addPair(zero, rest(table, l), rest(table, h), x, 0, even)
  w = v128.load(q, 16)
  l = low(w, nibble)
  h = high(w, nibble)
  n = addPair(n, l, h, x, 1, even)
  r = addPair(r, rest(table, l), rest(table, h), x, 1, even)
  w = v128.load(q, 32)
  l = low(w, nibble)
  h = high(w, nibble)
  n = addPair(n, l, h, x, 2, even)
  let s = addPair(zero, rest(table, l), rest(table, h), x, 2, even)
  w = v128.load(q, 48)
  l = low(w, nibble)
  h = high(w, nibble)
  n = addPair(n, l, h, x, 3, even)
  s = addPair(s, rest(table, l), rest(table, h), x, 3, even)
  if (odd) return addScaledHigh(addScaled1High(isum, n, i16x8.shl(scales, 4)), r, s, scales)
  return addScaledLow(addScaled1Low(isum, n, i16x8.shl(scales, 4)), r, s, scales)
}

/** Sum over one unit of scale * (sum of x over the sub-block). */
// @ts-ignore: decorator
@inline function offsets(w: usize, sums: usize): v128 {
  let sum = i32x4.splat(0)
  for (let k: usize = 0; k < 4; k++) sum = bias(sum, v128.load8x8_s(w + k * 8, 16), sums + k * 4)
  return sum
}

/** acc + d * dx * (isum - 139 * offset). */
// @ts-ignore: decorator
@inline function finish(acc: v128, w: usize, dx: v128, isum: v128, offset: v128, mask: v128, factor: v128): v128 {
  isum = i32x4.add(isum, i32x4.mul(offset, i32x4.splat(BASE)))
  return f32x4.add(acc, f32x4.mul(f32x4.mul(expand(w, mask, factor), dx), f32x4.convert_i32x4_s(isum)))
}

// @ts-ignore: decorator
@inline function unit(acc: v128, w: usize, x: usize, dx: v128, sums: usize, nibble: v128, table: v128, even: v128, mask: v128, factor: v128): v128 {
  const quad = quadBytes()
  let isum = i32x4.splat(0)
  for (let k: usize = 0; k < 4; k++) {
    const q = w + 48 + k * 128
    const y = x + k * 16 * quad
    const scales = v128.load8x8_s(w + k * 8, 16)
    isum = addSubBlock(isum, q, y, scales, false, nibble, table, even)
    isum = addSubBlock(isum, q + 64, y + 8 * quad, scales, true, nibble, table, even)
  }
  return finish(acc, w, dx, isum, offsets(w, sums), mask, factor)
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token, four strips at a time (strips.ts). */
export function matmul_iq4_xs_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const table = restTable(blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const xUnit = quadBytes() * 64
  const scales = activationScales(x, blocks)
  const sums = activationSums(x, blocks)
  const groupBytes = <usize>blocks * UNIT + 16
  const strip = stripOf(groups)
  const to1 = stripStart(1, strip, groups)
  const to2 = stripStart(2, strip, groups)
  const to3 = stripStart(3, strip, groups)
  for (let g: usize = 0; g < strip; g++) {
    let w0 = weights + g * groupBytes
    let w1 = w0 + to1 * groupBytes
    let w2 = w0 + to2 * groupBytes
    let w3 = w0 + to3 * groupBytes
    const f0 = v128.load(w0)
    const f1 = v128.load(w1)
    const f2 = v128.load(w2)
    const f3 = v128.load(w3)
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    w0 += 16
    w1 += 16
    w2 += 16
    w3 += 16
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const xb = x + b * xUnit
      const dx = v128.load32_splat(scales + b * 4)
      const sum = sums + b * SUMS
      a0 = unit(a0, w0, xb, dx, sum, nibble, table, even, mask, f0)
      a1 = unit(a1, w1, xb, dx, sum, nibble, table, even, mask, f1)
      a2 = unit(a2, w2, xb, dx, sum, nibble, table, even, mask, f2)
      a3 = unit(a3, w3, xb, dx, sum, nibble, table, even, mask, f3)
      w0 += UNIT
      w1 += UNIT
      w2 += UNIT
      w3 += UNIT
    }
    v128.store(out + g * 16, a0)
    v128.store(out + (g + to1) * 16, a1)
    v128.store(out + (g + to2) * 16, a2)
    v128.store(out + (g + to3) * 16, a3)
  }
}

/** The same for four tokens: a sub-block is unpacked once for all. Every output is the bits that `matmul_iq4_xs_x1` gives. */
export function matmul_iq4_xs_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const table = restTable(blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const toScales = activationScales(0, blocks)
  const toSums = activationSums(0, blocks)
  for (let g: usize = 0; g < <usize>groups; g++) {
    const factor = v128.load(weights)
    weights += 16
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let i0 = i32x4.splat(0)
      let i1 = i0
      let i2 = i0
      let i3 = i0
      for (let s: usize = 0; s < 8; s++) {
        const q = weights + 48 + s * 64
        const at = (b * 64 + s * 8) * quad
        const y0 = x0 + at
        const y1 = x1 + at
        const y2 = x2 + at
        const y3 = x3 + at
        const scales = i16x8.extend_low_i8x16_s(v128.load32_zero(weights + s * 4, 16))
        const scales16 = i16x8.shl(scales, 4)
        let w = v128.load(q)
        let v = v128.load(q, 16)
        let a = low(w, nibble)
        let c = high(w, nibble)
        let d = low(v, nibble)
        let e = high(v, nibble)
        const n0 = fourDots(i32x4.splat(0), y0, 0, a, c, d, e, even)
        const n1 = fourDots(i32x4.splat(0), y1, 0, a, c, d, e, even)
        const n2 = fourDots(i32x4.splat(0), y2, 0, a, c, d, e, even)
        const n3 = fourDots(i32x4.splat(0), y3, 0, a, c, d, e, even)
        a = rest(table, a)
        c = rest(table, c)
        d = rest(table, d)
        e = rest(table, e)
        const r0 = fourDots(i32x4.splat(0), y0, 0, a, c, d, e, even)
        const r1 = fourDots(i32x4.splat(0), y1, 0, a, c, d, e, even)
        const r2 = fourDots(i32x4.splat(0), y2, 0, a, c, d, e, even)
        const r3 = fourDots(i32x4.splat(0), y3, 0, a, c, d, e, even)
        w = v128.load(q, 32)
        v = v128.load(q, 48)
        a = low(w, nibble)
        c = high(w, nibble)
        d = low(v, nibble)
        e = high(v, nibble)
        i0 = addScaled1Low(i0, fourDots(n0, y0, 2, a, c, d, e, even), scales16)
        i1 = addScaled1Low(i1, fourDots(n1, y1, 2, a, c, d, e, even), scales16)
        i2 = addScaled1Low(i2, fourDots(n2, y2, 2, a, c, d, e, even), scales16)
        i3 = addScaled1Low(i3, fourDots(n3, y3, 2, a, c, d, e, even), scales16)
        a = rest(table, a)
        c = rest(table, c)
        d = rest(table, d)
        e = rest(table, e)
        i0 = addScaledLow(i0, r0, fourDots(i32x4.splat(0), y0, 2, a, c, d, e, even), scales)
        i1 = addScaledLow(i1, r1, fourDots(i32x4.splat(0), y1, 2, a, c, d, e, even), scales)
        i2 = addScaledLow(i2, r2, fourDots(i32x4.splat(0), y2, 2, a, c, d, e, even), scales)
        i3 = addScaledLow(i3, r3, fourDots(i32x4.splat(0), y3, 2, a, c, d, e, even), scales)
      }
      const d = toScales + b * 4
      const m = toSums + b * SUMS
      a0 = finish(a0, weights, v128.load32_splat(x0 + d), i0, offsets(weights, x0 + m), mask, factor)
      a1 = finish(a1, weights, v128.load32_splat(x1 + d), i1, offsets(weights, x1 + m), mask, factor)
      a2 = finish(a2, weights, v128.load32_splat(x2 + d), i2, offsets(weights, x2 + m), mask, factor)
      a3 = finish(a3, weights, v128.load32_splat(x3 + d), i3, offsets(weights, x3 + m), mask, factor)
      weights += UNIT
    }
    v128.store(out0 + g * 16, a0)
    v128.store(out1 + g * 16, a1)
    v128.store(out2 + g * 16, a2)
    v128.store(out3 + g * 16, a3)
  }
}

/** Scale of sub-block j of the block at p, as the file packs it, without the 32 that it is too high. */
// @ts-ignore: decorator
@inline function scaleOf(p: usize, j: usize): i32 {
  const low = (load<u8>(p + (j >> 1), 4) >> <u8>(4 * (j & 1))) & 15
  return <i32>(low | (((load<u16>(p, 2) >> <u16>(2 * j)) & 3) << 4)) - 32
}

/** File blocks of `rows` consecutive rows (136 bytes per 256 weights) to groups of four. Returns how many scales are not finite. */
export function repack_iq4_xs(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 136
  let bad = 0
  for (let row = 0; row < rows; row += 4) {
    const valid = <usize>min(4, rows - row)
    let raised = true
    for (let block = src; block < src + valid * rowBytes; block += 136) {
      const d = <u32>load<u16>(block)
      if (!isFiniteHalf(d)) bad++
      if (!canRaise(d)) raised = false
    }
    storeFactor(dst, raised)
    dst += 16
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const block = src + b * 136
      memory.fill(dst, 0, 48)
      for (let r: usize = 0; r < valid; r++) {
        const mine = block + r * rowBytes
        const d = <u32>load<u16>(mine)
        store<u16>(dst + r * 2, raised ? raise(d) : d)
        for (let j: usize = 0; j < 8; j++) store<u8>(dst + j * 4 + r, scaleOf(mine, j), 16)
      }
      for (let j: usize = 0; j < 8; j++) repackNibbles(block + 8 + j * 16, rowBytes, valid, dst + 48 + j * 64)
      dst += UNIT
    }
    src += rowBytes * 4
  }
  return bad
}
