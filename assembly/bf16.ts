// BF16 weights, widened exactly, against float32 activations; the oracle is src/quants/bf16.ts.
//
// A group is 4 rows: columns x 4 rows of bf16, padded to 16 bytes. Order of sums as in f32.ts.

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
@inline function addTo(acc: v128, w: v128, x: usize): v128 {
  return f32x4.add(acc, f32x4.mul(w, v128.load32_splat(x)))
}

/** out (groups * 4 rows) = weights (groups * 4 rows, columns) x one token (columns). */
export function matmul_bf16_x1(weights: usize, groups: i32, columns: i32, x: usize, out: usize): void {
  const whole = <usize>(columns & ~3)
  for (let g: usize = 0; g < <usize>groups; g++) {
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    for (let c: usize = 0; c < whole; c += 4) {
      const w = weights + c * 8
      const y = x + c * 4
      a0 = addTo(a0, widen(w), y)
      a1 = addTo(a1, widen(w + 8), y + 4)
      a2 = addTo(a2, widen(w + 16), y + 8)
      a3 = addTo(a3, widen(w + 24), y + 12)
    }
    const rest = <usize>columns - whole
    const w = weights + whole * 8
    const y = x + whole * 4
    if (rest > 0) a0 = addTo(a0, widen(w), y)
    if (rest > 1) a1 = addTo(a1, widen(w + 8), y + 4)
    if (rest > 2) a2 = addTo(a2, widen(w + 16), y + 8)
    v128.store(out + g * 16, f32x4.add(f32x4.add(a0, a1), f32x4.add(a2, a3)))
    weights += groupBytes(columns)
  }
}

// Two tokens: widened once for both. Eight accumulators are as many as the registers hold.
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
  let at: usize = 0
  for (; at < whole * 4; at += 16) {
    let w = widen(weights + at * 2)
    a0 = addTo(a0, w, x + at)
    b0 = addTo(b0, w, y + at)
    w = widen(weights + at * 2 + 8)
    a1 = addTo(a1, w, x + at + 4)
    b1 = addTo(b1, w, y + at + 4)
    w = widen(weights + at * 2 + 16)
    a2 = addTo(a2, w, x + at + 8)
    b2 = addTo(b2, w, y + at + 8)
    w = widen(weights + at * 2 + 24)
    a3 = addTo(a3, w, x + at + 12)
    b3 = addTo(b3, w, y + at + 12)
  }
  const rest = <usize>columns - whole
  if (rest > 0) {
    const w = widen(weights + at * 2)
    a0 = addTo(a0, w, x + at)
    b0 = addTo(b0, w, y + at)
  }
  if (rest > 1) {
    const w = widen(weights + at * 2 + 8)
    a1 = addTo(a1, w, x + at + 4)
    b1 = addTo(b1, w, y + at + 4)
  }
  if (rest > 2) {
    const w = widen(weights + at * 2 + 16)
    a2 = addTo(a2, w, x + at + 8)
    b2 = addTo(b2, w, y + at + 8)
  }
  v128.store(outX, f32x4.add(f32x4.add(a0, a1), f32x4.add(a2, a3)))
  v128.store(outY, f32x4.add(f32x4.add(b0, b1), f32x4.add(b2, b3)))
}

/** The same for four tokens. Every output is the bits that `matmul_bf16_x1` gives. */
export function matmul_bf16_x4(weights: usize, groups: i32, columns: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  for (let g: usize = 0; g < <usize>groups; g++) {
    pair(weights, columns, x0, x1, out0 + g * 16, out1 + g * 16)
    pair(weights, columns, x2, x3, out2 + g * 16, out3 + g * 16)
    weights += groupBytes(columns)
  }
}

/** `rows` consecutive rows of bf16 to groups of four. Returns how many weights are not finite. */
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
