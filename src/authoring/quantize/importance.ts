// What an importance matrix says about the tensors to be written: finds the entry of each, in either layout of experts,
// and makes weights of it for the search. Owns which types cannot do without.

import { MixtralError, quoted } from '../../base/errors.js'
import type { GgmlType } from '../../format/gguf/ggmlType.js'
import { expertTensorName, parseTensorName, tensorName } from '../../runtime/weights/roles.js'
import type { Imatrix } from '../imatrix/imatrix.js'
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
 * How much errors count in each column, 1 on average: (experts, columns), in memory that threads share. All columns of
 * an expert that no token reached count alike. Undefined if the matrix does not know the tensor. Throws `OPTION` if it
 * knows it in another shape.
 */
export function importanceOf(imatrix: Imatrix, tensor: LaidOutTensor): Float32Array | undefined {
  const slices = slicesOf(imatrix, tensor)
  if (!slices) return undefined
  const columns = tensor.shape[0]!
  const values = new Float32Array(new SharedArrayBuffer(4 * slices.length * columns)).fill(1)
  for (const [matrix, slice] of slices.entries()) {
    const mean = slice ? slice.reduce((sum, value) => sum + value, 0) / columns : 0
    if (mean > 0) for (const [c, value] of slice!.entries()) values[matrix * columns + c] = Math.min(MOST, Math.max(1 / MOST, value / mean))
  }
  return values
}

/** What the importance matrix should know and does not: the tensor, or some of its experts. */
export function unknownIn(imatrix: Imatrix, tensor: LaidOutTensor): string[] {
  const slices = slicesOf(imatrix, tensor)
  if (!slices || slices.length === 1) return slices?.[0] ? [] : [tensor.name]
  return slices.flatMap((slice, expert) => (slice ? [] : [`${tensor.name}, expert ${expert}`]))
}

/**
 * The sums of each matrix of a tensor, whether the importance matrix has experts together or, as once, apart; undefined
 * for an expert that no token reached. Undefined as a whole if it knows none of the layer's experts in this role.
 */
function slicesOf(imatrix: Imatrix, { name, shape }: LaidOutTensor): (Float64Array | undefined)[] | undefined {
  const [columns, , matrices = 1] = shape as [number, number, number?]
  const { entries } = imatrix
  const whole = (entry: string) => partsOf(imatrix, entry, columns, 1)?.[0]
  const named = parseTensorName(name)
  if (named?.per !== 'expert') return entries.has(name) ? [whole(name)] : undefined
  const { role, layer, expert } = named
  const merged = tensorName(role, layer)
  if (entries.has(merged)) {
    return expert === undefined ? partsOf(imatrix, merged, columns, matrices) : [partsOf(imatrix, merged, columns)![expert]]
  }
  const isOne = (entry: string) => {
    const other = parseTensorName(entry)
    return other?.per === 'expert' && other.role === role && other.layer === layer
  }
  const slices = (expert === undefined ? [...Array(matrices).keys()] : [expert]).map((e) => whole(expertTensorName(role, layer, e)))
  return slices.some((slice) => slice) || [...entries.keys()].some(isOne) ? slices : undefined
}

/**
 * The parts of an entry, of `columns` each; undefined where no token was seen. matrices: how many there must be, if
 * that is known.
 */
function partsOf({ entries, contextLength }: Imatrix, name: string, columns: number, matrices?: number) {
  const entry = entries.get(name)
  if (!entry) return undefined
  const { sums, counts } = entry
  const count = matrices ?? Math.max(1, Math.floor(sums.length / columns))
  if (sums.length !== count * columns) {
    throw new MixtralError(
      'OPTION',
      `the importance matrix has ${sums.length} values for tensor ${quoted(name)}, expected ${count} times ${columns}: it is of another model`,
    )
  }
  // the old form has no counts of tokens, and ones times calls for an expert without any
  const isOld = contextLength === undefined && count > 1
  return Array.from({ length: count }, (_, i) => {
    const part = sums.subarray(i * columns, (i + 1) * columns)
    const isSeen = isOld ? part.some((sum) => sum !== counts[0]) : (counts.length === count ? counts[i]! : counts[0]!) > 0
    return isSeen ? part : undefined
  })
}
