// AssemblyScript: reads memory as fast as one thread can, for the roofline: from front to back, 256 bytes an iteration.
// (Several streams far apart read slower: a multiple of 512 MB apart they meet in the same sets of the caches and banks
// of the memory.)

function four(ptr: usize): v128 {
  return v128.xor(v128.xor(v128.load(ptr), v128.load(ptr, 16)), v128.xor(v128.load(ptr, 32), v128.load(ptr, 48)))
}

/**
 * Reads `bytes` (a multiple of 256) from `ptr` and returns what depends on all of them, so that no load can be dropped.
 */
export function readStreams(ptr: usize, bytes: usize): i64 {
  const end = ptr + bytes
  let a = v128.load(ptr)
  let b = a
  let c = a
  let d = a
  for (; ptr < end; ptr += 256) {
    a = v128.xor(a, four(ptr))
    b = v128.xor(b, four(ptr + 64))
    c = v128.xor(c, four(ptr + 128))
    d = v128.xor(d, four(ptr + 192))
  }
  return i64x2.extract_lane(v128.xor(v128.xor(a, b), v128.xor(c, d)), 0)
}
