// Collects an importance matrix: runs a model over the windows of a text, and sums the squares of every matrix's inputs
// as its kernels get them. Sums are float64, token after token on one thread, so that they do not depend on threads.
// Owns the windows and which tensor of a pass is whose input; the pass is that of runtime/trace/.

import { checkKind, checkText, MixtralError, shown } from '../../base/errors.js'
import { Told } from '../../base/onAbort.js'
import { type CallOptions, checkCallOptions } from '../../runtime/engine/callArguments.js'
import type { TracedRows, TraceOptions } from '../../runtime/trace/taps.js'
import type { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import { type Role, tensorName } from '../../runtime/weights/roles.js'
import type { Tokenizer } from '../../text/tokenizer/tokenizer.js'
import type { Imatrix, ImatrixEntry } from './imatrix.js'

export interface ImatrixOptions extends CallOptions {
  /** Number of tokens in a window. Default: 512, or the model's context if that is shorter. */
  readonly contextLength?: number
  /** Largest number of windows to run. Default: all. */
  readonly windows?: number
  /** The name of the text, for the file. Default: none. */
  readonly dataset?: string
}

/** What collecting needs of a model; a MixtralModel has it. */
export interface ObservedModel {
  readonly config: MixtralConfig
  readonly contextLength: number
  readonly tokenizer: Pick<Tokenizer, 'encode' | 'addBos' | 'bosId'>
  traceEach(ids: readonly number[], options?: TraceOptions & CallOptions): AsyncGenerator<TracedRows>
}

/** Default number of tokens in a window, as in llama-imatrix. */
export const USUAL_IMATRIX_WINDOW = 512

/** The tensors of a pass that are inputs of matrices, or say which experts they go to. */
const inputs = ['attn_norm', 'kqv_merged_cont', 'ffn_norm', 'ffn_moe_topk', 'ffn_moe_gate_par']

/**
 * The importance matrix of a model and a text. The text is cut into windows as by llama-imatrix: BOS takes the first
 * place of each, and the rest of the text is dropped. An expert counts the tokens that were routed to it. `onProgress`
 * counts windows.
 *
 * Throws `OPTION` for what is no model or no text, for an impossible option and for a text of less than a window;
 * `CONTEXT` for a window that does not fit the model's context; `MODEL` for inputs that are not finite, or whose
 * squares are beyond float32; and what `MixtralModel.traceEach` throws.
 * @example await writeImatrix('mixtral.imatrix.gguf', await collectImatrix(model, text))
 */
export async function collectImatrix(model: ObservedModel, text: string, options: ImatrixOptions = {}): Promise<Imatrix> {
  const isModel = typeof model?.traceEach === 'function' && typeof model.tokenizer?.encode === 'function'
  checkKind('the model', model, isModel, 'a MixtralModel')
  const { contextLength, most, dataset, signal, onProgress } = checkOptions(model, options)
  const { tokenizer } = model
  const tokens = tokenizer.encode(text)
  const windows = Math.min(Math.floor(tokens.length / contextLength), most)
  if (windows < 1) {
    throw new MixtralError('OPTION', `the text has ${tokens.length} tokens, expected at least the ${contextLength} of a window`)
  }
  const collector = new Collector(model.config)
  const progress = new Told(onProgress)
  for (let window = 0; window < windows; window++) {
    const ids = tokens.slice(window * contextLength, (window + 1) * contextLength)
    if (tokenizer.addBos) ids[0] = tokenizer.bosId
    const choice = { tensors: inputs.map((name) => `${name}-*`), ...(signal && { signal }) }
    for await (const tensor of model.traceEach(ids, choice)) collector.add(tensor)
    progress.next({ loaded: window + 1, total: windows })
  }
  await progress.end()
  return { entries: collector.entries(), datasets: dataset === undefined ? [] : [dataset], windows, contextLength }
}

/** About how many bytes the file of a model's matrix takes. */
export function imatrixBytes({ layers, hiddenSize, intermediateSize, heads, headDim, experts }: MixtralConfig): number {
  return 4 * layers * (4 * hiddenSize + heads * headDim + experts * (2 * hiddenSize + intermediateSize))
}

function checkOptions(model: ObservedModel, given: ImatrixOptions) {
  const options = checkCallOptions(given, ['contextLength', 'windows', 'dataset'])
  const longest = Math.min(model.contextLength, model.config.maxPositions)
  const { contextLength = Math.min(USUAL_IMATRIX_WINDOW, longest), windows: most = Number.MAX_SAFE_INTEGER, dataset } = options
  for (const [name, value] of Object.entries({ contextLength, windows: most })) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw new MixtralError('OPTION', `${name} is ${shown(value)}, expected a whole number from 1`)
  }
  if (dataset !== undefined) checkText('dataset', dataset)
  if (contextLength > longest) throw new MixtralError('CONTEXT', `windows of ${contextLength} tokens, the context has room for ${longest}`)
  return { ...options, contextLength, most, dataset }
}

