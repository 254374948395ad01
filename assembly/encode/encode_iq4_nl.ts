// Float32 weights to IQ4_NL blocks; the oracle is encodeIQ4NL in src/format/quants/iq4_nl.ts.
import { placeFour } from './importance'
import { findIQ4Scales, findWeighedIQ4Scales, ROOM_LEFT, storePlaces } from './iq4Search'
import { storeHalf } from './rounding'

/** `blocks` blocks of 32 float32 at src to 18 bytes each at dst. table: that of iq4Search.ts. */
export function encode_iq4_nl(src: usize, blocks: i32, dst: usize, room: usize, importance: usize, table: usize): void {
  const scales = room + ROOM_LEFT
  for (let b = 0; b < blocks; b += 4) {
    const count = <usize>min(4, blocks - b)
    placeFour(src, count, importance, 2, room)
    v128.store(scales, importance ? findWeighedIQ4Scales(room, table) : findIQ4Scales(room, table))
    for (let k: usize = 0; k < count; k++) {
      const d = storeHalf(dst, load<f32>(scales + k * 4))
      storePlaces(src + k * 128, d == 0 ? 0 : <f32>1 / d, table, dst + 2)
      dst += 18
    }
    src += 512
    if (importance) importance += 512
  }
}
