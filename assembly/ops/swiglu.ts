// The expert's gate: silu(gate) * up, silu(g) = g / (1 + exp(-g)).
import { exp4, gateBy } from '../lanes/exp'

/** gate = silu(gate) * up, in place. `count` is rounded up to four: both buffers have room for that. */
export function swiglu(gate: usize, up: usize, count: i32): void {
  const whole = <usize>(count & ~7)
  gateBy(gate, up, whole)
  for (let at = whole * 4; at < <usize>count * 4; at += 16) {
    const g = v128.load(gate + at)
    v128.store(gate + at, f32x4.mul(f32x4.div(g, f32x4.add(f32x4.splat(1), exp4(f32x4.neg(g)))), v128.load(up + at)))
  }
}
