// AssemblyScript: reads memory as fast as one thread can, for the roofline. Four streams of 16-byte loads, a page never twice.

/** Reads `bytes` (a multiple of 256) from `ptr` and returns what depends on all of them, so that no load can be dropped. */
export function readStreams(ptr: usize, bytes: usize): i64 {
  const part = bytes >> 2
  const end = ptr + part
  let a = v128.load(ptr)
  let b = a
  let c = a
  let d = a
  while (ptr < end) {
    const p1 = ptr + part
    const p2 = p1 + part
    const p3 = p2 + part
    a = v128.xor(a, v128.xor(v128.xor(v128.load(ptr), v128.load(ptr, 16)), v128.xor(v128.load(ptr, 32), v128.load(ptr, 48))))
    b = v128.xor(b, v128.xor(v128.xor(v128.load(p1), v128.load(p1, 16)), v128.xor(v128.load(p1, 32), v128.load(p1, 48))))
    c = v128.xor(c, v128.xor(v128.xor(v128.load(p2), v128.load(p2, 16)), v128.xor(v128.load(p2, 32), v128.load(p2, 48))))
    d = v128.xor(d, v128.xor(v128.xor(v128.load(p3), v128.load(p3, 16)), v128.xor(v128.load(p3, 32), v128.load(p3, 48))))
    ptr += 64
  }
  return i64x2.extract_lane(v128.xor(v128.xor(a, b), v128.xor(c, d)), 0)
}
