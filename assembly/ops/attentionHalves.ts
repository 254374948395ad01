// The products of attentionFours.ts with a cache of float16.
//
// They are functions with two steps in a loop's body, and called from two places each. V8 without 256-bit vectors (Node
// 20 and 22) unrolls small loops deep inside a function, and then keeps more converted halves at once than there are
// registers: 0.8 times the speed. It does not unroll these, because their bodies are large; and the compiler of the
// kernels does not inline a function with a loop that has two callers.
import { expand, expandOf, fromHalf, HALF_MASK, plainFactor } from '../lanes/half'
import { held } from '../lanes/held'

/** `scores4` for a cache of float16. */
export function scoresOfHalves4(q: usize, q1: usize, q2: usize, q3: usize, keys: usize, headDim: i32, p: usize): void {
  const mask = held(HALF_MASK, headDim)
  const factor = plainFactor(headDim)
  for (let tile: usize = 0; tile < 32; tile += 8) {
    let k = keys + tile * 2
    let a = fromHalf(k)
    let b = fromHalf(k + 8)
    let x = v128.load32_splat(q)
    let a0 = f32x4.mul(x, a)
    let b0 = f32x4.mul(x, b)
    x = v128.load32_splat(q1)
    let a1 = f32x4.mul(x, a)
    let b1 = f32x4.mul(x, b)
    x = v128.load32_splat(q2)
    let a2 = f32x4.mul(x, a)
    let b2 = f32x4.mul(x, b)
    x = v128.load32_splat(q3)
    let a3 = f32x4.mul(x, a)
    let b3 = f32x4.mul(x, b)
    for (let d: usize = 4; d < <usize>headDim * 4 - 4; d += 8) {
      k += 64
      a = expand(k, mask, factor)
      b = expandOf(v128.load16x4_s(k, 8), mask, factor)
      x = v128.load32_splat(q + d)
      a0 = f32x4.add(a0, f32x4.mul(x, a))
      b0 = f32x4.add(b0, f32x4.mul(x, b))
      x = v128.load32_splat(q1 + d)
      a1 = f32x4.add(a1, f32x4.mul(x, a))
      b1 = f32x4.add(b1, f32x4.mul(x, b))
      x = v128.load32_splat(q2 + d)
      a2 = f32x4.add(a2, f32x4.mul(x, a))
      b2 = f32x4.add(b2, f32x4.mul(x, b))
      x = v128.load32_splat(q3 + d)
      a3 = f32x4.add(a3, f32x4.mul(x, a))
      b3 = f32x4.add(b3, f32x4.mul(x, b))
      k += 64
      a = expand(k, mask, factor)
      b = expandOf(v128.load16x4_s(k, 8), mask, factor)
      x = v128.load32_splat(q + d, 4)
      a0 = f32x4.add(a0, f32x4.mul(x, a))
      b0 = f32x4.add(b0, f32x4.mul(x, b))
      x = v128.load32_splat(q1 + d, 4)
      a1 = f32x4.add(a1, f32x4.mul(x, a))
      b1 = f32x4.add(b1, f32x4.mul(x, b))
      x = v128.load32_splat(q2 + d, 4)
      a2 = f32x4.add(a2, f32x4.mul(x, a))
      b2 = f32x4.add(b2, f32x4.mul(x, b))
      x = v128.load32_splat(q3 + d, 4)
      a3 = f32x4.add(a3, f32x4.mul(x, a))
      b3 = f32x4.add(b3, f32x4.mul(x, b))
    }
    {
      const d = <usize>headDim * 4 - 4
      k += 64
      a = expand(k, mask, factor)
      b = expandOf(v128.load16x4_s(k, 8), mask, factor)
      x = v128.load32_splat(q + d)
      a0 = f32x4.add(a0, f32x4.mul(x, a))
      b0 = f32x4.add(b0, f32x4.mul(x, b))
      x = v128.load32_splat(q1 + d)
      a1 = f32x4.add(a1, f32x4.mul(x, a))
      b1 = f32x4.add(b1, f32x4.mul(x, b))
      x = v128.load32_splat(q2 + d)
      a2 = f32x4.add(a2, f32x4.mul(x, a))
      b2 = f32x4.add(b2, f32x4.mul(x, b))
      x = v128.load32_splat(q3 + d)
      a3 = f32x4.add(a3, f32x4.mul(x, a))
      b3 = f32x4.add(b3, f32x4.mul(x, b))
    }
    const out = p + tile * 4
    v128.store(out, a0)
    v128.store(out, b0, 16)
    v128.store(out, a1, 128)
    v128.store(out, b1, 144)
    v128.store(out, a2, 256)
    v128.store(out, b2, 272)
    v128.store(out, a3, 384)
    v128.store(out, b3, 400)
  }
}

