// IQ4_NL: blocks of 32, weight = d * value(q), values from a table (iq4.ts); the oracle is src/quants/iq4_nl.ts.
//
// A group is laid out as block32.ts says, with d alone. The sum of the rests starts at -13 times the sum of x, so that 32 columns fit 16 bits: at most
// 8 * 2 * 13 * 127 = 26416 in an i16 lane. On the way a lane may wrap around, and it wraps back.
import { evenMask, held, quadBytes, rowSums, startAt } from './lanes'
import { HALF_MASK, expand } from './half'
import { activationScales, activationSums } from './q8_1'
import { addPair, addScaled, high, low, repackHalves, repackNibbles, toQuants } from './block32'
import { rest, restTable } from './iq4'
import { stripOf, stripStart } from './strips'

const CENTERED: i32 = 0xfff3fff3 // -13 in either half: the rests are -13 to 13
const OFFSET: i32 = 0xff82ff82 // 13 - 139 in either half

/** Sum over one block of value * x: 16 * nibbles + rests + what is left. */
// @ts-ignore: decorator
@inline function total(nibbles: v128, rests: v128, left: v128): v128 {
  return i32x4.add(i32x4.add(i32x4.shl(rowSums(nibbles), 4), rowSums(rests)), left)
}

/** What centering the rests, and the 139, leave to be added: offset (held) times the sum of x. */
// @ts-ignore: decorator
@inline function offsetOf(sums: usize, offset: v128): v128 {
  return i32x4.dot_i16x8_s(v128.load32_splat(sums), offset)
}

// @ts-ignore: decorator
@inline function block(start: v128, left: v128, q: usize, x: usize, nibble: v128, table: v128, even: v128): v128 {
  let w = v128.load(q)
  let l = low(w, nibble)
  let h = high(w, nibble)
  let n = addPair(i32x4.splat(0), l, h, x, 0, even)
  let r = addPair(start, rest(table, l), rest(table, h), x, 0, even)
  w = v128.load(q, 16)
  l = low(w, nibble)
  h = high(w, nibble)
  n = addPair(n, l, h, x, 1, even)
  r = addPair(r, rest(table, l), rest(table, h), x, 1, even)
  w = v128.load(q, 32)
  l = low(w, nibble)
  h = high(w, nibble)
  n = addPair(n, l, h, x, 2, even)
  r = addPair(r, rest(table, l), rest(table, h), x, 2, even)
  w = v128.load(q, 48)
  l = low(w, nibble)
  h = high(w, nibble)
  n = addPair(n, l, h, x, 3, even)
  r = addPair(r, rest(table, l), rest(table, h), x, 3, even)
  return total(n, r, left)
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 32) x one token, four strips at a time (strips.ts). */
export function matmul_iq4_nl_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const centered = held(CENTERED, blocks)
  const offset = held(OFFSET, blocks)
  const table = restTable(blocks)
  const mask = held(HALF_MASK, blocks)
  const xBlock = quadBytes() * 8
  const scales = activationScales(x, blocks)
  const sums = activationSums(x, blocks)
  const quants = toQuants(blocks, 1)
  const groupBytes = quants + <usize>blocks * 64
  const strip = stripOf(groups)
  const to1 = stripStart(1, strip, groups)
  const to2 = stripStart(2, strip, groups)
  const to3 = stripStart(3, strip, groups)
  for (let g: usize = 0; g < strip; g++) {
    const w0 = weights + g * groupBytes
    const w1 = w0 + to1 * groupBytes
    const w2 = w0 + to2 * groupBytes
    const w3 = w0 + to3 * groupBytes
    const f0 = v128.load(w0)
    const f1 = v128.load(w1)
    const f2 = v128.load(w2)
    const f3 = v128.load(w3)
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const xb = x + b * xBlock
      const d = b * 8 + 16
      const q = quants + b * 64
      const dx = v128.load32_splat(scales + b * 4)
      const start = startAt(sums + b * 4, centered)
      const left = offsetOf(sums + b * 4, offset)
      a0 = addScaled(a0, expand(w0 + d, mask, f0), dx, block(start, left, w0 + q, xb, nibble, table, even))
      a1 = addScaled(a1, expand(w1 + d, mask, f1), dx, block(start, left, w1 + q, xb, nibble, table, even))
      a2 = addScaled(a2, expand(w2 + d, mask, f2), dx, block(start, left, w2 + q, xb, nibble, table, even))
      a3 = addScaled(a3, expand(w3 + d, mask, f3), dx, block(start, left, w3 + q, xb, nibble, table, even))
    }
    v128.store(out + g * 16, a0)
    v128.store(out + (g + to1) * 16, a1)
    v128.store(out + (g + to2) * 16, a2)
    v128.store(out + (g + to3) * 16, a3)
  }
}

