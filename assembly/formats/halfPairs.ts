// The products of halfRows.ts for two tokens, and for four where vectors have 256 bits: two groups at a time. Sums of
// half of the columns are made first, two neighbors of every four, so that all fit the registers; what is read a second
// time comes out of the core's cache.
import { HALF_MASK } from '../lanes/half'
import { held } from '../lanes/held'
import { addTo, anyColumns, firstFactor, fourTimesAny, headerBytes, secondFactor, widened } from './halfRows'

// What `storePair` does with sums of two, to which those of the other columns are added that are at p, where `second`
// says so. Added where they are stored, as in halfRows.ts.
// @ts-ignore: decorator
@inline function storeSums(p: usize, a: v128, c: v128, b: v128, d: v128, second: bool, both: bool): void {
  if (both && second) {
    const u = v128.load(p)
    const v = v128.load(p, 16)
    v128.store(p, f32x4.add(u, f32x4.add(a, c)))
    v128.store(p, f32x4.add(v, f32x4.add(b, d)), 16)
  } else if (both) {
    v128.store(p, f32x4.add(a, c))
    v128.store(p, f32x4.add(b, d), 16)
  } else {
    v128.store(p, second ? f32x4.add(v128.load(p), f32x4.add(a, c)) : f32x4.add(a, c))
  }
}

/** `halfOfGroup` for two groups side by side. */
// @ts-ignore: decorator
@inline function halfOfPair<T>(w: usize, end: usize, mask: v128, e: v128, f: v128, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize, second: bool, both: bool): void {
  // token, column; a and c of the first group
  let a0 = f32x4.splat(0)
  let b0 = a0
  let c0 = a0
  let d0 = a0
  let a1 = a0
  let b1 = a0
  let c1 = a0
  let d1 = a0
  let a2 = a0
  let b2 = a0
  let c2 = a0
  let d2 = a0
  let a3 = a0
  let b3 = a0
  let c3 = a0
  let d3 = a0
  for (let y: usize = 0; w < end; y += 16) {
    let u = widened<T>(v128.load16x4_s(w), mask, e)
    let v = widened<T>(v128.load16x4_s(w, 8), mask, f)
    let s = v128.load32_splat(x0 + y)
    a0 = addTo(a0, u, s)
    b0 = addTo(b0, v, s)
    s = v128.load32_splat(x1 + y)
    a1 = addTo(a1, u, s)
    b1 = addTo(b1, v, s)
    s = v128.load32_splat(x2 + y)
    a2 = addTo(a2, u, s)
    b2 = addTo(b2, v, s)
    s = v128.load32_splat(x3 + y)
    a3 = addTo(a3, u, s)
    b3 = addTo(b3, v, s)
    u = widened<T>(v128.load16x4_s(w, 16), mask, e)
    v = widened<T>(v128.load16x4_s(w, 24), mask, f)
    s = v128.load32_splat(x0 + y, 4)
    c0 = addTo(c0, u, s)
    d0 = addTo(d0, v, s)
    s = v128.load32_splat(x1 + y, 4)
    c1 = addTo(c1, u, s)
    d1 = addTo(d1, v, s)
    s = v128.load32_splat(x2 + y, 4)
    c2 = addTo(c2, u, s)
    d2 = addTo(d2, v, s)
    s = v128.load32_splat(x3 + y, 4)
    c3 = addTo(c3, u, s)
    d3 = addTo(d3, v, s)
    w += 64
  }
  storeSums(out0, a0, c0, b0, d0, second, both)
  storeSums(out1, a1, c1, b1, d1, second, both)
  storeSums(out2, a2, c2, b2, d2, second, both)
  storeSums(out3, a3, c3, b3, d3, second, both)
}

/** What `timesFour` does, for two groups at a time: where vectors have 256 bits, their sums fit the registers. */
// @ts-ignore: decorator
@inline export function timesFourTall<T>(weights: usize, groups: i32, columns: i32, x0: usize, x1: usize, x2: usize, x3: usize, out0: usize, out1: usize, out2: usize, out3: usize): void {
  if (columns & 3) return fourTimesAny<T>(weights, groups, columns, x0, x1, x2, x3, out0, out1, out2, out3)
  const mask = held(HALF_MASK, columns)
  const bytes = <usize>columns * 16
  for (let g: usize = 0; g < <usize>groups; g += 2) {
    const e = firstFactor<T>(weights)
    const f = secondFactor<T>(weights)
    const w = weights + headerBytes<T>()
    const end = w + bytes
    const both = g + 1 < <usize>groups
    const at = g * 16
    halfOfPair<T>(w, end, mask, e, f, x0, x1, x2, x3, out0 + at, out1 + at, out2 + at, out3 + at, false, both)
    halfOfPair<T>(w + 32, end, mask, e, f, x0 + 8, x1 + 8, x2 + 8, x3 + 8, out0 + at, out1 + at, out2 + at, out3 + at, true, both)
    weights = end
  }
}

/** The same for two tokens. */
// @ts-ignore: decorator
@inline function halfForTwo<T>(w: usize, end: usize, mask: v128, e: v128, f: v128, x0: usize, x1: usize, out0: usize, out1: usize, second: bool, both: bool): void {
  let a0 = f32x4.splat(0)
  let b0 = a0
  let c0 = a0
  let d0 = a0
  let a1 = a0
  let b1 = a0
  let c1 = a0
  let d1 = a0
  for (let y: usize = 0; w < end; y += 16) {
    let u = widened<T>(v128.load16x4_s(w), mask, e)
    let v = widened<T>(v128.load16x4_s(w, 8), mask, f)
    let s = v128.load32_splat(x0 + y)
    a0 = addTo(a0, u, s)
    b0 = addTo(b0, v, s)
    s = v128.load32_splat(x1 + y)
    a1 = addTo(a1, u, s)
    b1 = addTo(b1, v, s)
    u = widened<T>(v128.load16x4_s(w, 16), mask, e)
    v = widened<T>(v128.load16x4_s(w, 24), mask, f)
    s = v128.load32_splat(x0 + y, 4)
    c0 = addTo(c0, u, s)
    d0 = addTo(d0, v, s)
    s = v128.load32_splat(x1 + y, 4)
    c1 = addTo(c1, u, s)
    d1 = addTo(d1, v, s)
    w += 64
  }
  storeSums(out0, a0, c0, b0, d0, second, both)
  storeSums(out1, a1, c1, b1, d1, second, both)
}

/** The same for two tokens, which share what is read from memory. */
// @ts-ignore: decorator
@inline export function timesTwo<T>(weights: usize, groups: i32, columns: i32, x0: usize, x1: usize, out0: usize, out1: usize): void {
  if (columns & 3) {
    anyColumns<T>(weights, groups, columns, x0, out0)
    anyColumns<T>(weights, groups, columns, x1, out1)
    return
  }
  const mask = held(HALF_MASK, columns)
  const bytes = <usize>columns * 16
  for (let g: usize = 0; g < <usize>groups; g += 2) {
    const e = firstFactor<T>(weights)
    const f = secondFactor<T>(weights)
    const w = weights + headerBytes<T>()
    const end = w + bytes
    const both = g + 1 < <usize>groups
    const at = g * 16
    halfForTwo<T>(w, end, mask, e, f, x0, x1, out0 + at, out1 + at, false, both)
    halfForTwo<T>(w + 32, end, mask, e, f, x0 + 8, x1 + 8, out0 + at, out1 + at, true, both)
    weights = end
  }
}
