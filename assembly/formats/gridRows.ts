// Rows of the IQ1, IQ2 and IQ3 formats: how they lie in memory, and their products. What differs between the formats is
// in a class per format, whose methods are all inlined.
//
// In a bank eight rows stand together: a 32-byte header (half.ts), then per 256 columns a unit:
//     0   d     8 rows x f16, raised
//    16   row   8 rows x F.bytes(), one after the other: what the file has of the row's block beside d
// Rows do not stand side by side: the vectors of one row come out of grids (lanes/grids.ts) whole. Indices stay
// indices: expanded to integers, weights would take up to twice the memory.
import { expandOf, HALF_MASK } from '../lanes/half'
import { laneSums, negated, products, scaleOf, signedProducts, signMask } from '../lanes/grids'
import { held } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { plus, quadBytes } from '../lanes/quads'
import { rowAt } from '../lanes/rows'
import { addScaled, scaled } from '../lanes/scales'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'
import { packHalves } from './halves_repack'

/** A format. p: a row's block in a unit; h: the first or second 128 of its columns; k: the 16 columns of these. */
@unmanaged export abstract class GridFormat {
  /** Bytes of a row in a unit. */
  abstract bytes(): usize
  /** What d is multiplied with, a power of two. */
  abstract factor(): f32
  /** Whether a scale is for 32 columns; else it is for 16. */
  abstract wide(): bool
  /** Whether magnitudes have signs. If not, each counts too much (`excess`), in both builds. */
  abstract signed(): bool
  /** 16 bytes: the signs of 128 columns (`signMask`), or what `magnitudes` takes. */
  abstract signs(p: usize, h: usize): v128
  /** 8 x i16, for each 16 columns. */
  abstract scales(p: usize, h: usize): v128
  /** 16 columns as bytes below 128. */
  abstract magnitudes(p: usize, h: usize, k: i32, signs: v128): v128
  /** 8 x i16: how much more each of 16 columns counts than it should, times its scale. */
  abstract excess(p: usize, h: usize, scales: v128): v128
  /** Copies a row of a file's block, from `src` on, to `dst`. */
  abstract pack(src: usize, dst: usize): void
}

/** Bytes of a unit. */
// @ts-ignore: decorator
@inline export function unitBytes<F extends GridFormat>(): usize {
  return 16 + 8 * changetype<F>(0).bytes()
}

/** The sum of 32 columns' products with one token, scaled: those of 2j and 2j + 1. */
// @ts-ignore: decorator
@inline function addPair<F extends GridFormat>(sum: v128, p: usize, h: usize, j: i32, signs: v128, scales: v128, x: usize, zero: v128): v128 {
  const format = changetype<F>(0)
  const y = x + <usize>j * 8 * quadBytes()
  const m = format.magnitudes(p, h, 2 * j, signs)
  const n = format.magnitudes(p, h, 2 * j + 1, signs)
  const s = format.signed() ? signedProducts(m, signMask(signs, 2 * j, zero), y) : products(m, y)
  const t = format.signed() ? signedProducts(n, signMask(signs, 2 * j + 1, zero), y + 4 * quadBytes()) : products(n, y + 4 * quadBytes())
  if (format.wide()) return i32x4.add(sum, scaled(plus(s, t), scaleOf(scales, 2 * j)))
  return i32x4.add(i32x4.add(sum, scaled(s, scaleOf(scales, 2 * j))), scaled(t, scaleOf(scales, 2 * j + 1)))
}

/** A row's 256 columns times one token, in four lanes. sums: of each 16 columns of x. */
// @ts-ignore: decorator
@inline function row<F extends GridFormat>(p: usize, x: usize, sums: usize, zero: v128): v128 {
  const format = changetype<F>(0)
  let sum = i32x4.splat(0)
  for (let h: usize = 0; h < 2; h++) {
    const signs = format.signs(p, h)
    const scales = format.scales(p, h)
    const y = x + h * 32 * quadBytes()
    sum = addPair<F>(sum, p, h, 0, signs, scales, y, zero)
    sum = addPair<F>(sum, p, h, 1, signs, scales, y, zero)
    sum = addPair<F>(sum, p, h, 2, signs, scales, y, zero)
    sum = addPair<F>(sum, p, h, 3, signs, scales, y, zero)
    if (!format.signed()) sum = i32x4.sub(sum, i32x4.dot_i16x8_s(format.excess(p, h, scales), v128.load(sums + h * 16)))
  }
  return sum
}

