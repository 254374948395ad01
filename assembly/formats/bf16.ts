// BF16 weights, widened exactly, against float32 activations; the oracle is src/format/quants/bf16.ts.
//
// A group is 4 rows: columns x 4 rows of bf16, padded to 16 bytes. Order of sums as in f32.ts.
import { stripOf, stripStart } from '../lanes/strips'

// @ts-ignore: decorator
@inline function groupBytes(columns: i32): usize {
  return (<usize>columns * 8 + 15) & ~15
}

/** 4 weights to float32. */
// @ts-ignore: decorator
@inline function widen(w: usize): v128 {
  return i32x4.shl(v128.load16x4_u(w), 16)
}

// @ts-ignore: decorator
@inline function addTo(acc: v128, w: v128, x: v128): v128 {
  return f32x4.add(acc, f32x4.mul(w, x))
}

// The columns beyond a multiple of four, and the sum of all.
// @ts-ignore: decorator
@inline function last(weights: usize, columns: i32, x: usize, a0: v128, a1: v128, a2: v128, a3: v128): v128 {
  const whole = <usize>(columns & ~3)
  const rest = <usize>columns - whole
  const w = weights + whole * 8
  const y = x + whole * 4
  if (rest > 0) a0 = addTo(a0, widen(w), v128.load32_splat(y))
  if (rest > 1) a1 = addTo(a1, widen(w + 8), v128.load32_splat(y, 4))
  if (rest > 2) a2 = addTo(a2, widen(w + 16), v128.load32_splat(y, 8))
  return f32x4.add(f32x4.add(a0, a1), f32x4.add(a2, a3))
}

/** out (groups * 4 rows) = weights (groups * 4 rows, columns) x one token (columns), in four strips (strips.ts). */
export function matmul_bf16_x1(weights: usize, groups: i32, columns: i32, x: usize, out: usize): void {
  const bytes = groupBytes(columns)
  const strip = stripOf(groups)
  const to1 = stripStart(1, strip, groups)
  const to2 = stripStart(2, strip, groups)
  const to3 = stripStart(3, strip, groups)
  for (let g: usize = 0; g < strip; g++) {
    const w0 = weights + g * bytes
    const w1 = w0 + to1 * bytes
    const w2 = w0 + to2 * bytes
    const w3 = w0 + to3 * bytes
    // strip k, column c % 4
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    let b0 = a0
    let b1 = a0
    let b2 = a0
    let b3 = a0
    let c0 = a0
    let c1 = a0
    let c2 = a0
    let c3 = a0
    let d0 = a0
    let d1 = a0
    let d2 = a0
    let d3 = a0
    const whole = <usize>(columns & ~3)
    for (let c: usize = 0; c < whole; c += 4) {
      const at = c * 8
      let y = v128.load32_splat(x + c * 4)
      a0 = addTo(a0, widen(w0 + at), y)
      b0 = addTo(b0, widen(w1 + at), y)
      c0 = addTo(c0, widen(w2 + at), y)
      d0 = addTo(d0, widen(w3 + at), y)
      y = v128.load32_splat(x + c * 4, 4)
      a1 = addTo(a1, widen(w0 + at + 8), y)
      b1 = addTo(b1, widen(w1 + at + 8), y)
      c1 = addTo(c1, widen(w2 + at + 8), y)
      d1 = addTo(d1, widen(w3 + at + 8), y)
      y = v128.load32_splat(x + c * 4, 8)
      a2 = addTo(a2, widen(w0 + at + 16), y)
      b2 = addTo(b2, widen(w1 + at + 16), y)
      c2 = addTo(c2, widen(w2 + at + 16), y)
      d2 = addTo(d2, widen(w3 + at + 16), y)
      y = v128.load32_splat(x + c * 4, 12)
      a3 = addTo(a3, widen(w0 + at + 24), y)
      b3 = addTo(b3, widen(w1 + at + 24), y)
      c3 = addTo(c3, widen(w2 + at + 24), y)
      d3 = addTo(d3, widen(w3 + at + 24), y)
    }
    v128.store(out + g * 16, last(w0, columns, x, a0, a1, a2, a3))
    v128.store(out + (g + to1) * 16, last(w1, columns, x, b0, b1, b2, b3))
    v128.store(out + (g + to2) * 16, last(w2, columns, x, c0, c1, c2, c3))
    v128.store(out + (g + to3) * 16, last(w3, columns, x, d0, d1, d2, d3))
  }
}

// Two tokens: weights are widened once for both. Eight accumulators are as many as the registers hold.
// @ts-ignore: decorator
@inline function pair(weights: usize, columns: i32, x: usize, y: usize, outX: usize, outY: usize): void {
  const whole = <usize>(columns & ~3)
  let a0 = f32x4.splat(0)
  let a1 = a0
  let a2 = a0
  let a3 = a0
  let b0 = a0
  let b1 = a0
  let b2 = a0
  let b3 = a0
  for (let at: usize = 0; at < whole * 4; at += 16) {
    let w = widen(weights + at * 2)
    a0 = addTo(a0, w, v128.load32_splat(x + at))
    b0 = addTo(b0, w, v128.load32_splat(y + at))
    w = widen(weights + at * 2 + 8)
    a1 = addTo(a1, w, v128.load32_splat(x + at, 4))
    b1 = addTo(b1, w, v128.load32_splat(y + at, 4))
    w = widen(weights + at * 2 + 16)
    a2 = addTo(a2, w, v128.load32_splat(x + at, 8))
    b2 = addTo(b2, w, v128.load32_splat(y + at, 8))
    w = widen(weights + at * 2 + 24)
    a3 = addTo(a3, w, v128.load32_splat(x + at, 12))
    b3 = addTo(b3, w, v128.load32_splat(y + at, 12))
  }
  v128.store(outX, last(weights, columns, x, a0, a1, a2, a3))
  v128.store(outY, last(weights, columns, y, b0, b1, b2, b3))
}

/** The same for four tokens. Every output is the bits that `matmul_bf16_x1` gives. */
export function matmul_bf16_x4(weights: usize, groups: i32, columns: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  for (let g: usize = 0; g < <usize>groups; g++) {
    pair(weights, columns, x0, x1, out0 + g * 16, out1 + g * 16)
    pair(weights, columns, x2, x3, out2 + g * 16, out3 + g * 16)
    weights += groupBytes(columns)
  }
}

/** Packs `rows` consecutive rows of bf16 into groups of four. Returns how many weights are not finite. */
export function repack_bf16(src: usize, rows: i32, columns: i32, dst: usize): i32 {
  let bad = 0
  for (let row = 0; row < rows; row += 4) {
    const valid = min(4, rows - row)
    for (let r = 0; r < 4; r++) {
      for (let c: usize = 0; c < <usize>columns; c++) {
        const w = r < valid ? <u32>load<u16>(src + (<usize>r * columns + c) * 2) : 0
        if ((w & 0x7f80) == 0x7f80) bad++
        store<u16>(dst + c * 8 + <usize>r * 2, w)
      }
    }
    src += <usize>columns * 8
    dst += groupBytes(columns)
  }
  return bad
}
