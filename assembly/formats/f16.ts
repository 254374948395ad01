// F16 weights, widened exactly, against float32 activations; the oracle is src/format/quants/f16.ts.
//
// A group is 4 rows: a 16-byte header (half.ts), then columns x 4 rows of f16, raised. Order of sums as in f32.ts.
import { canRaise, expand, HALF_MASK, isFiniteHalf, raise, storeFactor } from '../lanes/half'
import { held } from '../lanes/held'

// @ts-ignore: decorator
@inline function groupBytes(columns: i32): usize {
  return 16 + ((<usize>columns * 8 + 15) & ~15)
}

// @ts-ignore: decorator
@inline function addTo(acc: v128, w: v128, x: usize): v128 {
  return f32x4.add(acc, f32x4.mul(w, v128.load32_splat(x)))
}

// The columns beyond a multiple of four, and the sum of all.
// @ts-ignore: decorator
@inline function last(rows: usize, columns: i32, x: usize, mask: v128, factor: v128, a0: v128, a1: v128, a2: v128, a3: v128): v128 {
  const whole = <usize>(columns & ~3)
  const rest = <usize>columns - whole
  const w = rows + whole * 8
  const y = x + whole * 4
  if (rest > 0) a0 = addTo(a0, expand(w, mask, factor), y)
  if (rest > 1) a1 = addTo(a1, expand(w + 8, mask, factor), y + 4)
  if (rest > 2) a2 = addTo(a2, expand(w + 16, mask, factor), y + 8)
  return f32x4.add(f32x4.add(a0, a1), f32x4.add(a2, a3))
}

/**
 * out (groups * 4 rows) = weights (groups * 4 rows, columns) x one token (columns), in two strips (strips.ts): four
 * would need more accumulators than there are registers.
 */
export function matmul_f16_x1(weights: usize, groups: i32, columns: i32, x: usize, out: usize): void {
  const mask = held(HALF_MASK, columns)
  const whole = <usize>(columns & ~3)
  const strip = (<usize>groups + 1) >> 1
  const toOther = <usize>groups - strip
  const bytes = groupBytes(columns)
  for (let g: usize = 0; g < strip; g++) {
    const v = weights + g * bytes + 16
    const w = v + toOther * bytes
    const e = v128.load(v - 16)
    const f = v128.load(w - 16)
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    let b0 = a0
    let b1 = a0
    let b2 = a0
    let b3 = a0
    for (let at: usize = 0; at < whole * 4; at += 16) {
      const p = v + at * 2
      const q = w + at * 2
      const y = x + at
      a0 = addTo(a0, expand(p, mask, e), y)
      b0 = addTo(b0, expand(q, mask, f), y)
      a1 = addTo(a1, expand(p + 8, mask, e), y + 4)
      b1 = addTo(b1, expand(q + 8, mask, f), y + 4)
      a2 = addTo(a2, expand(p + 16, mask, e), y + 8)
      b2 = addTo(b2, expand(q + 16, mask, f), y + 8)
      a3 = addTo(a3, expand(p + 24, mask, e), y + 12)
      b3 = addTo(b3, expand(q + 24, mask, f), y + 12)
    }
    v128.store(out + g * 16, last(v, columns, x, mask, e, a0, a1, a2, a3))
    v128.store(out + (g + toOther) * 16, last(w, columns, x, mask, f, b0, b1, b2, b3))
  }
}

// Two tokens: weights are widened once for both. Eight accumulators are as many as the registers hold.
// @ts-ignore: decorator
@inline function pair(weights: usize, columns: i32, mask: v128, x: usize, y: usize, outX: usize, outY: usize): void {
  const whole = <usize>(columns & ~3)
  const factor = v128.load(weights)
  const rows = weights + 16
  let a0 = f32x4.splat(0)
  let a1 = a0
  let a2 = a0
  let a3 = a0
  let b0 = a0
  let b1 = a0
  let b2 = a0
  let b3 = a0
  let at: usize = 0
  for (; at < whole * 4; at += 16) {
    let w = expand(rows + at * 2, mask, factor)
    a0 = addTo(a0, w, x + at)
    b0 = addTo(b0, w, y + at)
    w = expand(rows + at * 2 + 8, mask, factor)
    a1 = addTo(a1, w, x + at + 4)
    b1 = addTo(b1, w, y + at + 4)
    w = expand(rows + at * 2 + 16, mask, factor)
    a2 = addTo(a2, w, x + at + 8)
    b2 = addTo(b2, w, y + at + 8)
    w = expand(rows + at * 2 + 24, mask, factor)
    a3 = addTo(a3, w, x + at + 12)
    b3 = addTo(b3, w, y + at + 12)
  }
  const rest = <usize>columns - whole
  if (rest > 0) {
    const w = expand(rows + at * 2, mask, factor)
    a0 = addTo(a0, w, x + at)
    b0 = addTo(b0, w, y + at)
  }
  if (rest > 1) {
    const w = expand(rows + at * 2 + 8, mask, factor)
    a1 = addTo(a1, w, x + at + 4)
    b1 = addTo(b1, w, y + at + 4)
  }
  if (rest > 2) {
    const w = expand(rows + at * 2 + 16, mask, factor)
    a2 = addTo(a2, w, x + at + 8)
    b2 = addTo(b2, w, y + at + 8)
  }
  v128.store(outX, f32x4.add(f32x4.add(a0, a1), f32x4.add(a2, a3)))
  v128.store(outY, f32x4.add(f32x4.add(b0, b1), f32x4.add(b2, b3)))
}

/** The same for four tokens. Every output is the bits that `matmul_f16_x1` gives. */
export function matmul_f16_x4(weights: usize, groups: i32, columns: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  const mask = held(HALF_MASK, columns)
  for (let g: usize = 0; g < <usize>groups; g++) {
    pair(weights, columns, mask, x0, x1, out0 + g * 16, out1 + g * 16)
    pair(weights, columns, mask, x2, x3, out2 + g * 16, out3 + g * 16)
    weights += groupBytes(columns)
  }
}

/** Packs `rows` consecutive rows of f16 into groups of four. Returns how many weights are not finite. */
export function repack_f16(src: usize, rows: i32, columns: i32, dst: usize): i32 {
  let bad = 0
  for (let row = 0; row < rows; row += 4) {
    const valid = min(4, rows - row)
    const count = <usize>valid * columns
    let raised = true
    for (let i: usize = 0; i < count; i++) {
      const w = <u32>load<u16>(src + i * 2)
      if (!isFiniteHalf(w)) bad++
      if (!canRaise(w)) raised = false
    }
    storeFactor(dst, raised)
    for (let r = 0; r < 4; r++) {
      for (let c: usize = 0; c < <usize>columns; c++) {
        const w = r < valid ? <u32>load<u16>(src + (<usize>r * columns + c) * 2) : 0
        store<u16>(dst + c * 8 + <usize>r * 2, raised ? raise(w) : w, 16)
      }
    }
    src += <usize>columns * 8
    dst += groupBytes(columns)
  }
  return bad
}