/** Four rows' 256 columns times one token, a lane a row. A function of its own, so that it has all registers. */
function fourRows<F extends GridFormat>(p: usize, x: usize, sums: usize, positive: i32): v128 {
  const bytes = changetype<F>(0).bytes()
  const zero = held(0, positive)
  const a = row<F>(p, x, sums, zero)
  const b = row<F>(p + bytes, x, sums, zero)
  const c = row<F>(p + 2 * bytes, x, sums, zero)
  return laneSums(a, b, c, row<F>(p + 3 * bytes, x, sums, zero))
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token. */
// @ts-ignore: decorator
@inline export function gridX1<F extends GridFormat>(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const mask = held(HALF_MASK, blocks)
  const xUnit = quadBytes() * 64
  const scales = activationScales(x, blocks)
  const sums = activationSums(x, blocks) + 16
  let w = weights
  for (let g: usize = 0; g < <usize>groups; g += 2) {
    const e = v128.load(w)
    const f = v128.load(w, 16)
    w += 32
    let a = f32x4.splat(0)
    let c = a
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const y = x + b * xUnit
      const dx = v128.load32_splat(scales + b * 4)
      const d = expandOf(v128.load16x4_s(w), mask, e)
      const h = expandOf(v128.load16x4_s(w, 8), mask, f)
      a = addScaled(a, d, dx, fourRows<F>(w + 16, y, sums + b * SUMS, blocks))
      c = addScaled(c, h, dx, fourRows<F>(w + (16 + 4 * changetype<F>(0).bytes()), y, sums + b * SUMS, blocks))
      w += unitBytes<F>()
    }
    storePair(out + g * 16, a, c, g + 1 < <usize>groups)
  }
}

/** 16 columns as bytes that `products` takes: signed in simd, in relaxed-simd 64 more, since they must not be. */
// @ts-ignore: decorator
@inline function wholes<F extends GridFormat>(p: usize, h: usize, k: i32, signs: v128, zero: v128, plus64: v128): v128 {
  const format = changetype<F>(0)
  const magnitudes = format.magnitudes(p, h, k, signs)
  if (!format.signed()) return magnitudes
  const values = negated(magnitudes, signMask(signs, k, zero))
  return ASC_FEATURE_RELAXED_SIMD ? i8x16.add(values, plus64) : values
}

/** How much more `wholes` count, times their scales. */
// @ts-ignore: decorator
@inline function excessOf<F extends GridFormat>(p: usize, h: usize, scales: v128): v128 {
  const format = changetype<F>(0)
  return format.signed() ? i16x8.shl(scales, 6) : format.excess(p, h, scales)
}

// @ts-ignore: decorator
@inline function addWholes(sum: v128, w: v128, scale: v128, x: usize): v128 {
  return i32x4.add(sum, scaled(products(w, x), scale))
}

/** The same for four tokens, a row after the other. Every output is the zero that `gridX1` gives. */
// @ts-ignore: decorator
@inline export function gridX4<F extends GridFormat>(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const format = changetype<F>(0)
  const mask = held(HALF_MASK, blocks)
  const zero = held(0, blocks)
  const plus64 = held(0x40404040, blocks)
  const quad = quadBytes()
  const toScales = activationScales(0, blocks)
  const toSums = activationSums(0, blocks) + 16
  const pairBytes = <usize>blocks * unitBytes<F>() + 32
  for (let r: usize = 0; r < <usize>groups * 4; r++) {
    const pair = weights + (r >> 3) * pairBytes
    const factor = v128.load(pair + (r & 4) * 4)
    let w = pair + 32
    let acc = f32x4.splat(0) // a lane a token
    for (let b: usize = 0; b < <usize>blocks; b++) {
      const p = w + 16 + (r & 7) * format.bytes()
      let s0 = i32x4.splat(0)
      let s1 = s0
      let s2 = s0
      let s3 = s0
      let y = b * 64 * quad
      let toSum = toSums + b * SUMS
      for (let h: usize = 0; h < 2; h++) {
        const signs = format.signs(p, h)
        const scales = format.scales(p, h)
        let v = wholes<F>(p, h, 0, signs, zero, plus64)
        let m = scaleOf(scales, 0)
        s0 = addWholes(s0, v, m, x0 + y)
        s1 = addWholes(s1, v, m, x1 + y)
        s2 = addWholes(s2, v, m, x2 + y)
        s3 = addWholes(s3, v, m, x3 + y)
        y += 4 * quad
        v = wholes<F>(p, h, 1, signs, zero, plus64)
        if (!format.wide()) m = scaleOf(scales, 1)
        s0 = addWholes(s0, v, m, x0 + y)
        s1 = addWholes(s1, v, m, x1 + y)
        s2 = addWholes(s2, v, m, x2 + y)
        s3 = addWholes(s3, v, m, x3 + y)
        y += 4 * quad
        v = wholes<F>(p, h, 2, signs, zero, plus64)
        m = scaleOf(scales, 2)
        s0 = addWholes(s0, v, m, x0 + y)
        s1 = addWholes(s1, v, m, x1 + y)
        s2 = addWholes(s2, v, m, x2 + y)
        s3 = addWholes(s3, v, m, x3 + y)
        y += 4 * quad
        v = wholes<F>(p, h, 3, signs, zero, plus64)
        if (!format.wide()) m = scaleOf(scales, 3)
        s0 = addWholes(s0, v, m, x0 + y)
        s1 = addWholes(s1, v, m, x1 + y)
        s2 = addWholes(s2, v, m, x2 + y)
        s3 = addWholes(s3, v, m, x3 + y)
        y += 4 * quad
        v = wholes<F>(p, h, 4, signs, zero, plus64)
        m = scaleOf(scales, 4)
        s0 = addWholes(s0, v, m, x0 + y)
        s1 = addWholes(s1, v, m, x1 + y)
        s2 = addWholes(s2, v, m, x2 + y)
        s3 = addWholes(s3, v, m, x3 + y)
        y += 4 * quad
        v = wholes<F>(p, h, 5, signs, zero, plus64)
        if (!format.wide()) m = scaleOf(scales, 5)
        s0 = addWholes(s0, v, m, x0 + y)
        s1 = addWholes(s1, v, m, x1 + y)
        s2 = addWholes(s2, v, m, x2 + y)
        s3 = addWholes(s3, v, m, x3 + y)
        y += 4 * quad
        v = wholes<F>(p, h, 6, signs, zero, plus64)
        m = scaleOf(scales, 6)
        s0 = addWholes(s0, v, m, x0 + y)
        s1 = addWholes(s1, v, m, x1 + y)
        s2 = addWholes(s2, v, m, x2 + y)
        s3 = addWholes(s3, v, m, x3 + y)
        y += 4 * quad
        v = wholes<F>(p, h, 7, signs, zero, plus64)
        if (!format.wide()) m = scaleOf(scales, 7)
        s0 = addWholes(s0, v, m, x0 + y)
        s1 = addWholes(s1, v, m, x1 + y)
        s2 = addWholes(s2, v, m, x2 + y)
        s3 = addWholes(s3, v, m, x3 + y)
        y += 4 * quad
        if (ASC_FEATURE_RELAXED_SIMD || !format.signed()) {
          const excess = excessOf<F>(p, h, scales)
          s0 = i32x4.sub(s0, i32x4.dot_i16x8_s(excess, v128.load(x0 + toSum)))
          s1 = i32x4.sub(s1, i32x4.dot_i16x8_s(excess, v128.load(x1 + toSum)))
          s2 = i32x4.sub(s2, i32x4.dot_i16x8_s(excess, v128.load(x2 + toSum)))
          s3 = i32x4.sub(s3, i32x4.dot_i16x8_s(excess, v128.load(x3 + toSum)))
          toSum += 16
        }
      }
      const d = expandOf(i32x4.splat(load<i16>(w + (r & 7) * 2)), mask, factor)
      const scale = toScales + b * 4
      const dx = v128.load32_lane(x3 + scale, v128.load32_lane(x2 + scale, v128.load32_lane(x1 + scale, v128.load32_zero(x0 + scale), 1), 2), 3)
      acc = addScaled(acc, d, dx, laneSums(s0, s1, s2, s3))
      w += unitBytes<F>()
    }
    v128.store32_lane(out0 + r * 4, acc, 0)
    v128.store32_lane(out1 + r * 4, acc, 1)
    v128.store32_lane(out2 + r * 4, acc, 2)
    v128.store32_lane(out3 + r * 4, acc, 3)
  }
}