/** The same for four tokens: a block is unpacked once for all. Every output is the bits that `matmul_iq4_nl_x1` gives. */
export function matmul_iq4_nl_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const centered = held(CENTERED, blocks)
  const offset = held(OFFSET, blocks)
  const table = restTable(blocks)
  const mask = held(HALF_MASK, blocks)
  const xBlock = quadBytes() * 8
  const toScales = activationScales(0, blocks)
  const toSums = activationSums(0, blocks)
  const quants = toQuants(blocks, 1)
  for (let g: usize = 0; g < <usize>groups; g++) {
    const factor = v128.load(weights)
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const q = weights + quants + b * 64
      const at = b * xBlock
      const y0 = x0 + at
      const y1 = x1 + at
      const y2 = x2 + at
      const y3 = x3 + at
      const m = toSums + b * 4
      let w = v128.load(q)
      let l = low(w, nibble)
      let h = high(w, nibble)
      let n0 = addPair(i32x4.splat(0), l, h, y0, 0, even)
      let n1 = addPair(i32x4.splat(0), l, h, y1, 0, even)
      let n2 = addPair(i32x4.splat(0), l, h, y2, 0, even)
      let n3 = addPair(i32x4.splat(0), l, h, y3, 0, even)
      l = rest(table, l)
      h = rest(table, h)
      let r0 = addPair(startAt(x0 + m, centered), l, h, y0, 0, even)
      let r1 = addPair(startAt(x1 + m, centered), l, h, y1, 0, even)
      let r2 = addPair(startAt(x2 + m, centered), l, h, y2, 0, even)
      let r3 = addPair(startAt(x3 + m, centered), l, h, y3, 0, even)
      w = v128.load(q, 16)
      l = low(w, nibble)
      h = high(w, nibble)
      n0 = addPair(n0, l, h, y0, 1, even)
      n1 = addPair(n1, l, h, y1, 1, even)
      n2 = addPair(n2, l, h, y2, 1, even)
      n3 = addPair(n3, l, h, y3, 1, even)
      l = rest(table, l)
      h = rest(table, h)
      r0 = addPair(r0, l, h, y0, 1, even)
      r1 = addPair(r1, l, h, y1, 1, even)
      r2 = addPair(r2, l, h, y2, 1, even)
      r3 = addPair(r3, l, h, y3, 1, even)
      w = v128.load(q, 32)
      l = low(w, nibble)
      h = high(w, nibble)
      n0 = addPair(n0, l, h, y0, 2, even)
      n1 = addPair(n1, l, h, y1, 2, even)
      n2 = addPair(n2, l, h, y2, 2, even)
      n3 = addPair(n3, l, h, y3, 2, even)
      l = rest(table, l)
      h = rest(table, h)
      r0 = addPair(r0, l, h, y0, 2, even)
      r1 = addPair(r1, l, h, y1, 2, even)
      r2 = addPair(r2, l, h, y2, 2, even)
      r3 = addPair(r3, l, h, y3, 2, even)
      w = v128.load(q, 48)
      l = low(w, nibble)
      h = high(w, nibble)
      n0 = addPair(n0, l, h, y0, 3, even)
      n1 = addPair(n1, l, h, y1, 3, even)
      n2 = addPair(n2, l, h, y2, 3, even)
      n3 = addPair(n3, l, h, y3, 3, even)
      l = rest(table, l)
      h = rest(table, h)
      r0 = addPair(r0, l, h, y0, 3, even)
      r1 = addPair(r1, l, h, y1, 3, even)
      r2 = addPair(r2, l, h, y2, 3, even)
      r3 = addPair(r3, l, h, y3, 3, even)
      const d = expand(weights + 16 + b * 8, mask, factor)
      const scale = toScales + b * 4
      a0 = addScaled(a0, d, v128.load32_splat(x0 + scale), total(n0, r0, offsetOf(x0 + m, offset)))
      a1 = addScaled(a1, d, v128.load32_splat(x1 + scale), total(n1, r1, offsetOf(x1 + m, offset)))
      a2 = addScaled(a2, d, v128.load32_splat(x2 + scale), total(n2, r2, offsetOf(x2 + m, offset)))
      a3 = addScaled(a3, d, v128.load32_splat(x3 + scale), total(n3, r3, offsetOf(x3 + m, offset)))
    }
    weights += quants + <usize>blocks * 64
    v128.store(out0 + g * 16, a0)
    v128.store(out1 + g * 16, a1)
    v128.store(out2 + g * 16, a2)
    v128.store(out3 + g * 16, a3)
  }
}

/** File blocks of `rows` consecutive rows (18 bytes per 32 weights) to groups of four. Returns how many scales are not finite. */
export function repack_iq4_nl(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 18
  let bad = 0
  for (let row = 0; row < rows; row += 4) {
    const valid = <usize>min(4, rows - row)
    bad += repackHalves(src, valid, blocks, 18, 1, dst)
    dst += toQuants(blocks, 1)
    for (let b: usize = 0; b < <usize>blocks; b++) {
      repackNibbles(src + b * 18 + 2, rowBytes, valid, dst)
      dst += 64
    }
    src += rowBytes * 4
  }
  return bad
}
