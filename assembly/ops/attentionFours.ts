// The two products of attention for four rows at a time, with a cache of float32: queries with keys, weights with
// values. The rows share what is read of the cache. A row's sums are made in the same order as in attentionRows.ts.

/** Scores of four rows with the 32 positions of a block, unscaled: (4, 32) at p. */
// @ts-ignore: decorator
@inline export function scores4(q: usize, q1: usize, q2: usize, q3: usize, keys: usize, headDim: i32, p: usize): void {
  for (let tile: usize = 0; tile < 32; tile += 8) {
    let k = keys + tile * 4
    let a = v128.load(k)
    let b = v128.load(k, 16)
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
      k += 128
      a = v128.load(k)
      b = v128.load(k, 16)
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

/**
 * Four rows' parts, each scaled by its `kept`, plus their p (4, 32) times the values of positions from .. to of a
 * block.
 */
// @ts-ignore: decorator
@inline export function mix4(o: usize, o1: usize, o2: usize, o3: usize, kept: usize, p: usize, values: usize, headDim: i32, from: i32, to: i32): void {
  const rowBytes = <usize>headDim * 4
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
    let v = start + d * 4
    for (let i = p; i < end; i += 4) {
      const a = v128.load(v)
      const b = v128.load(v, 16)
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
    let v = start + d * 4
    for (let i = p; i < end; i += 4) {
      const a = v128.load(v)
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
