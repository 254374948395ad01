// The products of attentionFours.ts in tiles of twice the width: sixteen positions or dimensions of four rows. Their
// sums fit the registers where vectors have 256 bits, and are enough for additions not to wait for each other. The same
// bits.

/** `scores4` where headDim is a multiple of 16. */
// @ts-ignore: decorator
@inline export function scoresTall4(q: usize, q1: usize, q2: usize, q3: usize, keys: usize, headDim: i32, p: usize): void {
  for (let tile: usize = 0; tile < 128; tile += 64) {
    let k = keys + tile
    // minus zero and a product are the product, bit by bit
    let a0 = f32x4.splat(-0.0)
    let b0 = a0
    let c0 = a0
    let e0 = a0
    let a1 = a0
    let b1 = a0
    let c1 = a0
    let e1 = a0
    let a2 = a0
    let b2 = a0
    let c2 = a0
    let e2 = a0
    let a3 = a0
    let b3 = a0
    let c3 = a0
    let e3 = a0
    for (let d: usize = 0; d < <usize>headDim * 4; d += 8) {
      let a = v128.load(k)
      let b = v128.load(k, 16)
      let c = v128.load(k, 32)
      let e = v128.load(k, 48)
      let x = v128.load32_splat(q + d)
      a0 = f32x4.add(a0, f32x4.mul(x, a))
      b0 = f32x4.add(b0, f32x4.mul(x, b))
      c0 = f32x4.add(c0, f32x4.mul(x, c))
      e0 = f32x4.add(e0, f32x4.mul(x, e))
      x = v128.load32_splat(q1 + d)
      a1 = f32x4.add(a1, f32x4.mul(x, a))
      b1 = f32x4.add(b1, f32x4.mul(x, b))
      c1 = f32x4.add(c1, f32x4.mul(x, c))
      e1 = f32x4.add(e1, f32x4.mul(x, e))
      x = v128.load32_splat(q2 + d)
      a2 = f32x4.add(a2, f32x4.mul(x, a))
      b2 = f32x4.add(b2, f32x4.mul(x, b))
      c2 = f32x4.add(c2, f32x4.mul(x, c))
      e2 = f32x4.add(e2, f32x4.mul(x, e))
      x = v128.load32_splat(q3 + d)
      a3 = f32x4.add(a3, f32x4.mul(x, a))
      b3 = f32x4.add(b3, f32x4.mul(x, b))
      c3 = f32x4.add(c3, f32x4.mul(x, c))
      e3 = f32x4.add(e3, f32x4.mul(x, e))
      a = v128.load(k, 128)
      b = v128.load(k, 144)
      c = v128.load(k, 160)
      e = v128.load(k, 176)
      x = v128.load32_splat(q + d, 4)
      a0 = f32x4.add(a0, f32x4.mul(x, a))
      b0 = f32x4.add(b0, f32x4.mul(x, b))
      c0 = f32x4.add(c0, f32x4.mul(x, c))
      e0 = f32x4.add(e0, f32x4.mul(x, e))
      x = v128.load32_splat(q1 + d, 4)
      a1 = f32x4.add(a1, f32x4.mul(x, a))
      b1 = f32x4.add(b1, f32x4.mul(x, b))
      c1 = f32x4.add(c1, f32x4.mul(x, c))
      e1 = f32x4.add(e1, f32x4.mul(x, e))
      x = v128.load32_splat(q2 + d, 4)
      a2 = f32x4.add(a2, f32x4.mul(x, a))
      b2 = f32x4.add(b2, f32x4.mul(x, b))
      c2 = f32x4.add(c2, f32x4.mul(x, c))
      e2 = f32x4.add(e2, f32x4.mul(x, e))
      x = v128.load32_splat(q3 + d, 4)
      a3 = f32x4.add(a3, f32x4.mul(x, a))
      b3 = f32x4.add(b3, f32x4.mul(x, b))
      c3 = f32x4.add(c3, f32x4.mul(x, c))
      e3 = f32x4.add(e3, f32x4.mul(x, e))
      k += 256
    }
    const out = p + tile
    v128.store(out, a0)
    v128.store(out, b0, 16)
    v128.store(out, c0, 32)
    v128.store(out, e0, 48)
    v128.store(out, a1, 128)
    v128.store(out, b1, 144)
    v128.store(out, c1, 160)
    v128.store(out, e1, 176)
    v128.store(out, a2, 256)
    v128.store(out, b2, 272)
    v128.store(out, c2, 288)
    v128.store(out, e2, 304)
    v128.store(out, a3, 384)
    v128.store(out, b3, 400)
    v128.store(out, c3, 416)
    v128.store(out, e3, 432)
  }
}

