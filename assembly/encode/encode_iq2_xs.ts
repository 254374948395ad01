// Float32 weights to IQ2_XS blocks; the oracle is encodeIQ2XS in src/format/quants/iq2_xs.ts.
import { GROUPS, SIGNS, searchEights, storeNibbleScales } from './gridSearch'

/** `blocks` blocks of 256 float32 at src to 74 bytes each at dst. table: that of the grid. */
export function encode_iq2_xs(src: usize, blocks: i32, dst: usize, room: usize, importance: usize, table: usize): void {
  for (let b = 0; b < blocks; b++) {
    searchEights(src, dst, room, importance, table, 16, true, 3)
    for (let i: usize = 0; i < 32; i++) {
      store<u16>(dst + i * 2, load<u16>(room + i * 2, GROUPS) | ((<u16>load<u8>(room + i, SIGNS) & 127) << 9), 2)
    }
    storeNibbleScales(room, 16, dst + 66)
    src += 1024
    if (importance) importance += 1024
    dst += 74
  }
}
