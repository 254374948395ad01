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

/** exp of `count` float32 (a multiple of four) in place: exp4 with its constants held. */
export function expAll(x: usize, count: i32): void {
  const least = heldFloat(-87, count)
  const most = heldFloat(88, count)
  const perLn2 = heldFloat(1.44269504088896341, count)
  const ln2High = heldFloat(0.693359375, count)
  const ln2Low = heldFloat(-2.12194440e-4, count)
  const c5 = heldFloat(1.9875691500e-4, count)
  const c4 = heldFloat(1.3981999507e-3, count)
  const c3 = heldFloat(8.3334519073e-3, count)
  const c2 = heldFloat(4.1665795894e-2, count)
  const c1 = heldFloat(1.6666665459e-1, count)
  const c0 = heldFloat(5.0000001201e-1, count)
  const one = heldFloat(1, count)
  const bias = held(127, count)
  for (const end = x + <usize>count * 4; x < end; x += 16) {
    const v = f32x4.pmin(f32x4.pmax(v128.load(x), least), most)
    const n = f32x4.nearest(f32x4.mul(v, perLn2))
    const r = f32x4.sub(f32x4.sub(v, f32x4.mul(n, ln2High)), f32x4.mul(n, ln2Low))
    let p = f32x4.add(f32x4.mul(c5, r), c4)
    p = f32x4.add(f32x4.mul(p, r), c3)
    p = f32x4.add(f32x4.mul(p, r), c2)
    p = f32x4.add(f32x4.mul(p, r), c1)
    p = f32x4.add(f32x4.mul(p, r), c0)
    p = f32x4.add(f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), r), one)
    v128.store(x, f32x4.mul(p, i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), bias), 23)))
  }
}
