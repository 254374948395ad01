// What an importance matrix says about the tensors to be written: finds the entry of each, in either layout of experts,
// and makes weights of it for the search. Owns which types cannot do without.

import { MixtralError, quoted } from '../../base/errors.js'
import type { GgmlType } from '../../format/gguf/ggmlType.js'
import { expertTensorName, parseTensorName, tensorName } from '../../runtime/weights/roles.js'
import type { Imatrix, ImatrixEntry } from '../imatrix/imatrix.js'
import type { LaidOutTensor } from './expertLayout.js'

/** Types of so few bits that they are worth nothing without an importance matrix, by llama-quantize's judgment. */
const needy = ['IQ3_XXS', 'IQ2_S', 'IQ2_XS', 'IQ2_XXS']

/** Whether importance matrices know a tensor at all: those of embedding and output are not collected. */
export function isCollected(tensor: string): boolean {
  const role = parseTensorName(tensor)?.role
  return role !== 'tokenEmbd' && role !== 'output'
}

/** Whether a tensor of a quantization needs an importance matrix. */
export function needsImportance(quantization: string, tensor: string, type: GgmlType): boolean {
  return isCollected(tensor) && (needy.includes(type.name) || (quantization === 'Q2_K_S' && type.name === 'Q2_K'))
}

/** Weights far from the average are brought nearer: sums of products must stay within float32. */
const MOST = 2 ** 20

/**
 * How much errors count in each column, 1 on average: (experts, columns), in memory that threads share. Undefined if
 * the matrix does not know the tensor. Throws `OPTION` if it knows it in another shape.
 */
export function importanceOf({ entries }: Imatrix, { name, shape }: LaidOutTensor): Float32Array | undefined {
  const [columns, , matrices = 1] = shape as [number, number, number?]
  const slices = slicesOf(entries, name, columns, matrices)
  if (slices.every((slice) => slice === undefined)) return undefined
  const values = new Float32Array(new SharedArrayBuffer(4 * matrices * columns)).fill(1)
  for (const [matrix, slice] of slices.entries()) {
    const mean = slice ? slice.reduce((sum, value) => sum + value, 0) / columns : 0
    // without inputs nothing is known: all columns count alike
    if (mean > 0) for (const [c, value] of slice!.entries()) values[matrix * columns + c] = Math.min(MOST, Math.max(1 / MOST, value / mean))
  }
  return values
}

type Entries = ReadonlyMap<string, ImatrixEntry>

/** The sums of each matrix of a tensor, whether the importance matrix has experts together or, as once, apart. */
function slicesOf(entries: Entries, name: string, columns: number, matrices: number): (Float64Array | undefined)[] {
  const whole = (entry: string) => partsOf(entries, entry, columns, 1)?.[0]
  const named = parseTensorName(name)
  if (named?.per !== 'expert') return [whole(name)]
  const { role, layer, expert } = named
  const merged = tensorName(role, layer)
  if (!entries.has(merged)) {
    const experts = expert === undefined ? [...Array(matrices).keys()] : [expert]
    return experts.map((e) => whole(expertTensorName(role, layer, e)))
  }
  if (expert === undefined) return partsOf(entries, merged, columns, matrices)!
  return [partsOf(entries, merged, columns)![expert]]
}

/** The parts of an entry, of `columns` each. matrices: how many there must be, if that is known. */
function partsOf(entries: Entries, name: string, columns: number, matrices?: number): Float64Array[] | undefined {
  const sums = entries.get(name)?.sums
  if (!sums) return undefined
  const count = matrices ?? Math.max(1, Math.floor(sums.length / columns))
  if (sums.length !== count * columns) {
    throw new MixtralError(
      'OPTION',
      `the importance matrix has ${sums.length} values for tensor ${quoted(name)}, expected ${count} times ${columns}: it is of another model`,
    )
  }
  return Array.from({ length: count }, (_, i) => sums.subarray(i * columns, (i + 1) * columns))
}
