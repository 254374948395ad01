// The blocks of the IQ1, IQ2 and IQ3 formats as files have them, for packing in the expanded layouts: codes and scales.
// What the fields of a block are is in the oracles, src/format/quants/iq*.ts.
import { fourGroups, GRID_IQ1, GRID_IQ2_S, GRID_IQ2_XS, GRID_IQ2_XXS, GRID_IQ3_S, GRID_IQ3_XXS, negated, twoGroups } from '../lanes/grids'

/** A format. p: a block in a file; k: 16 columns of it. */
@unmanaged export abstract class FileBlock {
  abstract bytes(): usize
  /** 16 codes, a byte each. places: each column's bit among eight; offset, mask: those of `offset` and `mask`, held. */
  abstract codes(p: usize, k: usize, places: v128, offset: v128, mask: v128): v128
  /** What is added to integers, four bytes of it. */
  abstract offset(): i32
  /** The bits of a code, four bytes of them. */
  abstract mask(): i32
  /** The nibble of the scale. */
  abstract scale(p: usize, k: usize): u32
}

/** 16 magnitudes with the signs of a and b: bit c of a belongs to column c, of b to column 8 + c. */
// @ts-ignore: decorator
@inline function signed(magnitudes: v128, a: u32, b: u32, places: v128): v128 {
  const bytes = i64x2.replace_lane(i64x2.splat(<i64>a * 0x0101010101010101), 1, <i64>b * 0x0101010101010101)
  return negated(magnitudes, i8x16.eq(v128.and(bytes, places), places))
}

/** Eight signs of seven bits: the number of minus signs is even. */
// @ts-ignore: decorator
@inline function evenSigns(seven: u32): u32 {
  return seven | ((popcnt<u32>(seven) & 1) << 7)
}

/** The same for the magnitudes of 16 columns whose two times seven bits are, for odd k, 14 bits on. */
// @ts-ignore: decorator
@inline function evenSigned(magnitudes: v128, bits: u32, k: usize, places: v128): v128 {
  const two = bits >> <u32>(k & 1) * 14
  return signed(magnitudes, evenSigns(two & 127), evenSigns((two >> 7) & 127), places)
}

/** Place n of a grid of groups of eight. */
// @ts-ignore: decorator
@inline function eights(grid: usize, a: usize, b: usize): v128 {
  return twoGroups(grid, a << 3, b << 3)
}

/** -43, -25, -8, 8, 25 and 43 to 0 to 5. */
// @ts-ignore: decorator
@inline function codesOfTwo(values: v128, offset: v128, mask: v128): v128 {
  return v128.and(i16x8.shr_u(i8x16.add(values, offset), 4), mask)
}

/** Nibble k of those at p, low ones first. */
// @ts-ignore: decorator
@inline function nibble(p: usize, k: usize): u32 {
  return (<u32>load<u8>(p + (k >> 1)) >> (<u32>(k & 1) * 4)) & 15
}

@final @unmanaged export class BlockIq2Xxs extends FileBlock {
  // @ts-ignore: decorator
  @inline bytes(): usize {
    return 66
  }

  // @ts-ignore: decorator
  @inline offset(): i32 {
    return 0x33333333
  }

  // @ts-ignore: decorator
  @inline mask(): i32 {
    return 0x07070707
  }

  // @ts-ignore: decorator
  @inline codes(p: usize, k: usize, places: v128, offset: v128, mask: v128): v128 {
    const at = p + 2 + (k >> 1) * 8
    const groups = at + (k & 1) * 2
    return codesOfTwo(evenSigned(eights(GRID_IQ2_XXS, load<u8>(groups), load<u8>(groups, 1)), load<u32>(at, 4), k, places), offset, mask)
  }

  // @ts-ignore: decorator
  @inline scale(p: usize, k: usize): u32 {
    return load<u32>(p + (k >> 1) * 8, 6) >> 28
  }
}

@final @unmanaged export class BlockIq2Xs extends FileBlock {
  // @ts-ignore: decorator
  @inline bytes(): usize {
    return 74
  }

  // @ts-ignore: decorator
  @inline offset(): i32 {
    return 0x33333333
  }

  // @ts-ignore: decorator
  @inline mask(): i32 {
    return 0x07070707
  }

  // @ts-ignore: decorator
  @inline codes(p: usize, k: usize, places: v128, offset: v128, mask: v128): v128 {
    const a = <u32>load<u16>(p + k * 4, 2)
    const b = <u32>load<u16>(p + k * 4, 4)
    return codesOfTwo(signed(eights(GRID_IQ2_XS, a & 511, b & 511), evenSigns(a >> 9), evenSigns(b >> 9), places), offset, mask)
  }

  // @ts-ignore: decorator
  @inline scale(p: usize, k: usize): u32 {
    return nibble(p + 66, k)
  }
}

@final @unmanaged export class BlockIq2S extends FileBlock {
  // @ts-ignore: decorator
  @inline bytes(): usize {
    return 82
  }

  // @ts-ignore: decorator
  @inline offset(): i32 {
    return 0x33333333
  }

  // @ts-ignore: decorator
  @inline mask(): i32 {
    return 0x07070707
  }