/** Copies `bytes` bytes, at least 16, in whole vectors. The last two may overlap. */
// @ts-ignore: decorator
@inline export function copy(src: usize, dst: usize, bytes: usize): void {
  for (let i: usize = 0; i < bytes - 16; i += 16) v128.store(dst + i, v128.load(src + i))
  v128.store(dst + bytes - 16, v128.load(src + bytes - 16))
}

/** Packs `rows` consecutive rows of a file's blocks of blockBytes bytes; missing rows become zeros. */
// @ts-ignore: decorator
@inline export function packRows<F extends GridFormat>(src: usize, rows: i32, blocks: i32, blockBytes: usize, dst: usize): void {
  const bytes = changetype<F>(0).bytes()
  const rowBytes = <usize>blocks * blockBytes
  for (let b: usize = 0; b < <usize>blocks; b++) {
    const unit = dst + 48 + b * unitBytes<F>()
    for (let r: i32 = 0; r < 8; r++) {
      const to = unit + <usize>r * bytes
      if (r < rows) changetype<F>(0).pack(rowAt(src + b * blockBytes, rowBytes, r, rows), to)
      else memory.fill(to, 0, bytes)
    }
  }
}

/** The d that a group's header makes of a half, times a power of two. */
// @ts-ignore: decorator
@inline export function scaleHeaders(dst: usize, factor: f32): void {
  v128.store(dst, f32x4.mul(v128.load(dst), f32x4.splat(factor)))
  v128.store(dst, f32x4.mul(v128.load(dst, 16), f32x4.splat(factor)), 16)
}

/** Packs rows of a file whose blocks open with d. Returns how many scales are not finite. */
// @ts-ignore: decorator
@inline export function repackGrid<F extends GridFormat>(src: usize, rows: i32, blocks: i32, dst: usize): i32 {
  const blockBytes = changetype<F>(0).bytes() + 2
  const rowBytes = <usize>blocks * blockBytes
  let bad = 0
  for (; rows > 0; rows -= 8) {
    packRows<F>(src + 2, rows, blocks, blockBytes, dst)
    bad += packHalves(src, rowBytes, rows, blocks, blockBytes, 1, dst, unitBytes<F>())
    scaleHeaders(dst, changetype<F>(0).factor())
    src += rowBytes * 8
    dst += <usize>blocks * unitBytes<F>() + 32
  }
  return bad
}
