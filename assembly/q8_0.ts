// Q8_0: blocks of 32, weight = d * q, and the activations that meet it, quantised to 8 bits in blocks of 32; the oracles are src/quants/q8_0.ts and activations.ts.
//
// A group is 4 rows: a 16-byte header (half.ts), then per block 136 bytes, 4 rows x f16 d, raised, and 16 pairs of columns x 4 rows x 2 columns of i8; padded to 16 bytes.
// Both operands are signed, which the i8 dot cannot take, so both builds widen to 16 bits: a pair of columns with the load, one instruction.
// An activation row is blocks * 32 x i16, then d, f32 per block, padded to 16 bytes.
import { held } from './lanes'
import { HALF_MASK, canRaise, expand, isFiniteHalf, raise, storeFactor } from './half'
import { stripOf, stripStart } from './strips'

const BLOCK: usize = 136

// @ts-ignore: decorator
@inline function bytesOfGroup(blocks: i32): usize {
  return 16 + ((<usize>blocks * BLOCK + 15) & <usize>~15)
}

// @ts-ignore: decorator
@inline function addQuad(sum: v128, w: usize, x: usize): v128 {
  sum = i32x4.add(sum, i32x4.dot_i16x8_s(v128.load8x8_s(w), v128.load32_splat(x)))
  return i32x4.add(sum, i32x4.dot_i16x8_s(v128.load8x8_s(w, 8), v128.load32_splat(x, 4)))
}

// @ts-ignore: decorator
@inline function finish(acc: v128, d: v128, dx: v128, isum: v128): v128 {
  return f32x4.add(acc, f32x4.mul(f32x4.mul(d, dx), f32x4.convert_i32x4_s(isum)))
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 32) x one token, four strips at a time (strips.ts). */
export function matmul_q8_0_x1(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const mask = held(HALF_MASK, blocks)
  const groupBytes = bytesOfGroup(blocks)
  const scales = x + <usize>blocks * 64
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
      let s0 = i32x4.splat(0)
      let s1 = s0
      let s2 = s0
      let s3 = s0
      let y = x + b * 64
      let q = b * BLOCK + 24
      for (const stop = q + 128; q < stop; q += 16) {
        s0 = addQuad(s0, w0 + q, y)
        s1 = addQuad(s1, w1 + q, y)
        s2 = addQuad(s2, w2 + q, y)
        s3 = addQuad(s3, w3 + q, y)
        y += 8
      }
      const d = b * BLOCK + 16
      const dx = v128.load32_splat(scales + b * 4)
      a0 = finish(a0, expand(w0 + d, mask, f0), dx, s0)
      a1 = finish(a1, expand(w1 + d, mask, f1), dx, s1)
      a2 = finish(a2, expand(w2 + d, mask, f2), dx, s2)
      a3 = finish(a3, expand(w3 + d, mask, f3), dx, s3)
    }
    v128.store(out + g * 16, a0)
    v128.store(out + (g + to1) * 16, a1)
    v128.store(out + (g + to2) * 16, a2)
    v128.store(out + (g + to3) * 16, a3)
  }
}

// @ts-ignore: decorator
@inline function addSplit(sum: v128, e: v128, o: v128, x: usize): v128 {
  return i32x4.add(i32x4.add(sum, i32x4.dot_i16x8_s(e, v128.load32_splat(x))), i32x4.dot_i16x8_s(o, v128.load32_splat(x, 4)))
}

