// Weights of 16 bits, widened exactly, against float32 activations: F16 and BF16. T names the kind: i16 is F16, raised
// (half.ts), u16 is BF16.
//
// Two groups of 4 rows stand side by side (pairs.ts): a 32-byte header for F16 (half.ts), none for BF16, then columns x
// 8 rows of 16 bits. Order of sums as in f32.ts.
import { expandOf, HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'

// @ts-ignore: decorator
@inline export function headerBytes<T>(): usize {
  return isSigned<T>() ? 32 : 0
}

/** What undoes the raise of the first or of the second group; nothing for BF16, which is read as it is. */
// @ts-ignore: decorator
@inline export function firstFactor<T>(pair: usize): v128 {
  return isSigned<T>() ? v128.load(pair) : i32x4.splat(0)
}

// @ts-ignore: decorator
@inline export function secondFactor<T>(pair: usize): v128 {
  return isSigned<T>() ? v128.load(pair, 16) : i32x4.splat(0)
}

/** 4 weights, one in each lane, to float32. */
// @ts-ignore: decorator
@inline export function widened<T>(w: v128, mask: v128, factor: v128): v128 {
  return isSigned<T>() ? expandOf(w, mask, factor) : i32x4.shl(w, 16)
}

// @ts-ignore: decorator
@inline export function addTo(sum: v128, w: v128, x: v128): v128 {
  return f32x4.add(sum, f32x4.mul(w, x))
}

// What `storePair` does with sums of four: added where they are stored, since V8 makes one operation of two only within
// a basic block, and a sum that only one branch needs moves there.
// @ts-ignore: decorator
@inline function storeSums(p: usize, a0: v128, a1: v128, a2: v128, a3: v128, b0: v128, b1: v128, b2: v128, b3: v128, both: bool): void {
  if (both) {
    v128.store(p, f32x4.add(f32x4.add(a0, a1), f32x4.add(a2, a3)))
    v128.store(p, f32x4.add(f32x4.add(b0, b1), f32x4.add(b2, b3)), 16)
  } else {
    v128.store(p, f32x4.add(f32x4.add(a0, a1), f32x4.add(a2, a3)))
  }
}

/** out (groups * 4 rows) = weights (groups * 4 rows, columns) x one token (columns), in two strips (strips.ts). */
// @ts-ignore: decorator
@inline export function timesOne<T>(weights: usize, groups: i32, columns: i32, x: usize, out: usize): void {
  if (columns & 3) return anyColumns<T>(weights, groups, columns, x, out)
  const mask = held(HALF_MASK, columns)
  const pairBytes = headerBytes<T>() + <usize>columns * 16
  const pairs = (<usize>groups + 1) >> 1
  const strip = (pairs + 1) >> 1
  const far = pairs - strip
  for (let g: usize = 0; g < strip; g++) {
    let p = weights + g * pairBytes
    let q = p + far * pairBytes
    const e = firstFactor<T>(p)
    const f = secondFactor<T>(p)
    const h = firstFactor<T>(q)
    const i = secondFactor<T>(q)
    p += headerBytes<T>()
    q += headerBytes<T>()
    // strip and group, column % 4
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
    let y = x
    for (const end = x + <usize>columns * 4; y < end; y += 16) {
      let s = v128.load32_splat(y)
      a0 = addTo(a0, widened<T>(v128.load16x4_s(p), mask, e), s)
      b0 = addTo(b0, widened<T>(v128.load16x4_s(p, 8), mask, f), s)
      c0 = addTo(c0, widened<T>(v128.load16x4_s(q), mask, h), s)
      d0 = addTo(d0, widened<T>(v128.load16x4_s(q, 8), mask, i), s)
      s = v128.load32_splat(y, 4)
      a1 = addTo(a1, widened<T>(v128.load16x4_s(p, 16), mask, e), s)
      b1 = addTo(b1, widened<T>(v128.load16x4_s(p, 24), mask, f), s)
      c1 = addTo(c1, widened<T>(v128.load16x4_s(q, 16), mask, h), s)
      d1 = addTo(d1, widened<T>(v128.load16x4_s(q, 24), mask, i), s)
      s = v128.load32_splat(y, 8)
      a2 = addTo(a2, widened<T>(v128.load16x4_s(p, 32), mask, e), s)
      b2 = addTo(b2, widened<T>(v128.load16x4_s(p, 40), mask, f), s)
      c2 = addTo(c2, widened<T>(v128.load16x4_s(q, 32), mask, h), s)
      d2 = addTo(d2, widened<T>(v128.load16x4_s(q, 40), mask, i), s)
      s = v128.load32_splat(y, 12)
      a3 = addTo(a3, widened<T>(v128.load16x4_s(p, 48), mask, e), s)
      b3 = addTo(b3, widened<T>(v128.load16x4_s(p, 56), mask, f), s)
      c3 = addTo(c3, widened<T>(v128.load16x4_s(q, 48), mask, h), s)
      d3 = addTo(d3, widened<T>(v128.load16x4_s(q, 56), mask, i), s)
      p += 64
      q += 64
    }
    storeSums(out + g * 32, a0, a1, a2, a3, b0, b1, b2, b3, g * 2 + 1 < <usize>groups)
    storeSums(out + (g + far) * 32, c0, c1, c2, c3, d0, d1, d2, d3, (g + far) * 2 + 1 < <usize>groups)
  }
}

/** Any number of columns, one group after the other: no real matrix has columns that four does not divide. */
export function anyColumns<T>(weights: usize, groups: i32, columns: i32, x: usize, out: usize): void {
  const mask = held(HALF_MASK, columns)
  const pairBytes = headerBytes<T>() + <usize>columns * 16
  for (let g: usize = 0; g < <usize>groups; g++) {
    const pair = weights + (g >> 1) * pairBytes
    const factor = firstFactor<T>(pair + (g & 1) * (headerBytes<T>() >> 1))
    const w = pair + headerBytes<T>() + (g & 1) * 8
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    for (let c: usize = 0; c < <usize>columns; c++) {
      const sum = a0
      a0 = a1
      a1 = a2
      a2 = a3
      a3 = addTo(sum, widened<T>(v128.load16x4_s(w + c * 16), mask, factor), v128.load32_splat(x + c * 4))
    }
    // the sum that comes next stands first: turn them until it is the first column's
    for (let c = columns; c & 3; c++) {
      const sum = a0
      a0 = a1
      a1 = a2
      a2 = a3
      a3 = sum
    }
    v128.store(out + g * 16, f32x4.add(f32x4.add(a0, a1), f32x4.add(a2, a3)))
  }
}

export function fourTimesAny<T>(weights: usize, groups: i32, columns: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  anyColumns<T>(weights, groups, columns, x0, out0)
  anyColumns<T>(weights, groups, columns, x1, out1)
  anyColumns<T>(weights, groups, columns, x2, out2)
  anyColumns<T>(weights, groups, columns, x3, out3)
}

/**
 * Sums of two neighboring columns of every four, for one group and four tokens. `second`: added to those of the others.
 */
// @ts-ignore: decorator
@inline function halfOfGroup<T>(w: usize, end: usize, mask: v128, factor: v128, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize, second: bool): void {
  let a0 = f32x4.splat(0)
  let b0 = a0
  let a1 = a0
  let b1 = a0
  let a2 = a0
  let b2 = a0
  let a3 = a0
  let b3 = a0
  for (let y: usize = 0; w < end; y += 16) {
    const u = widened<T>(v128.load16x4_s(w), mask, factor)
    a0 = addTo(a0, u, v128.load32_splat(x0 + y))
    a1 = addTo(a1, u, v128.load32_splat(x1 + y))
    a2 = addTo(a2, u, v128.load32_splat(x2 + y))
    a3 = addTo(a3, u, v128.load32_splat(x3 + y))
    const v = widened<T>(v128.load16x4_s(w, 16), mask, factor)
    b0 = addTo(b0, v, v128.load32_splat(x0 + y, 4))
    b1 = addTo(b1, v, v128.load32_splat(x1 + y, 4))
    b2 = addTo(b2, v, v128.load32_splat(x2 + y, 4))
    b3 = addTo(b3, v, v128.load32_splat(x3 + y, 4))
    w += 64
  }
  a0 = f32x4.add(a0, b0)
  a1 = f32x4.add(a1, b1)
  a2 = f32x4.add(a2, b2)
  a3 = f32x4.add(a3, b3)
  v128.store(out0, second ? f32x4.add(v128.load(out0), a0) : a0)
  v128.store(out1, second ? f32x4.add(v128.load(out1), a1) : a1)
  v128.store(out2, second ? f32x4.add(v128.load(out2), a2) : a2)
  v128.store(out3, second ? f32x4.add(v128.load(out3), a3) : a3)
}

/**
 * The same for four tokens, for which weights are widened once. Every output is the bits that `timesOne` gives. Sums of
 * half of the columns are made first, which are as many as the registers hold.
 */
// @ts-ignore: decorator
@inline export function timesFour<T>(weights: usize, groups: i32, columns: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  if (columns & 3) return fourTimesAny<T>(weights, groups, columns, x0, x1, x2, x3, out0, out1, out2, out3)
  const mask = held(HALF_MASK, columns)
  const pairBytes = headerBytes<T>() + <usize>columns * 16
  for (let g: usize = 0; g < <usize>groups; g++) {
    const pair = weights + (g >> 1) * pairBytes
    const factor = firstFactor<T>(pair + (g & 1) * (headerBytes<T>() >> 1))
    const w = pair + headerBytes<T>() + (g & 1) * 8
    const end = w + <usize>columns * 16
    const at = g * 16
    halfOfGroup<T>(w, end, mask, factor, x0, x1, x2, x3, out0 + at, out1 + at, out2 + at, out3 + at, false)
    halfOfGroup<T>(w + 32, end, mask, factor, x0 + 8, x1 + 8, x2 + 8, x3 + 8, out0 + at, out1 + at, out2 + at, out3 + at, true)
  }
}
