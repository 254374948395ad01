// RMS norm, and the sums of vectors around it. Vectors are float32; a count need not be a multiple of four.

/** out = x / sqrt(mean(x^2) + eps) * weight. The mean is summed in float64. */
export function rms_norm(x: usize, weight: usize, out: usize, count: i32, eps: f32): void {
  const whole = <usize>(count & ~3) * 4
  const end = <usize>count * 4
  let low = f64x2.splat(0)
  let high = low
  for (let at: usize = 0; at < whole; at += 16) {
    const v = v128.load(x + at)
    const a = f64x2.promote_low_f32x4(v)
    const b = f64x2.promote_low_f32x4(v128.shuffle<i64>(v, v, 1, 1))
    low = f64x2.add(low, f64x2.mul(a, a))
    high = f64x2.add(high, f64x2.mul(b, b))
  }
  const sums = f64x2.add(low, high)
  let sum = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1)
  for (let at = whole; at < end; at += 4) sum += <f64>load<f32>(x + at) * <f64>load<f32>(x + at)
  const scale = <f32>(1.0 / sqrt(sum / <f64>count + <f64>eps))
  const scales = f32x4.splat(scale)
  for (let at: usize = 0; at < whole; at += 16) v128.store(out + at, f32x4.mul(f32x4.mul(v128.load(x + at), scales), v128.load(weight + at)))
  for (let at = whole; at < end; at += 4) store<f32>(out + at, load<f32>(x + at) * scale * load<f32>(weight + at))
}

/** x += y. */
export function add(x: usize, y: usize, count: i32): void {
  const whole = <usize>(count & ~3) * 4
  for (let at: usize = 0; at < whole; at += 16) v128.store(x + at, f32x4.add(v128.load(x + at), v128.load(y + at)))
  for (let at = whole; at < <usize>count * 4; at += 4) store<f32>(x + at, load<f32>(x + at) + load<f32>(y + at))
}

/** x += scale * y. */
export function add_scaled(x: usize, y: usize, count: i32, scale: f32): void {
  const whole = <usize>(count & ~3) * 4
  const scales = f32x4.splat(scale)
  for (let at: usize = 0; at < whole; at += 16) v128.store(x + at, f32x4.add(v128.load(x + at), f32x4.mul(scales, v128.load(y + at))))
  for (let at = whole; at < <usize>count * 4; at += 4) store<f32>(x + at, load<f32>(x + at) + scale * load<f32>(y + at))
}
