// The two products of attention, for a block of 32 positions and all query heads of a kv head: queries with keys,
// weights with values. Numbers of the cache are read and widened once for four rows (attentionFours.ts,
// attentionHalves.ts), or for two where fewer are left. A row's sums are made in the same order either way.
import { expandOf, fromHalf, HALF_MASK, plainFactor } from '../lanes/half'
import { held } from '../lanes/held'
import { mix4, scores4 } from './attentionFours'
import { mixHalves4, scoresOfHalves4 } from './attentionHalves'
import { mixTall4, scoresTall4 } from './attentionTall'

// T is what the cache holds: u16 for float16, f32 for float32. It is a type parameter, so that the inner loops have no
// branch: V8 makes 256-bit vectors only within a basic block. Neighbors are read at immediate offsets for the same
// reason.

/** Four numbers of the cache: those at ptr; `cached4`, `cached8` and `cached12` skip that many. */
// @ts-ignore: decorator
@inline function cached<T>(ptr: usize, mask: v128, factor: v128): v128 {
  if (sizeof<T>() == 2) return expandOf(v128.load16x4_s(ptr), mask, factor)
  return v128.load(ptr)
}

// @ts-ignore: decorator
@inline function cached4<T>(ptr: usize, mask: v128, factor: v128): v128 {
  if (sizeof<T>() == 2) return expandOf(v128.load16x4_s(ptr, 8), mask, factor)
  return v128.load(ptr, 16)
}

// @ts-ignore: decorator
@inline function cached8<T>(ptr: usize, mask: v128, factor: v128): v128 {
  if (sizeof<T>() == 2) return expandOf(v128.load16x4_s(ptr, 16), mask, factor)
  return v128.load(ptr, 32)
}

// @ts-ignore: decorator
@inline function cached12<T>(ptr: usize, mask: v128, factor: v128): v128 {
  if (sizeof<T>() == 2) return expandOf(v128.load16x4_s(ptr, 24), mask, factor)
  return v128.load(ptr, 48)
}

/**
 * Four cached numbers with their NaNs. A token that is not a number has NaNs in all its keys, and one of its dimensions
 * is enough to spread it.
 */
// @ts-ignore: decorator
@inline function cachedNaN<T>(ptr: usize): v128 {
  if (sizeof<T>() == 2) return fromHalf(ptr)
  return v128.load(ptr)
}

/** `scores4` for two rows. */
// @ts-ignore: decorator
@inline function scores2<T>(q: usize, q1: usize, keys: usize, headDim: i32, p: usize): void {
  const mask = held(HALF_MASK, headDim)
  const factor = plainFactor(headDim)
  const size: usize = sizeof<T>()
  for (let tile: usize = 0; tile < 32; tile += 16) {
    let k = keys + tile * size
    let a = cachedNaN<T>(k)
    let b = cachedNaN<T>(k + 4 * size)
    let c = cachedNaN<T>(k + 8 * size)
    let e = cachedNaN<T>(k + 12 * size)
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
      a = cached<T>(k, mask, factor)
      b = cached4<T>(k, mask, factor)
      c = cached8<T>(k, mask, factor)
      e = cached12<T>(k, mask, factor)
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
@inline function mix2<T>(o: usize, o1: usize, kept: usize, p: usize, values: usize, headDim: i32, from: i32, to: i32): void {
  const mask = held(HALF_MASK, headDim)
  const factor = plainFactor(headDim)
  const size: usize = sizeof<T>()
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
      const a = cached<T>(v, mask, factor)
      const b = cached4<T>(v, mask, factor)
      const c = cached8<T>(v, mask, factor)
      const e = cached12<T>(v, mask, factor)
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
      const a = cached<T>(v, mask, factor)
      a0 = f32x4.add(a0, f32x4.mul(v128.load32_splat(i), a))
      a1 = f32x4.add(a1, f32x4.mul(v128.load32_splat(i, 128), a))
      v += rowBytes
    }
    v128.store(o + at, a0)
    v128.store(o1 + at, a1)
  }
}

