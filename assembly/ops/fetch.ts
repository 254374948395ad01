// What is done with weights ahead of their product, by loads alone: WebAssembly has no prefetch instruction.

/** Bytes of the smallest page of common processors. */
const PAGE: usize = 4096

/**
 * Brings `bytes` from `from` on into the core's cache. A loop that does nothing except load, a line of 64 bytes at a
 * time, keeps as many reads in flight as the core can. The result only keeps the loads from being left out.
 */
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

/**
 * Looks up the addresses of pages, one load each. In the middle of a product a page whose address the core has to look
 * up costs its own wait, and on a virtual machine a long one; here many are looked up at the same time.
 */
export function touch(from: usize, bytes: usize): i32 {
  let a = i32x4.splat(0)
  for (const end = from + bytes; from < end; from += PAGE) a = v128.xor(a, v128.load(from))
  return i32x4.extract_lane(a, 0)
}
