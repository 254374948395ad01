// Grouped-query attention over a cache of keys and values, with an online softmax over blocks of 32 positions.
//
// The cache of one kv head, per block of 32 positions: keys headDim x 32 (a column is a position, so that a lane is a position and scores need no horizontal sum),
// values 32 x headDim; float16, or float32 for models whose own weights are. Blocks start at multiples of 32, whatever the batch: a token's result does not depend on the tokens beside it.
import { exp1, exp4 } from './exp'
import { HALF_MASK, expand, fromHalf, toHalf } from './half'
import { held } from './lanes'

/** Rounds one position's key and value (headDim float32 each) into the cache of their kv head. `keys` and `values` point to the head's first block. */
export function store_kv_f16(key: usize, value: usize, headDim: i32, keys: usize, values: usize, position: i32): void {
  const block = <usize>(position >> 5) * <usize>headDim * 64
  const slot = <usize>(position & 31)
  keys += block + slot * 2
  values += block + slot * <usize>headDim * 2
  for (let d: usize = 0; d < <usize>headDim; d += 4) {
    const k = toHalf(v128.load(key + d * 4))
    store<u16>(keys + d * 64, i32x4.extract_lane(k, 0))
    store<u16>(keys + d * 64, i32x4.extract_lane(k, 1), 64)
    store<u16>(keys + d * 64, i32x4.extract_lane(k, 2), 128)
    store<u16>(keys + d * 64, i32x4.extract_lane(k, 3), 192)
    const v = toHalf(v128.load(value + d * 4))
    v128.store64_lane(values + d * 2, i16x8.narrow_i32x4_u(v, v), 0)
  }
}

/** The same for a cache of float32. */
export function store_kv_f32(key: usize, value: usize, headDim: i32, keys: usize, values: usize, position: i32): void {
  const block = <usize>(position >> 5) * <usize>headDim * 128
  const slot = <usize>(position & 31)
  keys += block + slot * 4
  values += block + slot * <usize>headDim * 4
  for (let d: usize = 0; d < <usize>headDim; d++) store<f32>(keys + d * 128, load<f32>(key + d * 4))
  memory.copy(values, value, <usize>headDim * 4)
}

// Scores of 32 positions, unscaled: (keys as float32, headDim x 32) times q.
function scores(q: usize, keys: usize, headDim: i32, out: usize): void {
  let s0 = f32x4.splat(0)
  let s1 = s0
  let s2 = s0
  let s3 = s0
  let s4 = s0
  let s5 = s0
  let s6 = s0
  let s7 = s0
  for (let d: usize = 0; d < <usize>headDim; d++) {
    const x = v128.load32_splat(q + d * 4)
    const k = keys + d * 128
    s0 = f32x4.add(s0, f32x4.mul(x, v128.load(k)))
    s1 = f32x4.add(s1, f32x4.mul(x, v128.load(k, 16)))
    s2 = f32x4.add(s2, f32x4.mul(x, v128.load(k, 32)))
    s3 = f32x4.add(s3, f32x4.mul(x, v128.load(k, 48)))
    s4 = f32x4.add(s4, f32x4.mul(x, v128.load(k, 64)))
    s5 = f32x4.add(s5, f32x4.mul(x, v128.load(k, 80)))
    s6 = f32x4.add(s6, f32x4.mul(x, v128.load(k, 96)))
    s7 = f32x4.add(s7, f32x4.mul(x, v128.load(k, 112)))
  }
  v128.store(out, s0)
  v128.store(out, s1, 16)
  v128.store(out, s2, 32)
  v128.store(out, s3, 48)
  v128.store(out, s4, 64)
  v128.store(out, s5, 80)
  v128.store(out, s6, 96)
  v128.store(out, s7, 112)
}

// out (headDim) = out * scale + sum over positions from .. to of p * value.
function mix(out: usize, scale: f32, p: usize, values: usize, headDim: i32, from: i32, to: i32): void {
  const old = f32x4.splat(scale)
  const rowBytes = <usize>headDim * 4
  let d: usize = 0
  for (; d + 128 <= rowBytes; d += 128) {
    const o = out + d
    let a0 = f32x4.mul(v128.load(o), old)
    let a1 = f32x4.mul(v128.load(o, 16), old)
    let a2 = f32x4.mul(v128.load(o, 32), old)
    let a3 = f32x4.mul(v128.load(o, 48), old)
    let a4 = f32x4.mul(v128.load(o, 64), old)
    let a5 = f32x4.mul(v128.load(o, 80), old)
    let a6 = f32x4.mul(v128.load(o, 96), old)
    let a7 = f32x4.mul(v128.load(o, 112), old)
    for (let i = <usize>from; i < <usize>to; i++) {
      const w = v128.load32_splat(p + i * 4)
      const v = values + i * rowBytes + d
      a0 = f32x4.add(a0, f32x4.mul(w, v128.load(v)))
      a1 = f32x4.add(a1, f32x4.mul(w, v128.load(v, 16)))
      a2 = f32x4.add(a2, f32x4.mul(w, v128.load(v, 32)))
      a3 = f32x4.add(a3, f32x4.mul(w, v128.load(v, 48)))
      a4 = f32x4.add(a4, f32x4.mul(w, v128.load(v, 64)))
      a5 = f32x4.add(a5, f32x4.mul(w, v128.load(v, 80)))
      a6 = f32x4.add(a6, f32x4.mul(w, v128.load(v, 96)))
      a7 = f32x4.add(a7, f32x4.mul(w, v128.load(v, 112)))
    }
    v128.store(o, a0)
    v128.store(o, a1, 16)
    v128.store(o, a2, 32)
    v128.store(o, a3, 48)
    v128.store(o, a4, 64)
    v128.store(o, a5, 80)
    v128.store(o, a6, 96)
    v128.store(o, a7, 112)
  }
  for (; d < rowBytes; d += 16) {
    let a = f32x4.mul(v128.load(out + d), old)
    for (let i = <usize>from; i < <usize>to; i++) a = f32x4.add(a, f32x4.mul(v128.load32_splat(p + i * 4), v128.load(values + i * rowBytes + d)))
    v128.store(out + d, a)
  }
}

