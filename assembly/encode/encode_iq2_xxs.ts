// Float32 weights to IQ2_XXS blocks; the oracle is encodeIQ2XXS in src/format/quants/iq2_xxs.ts.
import { GROUPS, searchEights, signsAndScale } from './gridSearch'

/** `blocks` blocks of 256 float32 at src to 66 bytes each at dst. table: that of the grid. */
export function encode_iq2_xxs(src: usize, blocks: i32, dst: usize, room: usize, importance: usize, table: usize): void {
  for (let b = 0; b < blocks; b++) {
    searchEights(src, dst, room, importance, table, 32, true, 3)
    for (let j: usize = 0; j < 8; j++) {
      const at = dst + j * 8
      for (let l: usize = 0; l < 4; l++) store<u8>(at + l, load<u8>(room + j * 8 + l * 2, GROUPS), 2)
      store<u32>(at, signsAndScale(room, j), 6)
    }
    src += 1024
    if (importance) importance += 1024
    dst += 66
  }
}
