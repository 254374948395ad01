// The table of all ggml tensor types: id in the file, name, weights and bytes of one block. Owns nothing else. Which of
// them have a kernel is decided in quants/formats.ts, which takes block sizes from here. Ids and sizes after ggml.h and
// ggml-common.h of ggml.

/** A type of tensor element. A row is a whole number of blocks of `blockWeights` weights in `blockBytes` bytes. */
export interface GgmlType {
  readonly id: number
  readonly name: string
  readonly blockWeights: number
  readonly blockBytes: number
}

// [id, name, weights in a block, bytes of a block]
const rows: readonly (readonly [number, string, number, number])[] = [
  [0, 'F32', 1, 4],
  [1, 'F16', 1, 2],
  [2, 'Q4_0', 32, 18],
  [3, 'Q4_1', 32, 20],
  [6, 'Q5_0', 32, 22],
  [7, 'Q5_1', 32, 24],
  [8, 'Q8_0', 32, 34],
  [9, 'Q8_1', 32, 36],
  [10, 'Q2_K', 256, 84],
  [11, 'Q3_K', 256, 110],
  [12, 'Q4_K', 256, 144],
  [13, 'Q5_K', 256, 176],
  [14, 'Q6_K', 256, 210],
  [15, 'Q8_K', 256, 292],
  [16, 'IQ2_XXS', 256, 66],
  [17, 'IQ2_XS', 256, 74],
  [18, 'IQ3_XXS', 256, 98],
  [19, 'IQ1_S', 256, 50],
  [20, 'IQ4_NL', 32, 18],
  [21, 'IQ3_S', 256, 110],
  [22, 'IQ2_S', 256, 82],
  [23, 'IQ4_XS', 256, 136],
  [24, 'I8', 1, 1],
  [25, 'I16', 1, 2],
  [26, 'I32', 1, 4],
  [27, 'I64', 1, 8],
  [28, 'F64', 1, 8],
  [29, 'IQ1_M', 256, 56],
  [30, 'BF16', 1, 2],
  [34, 'TQ1_0', 256, 54],
  [35, 'TQ2_0', 256, 66],
  [39, 'MXFP4', 32, 17],
  [40, 'NVFP4', 64, 36],
  [41, 'Q1_0', 128, 18],
  [42, 'Q2_0', 64, 18],
]

// Types that ggml has dropped: their blocks no longer have a meaning.
const removed: ReadonlyMap<number, string> = new Map([
  [4, 'Q4_2'],
  [5, 'Q4_3'],
  [31, 'Q4_0_4_4'],
  [32, 'Q4_0_4_8'],
  [33, 'Q4_0_8_8'],
  [36, 'IQ4_NL_4_4'],
  [37, 'IQ4_NL_4_8'],
  [38, 'IQ4_NL_8_8'],
])

const types: readonly GgmlType[] = rows.map(([id, name, blockWeights, blockBytes]) => ({ id, name, blockWeights, blockBytes }))
const byId: ReadonlyMap<number, GgmlType> = new Map(types.map((type) => [type.id, type]))
const byName: ReadonlyMap<string, GgmlType> = new Map(types.map((type) => [type.name, type]))

/** Bytes of `weights` weights, whole blocks. */
export function bytesIn({ blockWeights, blockBytes }: GgmlType, weights: number): number {
  return (weights / blockWeights) * blockBytes
}

/** The type with this id, or undefined for ids that are unknown or that ggml has removed. */
export function ggmlTypeById(id: number): GgmlType | undefined {
  return byId.get(id)
}

/** The type with this name, such as `Q4_K`. */
export function ggmlTypeByName(name: string): GgmlType | undefined {
  return byName.get(name)
}

/** The name of a type that ggml once had and has removed, for error messages. */
export function removedGgmlTypeName(id: number): string | undefined {
  return removed.get(id)
}