/** Writes the scores of `rows` rows, (rows, 32), to p. Where `rows` is odd, 32 floats behind them are overwritten. */
// @ts-ignore: decorator
@inline export function scores<T>(q: usize, rows: i32, keys: usize, headDim: i32, p: usize): void {
  const headBytes = <usize>headDim * 4
  if (sizeof<T>() == 2) {
    for (; rows >= 8; rows -= 4) {
      scoresOfHalves4(q, q + headBytes, q + 2 * headBytes, q + 3 * headBytes, keys, headDim, p)
      q += 4 * headBytes
      p += 512
    }
  }
  for (; rows >= 4; rows -= 4) {
    if (sizeof<T>() == 2) scoresOfHalves4(q, q + headBytes, q + 2 * headBytes, q + 3 * headBytes, keys, headDim, p)
    else scores4(q, q + headBytes, q + 2 * headBytes, q + 3 * headBytes, keys, headDim, p)
    q += 4 * headBytes
    p += 512
  }
  for (; rows > 0; rows -= 2) {
    scores2<T>(q, rows > 1 ? q + headBytes : q, keys, headDim, p)
    q += 2 * headBytes
    p += 256
  }
}

/** Adds the weighted values of `rows` rows to their parts. Where `rows` is odd, the part at `spare` is overwritten. */
// @ts-ignore: decorator
@inline export function mix<T>(part: usize, rows: i32, kept: usize, p: usize, values: usize, headDim: i32, from: i32, to: i32, spare: usize): void {
  const partBytes = <usize>headDim * 4 + 16
  if (sizeof<T>() == 2) {
    for (; rows >= 8; rows -= 4) {
      mixHalves4(part, part + partBytes, part + 2 * partBytes, part + 3 * partBytes, kept, p, values, headDim, from, to)
      part += 4 * partBytes
      kept += 16
      p += 512
    }
  }
  for (; rows >= 4; rows -= 4) {
    if (sizeof<T>() == 2) mixHalves4(part, part + partBytes, part + 2 * partBytes, part + 3 * partBytes, kept, p, values, headDim, from, to)
    else mix4(part, part + partBytes, part + 2 * partBytes, part + 3 * partBytes, kept, p, values, headDim, from, to)
    part += 4 * partBytes
    kept += 16
    p += 512
  }
  for (; rows > 0; rows -= 2) {
    mix2<T>(part, rows > 1 ? part + partBytes : spare, kept, p, values, headDim, from, to)
    part += 2 * partBytes
    kept += 8
    p += 256
  }
}

/** `scores` of a float32 cache, in tiles that need wide vectors: for an engine that has them. */
export function scoresWide(q: usize, rows: i32, keys: usize, headDim: i32, p: usize): void {
  const headBytes = <usize>headDim * 4
  if (!(headDim & 15)) {
    for (; rows >= 4; rows -= 4) {
      scoresTall4(q, q + headBytes, q + 2 * headBytes, q + 3 * headBytes, keys, headDim, p)
      q += 4 * headBytes
      p += 512
    }
  }
  scores<f32>(q, rows, keys, headDim, p)
}

/** `mix` of a float32 cache in such tiles. */
export function mixWide(part: usize, rows: i32, kept: usize, p: usize, values: usize, headDim: i32, from: i32, to: i32, spare: usize): void {
  const partBytes = <usize>headDim * 4 + 16
  if (!(headDim & 15)) {
    for (; rows >= 4; rows -= 4) {
      mixTall4(part, part + partBytes, part + 2 * partBytes, part + 3 * partBytes, kept, p, values, headDim, from, to)
      part += 4 * partBytes
      kept += 16
      p += 512
    }
  }
  mix<f32>(part, rows, kept, p, values, headDim, from, to, spare)
}