// `count` halves to float32. The first 32 with their NaNs: a token that is not a number has them in all its keys, and one is enough to spread it.
function widen(from: usize, to: usize, count: usize, withNaN: bool): void {
  const mask = held(HALF_MASK, <i32>count)
  const factor = f32x4.splat(reinterpret<f32>(0x77800000 | (<i32>count >> 31))) // 2^112
  let i: usize = 0
  if (withNaN) for (; i < 32; i += 4) v128.store(to + i * 4, fromHalf(from + i * 2))
  for (; i < count; i += 4) v128.store(to + i * 4, expand(from + i * 2, mask, factor))
}

/**
 * Attention of one kv head's query heads for `tokens` consecutive positions, the first at `position`; the cache holds all positions up to the last.
 * q: (tokens, qFloats), out: (tokens, outFloats) float32, `heads` heads of headDim from the pointers on. window: positions a token sees, itself included; 0 is all.
 * room: 32 * headDim * 8 bytes for the block as float32, 128 for scores, tokens * heads * 8 for the running maximum and sum.
 */
export function attention_f16(q: usize, out: usize, qFloats: i32, outFloats: i32, tokens: i32, heads: i32, headDim: i32, keys: usize, values: usize, position: i32, window: i32, room: usize): void {
  attend(q, out, qFloats, outFloats, tokens, heads, headDim, keys, values, position, window, room, true)
}

/** The same for a cache of float32. */
export function attention_f32(q: usize, out: usize, qFloats: i32, outFloats: i32, tokens: i32, heads: i32, headDim: i32, keys: usize, values: usize, position: i32, window: i32, room: usize): void {
  attend(q, out, qFloats, outFloats, tokens, heads, headDim, keys, values, position, window, room, false)
}

function attend(q: usize, out: usize, qFloats: i32, outFloats: i32, tokens: i32, heads: i32, headDim: i32, keys: usize, values: usize, position: i32, window: i32, room: usize, halves: bool): void {
  const blockFloats = <usize>headDim * 32
  let wideKeys = room
  let wideValues = room + blockFloats * 4
  const p = room + blockFloats * 8
  const state = p + 128
  const scale = <f32>1 / sqrt(<f32>headDim)
  const outBytes = <usize>outFloats * 4
  const headBytes = <usize>headDim * 4
  for (let t: usize = 0; t < <usize>tokens; t++) {
    memory.fill(out + t * outBytes, 0, <usize>heads * headBytes)
    for (let h: usize = 0; h < <usize>heads; h++) {
      store<f32>(state + (t * heads + h) * 8, -Infinity)
      store<f32>(state + (t * heads + h) * 8, 0, 4)
    }
  }
  const start = window ? max(0, position + 1 - window) : 0
  for (let first = start & ~31; first < position + tokens; first += 32) {
    const block = <usize>first * <usize>headDim
    if (halves) {
      widen(keys + block * 2, wideKeys, blockFloats, true)
      widen(values + block * 2, wideValues, blockFloats, false)
    } else {
      wideKeys = keys + block * 4
      wideValues = values + block * 4
    }
    for (let t = max(0, first - position); t < tokens; t++) {
      const here = position + t
      const from = window ? max(0, here + 1 - window - first) : 0
      const to = min(32, here + 1 - first)
      if (from >= 32) continue
      for (let h: usize = 0; h < <usize>heads; h++) {
        const at = <usize>t * outBytes + h * headBytes
        const mine = state + (<usize>t * heads + h) * 8
        scores(q + (<usize>t * qFloats + h * headDim) * 4, wideKeys, headDim, p)
        const old = load<f32>(mine)
        let top = old
        for (let i = <usize>from; i < <usize>to; i++) {
          const s = load<f32>(p + i * 4) * scale
          store<f32>(p + i * 4, s)
          top = max(top, s)
        }
        const tops = f32x4.splat(top)
        for (let i: usize = 0; i < 128; i += 16) v128.store(p + i, exp4(f32x4.sub(v128.load(p + i), tops)))
        const kept = old == -Infinity ? <f32>0 : exp1(old - top)
        let sum = load<f32>(mine, 4) * kept
        for (let i = <usize>from; i < <usize>to; i++) sum += load<f32>(p + i * 4)
        store<f32>(mine, top)
        store<f32>(mine, sum, 4)
        mix(out + at, kept, p, wideValues, headDim, from, to)
      }
    }
  }
  for (let t: usize = 0; t < <usize>tokens; t++) {
    for (let h: usize = 0; h < <usize>heads; h++) {
      const inverse = f32x4.splat(<f32>1 / load<f32>(state + (t * heads + h) * 8, 4))
      for (let d: usize = 0; d < headBytes; d += 16) {
        const o = out + t * outBytes + h * headBytes + d
        v128.store(o, f32x4.mul(v128.load(o), inverse))
      }
    }
  }
}
