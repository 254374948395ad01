// F32 weights against float32 activations; the oracle is src/format/quants/f32.ts.
//
// A group is 4 rows: columns x 4 rows of f32, so that a lane is a row. Column c goes to accumulator c % 4; the result
// is (a0 + a1) + (a2 + a3). Products and sums are separate instructions: a fused one would not be the same on every
// CPU.

// @ts-ignore: decorator
@inline function step(acc: v128, w: usize, x: usize): v128 {
  return f32x4.add(acc, f32x4.mul(v128.load(w), v128.load32_splat(x)))
}

/** out (groups * 4 rows) = weights (groups * 4 rows, columns) x one token (columns). */
export function matmul_f32_x1(weights: usize, groups: i32, columns: i32, x: usize, out: usize): void {
  const whole = <usize>(columns & ~3)
  for (let g: usize = 0; g < <usize>groups; g++) {
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    for (let c: usize = 0; c < whole; c += 4) {
      const w = weights + c * 16
      const y = x + c * 4
      a0 = step(a0, w, y)
      a1 = step(a1, w + 16, y + 4)
      a2 = step(a2, w + 32, y + 8)
      a3 = step(a3, w + 48, y + 12)
    }
    const rest = <usize>columns - whole
    const w = weights + whole * 16
    const y = x + whole * 4
    if (rest > 0) a0 = step(a0, w, y)
    if (rest > 1) a1 = step(a1, w + 16, y + 4)
    if (rest > 2) a2 = step(a2, w + 32, y + 8)
    v128.store(out + g * 16, f32x4.add(f32x4.add(a0, a1), f32x4.add(a2, a3)))
    weights += <usize>columns * 16
  }
}

/** The same for four tokens, which share the cached weights. Every output is the bits that `matmul_f32_x1` gives. */
export function matmul_f32_x4(weights: usize, groups: i32, columns: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  for (let g: usize = 0; g < <usize>groups; g++) {
    matmul_f32_x1(weights, 1, columns, x0, out0 + g * 16)
    matmul_f32_x1(weights, 1, columns, x1, out1 + g * 16)
    matmul_f32_x1(weights, 1, columns, x2, out2 + g * 16)
    matmul_f32_x1(weights, 1, columns, x3, out3 + g * 16)
    weights += <usize>columns * 16
  }
}

/** Packs `rows` consecutive rows of f32 into groups of four. Returns how many weights are not finite. */
export function repack_f32(src: usize, rows: i32, columns: i32, dst: usize): i32 {
  let bad = 0
  for (let row = 0; row < rows; row += 4) {
    const valid = min(4, rows - row)
    for (let r = 0; r < 4; r++) {
      for (let c: usize = 0; c < <usize>columns; c++) {
        const w = r < valid ? load<f32>(src + (<usize>r * columns + c) * 4) : 0
        if (!isFinite(w)) bad++
        store<f32>(dst + c * 16 + <usize>r * 4, w)
      }
    }
    src += <usize>columns * 16
    dst += <usize>columns * 16
  }
  return bad
}
