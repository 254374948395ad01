// Formats whose groups stand side by side in twos: what one group has of a vector is followed by what the other has, 16 bytes further on. A caller's first group is
// even; of an odd number of groups, the last has a partner of zeros whose products are not stored.
//
// Every operation comes twice, once for each group, on neighbouring bytes. V8 can make one 256-bit instruction of two such (src/runtime/kernels/compile.ts switches that on), which no other
// order of the bytes allows, and is as fast as before where it does not.

/** Two groups' results at p, the second's only if there is one. */
// @ts-ignore: decorator
@inline export function storePair(p: usize, a: v128, b: v128, both: bool): void {
  if (both) {
    v128.store(p, a)
    v128.store(p, b, 16)
  } else {
    v128.store(p, a)
  }
}
