// The whole network, token ids in, logits out: slow, short, obviously right, and the judge of the fast one. Start
// reading at `logits`, then `layer`, attention.ts, experts.ts. No cache of keys and values: a call computes its whole
// sequence.

import { checkKind, checkNames, checkTokenList, listCopy, MixtralError, shown } from '../../base/errors.js'
import { onRejection, warn } from '../../base/onAbort.js'
import type { Gguf } from '../../format/gguf/gguf.js'
import { openGguf } from '../../format/gguf/openGguf.js'
import { type AdapterChoice, AdapterSet, checkAdapters } from '../../runtime/adapters/adapterSet.js'
import { type Factor, valuesOf } from '../../runtime/adapters/lowRank.js'
import type { CallOptions, TokenIds } from '../../runtime/engine/callArguments.js'
import { TapChoice, type TracedTensor, type TraceOptions, type ValuesOf } from '../../runtime/trace/taps.js'
import { type Matrix, matrixSource } from '../../runtime/weights/matrixSource.js'
import { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import { type MixtralTensors, mixtralTensors, slicesOf, type TensorSlice } from '../../runtime/weights/mixtralTensors.js'
import type { ExpertRole, LayerMatrix } from '../../runtime/weights/roles.js'
import { attention } from './attention.js'
import { mixtureOfExperts } from './experts.js'
import { showTo, type Tap } from './layer.js'
import { linear, rmsNorm } from './matrix.js'

export interface ReferenceOptions {
  /** Adapters that are applied, by path or with a scale. Their changes add up. Default: none. */
  readonly adapters?: readonly (string | AdapterChoice)[]
}

/** The change of a matrix by an adapter, W x + scale * B (A x). */
interface Change {
  readonly scale: number
  readonly a: Matrix
  readonly b: Matrix
}

/** A Mixtral in float64, computed by the reference. Synchronous, and slow. */
export class Reference {
  readonly config: MixtralConfig
  /** Every file that it was read from, those of adapters too. */
  readonly files: readonly string[]
  readonly #tensors: MixtralTensors
  readonly #weights: ReturnType<typeof matrixSource>
  readonly #changes = new Map<TensorSlice, readonly Change[]>()

  private constructor(gguf: Gguf, config: MixtralConfig, adapters: AdapterSet) {
    this.config = config
    this.files = [...gguf.files.map(({ path }) => path), ...adapters.files]
    this.#tensors = mixtralTensors(this.config, gguf)
    this.#weights = matrixSource(gguf)
    this.#adapt(adapters)
  }

  /**
   * Opens a model by the path of its GGUF file, or by a header that has been read. Weights are read when needed. Throws
   * `IO`, `GGUF`, `MODEL` and `UNSUPPORTED`, of adapters too; `CHECKPOINT` for a malformed folder of one; `OPTION` for
   * what is neither, and for an impossible option.
   */
  static async open(model: string | Gguf, options: ReferenceOptions = {}): Promise<Reference> {
    checkNames(options, ['adapters'])
    const adapters = checkAdapters(options.adapters)
    const gguf = typeof model === 'string' ? await openGguf(model) : model
    const isHeader = gguf?.metadata instanceof Map && gguf.tensors instanceof Map
    checkKind('the model', model, isHeader, 'the path of a GGUF file or its header')
    const config = MixtralConfig.fromGgufMetadata(gguf.metadata)
    return new Reference(gguf, config, await AdapterSet.open(adapters, config))
  }

  #adapt(adapters: AdapterSet): void {
    for (const place of adapters.places) {
      const { role, layer, expert } = place
      const tensors = this.#tensors.layers[layer]!
      const slice = expert === undefined ? tensors[role as LayerMatrix] : tensors.experts[expert]![role as ExpertRole]
      const matrix = (factor: Factor): Matrix => ({ rows: factor.rows, columns: factor.columns, values: valuesOf(factor) })
      this.#changes.set(
        slice,
        adapters.at(place).map(({ scale, a, b }) => ({ scale, a: matrix(a), b: matrix(b) })),
      )
    }
  }

  /** W x, and what adapters add to it, in their order: (n, columns) -> (n, rows). */
  #multiply(x: Float64Array, slice: TensorSlice): Float64Array {
    const y = linear(x, this.#weights.load(slice))
    for (const { scale, a, b } of this.#changes.get(slice) ?? []) {
      const change = linear(linear(x, a), b)
      for (let i = 0; i < y.length; i++) y[i]! += scale * change[i]!
    }
    return y
  }

  /**
   * The logits after each token of a sequence that begins at position 0: (tokens) -> (tokens, vocabulary). Throws
   * `OPTION` for no list of tokens, `TOKENIZER` for an id outside the vocabulary, `IO`.
   */
  logits(tokens: TokenIds, tap?: Tap): Float64Array {
    let x = this.embed(tokens, tap)
    for (let index = 0; index < this.config.layers; index++) x = this.layer(index, x, tap)
    return this.output(x, tap)
  }

  /**
   * The intermediate tensors of `MixtralModel.trace`, in float64. Nothing after the last of them is computed.
   * `onProgress` is called after every layer. Throws `OPTION` for a name that no tensor has and for no list of tokens,
   * `TOKENIZER` for an id outside the vocabulary, `IO`.
   */
  trace<const Name extends string = string>(
    tokens: TokenIds,
    given: TraceOptions<Name> & Pick<CallOptions, 'onProgress'> = {},
  ): TracedTensor<ValuesOf<Name, Float64Array>>[] {
    checkNames(given, ['tensors', 'onProgress'])
    const options = { ...given }
    const { layers } = this.config
    const choice = new TapChoice(layers, options)
    const tensors: TracedTensor[] = []
    const tap: Tap = (name, values, shape) => {
      if (choice.has(name)) tensors.push({ name, shape, values: name.startsWith('ffn_moe_topk') ? Int32Array.from(values) : values })
    }
    let x = this.embed(tokens, tap)
    const end = choice.output ? layers : choice.endLayer
    for (let index = 0; index < end; index++) {
      x = this.layer(index, x, tap)
      const told: unknown = options.onProgress?.({ loaded: index + 1, total: end })
      onRejection(told, (error) => warn(error, 'a function for progress')) // which is later than this call ends
    }
    if (choice.output) this.output(x, tap)
    return tensors as TracedTensor<ValuesOf<Name, Float64Array>>[]
  }

  /**
   * A tensor of the file as a matrix of float32, (rows, columns); rows are outputs. Where a tensor holds all experts,
   * the matrix is that of one `expert`. Adapters are not in it. Throws `MODEL` for a tensor that the
   * model does not have, `IO`.
   */
  matrix(name: string, expert = 0): Matrix {
    const slice = [...new Set(slicesOf(this.#tensors))].filter((one) => one.name === name)[expert]
    if (!slice)
      throw new MixtralError(
        'MODEL',
        `no tensor ${shown(name)} with an expert ${shown(expert)}, expected a name such as blk.0.attn_q.weight`,
      )
    return this.#weights.load(slice)
  }

  /**
   * The learned vector of each token: (tokens) -> (tokens, hidden). Throws `OPTION` for no list of tokens, `TOKENIZER`
   * for an id outside the vocabulary, `IO`.
   */
  embed(tokens: TokenIds, tap?: Tap): Float64Array {
    checkTokenList(tokens)
    const { hiddenSize, vocabSize } = this.config
    const ids = listCopy(tokens)
    const x = new Float64Array(ids.length * hiddenSize)
    for (const [i, id] of ids.entries()) {
      const known = Number.isInteger(id) && id >= 0 && id < vocabSize
      if (!known) throw new MixtralError('TOKENIZER', `token ${i} has id ${shown(id)}, expected an integer from 0 to ${vocabSize - 1}`)
      x.set(this.#weights.row(this.#tensors.tokenEmbd, id), i * hiddenSize)
    }
    return showTo(tap, '')('inp_embd', x, hiddenSize)
  }

  /**
   * One layer on any input: (tokens, hidden) -> (tokens, hidden), positions from 0 on. First attention, in which tokens
   * look at each other, then experts, in which each token is thought about alone. Both add to the stream x that runs
   * through all layers. Throws `OPTION` for a layer that the model does not have and for an input of another shape,
   * `IO`.
   */
  layer(index: number, x: Float64Array, tap?: Tap): Float64Array {
    const { hiddenSize, rmsEps } = this.config
    checkRows(x, hiddenSize)
    const tensors = this.#tensors.layers[index]
    if (!tensors) throw new MixtralError('OPTION', `layer ${shown(index)}, expected one from 0 to ${this.config.layers - 1}`)
    const show = showTo(tap, `-${index}`)
    const { load } = this.#weights
    const multiply = (vectors: Float64Array, slice: TensorSlice) => this.#multiply(vectors, slice)
    const layer = { config: this.config, tensors, multiply, show }

    const attnNorm = show('attn_norm', rmsNorm(x, load(tensors.attnNorm), rmsEps), hiddenSize)
    const attended = show('kqv_out', attention(layer, attnNorm), hiddenSize)
    const middle = show('ffn_inp', add(x, attended), hiddenSize)
    const ffnNorm = show('ffn_norm', rmsNorm(middle, load(tensors.ffnNorm), rmsEps), hiddenSize)
    const thought = show('ffn_moe_out', mixtureOfExperts(layer, ffnNorm), hiddenSize)
    return show('l_out', add(middle, thought), hiddenSize)
  }

  /**
   * The logits of the last layer's output: (tokens, hidden) -> (tokens, vocabulary). Throws `OPTION` for an input of
   * another shape, `IO`.
   */
  output(x: Float64Array, tap?: Tap): Float64Array {
    const { hiddenSize, vocabSize, rmsEps } = this.config
    checkRows(x, hiddenSize)
    const show = showTo(tap, '')
    const norm = show('result_norm', rmsNorm(x, this.#weights.load(this.#tensors.outputNorm), rmsEps), hiddenSize)
    return show('result_output', linear(norm, this.#weights.load(this.#tensors.output)), vocabSize)
  }
}

const add = (a: Float64Array, b: Float64Array) => a.map((value, i) => value + b[i]!)

function checkRows(x: Float64Array, width: number): void {
  checkKind('the input', x, x instanceof Float64Array && x.length % width === 0, `a Float64Array of rows of ${width}`)
}
