// The named intermediate tensors of a forward pass: llama.cpp's names, in the order in which they are computed, and the
// patterns that choose among them. Both the kernels and the reference yield exactly these. Does not know how they are
// computed.

import { listCopy, MixtralError } from '../../base/errors.js'
import type { LayerStage } from '../model/step.js'
import type { MixtralConfig } from '../weights/mixtralConfig.js'

/** An intermediate result. */
export interface TracedTensor<Values extends TracedValues = TracedValues> {
  /**
   * llama.cpp's name, such as `l_out-3` in layer 3. `Qcur` and `Kcur` come twice: (tokens, width) before the rotation,
   * (tokens, heads, headDim) after it.
   */
  readonly name: string
  /** Tokens first, innermost dimension last. */
  readonly shape: readonly number[]
  /** float32 from the kernels, float64 from the reference; the experts of `ffn_moe_topk` are integers in both. */
  readonly values: Values
}

export type TracedValues = Float32Array | Float64Array | Int32Array

/**
 * The type of the values that a name of `tensors` stands for, with `Floats` for what is not the experts of
 * `ffn_moe_topk`. A pattern that may match both has both.
 */
export type ValuesOf<Name extends string, Floats> = string extends Name
  ? Floats | Int32Array
  : Name extends `ffn_moe_topk-${string}`
    ? Int32Array
    : Name extends `${infer Start}*${string}`
      ? 'ffn_moe_topk-' extends `${Start}${string}`
        ? Floats | Int32Array
        : Floats
      : Floats

/** A tensor for the tokens of one step, the first of which is at `position`. */
export interface TracedRows<Values extends TracedValues = TracedValues> extends TracedTensor<Values> {
  readonly position: number
}

/** The options of a trace, beside those of every long call. */
export interface TraceOptions<Name extends string = string> {
  /** Names, in which `*` matches anything. Default: all tensors. */
  readonly tensors?: readonly Name[]
}

/** The options of a loop over the tensors of a trace. */
export interface TraceLoopOptions<Name extends string = string> extends TraceOptions<Name> {
  /**
   * Keeps the model while the reader of the loop is away: all other calls wait. Default false: it is lent to those that
   * wait, and what comes before the next tensor is computed again.
   */
  readonly hold?: boolean
}

interface Tap {
  readonly name: string
  /** The stage of a layer after which it is in the banks. */
  readonly after: LayerStage
  /** The shape of one token's. */
  readonly dims: (config: MixtralConfig) => readonly number[]
}

const hidden = ({ hiddenSize }: MixtralConfig) => [hiddenSize]
const used = ({ expertsPerToken }: MixtralConfig) => [expertsPerToken]

/**
 * The taps of a layer, in order. `ffn_moe_gate_par` is the input of ffn_down: the kernels round it to 8 bits if that
 * matrix is quantized.
 */
const layerTaps: readonly Tap[] = [
  { name: 'attn_norm', after: 'norm', dims: hidden },
  { name: 'Qcur', after: 'qkv', dims: ({ heads, headDim }) => [heads * headDim] },
  { name: 'Kcur', after: 'qkv', dims: ({ kvHeads, headDim }) => [kvHeads * headDim] },
  { name: 'Vcur', after: 'qkv', dims: ({ kvHeads, headDim }) => [kvHeads * headDim] },
  { name: 'Qcur', after: 'rope', dims: ({ heads, headDim }) => [heads, headDim] },
  { name: 'Kcur', after: 'rope', dims: ({ kvHeads, headDim }) => [kvHeads, headDim] },
  { name: 'kqv_merged_cont', after: 'attention', dims: ({ heads, headDim }) => [heads * headDim] },
  { name: 'kqv_out', after: 'output', dims: hidden },
  { name: 'ffn_inp', after: 'route', dims: hidden },
  { name: 'ffn_norm', after: 'route', dims: hidden },
  { name: 'ffn_moe_logits', after: 'route', dims: ({ experts }) => [experts] },
  { name: 'ffn_moe_topk', after: 'route', dims: used },
  { name: 'ffn_moe_weights', after: 'route', dims: used },
  { name: 'ffn_moe_weights_norm', after: 'route', dims: used },
  { name: 'ffn_moe_gate_par', after: 'experts', dims: ({ expertsPerToken, intermediateSize }) => [expertsPerToken, intermediateSize] },
  { name: 'ffn_moe_down', after: 'experts', dims: ({ expertsPerToken, hiddenSize }) => [expertsPerToken, hiddenSize] },
  { name: 'ffn_moe_out', after: 'experts', dims: hidden },
  { name: 'l_out', after: 'experts', dims: hidden },
]

export const embeddingTap = { name: 'inp_embd', dims: hidden }
export const outputTaps = [
  { name: 'result_norm', dims: hidden },
  { name: 'result_output', dims: ({ vocabSize }: MixtralConfig) => [vocabSize] },
]

/** The tensors that a trace reads. */
export class TapChoice {
  readonly #layers: number
  readonly #patterns: readonly string[]

  /**
   * Throws `OPTION` for a pattern that matches no tensor of a model with `layers` layers, and for what is no list of
   * patterns.
   */
  constructor(layers: number, { tensors: given = ['*'] }: TraceOptions) {
    this.#layers = layers
    const tensors: readonly string[] = Array.isArray(given) ? listCopy(given) : []
    if (!tensors.length || tensors.some((pattern) => typeof pattern !== 'string'))
      throw new MixtralError('OPTION', 'tensors is not a list of names, expected such as ["ffn_moe_logits-*", "l_out-3"]')
    const names = tapNames(layers)
    const unknown = tensors.find((pattern: string) => !names.some((name) => matches(name, pattern)))
    if (unknown !== undefined) {
      const known = names.filter((name) => !/-[1-9]\d*$/.test(name)).map((name) => name.replace(/-0$/, `-0 to -${layers - 1}`))
      throw new MixtralError(
        'OPTION',
        `no tensor is named ${JSON.stringify(unknown)}, expected one of ${known.join(', ')}; * stands for anything`,
      )
    }
    this.#patterns = tensors
  }

  has(name: string): boolean {
    return this.#patterns.some((pattern) => matches(name, pattern))
  }

  /** The chosen taps of a layer. */
  inLayer(index: number): Tap[] {
    return layerTaps.filter(({ name }) => this.has(`${name}-${index}`))
  }

  /** The number of layers up to the last with a chosen tap. */
  get endLayer(): number {
    let end = this.#layers
    while (end > 0 && !this.inLayer(end - 1).length) end--
    return end
  }

  /** Whether a tap after the last layer is chosen. */
  get output(): boolean {
    return outputTaps.some(({ name }) => this.has(name))
  }
}

/** All names in a model with `layers` layers, each once. */
function tapNames(layers: number): string[] {
  const inLayers = Array.from({ length: layers }, (_, index) => [...new Set(layerTaps.map(({ name }) => `${name}-${index}`))])
  return [embeddingTap.name, ...inLayers.flat(), ...outputTaps.map(({ name }) => name)]
}

/** Whether the name is the pattern's parts in their order, with anything at its stars. */
function matches(name: string, pattern: string): boolean {
  const [start, ...parts] = pattern.split('*') as [string, ...string[]]
  const end = parts.pop()
  if (end === undefined) return name === pattern
  let at = start.length
  for (const part of parts) {
    const found = name.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return name.startsWith(start) && name.endsWith(end) && at <= name.length - end.length
}
