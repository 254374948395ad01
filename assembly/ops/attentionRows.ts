// The two products of attention, for a block of 32 positions and all query heads of a kv head: queries with keys, weights with values. Four rows at a time share what is
// read and widened of the cache, then two; a row's sums are made in the same order either way.
import { expand, fromHalf, HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'

/** 2^112 in every lane: what `expand` needs for halves that are not raised. */
// @ts-ignore: decorator
@inline export function plainFactor(positive: i32): v128 {
  return held(0x77800000, positive)
}

/** Four cached numbers. */
// @ts-ignore: decorator
@inline function cached(ptr: usize, halves: bool, mask: v128, factor: v128): v128 {
  return halves ? expand(ptr, mask, factor) : v128.load(ptr)
}

/** The same with its NaNs: a token that is not a number has them in all its keys, and one of its dimensions is enough to spread it. */
// @ts-ignore: decorator
@inline function cachedNaN(ptr: usize, halves: bool): v128 {
  return halves ? fromHalf(ptr) : v128.load(ptr)
}

/** Scores of four rows, qBytes apart, with the 32 positions of a block, unscaled: (4, 32) at p. */
// @ts-ignore: decorator
@inline function scores4(q: usize, q1: usize, q2: usize, q3: usize, keys: usize, headDim: i32, p: usize, halves: bool): void {
  const mask = held(HALF_MASK, headDim)
  const factor = plainFactor(headDim)
  const size: usize = halves ? 2 : 4
  for (let tile: usize = 0; tile < 32; tile += 8) {
    let k = keys + tile * size
    let a = cachedNaN(k, halves)
    let b = cachedNaN(k + 4 * size, halves)
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
    for (let d: usize = 4; d < <usize>headDim * 4; d += 4) {
      k += 32 * size
      a = cached(k, halves, mask, factor)
      b = cached(k + 4 * size, halves, mask, factor)
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

/** Four rows' parts, each scaled by its `kept`, plus their p (4, 32) times the values of positions from .. to of a block. */
// @ts-ignore: decorator
@inline function mix4(o: usize, o1: usize, o2: usize, o3: usize, kept: usize, p: usize, values: usize, headDim: i32, from: i32, to: i32, halves: bool): void {
  const mask = held(HALF_MASK, headDim)
  const factor = plainFactor(headDim)
  const size: usize = halves ? 2 : 4
  const rowBytes = <usize>headDim * size
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
    let v = start + d * size
    for (let i = p; i < end; i += 4) {
      const a = cached(v, halves, mask, factor)
      const b = cached(v + 4 * size, halves, mask, factor)
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
    let v = start + d * size
    for (let i = p; i < end; i += 4) {
      const a = cached(v, halves, mask, factor)
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

/** `scores4` for two rows. */
// @ts-ignore: decorator
@inline function scores2(q: usize, q1: usize, keys: usize, headDim: i32, p: usize, halves: bool): void {
  const mask = held(HALF_MASK, headDim)
  const factor = plainFactor(headDim)
  const size: usize = halves ? 2 : 4
  for (let tile: usize = 0; tile < 32; tile += 16) {
    let k = keys + tile * size
    let a = cachedNaN(k, halves)
    let b = cachedNaN(k + 4 * size, halves)
    let c = cachedNaN(k + 8 * size, halves)
    let e = cachedNaN(k + 12 * size, halves)
    let x = v128.load32_splat(q)
    let a0 = f32x4.mul(x, a)
    let b0 = f32x4.mul(x, b)
    let c0 = f32x4.mul(x, c)
    let e0 = f32x4.mul(x, e)
    x = v128.load32_splat(q1)
    let a1 = f32x4.mul(x, a)
    let b1 = f32x4.mul(x, b)
    let c1 = f32x4.mul(x, c)
    let e1 = f32x4.mul(x, e)
    for (let d: usize = 4; d < <usize>headDim * 4; d += 4) {
      k += 32 * size
      a = cached(k, halves, mask, factor)
      b = cached(k + 4 * size, halves, mask, factor)
      c = cached(k + 8 * size, halves, mask, factor)
      e = cached(k + 12 * size, halves, mask, factor)
      x = v128.load32_splat(q + d)
      a0 = f32x4.add(a0, f32x4.mul(x, a))
      b0 = f32x4.add(b0, f32x4.mul(x, b))
      c0 = f32x4.add(c0, f32x4.mul(x, c))
      e0 = f32x4.add(e0, f32x4.mul(x, e))
      x = v128.load32_splat(q1 + d)
      a1 = f32x4.add(a1, f32x4.mul(x, a))
      b1 = f32x4.add(b1, f32x4.mul(x, b))
      c1 = f32x4.add(c1, f32x4.mul(x, c))
      e1 = f32x4.add(e1, f32x4.mul(x, e))
    }
    const out = p + tile * 4
    v128.store(out, a0)
    v128.store(out, b0, 16)
    v128.store(out, c0, 32)
    v128.store(out, e0, 48)
    v128.store(out, a1, 128)
    v128.store(out, b1, 144)
    v128.store(out, c1, 160)
    v128.store(out, e1, 176)
  }
}

/** `mix4` for two rows. */
// @ts-ignore: decorator
@inline function mix2(o: usize, o1: usize, kept: usize, p: usize, values: usize, headDim: i32, from: i32, to: i32, halves: bool): void {
  const mask = held(HALF_MASK, headDim)
  const factor = plainFactor(headDim)
  const size: usize = halves ? 2 : 4
  const rowBytes = <usize>headDim * size
  const start = values + <usize>from * rowBytes
  const end = p + <usize>to * 4
  p += <usize>from * 4
  const kept0 = v128.load32_splat(kept)
  const kept1 = v128.load32_splat(kept, 4)
  let d: usize = 0
  for (; d + 16 <= <usize>headDim; d += 16) {
    const at = d * 4
    let a0 = f32x4.mul(kept0, v128.load(o + at))
    let b0 = f32x4.mul(kept0, v128.load(o + at, 16))
    let c0 = f32x4.mul(kept0, v128.load(o + at, 32))
    let e0 = f32x4.mul(kept0, v128.load(o + at, 48))
    let a1 = f32x4.mul(kept1, v128.load(o1 + at))
    let b1 = f32x4.mul(kept1, v128.load(o1 + at, 16))
    let c1 = f32x4.mul(kept1, v128.load(o1 + at, 32))
    let e1 = f32x4.mul(kept1, v128.load(o1 + at, 48))
    let v = start + d * size
    for (let i = p; i < end; i += 4) {
      const a = cached(v, halves, mask, factor)
      const b = cached(v + 4 * size, halves, mask, factor)
      const c = cached(v + 8 * size, halves, mask, factor)
      const e = cached(v + 12 * size, halves, mask, factor)
      let w = v128.load32_splat(i)
      a0 = f32x4.add(a0, f32x4.mul(w, a))
      b0 = f32x4.add(b0, f32x4.mul(w, b))
      c0 = f32x4.add(c0, f32x4.mul(w, c))
      e0 = f32x4.add(e0, f32x4.mul(w, e))
      w = v128.load32_splat(i, 128)
      a1 = f32x4.add(a1, f32x4.mul(w, a))
      b1 = f32x4.add(b1, f32x4.mul(w, b))
      c1 = f32x4.add(c1, f32x4.mul(w, c))
      e1 = f32x4.add(e1, f32x4.mul(w, e))
      v += rowBytes
    }
    v128.store(o + at, a0)
    v128.store(o + at, b0, 16)
    v128.store(o + at, c0, 32)
    v128.store(o + at, e0, 48)
    v128.store(o1 + at, a1)
    v128.store(o1 + at, b1, 16)
    v128.store(o1 + at, c1, 32)
    v128.store(o1 + at, e1, 48)
  }
  for (; d < <usize>headDim; d += 4) {
    const at = d * 4
    let a0 = f32x4.mul(kept0, v128.load(o + at))
    let a1 = f32x4.mul(kept1, v128.load(o1 + at))
    let v = start + d * size
    for (let i = p; i < end; i += 4) {
      const a = cached(v, halves, mask, factor)
      a0 = f32x4.add(a0, f32x4.mul(v128.load32_splat(i), a))
      a1 = f32x4.add(a1, f32x4.mul(v128.load32_splat(i, 128), a))
      v += rowBytes
    }
    v128.store(o + at, a0)
    v128.store(o1 + at, a1)
  }
}

/** Scores of `rows` rows: (rows, 32) at p, and one row more where `rows` is odd. */
// @ts-ignore: decorator
@inline export function scores(q: usize, rows: i32, keys: usize, headDim: i32, p: usize, halves: bool): void {
  const headBytes = <usize>headDim * 4
  for (; rows >= 4; rows -= 4) {
    scores4(q, q + headBytes, q + 2 * headBytes, q + 3 * headBytes, keys, headDim, p, halves)
    q += 4 * headBytes
    p += 512
  }
  for (; rows > 0; rows -= 2) {
    scores2(q, rows > 1 ? q + headBytes : q, keys, headDim, p, halves)
    q += 2 * headBytes
    p += 256
  }
}

/** Values of `rows` rows into their parts; `spare` takes those of a row more where `rows` is odd. */
// @ts-ignore: decorator
@inline export function mix(part: usize, rows: i32, kept: usize, p: usize, values: usize, headDim: i32, from: i32, to: i32, spare: usize, halves: bool): void {
  const partBytes = <usize>headDim * 4 + 16
  for (; rows >= 4; rows -= 4) {
    mix4(part, part + partBytes, part + 2 * partBytes, part + 3 * partBytes, kept, p, values, headDim, from, to, halves)
    part += 4 * partBytes
    kept += 16
    p += 512
  }
  for (; rows > 0; rows -= 2) {
    mix2(part, rows > 1 ? part + partBytes : spare, kept, p, values, headDim, from, to, halves)
    part += 2 * partBytes
    kept += 8
    p += 256
  }
}
