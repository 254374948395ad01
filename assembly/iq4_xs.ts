// IQ4_XS: 256 weights of a row in 8 sub-blocks of 32, weight = d * scale * value(q), values from a table (iq4.ts); the oracle is src/quants/iq4_xs.ts.
//
// A group is 4 rows: a 16-byte header (half.ts), then per 256 columns a unit of 560 bytes (544 in the file):
//     0   d     4 rows x f16, raised; 8 bytes unused
//    16   scale 8 sub-blocks x 4 rows x i8
//    48   q     8 sub-blocks x 4 vectors of 16 bytes, as in q4_k.ts
// Lanes of 16 bits hold the nibbles of a sub-block, at most 8 * 2 * 15 * 127 = 30480, and the rests of half of one, at most 4 * 2 * 26 * 127 = 26416.
import { addDot, addDot16, addScaled1Low, addScaledLow, evenMask, held, quadBytes } from './lanes'
import { HALF_MASK, canRaise, expand, isFiniteHalf, raise, storeFactor } from './half'
import { SUMS, activationScales, activationSums } from './q8_k'
import { high, low, repackNibbles } from './block32'
import { BASE, rest, restTable } from './iq4'
import { bias } from './q6_k'
import { stripOf, stripStart } from './strips'

const UNIT: usize = 560

