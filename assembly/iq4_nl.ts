// IQ4_NL: blocks of 32, weight = d * value(q), values from a table (iq4.ts); the oracle is src/quants/iq4_nl.ts.
//
// A group is laid out as block32.ts says, with d alone. The sum of the rests starts at -13 times the sum of x, so that 32 columns fit 16 bits: at most
// 8 * 2 * 13 * 127 = 26416 in an i16 lane. On the way a lane may wrap around, and it wraps back.
import { addDot, addDot16, evenMask, held, quadBytes, rowSums, startAt } from './lanes'
import { HALF_MASK, expand } from './half'
import { activationScales, activationSums } from './q8_1'
import { addScaled, high, low, repackHalves, repackNibbles, bytesOfGroup } from './block32'
import { rest, restTable } from './iq4'
import { stripOf, stripStart } from './strips'

const BLOCK: usize = 72
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

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 32) x one token, four strips at a time (strips.ts). */
export function matmul_iq4_nl_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const nibble = held(0x0f0f0f0f, blocks)
  const even = evenMask(blocks)
  const centered = held(CENTERED, blocks)
  const offset = held(OFFSET, blocks)
  const table = restTable(blocks)
  const mask = held(HALF_MASK, blocks)
  const quad = quadBytes()
  const xBlock = quad * 8
  const scales = activationScales(x, blocks)
  const sums = activationSums(x, blocks)
  const groupBytes = bytesOfGroup(blocks, BLOCK)
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
      let n0 = i32x4.splat(0)
      let n1 = n0
      let n2 = n0
      let n3 = n0
      let r0 = startAt(sums + b * 4, centered)
      let r1 = r0
      let r2 = r0
      let r3 = r0
      let y = x + b * xBlock
      let q = b * BLOCK + 24
      for (const stop = q + 64; q < stop; q += 16) {
        let w = v128.load(w0 + q)
        let l = low(w, nibble)
        let h = high(w, nibble)
        n0 = addDot16(addDot(n0, l, y, 0, even), h, y, even)
        r0 = addDot16(addDot(r0, rest(table, l), y, 0, even), rest(table, h), y, even)
        w = v128.load(w1 + q)
        l = low(w, nibble)
        h = high(w, nibble)
        n1 = addDot16(addDot(n1, l, y, 0, even), h, y, even)
        r1 = addDot16(addDot(r1, rest(table, l), y, 0, even), rest(table, h), y, even)
        w = v128.load(w2 + q)
        l = low(w, nibble)
        h = high(w, nibble)
        n2 = addDot16(addDot(n2, l, y, 0, even), h, y, even)
        r2 = addDot16(addDot(r2, rest(table, l), y, 0, even), rest(table, h), y, even)
        w = v128.load(w3 + q)
        l = low(w, nibble)
        h = high(w, nibble)
        n3 = addDot16(addDot(n3, l, y, 0, even), h, y, even)
        r3 = addDot16(addDot(r3, rest(table, l), y, 0, even), rest(table, h), y, even)
        y += quad
      }
      const d = b * BLOCK + 16
      const dx = v128.load32_splat(scales + b * 4)
      const left = offsetOf(sums + b * 4, offset)
      a0 = addScaled(a0, expand(w0 + d, mask, f0), dx, total(n0, r0, left))
      a1 = addScaled(a1, expand(w1 + d, mask, f1), dx, total(n1, r1, left))
      a2 = addScaled(a2, expand(w2 + d, mask, f2), dx, total(n2, r2, left))
      a3 = addScaled(a3, expand(w3 + d, mask, f3), dx, total(n3, r3, left))
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
  const quad = quadBytes()
  const xBlock = quad * 8
  const toScales = activationScales(0, blocks)
  const toSums = activationSums(0, blocks)
  const groupBytes = bytesOfGroup(blocks, BLOCK)
  for (let g: usize = 0; g < <usize>groups; g++) {
    const factor = v128.load(weights)
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const q = weights + 24 + b * BLOCK
      let at = b * xBlock
      const sum = toSums + b * 4
      let n0 = i32x4.splat(0)
      let n1 = n0
      let n2 = n0
      let n3 = n0
      let r0 = startAt(x0 + sum, centered)
      let r1 = startAt(x1 + sum, centered)
      let r2 = startAt(x2 + sum, centered)
      let r3 = startAt(x3 + sum, centered)
      for (let p = q; p < q + 64; p += 16) {
        const w = v128.load(p)
        const l = low(w, nibble)
        const h = high(w, nibble)
        const k = rest(table, l)
        const m = rest(table, h)
        n0 = addDot16(addDot(n0, l, x0 + at, 0, even), h, x0 + at, even)
        r0 = addDot16(addDot(r0, k, x0 + at, 0, even), m, x0 + at, even)
        n1 = addDot16(addDot(n1, l, x1 + at, 0, even), h, x1 + at, even)
        r1 = addDot16(addDot(r1, k, x1 + at, 0, even), m, x1 + at, even)
        n2 = addDot16(addDot(n2, l, x2 + at, 0, even), h, x2 + at, even)
        r2 = addDot16(addDot(r2, k, x2 + at, 0, even), m, x2 + at, even)
        n3 = addDot16(addDot(n3, l, x3 + at, 0, even), h, x3 + at, even)
        r3 = addDot16(addDot(r3, k, x3 + at, 0, even), m, x3 + at, even)
        at += quad
      }
      const d = expand(weights + 16 + b * BLOCK, mask, factor)
      const scale = toScales + b * 4
      a0 = addScaled(a0, d, v128.load32_splat(x0 + scale), total(n0, r0, offsetOf(x0 + sum, offset)))
      a1 = addScaled(a1, d, v128.load32_splat(x1 + scale), total(n1, r1, offsetOf(x1 + sum, offset)))
      a2 = addScaled(a2, d, v128.load32_splat(x2 + scale), total(n2, r2, offsetOf(x2 + sum, offset)))
      a3 = addScaled(a3, d, v128.load32_splat(x3 + scale), total(n3, r3, offsetOf(x3 + sum, offset)))
    }
    weights += groupBytes
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
    bad += repackHalves(src, valid, blocks, 18, 1, dst, BLOCK, 1, 0)
    for (let b: usize = 0; b < <usize>blocks; b++) {
      repackNibbles(src + b * 18 + 2, rowBytes, valid, dst + 24 + b * BLOCK, 16)
    }
    dst += bytesOfGroup(blocks, BLOCK)
    src += rowBytes * 4
  }
  return bad
}
