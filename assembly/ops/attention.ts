// Grouped-query attention over the cache of one kv head (kvCache.ts): an online softmax over blocks of 32 positions,
// one range of positions at a time. Ranges are merged in their order. Blocks start at multiples of 32, and the caller
// starts ranges at fixed positions. So a token's result depends neither on the tokens beside it nor on which thread
// computed which range.
//
// A row is one query head of one token. A part is the result of a range for a row: headDim sums of p * value, the
// largest score, the sum of p, two floats unused.
import { exp1, exp4, expBelow } from '../lanes/exp'
import { expand, expandOf, fromHalf, HALF_MASK, plainFactor } from '../lanes/half'
import { held } from '../lanes/held'
import { roundedQueryBytes, roundQueries, scoresOfBytes, widenScales } from './attentionBytes'
import { mixBytes, widenValueScales } from './attentionByteValues'
import { mix, mixWide, scores, scoresWide } from './attentionRows'
import { byteBlockBytes } from './kvCache'

/**
 * Turns scores at p (rows, 32) into p = exp(score * scale - largest so far), 0 outside of from .. to. Updates the
 * parts' largest and sum, and leaves at `kept` (rows) the factors that their other sums are to be scaled by.
 */
function weigh(p: usize, rows: i32, scale: f32, from: i32, to: i32, part: usize, partBytes: usize, kept: usize): void {
  const state = part + partBytes - 16
  for (let r: usize = 0; r < <usize>rows; r++) {
    const at = p + r * 128
    for (let i: usize = 0; i < <usize>from; i++) store<f32>(at + i * 4, -Infinity)
    for (let i = <usize>to; i < 32; i++) store<f32>(at + i * 4, -Infinity)
    let top = f32x4.pmax(v128.load(at), v128.load(at, 16))
    top = f32x4.pmax(top, v128.load(at, 32))
    top = f32x4.pmax(top, v128.load(at, 48))
    top = f32x4.pmax(top, v128.load(at, 64))
    top = f32x4.pmax(top, v128.load(at, 80))
    top = f32x4.pmax(top, v128.load(at, 96))
    top = f32x4.pmax(top, v128.load(at, 112))
    top = f32x4.pmax(top, v128.shuffle<i64>(top, top, 1, 0))
    top = f32x4.pmax(top, v128.shuffle<i32>(top, top, 1, 0, 3, 2))
    const mine = state + r * partBytes
    const old = load<f32>(mine)
    const largest = f32x4.extract_lane(f32x4.pmax(f32x4.mul(top, f32x4.splat(scale)), f32x4.splat(old)), 0)
    store<f32>(mine, largest)
    store<f32>(kept + r * 4, old == -Infinity ? old : old - largest)
  }
  // exp of four rows' at once; a row that has seen nothing keeps nothing
  let r: usize = 0
  for (; r + 4 <= <usize>rows; r += 4) {
    const x = v128.load(kept + r * 4)
    v128.store(kept + r * 4, v128.andnot(exp4(x), f32x4.eq(x, f32x4.splat(-Infinity))))
  }
  for (; r < <usize>rows; r++) {
    const x = load<f32>(kept + r * 4)
    store<f32>(kept + r * 4, x == -Infinity ? 0 : exp1(x))
  }
  expBelow(p, rows, scale, state, partBytes)
  for (let r: usize = 0; r < <usize>rows; r++) {
    const at = p + r * 128
    for (let i: usize = 0; i < <usize>from; i++) store<f32>(at + i * 4, 0)
    for (let i = <usize>to; i < 32; i++) store<f32>(at + i * 4, 0)
    let sum = f32x4.add(v128.load(at), v128.load(at, 16))
    sum = f32x4.add(sum, v128.load(at, 32))
    sum = f32x4.add(sum, v128.load(at, 48))
    sum = f32x4.add(sum, v128.load(at, 64))
    sum = f32x4.add(sum, v128.load(at, 80))
    sum = f32x4.add(sum, v128.load(at, 96))
    sum = f32x4.add(sum, v128.load(at, 112))
    sum = f32x4.add(sum, v128.shuffle<i64>(sum, sum, 1, 0))
    sum = f32x4.add(sum, v128.shuffle<i32>(sum, sum, 1, 0, 3, 2))
    const mine = state + r * partBytes
    store<f32>(mine, load<f32>(mine, 4) * load<f32>(kept + r * 4) + f32x4.extract_lane(sum, 0), 4)
  }
}