/** isum + scale * (16 * n + r + s) for sub-block k. */
// @ts-ignore: decorator
@inline function addSubBlock(isum: v128, n: v128, r: v128, s: v128, w: usize, k: usize): v128 {
  const scales = i16x8.extend_low_i8x16_s(v128.load32_zero(w + k * 4, 16))
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

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token, four strips at a time (strips.ts). */
export function matmul_iq4_xs_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const table = restTable(blocks)
  const even = evenMask(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const xUnit = quad * 64
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
      let i0 = i32x4.splat(0)
      let i1 = i0
      let i2 = i0
      let i3 = i0
      let y = x + b * xUnit
      for (let k: usize = 0; k < 8; k++) {
        let n0 = i32x4.splat(0)
        let n1 = n0
        let n2 = n0
        let n3 = n0
        let r0 = i32x4.splat(0)
        let r1 = r0
        let r2 = r0
        let r3 = r0
        let q = k * 64
        for (const stop = q + 32; q < stop; q += 16) {
          let w = v128.load(w0 + q, 48)
          let l = low(w, nibble)
          let h = high(w, nibble)
          n0 = addDot16(addDot(n0, l, y, 0, even), h, y, even)
          r0 = addDot16(addDot(r0, rest(table, l), y, 0, even), rest(table, h), y, even)
          w = v128.load(w1 + q, 48)
          l = low(w, nibble)
          h = high(w, nibble)
          n1 = addDot16(addDot(n1, l, y, 0, even), h, y, even)
          r1 = addDot16(addDot(r1, rest(table, l), y, 0, even), rest(table, h), y, even)
          w = v128.load(w2 + q, 48)
          l = low(w, nibble)
          h = high(w, nibble)
          n2 = addDot16(addDot(n2, l, y, 0, even), h, y, even)
          r2 = addDot16(addDot(r2, rest(table, l), y, 0, even), rest(table, h), y, even)
          w = v128.load(w3 + q, 48)
          l = low(w, nibble)
          h = high(w, nibble)
          n3 = addDot16(addDot(n3, l, y, 0, even), h, y, even)
          r3 = addDot16(addDot(r3, rest(table, l), y, 0, even), rest(table, h), y, even)
          y += quad
        }
        let s0 = i32x4.splat(0)
        let s1 = s0
        let s2 = s0
        let s3 = s0
        for (const stop = q + 32; q < stop; q += 16) {
          let w = v128.load(w0 + q, 48)
          let l = low(w, nibble)
          let h = high(w, nibble)
          n0 = addDot16(addDot(n0, l, y, 0, even), h, y, even)
          s0 = addDot16(addDot(s0, rest(table, l), y, 0, even), rest(table, h), y, even)
          w = v128.load(w1 + q, 48)
          l = low(w, nibble)
          h = high(w, nibble)
          n1 = addDot16(addDot(n1, l, y, 0, even), h, y, even)
          s1 = addDot16(addDot(s1, rest(table, l), y, 0, even), rest(table, h), y, even)
          w = v128.load(w2 + q, 48)
          l = low(w, nibble)
          h = high(w, nibble)
          n2 = addDot16(addDot(n2, l, y, 0, even), h, y, even)
          s2 = addDot16(addDot(s2, rest(table, l), y, 0, even), rest(table, h), y, even)
          w = v128.load(w3 + q, 48)
          l = low(w, nibble)
          h = high(w, nibble)
          n3 = addDot16(addDot(n3, l, y, 0, even), h, y, even)
          s3 = addDot16(addDot(s3, rest(table, l), y, 0, even), rest(table, h), y, even)
          y += quad
        }
        i0 = addSubBlock(i0, n0, r0, s0, w0, k)
        i1 = addSubBlock(i1, n1, r1, s1, w1, k)
        i2 = addSubBlock(i2, n2, r2, s2, w2, k)
        i3 = addSubBlock(i3, n3, r3, s3, w3, k)
        y += 4 * quad
      }
      const dx = v128.load32_splat(scales + b * 4)
      const sum = sums + b * SUMS
      a0 = finish(a0, w0, dx, i0, offsets(w0, sum), mask, f0)
      a1 = finish(a1, w1, dx, i1, offsets(w1, sum), mask, f1)
      a2 = finish(a2, w2, dx, i2, offsets(w2, sum), mask, f2)
      a3 = finish(a3, w3, dx, i3, offsets(w3, sum), mask, f3)
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
      for (let k: usize = 0; k < 8; k++) {
        let q = weights + k * 64
        let y = (b * 64 + k * 8) * quad
        let n0 = i32x4.splat(0)
        let n1 = n0
        let n2 = n0
        let n3 = n0
        let r0 = i32x4.splat(0)
        let r1 = r0
        let r2 = r0
        let r3 = r0
        for (const stop = q + 32; q < stop; q += 16) {
          const w = v128.load(q, 48)
          const l = low(w, nibble)
          const h = high(w, nibble)
          const c = rest(table, l)
          const d = rest(table, h)
          n0 = addDot16(addDot(n0, l, x0 + y, 0, even), h, x0 + y, even)
          r0 = addDot16(addDot(r0, c, x0 + y, 0, even), d, x0 + y, even)
          n1 = addDot16(addDot(n1, l, x1 + y, 0, even), h, x1 + y, even)
          r1 = addDot16(addDot(r1, c, x1 + y, 0, even), d, x1 + y, even)
          n2 = addDot16(addDot(n2, l, x2 + y, 0, even), h, x2 + y, even)
          r2 = addDot16(addDot(r2, c, x2 + y, 0, even), d, x2 + y, even)
          n3 = addDot16(addDot(n3, l, x3 + y, 0, even), h, x3 + y, even)
          r3 = addDot16(addDot(r3, c, x3 + y, 0, even), d, x3 + y, even)
          y += quad
        }
        let s0 = i32x4.splat(0)
        let s1 = s0
        let s2 = s0
        let s3 = s0
        for (const stop = q + 32; q < stop; q += 16) {
          const w = v128.load(q, 48)
          const l = low(w, nibble)
          const h = high(w, nibble)
          const c = rest(table, l)
          const d = rest(table, h)
          n0 = addDot16(addDot(n0, l, x0 + y, 0, even), h, x0 + y, even)
          s0 = addDot16(addDot(s0, c, x0 + y, 0, even), d, x0 + y, even)
          n1 = addDot16(addDot(n1, l, x1 + y, 0, even), h, x1 + y, even)
          s1 = addDot16(addDot(s1, c, x1 + y, 0, even), d, x1 + y, even)
          n2 = addDot16(addDot(n2, l, x2 + y, 0, even), h, x2 + y, even)
          s2 = addDot16(addDot(s2, c, x2 + y, 0, even), d, x2 + y, even)
          n3 = addDot16(addDot(n3, l, x3 + y, 0, even), h, x3 + y, even)
          s3 = addDot16(addDot(s3, c, x3 + y, 0, even), d, x3 + y, even)
          y += quad
        }
        i0 = addSubBlock(i0, n0, r0, s0, weights, k)
        i1 = addSubBlock(i1, n1, r1, s1, weights, k)
        i2 = addSubBlock(i2, n2, r2, s2, weights, k)
        i3 = addSubBlock(i3, n3, r3, s3, weights, k)
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
      for (let j: usize = 0; j < 8; j++) repackNibbles(block + 8 + j * 16, rowBytes, valid, dst + 48 + j * 64, 16)
      dst += UNIT
    }
    src += rowBytes * 4
  }
  return bad
}
