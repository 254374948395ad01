// How IQ4_XS (iq4_xs.ts) lies in memory.
//
// Two groups of 4 rows stand side by side (pairs.ts): a 32-byte header (half.ts), then per 256 columns a unit of 1104
// bytes (2 x 544 in the file):
//     0   d   8 rows x f16, raised
//    16   4 times two sub-blocks, 272 bytes: scale, 2 x 8 rows x i8, then q, 2 x 4 x 2 vectors as in q4_k.ts
// Scales stand before the quants that they scale. At the front of the unit, they would cost a tenth of the speed from
// memory, as if the CPU no longer prefetched (Zen 5).

export const UNIT: usize = 1104
const TWO: usize = 272

/** Where sub-block s of a unit has its scales. */
// @ts-ignore: decorator
@inline export function scalesOf(s: usize): usize {
  return 16 + (s >> 1) * TWO + (s & 1) * 8
}

/** Where sub-block s of a unit has its quants. */
// @ts-ignore: decorator
@inline export function quantsOf(s: usize): usize {
  return 32 + (s >> 1) * TWO + (s & 1) * 128
}