// `count` halves to float32. The first 32, which are one dimension of keys, with their NaNs.
function widen(from: usize, to: usize, count: usize, withNaN: bool): void {
  const mask = held(HALF_MASK, <i32>count)
  const factor = plainFactor(<i32>count)
  let i: usize = 0
  if (withNaN) for (; i < 32; i += 4) v128.store(to + i * 4, fromHalf(from + i * 2))
  for (; i < count; i += 8) {
    v128.store(to + i * 4, expand(from + i * 2, mask, factor))
    v128.store(to + i * 4, expandOf(v128.load16x4_s(from + i * 2, 8), mask, factor), 16)
  }
}

/**
 * One range, positions first .. end (first a multiple of 32), of the attention of `heads` query heads of one kv head
 * for `tokens` consecutive positions, the first at `position`. The cache holds all positions up to the last. table:
 * (blocks of 32 positions) i32, the page of each: its place in `keys` and `values`, counted in blocks. q: (tokens,
 * qFloats), from the pointer on (heads, headDim) float32. part: (tokens, heads) parts. window: positions a token sees,
 * itself included; 0 is all. room: headDim * 132 + (tokens * heads + 1) * 132 bytes, and 16. wide: 1 where vectors have
 * 256 bits, else 0; the bits are the same.
 */
export function attention_f16(q: usize, qFloats: i32, part: usize, tokens: i32, heads: i32, headDim: i32, keys: usize, values: usize, table: usize, position: i32, window: i32, first: i32, end: i32, room: usize, wide: i32): void {
  attend(q, qFloats, part, tokens, heads, headDim, keys, values, table, position, window, first, end, room, wide, HALVES)
}

/** The same for a cache of float32. */
export function attention_f32(q: usize, qFloats: i32, part: usize, tokens: i32, heads: i32, headDim: i32, keys: usize, values: usize, table: usize, position: i32, window: i32, first: i32, end: i32, room: usize, wide: i32): void {
  attend(q, qFloats, part, tokens, heads, headDim, keys, values, table, position, window, first, end, room, wide, FLOATS)
}

/**
 * The same for a cache of 8 bits. room: besides, for each query head of each token, headDim * 2 bytes and 4 for each 32
 * dimensions, up to a multiple of 16.
 */
export function attention_q8(q: usize, qFloats: i32, part: usize, tokens: i32, heads: i32, headDim: i32, keys: usize, values: usize, table: usize, position: i32, window: i32, first: i32, end: i32, room: usize, wide: i32): void {
  attend(q, qFloats, part, tokens, heads, headDim, keys, values, table, position, window, first, end, room, wide, BYTES)
}

// What the cache holds.
const FLOATS = 0
const HALVES = 1
const BYTES = 2