/** The sums of one layer's inputs. Matrices with the same input share them. */
interface LayerSums {
  readonly attention: ImatrixEntry
  readonly attentionOutput: ImatrixEntry
  readonly router: ImatrixEntry
  readonly experts: ImatrixEntry
  readonly down: ImatrixEntry
}

class Collector {
  readonly #layers: readonly LayerSums[]
  readonly #used: number
  /** The normalized input of the layer's experts, until it is known which these are: (tokens, hidden). */
  #normed: Float32Array = new Float32Array(0)
  /** The experts of the layer: (tokens, used). */
  #chosen: Int32Array = new Int32Array(0)

  constructor({ layers, hiddenSize, intermediateSize, heads, headDim, experts, expertsPerToken }: MixtralConfig) {
    this.#used = expertsPerToken
    this.#layers = Array.from({ length: layers }, () => ({
      attention: emptyEntry(1, hiddenSize),
      attentionOutput: emptyEntry(1, heads * headDim),
      router: emptyEntry(1, hiddenSize),
      experts: emptyEntry(experts, hiddenSize),
      down: emptyEntry(experts, intermediateSize),
    }))
  }

  add({ name, values }: TracedRows): void {
    const [, tap, layer] = /^(.+)-(\d+)$/.exec(name)!
    const { attention, attentionOutput, router, experts, down } = this.#layers[Number(layer)]!
    if (tap === 'attn_norm') addRows(attention, values)
    else if (tap === 'kqv_merged_cont') addRows(attentionOutput, values)
    else if (tap === 'ffn_norm') {
      addRows(router, values)
      this.#normed = values as Float32Array
    } else if (tap === 'ffn_moe_topk') {
      this.#chosen = values as Int32Array
      for (const [pair, expert] of this.#chosen.entries()) addRow(experts, expert, this.#normed, Math.floor(pair / this.#used))
    } else {
      for (const [pair, expert] of this.#chosen.entries()) addRow(down, expert, values, pair)
    }
  }

  /** By tensor name, in the order of a pass. Throws `MODEL` if a sum is not finite as float32. */
  entries(): ReadonlyMap<string, ImatrixEntry> {
    const entries = new Map<string, ImatrixEntry>()
    const set = (role: Role, layer: number, entry: ImatrixEntry) => {
      const name = tensorName(role, layer)
      const bad = entry.sums.findIndex((sum) => !Number.isFinite(Math.fround(sum)))
      if (bad >= 0) {
        const what = Number.isFinite(entry.sums[bad]) ? 'too large' : 'not finite'
        throw new MixtralError('MODEL', `an input of tensor ${name} is ${what} in column ${bad % entry.columns}: the model is damaged`)
      }
      entries.set(name, entry)
    }
    for (const [layer, { attention, attentionOutput, router, experts, down }] of this.#layers.entries()) {
      for (const role of ['attnQ', 'attnK', 'attnV'] as const) set(role, layer, attention)
      set('attnOutput', layer, attentionOutput)
      set('ffnGateInp', layer, router)
      set('ffnGate', layer, experts)
      set('ffnUp', layer, experts)
      set('ffnDown', layer, down)
    }
    return entries
  }
}

function emptyEntry(matrices: number, columns: number): ImatrixEntry {
  return { columns, sums: new Float64Array(matrices * columns), counts: new Float64Array(matrices) }
}

function addRows(entry: ImatrixEntry, values: TracedRows['values']): void {
  for (let row = 0; row * entry.columns < values.length; row++) addRow(entry, 0, values, row)
}

/** Adds the squares of a row of `values` to the sums of a matrix. */
function addRow({ columns, sums, counts }: ImatrixEntry, matrix: number, values: TracedRows['values'], row: number): void {
  counts[matrix] = counts[matrix]! + 1
  const to = matrix * columns
  const from = row * columns
  for (let c = 0; c < columns; c++) {
    const value = values[from + c]!
    sums[to + c] = sums[to + c]! + value * value
  }
}
