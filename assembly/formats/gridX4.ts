// Products of the IQ1, IQ2 and IQ3 formats (gridRows.ts) with four tokens. Rows r and r + 4 are unpacked side by side,
// and multiplied with all four: V8 makes one 256-bit instruction of two (pairs.ts) once what comes out of a grid, or
// lane by lane, is `joined`. An operation between the two that may trap, such as a load of a lane, keeps V8 from it.
import { evens, evenScales, laneSums, negated, odds, oddScales, products, scaleOf, signMask } from '../lanes/grids'
import { expandOf, HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'
import { storePair } from '../lanes/pairs'
import { quadBytes } from '../lanes/quads'
import { addScaled, scaled } from '../lanes/scales'
import { activationScales, activationSums, SUMS } from '../ops/quantize_q8_k'
import { GridFormat, unitBytes } from './gridRows'
import { joined } from './iq4'

/** 16 columns as bytes that `products` takes: signed in simd, in relaxed-simd 64 more, since they must not be. */
// @ts-ignore: decorator
@inline function wholes<F extends GridFormat>(p: usize, h: usize, j: usize, second: bool, signs: v128, zero: v128, plus64: v128): v128 {
  const format = changetype<F>(0)
  const magnitudes = joined(format.magnitudes(p, h, j, second, signs))
  if (!format.signed()) return magnitudes
  const values = negated(magnitudes, signMask(signs, second ? 1 : 0, zero))
  return ASC_FEATURE_RELAXED_SIMD ? i8x16.add(values, plus64) : values
}

/** How much more `wholes` count, times their scales. */
// @ts-ignore: decorator
@inline function excessOf<F extends GridFormat>(p: usize, h: usize, scales: v128): v128 {
  const format = changetype<F>(0)
  return format.signed() ? i16x8.shl(scales, 6) : joined(format.excess(p, h, scales))
}

// @ts-ignore: decorator
@inline function addWholes(sum: v128, w: v128, scale: v128, even: v128, odd: v128): v128 {
  return i32x4.add(sum, scaled(products(w, even, odd), scale))
}

/** The lanes of four scales, moved down by one. */
// @ts-ignore: decorator
@inline function next(scales: v128): v128 {
  return v128.shuffle<i32>(scales, scales, 1, 2, 3, 0)
}

/** Four vectors at out0 .. out3, lanes exchanged with vectors. */
// @ts-ignore: decorator
@inline function transpose(out0: usize, out1: usize, out2: usize, out3: usize): void {
  const a = v128.load(out0)
  const b = v128.load(out1)
  const c = v128.load(out2)
  const d = v128.load(out3)
  const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5)
  const cd = v128.shuffle<i32>(c, d, 0, 4, 1, 5)
  const ef = v128.shuffle<i32>(a, b, 2, 6, 3, 7)
  const gh = v128.shuffle<i32>(c, d, 2, 6, 3, 7)
  v128.store(out0, v128.shuffle<i64>(ab, cd, 0, 2))
  v128.store(out1, v128.shuffle<i64>(ab, cd, 1, 3))
  v128.store(out2, v128.shuffle<i64>(ef, gh, 0, 2))
  v128.store(out3, v128.shuffle<i64>(ef, gh, 1, 3))
}

