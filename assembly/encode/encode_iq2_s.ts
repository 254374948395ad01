// Float32 weights to IQ2_S blocks; the oracle is encodeIQ2S in src/format/quants/iq2_s.ts.
import { GROUPS, SIGNS, searchEights, storeNibbleScales } from './gridSearch'

/** `blocks` blocks of 256 float32 at src to 82 bytes each at dst. table: that of the grid. */
export function encode_iq2_s(src: usize, blocks: i32, dst: usize, room: usize, importance: usize, table: usize): void {
  for (let b = 0; b < blocks; b++) {
    searchEights(src, dst, room, importance, table, 16, false, 3)
    for (let k: usize = 0; k < 8; k++) {
      let high: u32 = 0
      for (let l: usize = 0; l < 4; l++) {
        const group: u32 = load<u16>(room + k * 8 + l * 2, GROUPS)
        store<u8>(dst + k * 4 + l, <u8>group, 2)
        high |= (group >> 8) << (2 * <u32>l)
      }
      store<u8>(dst + k, <u8>high, 66)
      store<u32>(dst + k * 4, load<u32>(room + k * 4, SIGNS), 34)
    }
    storeNibbleScales(room, 16, dst + 74)
    src += 1024
    if (importance) importance += 1024
    dst += 82
  }
}
