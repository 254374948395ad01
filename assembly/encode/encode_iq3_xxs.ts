// Float32 weights to IQ3_XXS blocks; the oracle is encodeIQ3XXS in src/format/quants/iq3_xxs.ts.
import { GROUPS, searchFours, signsAndScale } from './gridSearch'

/** `blocks` blocks of 256 float32 at src to 98 bytes each at dst. table: that of the grid. */
export function encode_iq3_xxs(src: usize, blocks: i32, dst: usize, room: usize, importance: usize, table: usize): void {
  for (let b = 0; b < blocks; b++) {
    searchFours(src, dst, room, importance, table, true, 5)
    for (let i: usize = 0; i < 64; i++) store<u8>(dst + i, load<u8>(room + i * 2, GROUPS), 2)
    for (let j: usize = 0; j < 8; j++) store<u32>(dst + j * 4, signsAndScale(room, j), 66)
    src += 1024
    if (importance) importance += 1024
    dst += 98
  }
}