  // @ts-ignore: decorator
  @inline codes(p: usize, k: usize, places: v128, offset: v128, mask: v128): v128 {
    const high = <usize>nibble(p + 66, k)
    const a = <usize>load<u8>(p + k * 2, 2) | ((high & 3) << 8)
    const b = <usize>load<u8>(p + k * 2, 3) | ((high >> 2) << 8)
    return codesOfTwo(signed(eights(GRID_IQ2_S, a, b), load<u8>(p + k * 2, 34), load<u8>(p + k * 2, 35), places), offset, mask)
  }

  // @ts-ignore: decorator
  @inline scale(p: usize, k: usize): u32 {
    return nibble(p + 74, k)
  }
}

@final @unmanaged export class BlockIq3Xxs extends FileBlock {
  // @ts-ignore: decorator
  @inline bytes(): usize {
    return 98
  }

  // @ts-ignore: decorator
  @inline offset(): i32 {
    return 0x40404040
  }

  // @ts-ignore: decorator
  @inline mask(): i32 {
    return 0x0f0f0f0f
  }

  // @ts-ignore: decorator
  @inline codes(p: usize, k: usize, places: v128, offset: v128, mask: v128): v128 {
    const at = p + 2 + k * 4
    const magnitudes = fourGroups(GRID_IQ3_XXS, <usize>load<u8>(at) << 2, <usize>load<u8>(at, 1) << 2, <usize>load<u8>(at, 2) << 2, <usize>load<u8>(at, 3) << 2)
    const values = evenSigned(magnitudes, load<u32>(p + (k >> 1) * 4, 66), k, places)
    return v128.and(i16x8.shr_u(i8x16.add(values, offset), 3), mask)
  }

  // @ts-ignore: decorator
  @inline scale(p: usize, k: usize): u32 {
    return load<u32>(p + (k >> 1) * 4, 66) >> 28
  }
}

/** The byte offset of a group of four of IQ3_S, whose low bits are at `at`. */
// @ts-ignore: decorator
@inline function placeOf(at: usize, ninth: usize): usize {
  return (<usize>load<u8>(at) | ((ninth & 1) << 8)) << 2
}

@final @unmanaged export class BlockIq3S extends FileBlock {
  // @ts-ignore: decorator
  @inline bytes(): usize {
    return 110
  }

  // @ts-ignore: decorator
  @inline offset(): i32 {
    return 0x0f0f0f0f
  }

  // @ts-ignore: decorator
  @inline mask(): i32 {
    return 0x0f0f0f0f
  }

  // @ts-ignore: decorator
  @inline codes(p: usize, k: usize, places: v128, offset: v128, mask: v128): v128 {
    const at = p + 2 + k * 4
    const ninths = <usize>nibble(p + 66, k)
    const magnitudes = fourGroups(GRID_IQ3_S, placeOf(at, ninths), placeOf(at + 1, ninths >> 1), placeOf(at + 2, ninths >> 2), placeOf(at + 3, ninths >> 3))
    const values = signed(magnitudes, load<u8>(p + k * 2, 74), load<u8>(p + k * 2, 75), places)
    return i16x8.shr_u(i8x16.add(values, offset), 1)
  }

  // @ts-ignore: decorator
  @inline scale(p: usize, k: usize): u32 {
    return nibble(p + 106, k >> 1)
  }
}

@final @unmanaged export class BlockIq1S extends FileBlock {
  // @ts-ignore: decorator
  @inline bytes(): usize {
    return 50
  }

  // @ts-ignore: decorator
  @inline offset(): i32 {
    return 0
  }

  // @ts-ignore: decorator
  @inline mask(): i32 {
    return 0x03030303
  }

  // @ts-ignore: decorator
  @inline codes(p: usize, k: usize, places: v128, offset: v128, mask: v128): v128 {
    const high = <usize>load<u16>(p + (k >> 1) * 2, 34) >> ((k & 1) * 6)
    const a = <usize>load<u8>(p + k * 2, 2) | ((high & 7) << 8)
    const b = <usize>load<u8>(p + k * 2, 3) | (((high >> 3) & 7) << 8)
    return i16x8.shr_u(eights(GRID_IQ1, a, b), 3)
  }

  /** Three bits, and one for a move down. */
  // @ts-ignore: decorator
  @inline scale(p: usize, k: usize): u32 {
    return <u32>load<u16>(p + (k >> 1) * 2, 34) >> 12
  }
}

@final @unmanaged export class BlockIq1M extends FileBlock {
  // @ts-ignore: decorator
  @inline bytes(): usize {
    return 56
  }

  // @ts-ignore: decorator
  @inline offset(): i32 {
    return 0
  }

  // @ts-ignore: decorator
  @inline mask(): i32 {
    return 0x07070707
  }

  // @ts-ignore: decorator
  @inline codes(p: usize, k: usize, places: v128, offset: v128, mask: v128): v128 {
    const high = <usize>load<u8>(p + k, 32)
    const a = <usize>load<u8>(p + k * 2) | ((high & 7) << 8)
    const b = <usize>load<u8>(p + k * 2, 1) | (((high >> 4) & 7) << 8)
    const up = i64x2.replace_lane(i64x2.splat(high & 8 ? 0 : 0x0101010101010101), 1, high & 0x80 ? 0 : 0x0101010101010101)
    return v128.or(i16x8.shr_u(eights(GRID_IQ1, a, b), 2), up)
  }

  // @ts-ignore: decorator
  @inline scale(p: usize, k: usize): u32 {
    return (<u32>load<u16>(p + (k >> 2) * 2, 48) >> (<u32>(k & 3) * 3)) & 7
  }
}
