// exp of four float32, the same bits on every CPU: sums and products only, no fused ones. Within 2 ulp for -87 <= x <=
// 88, to which inputs are clamped. Method and coefficients: Cephes' expf (S. L. Moshier): x = n ln 2 + r, a polynomial
// in r, times 2^n.
import { held } from './held'

/** A splat float32 that stays in a register (held.ts). */
// @ts-ignore: decorator
@inline function heldFloat(value: f32, positive: i32): v128 {
  return held(reinterpret<i32>(value), positive)
}

// @ts-ignore: decorator
@inline export function exp4(x: v128): v128 {
  x = f32x4.pmin(f32x4.pmax(x, f32x4.splat(-87)), f32x4.splat(88))
  const n = f32x4.nearest(f32x4.mul(x, f32x4.splat(1.44269504088896341)))
  // ln 2 in two parts, the first of few bits, so that n * part is exact
  const r = f32x4.sub(f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693359375))), f32x4.mul(n, f32x4.splat(-2.12194440e-4)))
  let p = f32x4.splat(1.9875691500e-4)
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.3981999507e-3))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(5.0000001201e-1))
  p = f32x4.add(f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), r), f32x4.splat(1))
  return f32x4.mul(p, i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23))
}

// @ts-ignore: decorator
@inline export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0)
}

/**
 * exp4's bits, with constants that the caller holds. Both roundings to an integer are one addition: 1.5 * 2^23 + y is y
 * rounded, ties to even, in the lowest bits, as far as |y| is below 2^22.
 */
// @ts-ignore: decorator
@inline function expBy(x: v128, least: v128, most: v128, perLn2: v128, rounder: v128, high: v128, low: v128, c5: v128, c4: v128, c3: v128, c2: v128, c1: v128, c0: v128, one: v128, bias: v128): v128 {
  const v = f32x4.pmin(f32x4.pmax(x, least), most)
  const bits = f32x4.add(f32x4.mul(v, perLn2), rounder)
  const n = f32x4.sub(bits, rounder)
  const r = f32x4.sub(f32x4.sub(v, f32x4.mul(n, high)), f32x4.mul(n, low))
  let p = f32x4.add(f32x4.mul(c5, r), c4)
  p = f32x4.add(f32x4.mul(p, r), c3)
  p = f32x4.add(f32x4.mul(p, r), c2)
  p = f32x4.add(f32x4.mul(p, r), c1)
  p = f32x4.add(f32x4.mul(p, r), c0)
  p = f32x4.add(f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), r), one)
  return f32x4.mul(p, i32x4.shl(i32x4.add(bits, bias), 23))
}

/**
 * exp(x * scale - top) in place, for x (rows, 32) and a `top` of each row, `stride` bytes apart: exp4's bits. A row's
 * vectors come in pairs of neighbors, for engines that join them.
 */
export function expBelow(x: usize, rows: i32, scale: f32, tops: usize, stride: usize): void {
  const scales = f32x4.splat(scale)
  const least = heldFloat(-87, rows)
  const most = heldFloat(88, rows)
  const perLn2 = heldFloat(1.44269504088896341, rows)
  const rounder = heldFloat(12582912, rows)
  const high = heldFloat(0.693359375, rows)
  const low = heldFloat(-2.12194440e-4, rows)
  const c5 = heldFloat(1.9875691500e-4, rows)
  const c4 = heldFloat(1.3981999507e-3, rows)
  const c3 = heldFloat(8.3334519073e-3, rows)
  const c2 = heldFloat(4.1665795894e-2, rows)
  const c1 = heldFloat(1.6666665459e-1, rows)
  const c0 = heldFloat(5.0000001201e-1, rows)
  const one = heldFloat(1, rows)
  const bias = held(127, rows)
  for (; rows > 0; rows--) {
    const top = v128.load32_splat(tops)
    for (const end = x + 128; x < end; x += 32) {
      const a = f32x4.sub(f32x4.mul(v128.load(x), scales), top)
      const b = f32x4.sub(f32x4.mul(v128.load(x, 16), scales), top)
      v128.store(x, expBy(a, least, most, perLn2, rounder, high, low, c5, c4, c3, c2, c1, c0, one, bias))
      v128.store(x, expBy(b, least, most, perLn2, rounder, high, low, c5, c4, c3, c2, c1, c0, one, bias), 16)
    }
    tops += stride
  }
}

/** gate / (1 + exp(-gate)) * up, in place, for `count` float32, a multiple of eight: with exp4's bits. */
export function gateBy(gate: usize, up: usize, count: usize): void {
  const positive = <i32>count
  const least = heldFloat(-87, positive)
  const most = heldFloat(88, positive)
  const perLn2 = heldFloat(1.44269504088896341, positive)
  const rounder = heldFloat(12582912, positive)
  const high = heldFloat(0.693359375, positive)
  const low = heldFloat(-2.12194440e-4, positive)
  const c5 = heldFloat(1.9875691500e-4, positive)
  const c4 = heldFloat(1.3981999507e-3, positive)
  const c3 = heldFloat(8.3334519073e-3, positive)
  const c2 = heldFloat(4.1665795894e-2, positive)
  const c1 = heldFloat(1.6666665459e-1, positive)
  const c0 = heldFloat(5.0000001201e-1, positive)
  const one = heldFloat(1, positive)
  const bias = held(127, positive)
  for (const end = gate + count * 4; gate < end; gate += 32) {
    const g = v128.load(gate)
    const h = v128.load(gate, 16)
    const e = expBy(f32x4.neg(g), least, most, perLn2, rounder, high, low, c5, c4, c3, c2, c1, c0, one, bias)
    const f = expBy(f32x4.neg(h), least, most, perLn2, rounder, high, low, c5, c4, c3, c2, c1, c0, one, bias)
    v128.store(gate, f32x4.mul(f32x4.div(g, f32x4.add(one, e)), v128.load(up)))
    v128.store(gate, f32x4.mul(f32x4.div(h, f32x4.add(one, f)), v128.load(up, 16)), 16)
    up += 32
  }
}
