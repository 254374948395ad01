// An importance matrix: for each matrix of a model, how large its inputs are, column by column, over a text. Quantizing
// weighs errors by it. Owns the form in memory; knows neither how it is collected nor how a file holds it.

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

/** The number of matrices of an entry: experts, or one. */
export const matricesIn = ({ counts }: ImatrixEntry) => counts.length
