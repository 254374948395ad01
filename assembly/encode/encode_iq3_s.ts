// Float32 weights to IQ3_S blocks; the oracle is encodeIQ3S in src/format/quants/iq3_s.ts.
import { GROUPS, SIGNS, searchFours, storeNibbleScales } from './gridSearch'

/** `blocks` blocks of 256 float32 at src to 110 bytes each at dst. table: that of the grid. */
export function encode_iq3_s(src: usize, blocks: i32, dst: usize, room: usize, importance: usize, table: usize): void {
  for (let b = 0; b < blocks; b++) {
    searchFours(src, dst, room, importance, table, false, 3)
    for (let j: usize = 0; j < 8; j++) {
      let ninths: u32 = 0
      for (let l: usize = 0; l < 8; l++) {
        const group: u32 = load<u16>(room + j * 16 + l * 2, GROUPS)
        store<u8>(dst + j * 8 + l, <u8>group, 2)
        ninths |= (group >> 8) << <u32>l
      }
      store<u8>(dst + j, <u8>ninths, 66)
    }
    v128.store(dst, v128.load(room, SIGNS), 74)
    v128.store(dst, v128.load(room, SIGNS + 16), 90)
    storeNibbleScales(room, 8, dst + 106)
    src += 1024
    if (importance) importance += 1024
    dst += 110
  }
}