/** The same for four tokens, two groups at a time as in q4_k.ts. Every output is the bits that `matmul_q8_0_x1` gives. */
export function matmul_q8_0_x4(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const mask = held(HALF_MASK, blocks)
  const groupBytes = bytesOfGroup(blocks)
  const toScales = <usize>blocks * 64
  for (let g: usize = 0; g < <usize>groups; g += 2) {
    // of an odd number, the last group is its own partner
    const partner: usize = g + 1 < <usize>groups ? 1 : 0
    const toPartner = partner * groupBytes
    const w = weights + g * groupBytes
    const e = v128.load(w)
    const f = v128.load(w + toPartner)
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    let b0 = a0
    let b1 = a0
    let b2 = a0
    let b3 = a0
    for (let b: usize = 0; b < <usize>blocks; b++) {
      let q = w + 24 + b * BLOCK
      const stop = q + 128
      let at = b * 64
      let s0 = i32x4.splat(0)
      let s1 = s0
      let s2 = s0
      let s3 = s0
      let t0 = s0
      let t1 = s0
      let t2 = s0
      let t3 = s0
      for (; q < stop; q += 16) {
        const u = v128.load(q)
        const v = v128.load(q + toPartner)
        const ue = i16x8.extend_low_i8x16_s(u)
        const uo = i16x8.extend_high_i8x16_s(u)
        const ve = i16x8.extend_low_i8x16_s(v)
        const vo = i16x8.extend_high_i8x16_s(v)
        s0 = addSplit(s0, ue, uo, x0 + at)
        t0 = addSplit(t0, ve, vo, x0 + at)
        s1 = addSplit(s1, ue, uo, x1 + at)
        t1 = addSplit(t1, ve, vo, x1 + at)
        s2 = addSplit(s2, ue, uo, x2 + at)
        t2 = addSplit(t2, ve, vo, x2 + at)
        s3 = addSplit(s3, ue, uo, x3 + at)
        t3 = addSplit(t3, ve, vo, x3 + at)
        at += 8
      }
      const scale = toScales + b * 4
      const dx0 = v128.load32_splat(x0 + scale)
      const dx1 = v128.load32_splat(x1 + scale)
      const dx2 = v128.load32_splat(x2 + scale)
      const dx3 = v128.load32_splat(x3 + scale)
      let d = expand(w + 16 + b * BLOCK, mask, e)
      a0 = finish(a0, d, dx0, s0)
      a1 = finish(a1, d, dx1, s1)
      a2 = finish(a2, d, dx2, s2)
      a3 = finish(a3, d, dx3, s3)
      d = expand(w + toPartner + 16 + b * BLOCK, mask, f)
      b0 = finish(b0, d, dx0, t0)
      b1 = finish(b1, d, dx1, t1)
      b2 = finish(b2, d, dx2, t2)
      b3 = finish(b3, d, dx3, t3)
    }
    const to = (g + partner) * 16
    v128.store(out0 + g * 16, a0)
    v128.store(out1 + g * 16, a1)
    v128.store(out2 + g * 16, a2)
    v128.store(out3 + g * 16, a3)
    v128.store(out0 + to, b0)
    v128.store(out1 + to, b1)
    v128.store(out2 + to, b2)
    v128.store(out3 + to, b3)
  }
}

/** Quantises `count` blocks of 32 float32 at src into blocks first .. first + count of the activation row of `blocks` blocks at dst. */
export function quantize_q8_0(src: usize, count: i32, dst: usize, blocks: i32, first: i32): void {
  const scales = dst + <usize>blocks * 64
  for (let i = 0; i < count; i++) {
    const b = <usize>(first + i)
    let top = f32x4.splat(0)
    for (let c: usize = 0; c < 128; c += 16) top = f32x4.max(top, f32x4.abs(v128.load(src + c)))
    const amax = max(max(f32x4.extract_lane(top, 0), f32x4.extract_lane(top, 1)), max(f32x4.extract_lane(top, 2), f32x4.extract_lane(top, 3)))
    const d = amax / <f32>127
    store<f32>(scales + b * 4, d)
    const inverse = f32x4.splat(d == 0 ? 0 : <f32>1 / d)
    for (let c: usize = 0; c < 128; c += 32) {
      const q0 = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(src + c), inverse)))
      const q1 = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(src + c, 16), inverse)))
      const q = i16x8.max_s(i16x8.min_s(i16x8.narrow_i32x4_s(q0, q1), i16x8.splat(127)), i16x8.splat(-128))
      v128.store(dst + b * 64 + c / 2, q)
    }
    src += 128
  }
}

/** File blocks of `rows` consecutive rows (34 bytes per 32 weights) to groups of four. Returns how many scales are not finite. */
export function repack_q8_0(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const rowBytes = <usize>blocks * 34
  let bad = 0
  for (let row = 0; row < rows; row += 4) {
    const valid = <usize>min(4, rows - row)
    let raised = true
    for (let r: usize = 0; r < valid; r++) {
      for (let b: usize = 0; b < <usize>blocks; b++) {
        const d = <u32>load<u16>(src + r * rowBytes + b * 34)
        if (!isFiniteHalf(d)) bad++
        if (!canRaise(d)) raised = false
      }
    }
    storeFactor(dst, raised)
    for (let b: usize = 0; b < <usize>blocks; b++) {
      for (let r: usize = 0; r < 4; r++) {
        const block = src + r * rowBytes + b * 34
        const d = r < valid ? <u32>load<u16>(block) : 0
        store<u16>(dst + b * BLOCK + r * 2, raised ? raise(d) : d, 16)
        for (let j: usize = 0; j < 16; j++) store<u16>(dst + 24 + b * BLOCK + j * 8 + r * 2, r < valid ? load<u16>(block + j * 2, 2) : 0)
      }
    }
    src += rowBytes * 4
    dst += bytesOfGroup(blocks)
  }
  return bad
}