/** `mix4` where headDim is a multiple of 16. */
// @ts-ignore: decorator
@inline export function mixTall4(o: usize, o1: usize, o2: usize, o3: usize, kept: usize, p: usize, values: usize, headDim: i32, from: i32, to: i32): void {
  const rowBytes = <usize>headDim * 4
  const start = values + <usize>from * rowBytes
  const end = p + <usize>to * 4
  p += <usize>from * 4
  for (let at: usize = 0; at < rowBytes; at += 64) {
    let w = v128.load32_splat(kept)
    let a0 = f32x4.mul(w, v128.load(o + at))
    let b0 = f32x4.mul(w, v128.load(o + at, 16))
    let c0 = f32x4.mul(w, v128.load(o + at, 32))
    let e0 = f32x4.mul(w, v128.load(o + at, 48))
    w = v128.load32_splat(kept, 4)
    let a1 = f32x4.mul(w, v128.load(o1 + at))
    let b1 = f32x4.mul(w, v128.load(o1 + at, 16))
    let c1 = f32x4.mul(w, v128.load(o1 + at, 32))
    let e1 = f32x4.mul(w, v128.load(o1 + at, 48))
    w = v128.load32_splat(kept, 8)
    let a2 = f32x4.mul(w, v128.load(o2 + at))
    let b2 = f32x4.mul(w, v128.load(o2 + at, 16))
    let c2 = f32x4.mul(w, v128.load(o2 + at, 32))
    let e2 = f32x4.mul(w, v128.load(o2 + at, 48))
    w = v128.load32_splat(kept, 12)
    let a3 = f32x4.mul(w, v128.load(o3 + at))
    let b3 = f32x4.mul(w, v128.load(o3 + at, 16))
    let c3 = f32x4.mul(w, v128.load(o3 + at, 32))
    let e3 = f32x4.mul(w, v128.load(o3 + at, 48))
    let v = start + at
    for (let i = p; i < end; i += 4) {
      const a = v128.load(v)
      const b = v128.load(v, 16)
      const c = v128.load(v, 32)
      const e = v128.load(v, 48)
      w = v128.load32_splat(i)
      a0 = f32x4.add(a0, f32x4.mul(w, a))
      b0 = f32x4.add(b0, f32x4.mul(w, b))
      c0 = f32x4.add(c0, f32x4.mul(w, c))
      e0 = f32x4.add(e0, f32x4.mul(w, e))
      w = v128.load32_splat(i, 128)
      a1 = f32x4.add(a1, f32x4.mul(w, a))
      b1 = f32x4.add(b1, f32x4.mul(w, b))
      c1 = f32x4.add(c1, f32x4.mul(w, c))
      e1 = f32x4.add(e1, f32x4.mul(w, e))
      w = v128.load32_splat(i, 256)
      a2 = f32x4.add(a2, f32x4.mul(w, a))
      b2 = f32x4.add(b2, f32x4.mul(w, b))
      c2 = f32x4.add(c2, f32x4.mul(w, c))
      e2 = f32x4.add(e2, f32x4.mul(w, e))
      w = v128.load32_splat(i, 384)
      a3 = f32x4.add(a3, f32x4.mul(w, a))
      b3 = f32x4.add(b3, f32x4.mul(w, b))
      c3 = f32x4.add(c3, f32x4.mul(w, c))
      e3 = f32x4.add(e3, f32x4.mul(w, e))
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
    v128.store(o2 + at, a2)
    v128.store(o2 + at, b2, 16)
    v128.store(o2 + at, c2, 32)
    v128.store(o2 + at, e2, 48)
    v128.store(o3 + at, a3)
    v128.store(o3 + at, b3, 16)
    v128.store(o3 + at, c3, 32)
    v128.store(o3 + at, e3, 48)
  }
}
