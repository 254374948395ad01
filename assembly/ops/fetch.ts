// Brings weights into the core's cache ahead of a product of several tokens. WebAssembly has no prefetch instruction. A
// loop that does nothing except load, a line of 64 bytes at a time, keeps as many reads in flight as the core can.

/** Reads `bytes` from `from` on. The result only keeps the loads from being left out. */
export function fetch(from: usize, bytes: usize): i32 {
  let a = i32x4.splat(0)
  let b = a
  const end = from + (bytes & ~127)
  for (; from < end; from += 128) {
    a = v128.xor(a, v128.load(from))
    b = v128.xor(b, v128.load(from, 64))
  }
  return i32x4.extract_lane(v128.xor(a, b), 0)
}