/** `gridX1` for four tokens. Every output is the bits that it gives. */
// @ts-ignore: decorator
@inline export function gridX4<F extends GridFormat>(weights: usize, groups: i32, blocks: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const format = changetype<F>(0)
  const mask = held(HALF_MASK, blocks)
  const zero = held(0, blocks)
  const plus64 = held(0x40404040, blocks)
  const quad = quadBytes()
  const toScales = activationScales(0, blocks)
  const toSums = activationSums(0, blocks) + 16
  let w = weights
  for (let g: usize = 0; g < <usize>groups; g += 2) {
    const e = v128.load(w)
    const f = v128.load(w, 16)
    const both = g + 1 < <usize>groups
    for (let r: usize = 0; r < 4; r++) {
      let a = f32x4.splat(0) // row r, a lane a token
      let c = a // row r + 4
      let u = w + 32
      for (let b: usize = 0; b < <usize>blocks; b++) {
        const p = u + 16 + r * format.bytes()
        const q = p + 4 * format.bytes()
        let s0 = i32x4.splat(0)
        let s1 = s0
        let s2 = s0
        let s3 = s0
        let t0 = s0
        let t1 = s0
        let t2 = s0
        let t3 = s0
        let y = b * 64 * quad
        for (let h: usize = 0; h < 2; h++) {
          let signs = joined(format.signs(p, h))
          let signs4 = joined(format.signs(q, h))
          const scales = joined(format.scales(p, h))
          const scales4 = joined(format.scales(q, h))
          let even = format.wide() ? scales : evenScales(scales)
          let even4 = format.wide() ? scales4 : evenScales(scales4)
          let odd = format.wide() ? scales : oddScales(scales)
          let odd4 = format.wide() ? scales4 : oddScales(scales4)
          for (let j: usize = 0; j < 4; j++) {
            let v = wholes<F>(p, h, j, false, signs, zero, plus64)
            let v4 = wholes<F>(q, h, j, false, signs4, zero, plus64)
            let m = scaleOf(even, 0)
            let m4 = scaleOf(even4, 0)
            let x = evens(x0 + y)
            let z = odds(x0 + y)
            s0 = addWholes(s0, v, m, x, z)
            t0 = addWholes(t0, v4, m4, x, z)
            x = evens(x1 + y)
            z = odds(x1 + y)
            s1 = addWholes(s1, v, m, x, z)
            t1 = addWholes(t1, v4, m4, x, z)
            x = evens(x2 + y)
            z = odds(x2 + y)
            s2 = addWholes(s2, v, m, x, z)
            t2 = addWholes(t2, v4, m4, x, z)
            x = evens(x3 + y)
            z = odds(x3 + y)
            s3 = addWholes(s3, v, m, x, z)
            t3 = addWholes(t3, v4, m4, x, z)
            y += 4 * quad
            v = wholes<F>(p, h, j, true, signs, zero, plus64)
            v4 = wholes<F>(q, h, j, true, signs4, zero, plus64)
            if (!format.wide()) {
              m = scaleOf(odd, 0)
              m4 = scaleOf(odd4, 0)
              odd = next(odd)
              odd4 = next(odd4)
            }
            x = evens(x0 + y)
            z = odds(x0 + y)
            s0 = addWholes(s0, v, m, x, z)
            t0 = addWholes(t0, v4, m4, x, z)
            x = evens(x1 + y)
            z = odds(x1 + y)
            s1 = addWholes(s1, v, m, x, z)
            t1 = addWholes(t1, v4, m4, x, z)
            x = evens(x2 + y)
            z = odds(x2 + y)
            s2 = addWholes(s2, v, m, x, z)
            t2 = addWholes(t2, v4, m4, x, z)
            x = evens(x3 + y)
            z = odds(x3 + y)
            s3 = addWholes(s3, v, m, x, z)
            t3 = addWholes(t3, v4, m4, x, z)
            y += 4 * quad
            even = next(even)
            even4 = next(even4)
            if (format.signed()) {
              signs = i16x8.shl(signs, 2)
              signs4 = i16x8.shl(signs4, 2)
            }
          }
          if (ASC_FEATURE_RELAXED_SIMD || !format.signed()) {
            const excess = excessOf<F>(p, h, scales)
            const excess4 = excessOf<F>(q, h, scales4)
            const toSum = toSums + (b * SUMS + h * 16)
            let sums = v128.load(x0 + toSum)
            s0 = i32x4.sub(s0, i32x4.dot_i16x8_s(excess, sums))
            t0 = i32x4.sub(t0, i32x4.dot_i16x8_s(excess4, sums))
            sums = v128.load(x1 + toSum)
            s1 = i32x4.sub(s1, i32x4.dot_i16x8_s(excess, sums))
            t1 = i32x4.sub(t1, i32x4.dot_i16x8_s(excess4, sums))
            sums = v128.load(x2 + toSum)
            s2 = i32x4.sub(s2, i32x4.dot_i16x8_s(excess, sums))
            t2 = i32x4.sub(t2, i32x4.dot_i16x8_s(excess4, sums))
            sums = v128.load(x3 + toSum)
            s3 = i32x4.sub(s3, i32x4.dot_i16x8_s(excess, sums))
            t3 = i32x4.sub(t3, i32x4.dot_i16x8_s(excess4, sums))
          }
        }
        const scale = toScales + b * 4
        const dx = joined(v128.load32_lane(x3 + scale, v128.load32_lane(x2 + scale, v128.load32_lane(x1 + scale, v128.load32_zero(x0 + scale), 1), 2), 3))
        const d = joined(i32x4.splat(load<i16>(u + r * 2)))
        const d4 = joined(i32x4.splat(load<i16>(u + r * 2, 8)))
        a = addScaled(a, expandOf(d, mask, e), dx, laneSums(s0, s1, s2, s3))
        c = addScaled(c, expandOf(d4, mask, f), dx, laneSums(t0, t1, t2, t3))
        u += unitBytes<F>()
      }
      storePair((r & 2 ? (r & 1 ? out3 : out2) : r & 1 ? out1 : out0) + g * 16, a, c, both)
    }
    transpose(out0 + g * 16, out1 + g * 16, out2 + g * 16, out3 + g * 16)
    if (both) transpose(out0 + g * 16 + 16, out1 + g * 16 + 16, out2 + g * 16 + 16, out3 + g * 16 + 16)
    w += 32 + <usize>blocks * unitBytes<F>()
  }
}