// One token reads halves directly. For several tokens a block is widened first, keys and then values in the same room,
// so that it stays in the first-level cache. Of a block of bytes only the scales are widened: those of keys, then those
// of values as a token sees them.
function attend(q: usize, qFloats: i32, part: usize, tokens: i32, heads: i32, headDim: i32, keys: usize, values: usize, table: usize, position: i32, window: i32, first: i32, end: i32, room: usize, wide: i32, kind: i32): void {
  const blockFloats = <usize>headDim * 32
  const rows = <usize>heads
  const spare = room + blockFloats * 4
  const p = spare + <usize>headDim * 4
  const kept = p + (<usize>tokens * rows + 1) * 128
  const partBytes = <usize>headDim * 4 + 16
  const qBytes = <usize>qFloats * 4
  const scale = <f32>1 / sqrt(<f32>headDim)
  const halves = kind == HALVES
  const bytes = kind == BYTES
  const direct = halves && tokens == 1
  const blockBytes = bytes ? byteBlockBytes(headDim) : blockFloats * (halves ? 2 : 4)
  const queries = (kept + (<usize>tokens * rows + 1) * 4 + 15) & ~15
  const queryBytes = roundedQueryBytes(headDim) * rows
  if (bytes) for (let t: usize = 0; t < <usize>tokens; t++) roundQueries(q + t * qBytes, heads, headDim, queries + t * queryBytes)
  for (let row: usize = 0; row < <usize>tokens * rows; row++) {
    memory.fill(part + row * partBytes, 0, partBytes)
    store<f32>(part + (row + 1) * partBytes - 16, -Infinity)
  }
  end = min(end, position + tokens)
  if (window) first = max(first, (position + 1 - window) & ~31)
  for (; first < end; first += 32) {
    const block = <usize>load<i32>(table + (<usize>first >> 5) * 4) * blockBytes
    const from0 = max(0, first - position) // the first token that sees the block
    let k = keys + block
    let v = values + block
    if (halves && !direct) {
      widen(k, room, blockFloats, true)
      k = room
    }
    if (bytes) widenScales(k + blockFloats, headDim, room)
    for (let t = from0; t < tokens; t++) {
      const row = <usize>t * rows
      const here = position + t
      const from = window ? max(0, here + 1 - window - first) : 0
      if (from >= 32) continue
      const at = q + <usize>t * qBytes
      if (bytes) scoresOfBytes(queries + <usize>t * queryBytes, heads, k, room, headDim, p + row * 128)
      else if (direct) scores<u16>(at, heads, k, headDim, p)
      else if (wide) scoresWide(at, heads, k, headDim, p + row * 128)
      else scores<f32>(at, heads, k, headDim, p + row * 128)
      weigh(p + row * 128, heads, scale, from, min(32, here + 1 - first), part + row * partBytes, partBytes, kept + row * 4)
    }
    if (halves && !direct) {
      widen(v, room, blockFloats, false)
      v = room
    }
    let whole = false // whether the scales in the room are those of all 32 positions
    for (let t = from0; t < tokens; t++) {
      const row = <usize>t * rows
      const here = position + t
      const from = window ? max(0, here + 1 - window - first) : 0
      if (from >= 32) continue
      const to = min(32, here + 1 - first)
      if (bytes) {
        const all = from == 0 && to == 32
        if (!(whole && all)) widenValueScales(v, headDim, from, to, room)
        whole = all
        mixBytes(part + row * partBytes, heads, kept + row * 4, p + row * 128, v, room, headDim)
      } else if (direct) mix<u16>(part, heads, kept, p, v, headDim, from, to, spare)
      else if (wide) mixWide(part + row * partBytes, heads, kept + row * 4, p + row * 128, v, headDim, from, to, spare)
      else mix<f32>(part + row * partBytes, heads, kept + row * 4, p + row * 128, v, headDim, from, to, spare)
    }
  }
}

/** Adds the parts of the range that follows, (rows) at `next`, to those at `part`. */
export function merge_attention(part: usize, next: usize, rows: i32, headDim: i32): void {
  const headBytes = <usize>headDim * 4
  for (let r = 0; r < rows; r++) {
    const a = load<f32>(part + headBytes)
    const b = load<f32>(next + headBytes)
    const top = b > a ? b : a
    const keptA: f32 = a == -Infinity ? 0 : exp1(a - top)
    const keptB: f32 = b == -Infinity ? 0 : exp1(b - top)
    const wa = f32x4.splat(keptA)
    const wb = f32x4.splat(keptB)
    for (let d: usize = 0; d < headBytes; d += 16) v128.store(part + d, f32x4.add(f32x4.mul(v128.load(part + d), wa), f32x4.mul(v128.load(next + d), wb)))
    store<f32>(part + headBytes, top)
    store<f32>(part + headBytes, load<f32>(part + headBytes, 4) * keptA + load<f32>(next + headBytes, 4) * keptB, 4)
    part += headBytes + 16
    next += headBytes + 16
  }
}

/** out (rows, headDim) = the weighted means of the parts of `rows` rows, all ranges merged. */
export function finish_attention(part: usize, rows: i32, headDim: i32, out: usize): void {
  const headBytes = <usize>headDim * 4
  for (let r = 0; r < rows; r++) {
    const inverse = f32x4.splat(<f32>1 / load<f32>(part + headBytes, 4))
    for (let d: usize = 0; d < headBytes; d += 16) v128.store(out + d, f32x4.mul(v128.load(part + d), inverse))
    part += headBytes + 16
    out += headBytes
  }
}
