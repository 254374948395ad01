// Float32 weights to IQ4_XS blocks; the oracle is encodeIQ4XS in src/format/quants/iq4_xs.ts.
import { shareOfSquares, weighImportance } from './importance'
import { findIQ4Scales, findWeighedIQ4Scales, ROOM_LEFT, storePlaces, WEIGHTS } from './iq4Search'
import { interleave, largestOf, storeHalf } from './rounding'

/** `blocks` blocks of 256 float32 at src to 136 bytes each at dst. table: that of iq4Search.ts. */
export function encode_iq4_xs(src: usize, blocks: i32, dst: usize, room: usize, importance: usize, table: usize): void {
  const fits = room + ROOM_LEFT
  for (let b = 0; b < blocks; b++) {
    const base: f32 = importance ? shareOfSquares(src, 2) : 0
    for (let j: usize = 0; j < 8; j += 4) {
      interleave(src + j * 128, 32, room)
      if (importance) {
        weighImportance(importance + j * 128, room, 32, base, room + WEIGHTS)
        v128.store(fits + j * 4, findWeighedIQ4Scales(room, table))
      } else v128.store(fits + j * 4, findIQ4Scales(room, table))
    }
    const largest = largestOf(fits, 8)
    const d = storeHalf(dst, largest / -32)
    const inverse: f32 = largest == 0 ? 0 : <f32>-32 / largest
    let highBits: u32 = 0
    let lowBits: u32 = 0
    for (let j: usize = 0; j < 8; j++) {
      const scale = nearest<f32>(max<f32>(-32, min<f32>(31, load<f32>(fits + j * 4) * inverse)))
      const unit = d * scale
      storePlaces(src + j * 128, unit == 0 ? 0 : <f32>1 / unit, table, dst + 8 + j * 16)
      const raised = <u32>(<i32>scale + 32)
      lowBits |= (raised & 15) << (4 * <u32>j)
      highBits |= (raised >> 4) << (2 * <u32>j)
    }
    store<u16>(dst, <u16>highBits, 2)
    store<u32>(dst, lowBits, 4)
    src += 1024
    if (importance) importance += 1024
    dst += 136
  }
}
