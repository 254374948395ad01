// Rows of the IQ1, IQ2 and IQ3 formats: how they lie in memory, and their products. What differs between the formats is
// in a class per format, whose methods are all inlined.
//
// In a bank eight rows stand together: a 32-byte header (half.ts), then per 256 columns a unit:
//     0   d     8 rows x f16, raised
//    16   row   8 rows x F.bytes(), one after the other: what the file has of the row's block beside d
// Rows are not interleaved: the vectors of one row come out of grids (lanes/grids.ts) whole. Indices stay indices:
// expanded to integers, weights would take up to twice the memory. Products with one token are here, those with four in
// gridX4.ts.
import { expandOf, HALF_MASK } from '../lanes/half'
import { evens, evenScales, laneSums, odds, oddScales, products, scaleOf, signedProducts, signMask } from '../lanes/grids'
import { held } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { plus, quadBytes } from '../lanes/quads'
import { rowAt } from '../lanes/rows'
import { addScaled, scaled } from '../lanes/scales'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'
import { packHalves } from './halves_repack'

/**
 * A format. p: a row's block in a unit; h: the first or second 128 of its columns; j: the 32 columns of these; second:
 * the second 16 of these.
 */
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
  abstract magnitudes(p: usize, h: usize, j: usize, second: bool, signs: v128): v128
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

/**
 * 32 columns of a row times one token: those of 2j and 2j + 1, at x and x + 16 columns. Adds them, scaled, to `sum`.
 */
// @ts-ignore: decorator
@inline function addColumns<F extends GridFormat>(sum: v128, p: usize, h: usize, j: i32, signs: v128, even: v128, odd: v128, x: usize, zero: v128): v128 {
  const format = changetype<F>(0)
  const y = x + <usize>j * 8 * quadBytes()
  const m = format.magnitudes(p, h, j, false, signs)
  const n = format.magnitudes(p, h, j, true, signs)
  const z = y + 4 * quadBytes()
  const s = format.signed() ? signedProducts(m, signMask(signs, 2 * j, zero), evens(y), odds(y)) : products(m, evens(y), odds(y))
  const t = format.signed() ? signedProducts(n, signMask(signs, 2 * j + 1, zero), evens(z), odds(z)) : products(n, evens(z), odds(z))
  if (format.wide()) return i32x4.add(sum, scaled(plus(s, t), scaleOf(even, j)))
  return i32x4.add(i32x4.add(sum, scaled(s, scaleOf(even, j))), scaled(t, scaleOf(odd, j)))
}

/** 128 columns of a row times one token, added to `sum`, four lanes. */
// @ts-ignore: decorator
@inline function addHalf<F extends GridFormat>(sum: v128, p: usize, h: usize, x: usize, sums: usize, zero: v128): v128 {
  const format = changetype<F>(0)
  const signs = format.signs(p, h)
  const scales = format.scales(p, h)
  const even = format.wide() ? scales : evenScales(scales)
  const odd = format.wide() ? scales : oddScales(scales)
  sum = addColumns<F>(sum, p, h, 0, signs, even, odd, x, zero)
  sum = addColumns<F>(sum, p, h, 1, signs, even, odd, x, zero)
  sum = addColumns<F>(sum, p, h, 2, signs, even, odd, x, zero)
  sum = addColumns<F>(sum, p, h, 3, signs, even, odd, x, zero)
  if (format.signed()) return sum
  return i32x4.sub(sum, i32x4.dot_i16x8_s(format.excess(p, h, scales), v128.load(sums + h * 16)))
}

/** out (groups * 4 rows) = weights (groups * 4 rows, blocks * 256) x one token. */
// @ts-ignore: decorator
@inline export function gridX1<F extends GridFormat>(weights: usize, groups: i32, blocks: i32, x: usize, out: usize): void {
  const bytes = changetype<F>(0).bytes()
  const zero = held(0, blocks)
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
      let a0 = i32x4.splat(0)
      let a1 = a0
      let a2 = a0
      let a3 = a0
      let c0 = a0
      let c1 = a0
      let c2 = a0
      let c3 = a0
      const p = w + 16
      const sum = sums + b * SUMS
      for (let h: usize = 0; h < 2; h++) {
        const y = x + b * xUnit + h * 32 * quadBytes()
        a0 = addHalf<F>(a0, p, h, y, sum, zero)
        c0 = addHalf<F>(c0, p + 4 * bytes, h, y, sum, zero)
        a1 = addHalf<F>(a1, p + bytes, h, y, sum, zero)
        c1 = addHalf<F>(c1, p + 5 * bytes, h, y, sum, zero)
        a2 = addHalf<F>(a2, p + 2 * bytes, h, y, sum, zero)
        c2 = addHalf<F>(c2, p + 6 * bytes, h, y, sum, zero)
        a3 = addHalf<F>(a3, p + 3 * bytes, h, y, sum, zero)
        c3 = addHalf<F>(c3, p + 7 * bytes, h, y, sum, zero)
      }
      const dx = v128.load32_splat(scales + b * 4)
      a = addScaled(a, expandOf(v128.load16x4_s(w), mask, e), dx, laneSums(a0, a1, a2, a3))
      c = addScaled(c, expandOf(v128.load16x4_s(w, 8), mask, f), dx, laneSums(c0, c1, c2, c3))
      w += unitBytes<F>()
    }
    storePair(out + g * 16, a, c, g + 1 < <usize>groups)
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