/** `mix4` for a cache of float16. */
export function mixHalves4(o: usize, o1: usize, o2: usize, o3: usize, kept: usize, p: usize, values: usize, headDim: i32, from: i32, to: i32): void {
  const mask = held(HALF_MASK, headDim)
  const factor = plainFactor(headDim)
  const rowBytes = <usize>headDim * 2
  const start = values + <usize>from * rowBytes
  const end = p + <usize>to * 4
  p += <usize>from * 4
  let d: usize = 0
  for (; d + 8 <= <usize>headDim; d += 8) {
    const at = d * 4
    let w = v128.load32_splat(kept)
    let a0 = f32x4.mul(w, v128.load(o + at))
    let b0 = f32x4.mul(w, v128.load(o + at, 16))
    w = v128.load32_splat(kept, 4)
    let a1 = f32x4.mul(w, v128.load(o1 + at))
    let b1 = f32x4.mul(w, v128.load(o1 + at, 16))
    w = v128.load32_splat(kept, 8)
    let a2 = f32x4.mul(w, v128.load(o2 + at))
    let b2 = f32x4.mul(w, v128.load(o2 + at, 16))
    w = v128.load32_splat(kept, 12)
    let a3 = f32x4.mul(w, v128.load(o3 + at))
    let b3 = f32x4.mul(w, v128.load(o3 + at, 16))
    let v = start + d * 2
    let i = p
    for (; i + 4 < end; i += 8) {
      const a = expand(v, mask, factor)
      const b = expandOf(v128.load16x4_s(v, 8), mask, factor)
      w = v128.load32_splat(i)
      a0 = f32x4.add(a0, f32x4.mul(w, a))
      b0 = f32x4.add(b0, f32x4.mul(w, b))
      w = v128.load32_splat(i, 128)
      a1 = f32x4.add(a1, f32x4.mul(w, a))
      b1 = f32x4.add(b1, f32x4.mul(w, b))
      w = v128.load32_splat(i, 256)
      a2 = f32x4.add(a2, f32x4.mul(w, a))
      b2 = f32x4.add(b2, f32x4.mul(w, b))
      w = v128.load32_splat(i, 384)
      a3 = f32x4.add(a3, f32x4.mul(w, a))
      b3 = f32x4.add(b3, f32x4.mul(w, b))
      v += rowBytes
      const c = expand(v, mask, factor)
      const e = expandOf(v128.load16x4_s(v, 8), mask, factor)
      w = v128.load32_splat(i, 4)
      a0 = f32x4.add(a0, f32x4.mul(w, c))
      b0 = f32x4.add(b0, f32x4.mul(w, e))
      w = v128.load32_splat(i, 132)
      a1 = f32x4.add(a1, f32x4.mul(w, c))
      b1 = f32x4.add(b1, f32x4.mul(w, e))
      w = v128.load32_splat(i, 260)
      a2 = f32x4.add(a2, f32x4.mul(w, c))
      b2 = f32x4.add(b2, f32x4.mul(w, e))
      w = v128.load32_splat(i, 388)
      a3 = f32x4.add(a3, f32x4.mul(w, c))
      b3 = f32x4.add(b3, f32x4.mul(w, e))
      v += rowBytes
    }
    if (i < end) {
      const a = expand(v, mask, factor)
      const b = expandOf(v128.load16x4_s(v, 8), mask, factor)
      w = v128.load32_splat(i)
      a0 = f32x4.add(a0, f32x4.mul(w, a))
      b0 = f32x4.add(b0, f32x4.mul(w, b))
      w = v128.load32_splat(i, 128)
      a1 = f32x4.add(a1, f32x4.mul(w, a))
      b1 = f32x4.add(b1, f32x4.mul(w, b))
      w = v128.load32_splat(i, 256)
      a2 = f32x4.add(a2, f32x4.mul(w, a))
      b2 = f32x4.add(b2, f32x4.mul(w, b))
      w = v128.load32_splat(i, 384)
      a3 = f32x4.add(a3, f32x4.mul(w, a))
      b3 = f32x4.add(b3, f32x4.mul(w, b))
      v += rowBytes
    }
    v128.store(o + at, a0)
    v128.store(o + at, b0, 16)
    v128.store(o1 + at, a1)
    v128.store(o1 + at, b1, 16)
    v128.store(o2 + at, a2)
    v128.store(o2 + at, b2, 16)
    v128.store(o3 + at, a3)
    v128.store(o3 + at, b3, 16)
  }
  if (d < <usize>headDim) {
    const at = d * 4
    let a0 = f32x4.mul(v128.load32_splat(kept), v128.load(o + at))
    let a1 = f32x4.mul(v128.load32_splat(kept, 4), v128.load(o1 + at))
    let a2 = f32x4.mul(v128.load32_splat(kept, 8), v128.load(o2 + at))
    let a3 = f32x4.mul(v128.load32_splat(kept, 12), v128.load(o3 + at))
    let v = start + d * 2
    for (let i = p; i < end; i += 4) {
      const a = expand(v, mask, factor)
      a0 = f32x4.add(a0, f32x4.mul(v128.load32_splat(i), a))
      a1 = f32x4.add(a1, f32x4.mul(v128.load32_splat(i, 128), a))
      a2 = f32x4.add(a2, f32x4.mul(v128.load32_splat(i, 256), a))
      a3 = f32x4.add(a3, f32x4.mul(v128.load32_splat(i, 384), a))
      v += rowBytes
    }
    v128.store(o + at, a0)
    v128.store(o1 + at, a1)
    v128.store(o2 + at, a2)
    v128.store(o3 + at, a3)
  }
}
