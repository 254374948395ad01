// An importance matrix: for each matrix of a model, how large its inputs are, column by column, over a text. Quantizing
// weighs errors by it. Owns the form in memory, and what a matrix may claim: models far beyond any Mixtral stay below;
// a hostile file does not get far. Knows neither how it is collected nor how a file holds it.

import { checkKind, unlessRevoked } from '../../base/errors.js'

/** Entries: the largest models have ten thousand tensors, with one for each expert. */
export const MOST_ENTRIES = 65536
/** Bytes of a tensor's name, or of a text's. */
export const MOST_NAME = 4096
/** Values of all entries together: half a gigabyte of float32. Mixtral 8x22B has 30 million. */
export const MOST_VALUES = 2 ** 27
/** Bytes of a file: all values, and generous names. */
export const MOST_BYTES = 2 ** 30

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
    [...entries].every(([name, entry]) => isText(name) && isEntry(entry)) &&
    Array.isArray(datasets) &&
    datasets.every(isText) &&
    Number.isSafeInteger(windows) &&
    (contextLength === undefined || Number.isSafeInteger(contextLength))
  )
}

function isEntry(value: unknown): value is ImatrixEntry {
  if (typeof value !== 'object' || value === null) return false
  const { columns, sums, counts } = value as Partial<ImatrixEntry>
  return sums instanceof Float64Array && counts instanceof Float64Array && sums.length === columns! * counts.length
}

/** The number of matrices of an entry: experts, or one. */
export const matricesIn = ({ counts }: ImatrixEntry) => counts.length
