// Formats whose groups stand side by side in twos: each 16 bytes of one group are followed by the same 16 bytes of the
// other. The first group of a call is even. The last of an odd number of groups has a partner of zeros, whose products
// are not stored.
//
// Every operation comes twice, once for each group, on neighboring bytes. V8 can make one 256-bit instruction of the
// two (src/runtime/kernels/compile.ts switches that on). No other order of the bytes allows it. Where V8 does not, this
// order is as fast as any.

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
