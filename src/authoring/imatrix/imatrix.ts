// An importance matrix: for each matrix of a model, how large its inputs are, column by column, over a text. Quantizing
// weighs errors by it. Owns the form in memory. Knows neither how it is collected nor how a file holds it.

import { checkKind, MixtralError, quoted, unlessRevoked } from '../../base/errors.js'

/** The inputs of one matrix, or of the matrices of all experts that one tensor holds. */
export interface ImatrixEntry {
  readonly columns: number
  /** The sums of squares: (matrices, columns). */
  readonly sums: Float64Array
  /** How many inputs each matrix had: (matrices). In files of llama.cpp's old form, windows instead of inputs. */
  readonly counts: Float64Array
}

/** An importance matrix. */
export interface Imatrix {
  /** By the names of tensors, such as `blk.3.ffn_up_exps.weight`. */
  readonly entries: ReadonlyMap<string, ImatrixEntry>
  /** The names of the texts. */
  readonly datasets: readonly string[]
  /** How many windows ran. */
  readonly windows: number
  /** Number of tokens in a window. Undefined if the file did not say: then `counts` are no counts of tokens. */
  readonly contextLength: number | undefined
}

/** Throws `OPTION` for a value that is no importance matrix, such as the path of one, or one that was changed. */
export function checkImatrix(value: unknown): void {
  checkKind('the importance matrix', value, unlessRevoked(() => isImatrix(value)) ?? false, 'one of collectImatrix or readImatrix')
}

function isImatrix(value: unknown): value is Imatrix {
  if (typeof value !== 'object' || value === null) return false
  const { entries, datasets, windows, contextLength } = value as Partial<Imatrix>
  const isText = (text: unknown) => typeof text === 'string'
  return (
    entries instanceof Map &&
    entries.size > 0 &&
    [...entries].every(([name, entry]) => isText(name) && name !== '' && isEntry(entry)) &&
    Array.isArray(datasets) &&
    datasets.every(isText) &&
    Number.isSafeInteger(windows) &&
    (contextLength === undefined || Number.isSafeInteger(contextLength))
  )
}

function isEntry(value: unknown): value is ImatrixEntry {
  if (typeof value !== 'object' || value === null) return false
  const { columns, sums, counts } = value as Partial<ImatrixEntry>
  return sums instanceof Float64Array && sums.length > 0 && counts instanceof Float64Array && sums.length === columns! * counts.length
}

/** Sums or counts as a file holds them. Throws `OPTION` for one that no reader would take. */
export function fileValues(tensor: string, values: Float64Array): Float32Array {
  const floats = Float32Array.from(values)
  const bad = floats.findIndex((value) => !(value >= 0 && value < Number.POSITIVE_INFINITY))
  if (bad < 0) return floats
  throw new MixtralError(
    'OPTION',
    `the importance matrix has ${values[bad]} as value ${bad} of tensor ${quoted(tensor)}, expected a number from 0 that a float32 holds`,
  )
}

/** The number of matrices of an entry: experts, or one. */
export const matricesIn = ({ counts }: ImatrixEntry) => counts.length
