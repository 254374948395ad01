// The named intermediate tensors of a forward pass: llama.cpp's names, in the order in which they come about, and the patterns that choose among them. Both the kernels
// and the reference give exactly these. Knows nothing of how they are computed.

import { MixtralError } from '../../base/errors.js'
import { stage } from '../model/step.js'
import type { MixtralConfig } from '../weights/mixtralConfig.js'

/** An intermediate result. */
export interface TracedTensor {
  /** As in llama.cpp, such as `l_out-3` in layer 3. `Qcur` and `Kcur` come twice: (tokens, width) before the rotation, (tokens, heads, headDim) after it. */
  readonly name: string
  /** Tokens first, innermost dimension last. */
  readonly shape: readonly number[]
  /** float32 from the kernels, float64 from the reference; the experts of `ffn_moe_topk` are integers in both. */
  readonly values: Float32Array | Float64Array | Int32Array
}

/** A tensor for some of a call's tokens, the first of which is at `position`. */
export interface TracedRows extends TracedTensor {
  readonly position: number
}

/** Beside those of every long call. */
export interface TraceOptions {
  /** Names, in which `*` stands for anything. Default: all tensors. */
  readonly tensors?: readonly string[]
}

interface Tap {
  readonly name: string
  /** The stage of a layer after which the kernels have it. */
  readonly after: number
  /** Of one token. */
  readonly dims: (config: MixtralConfig) => readonly number[]
}

const hidden = ({ hiddenSize }: MixtralConfig) => [hiddenSize]
const used = ({ expertsPerToken }: MixtralConfig) => [expertsPerToken]

/** Of a layer, in order. `ffn_moe_gate_par` is the input of ffn_down as that matrix gets it: from the kernels it is rounded to 8 bits where the matrix is quantised. */
const layerTaps: readonly Tap[] = [
  { name: 'attn_norm', after: stage.norm, dims: hidden },
  { name: 'Qcur', after: stage.project, dims: ({ heads, headDim }) => [heads * headDim] },
  { name: 'Kcur', after: stage.project, dims: ({ kvHeads, headDim }) => [kvHeads * headDim] },
  { name: 'Vcur', after: stage.project, dims: ({ kvHeads, headDim }) => [kvHeads * headDim] },
  { name: 'Qcur', after: stage.rotate, dims: ({ heads, headDim }) => [heads, headDim] },
  { name: 'Kcur', after: stage.rotate, dims: ({ kvHeads, headDim }) => [kvHeads, headDim] },
  { name: 'kqv_merged_cont', after: stage.attend, dims: ({ heads, headDim }) => [heads * headDim] },
  { name: 'kqv_out', after: stage.projectOutput, dims: hidden },
  { name: 'ffn_inp', after: stage.route, dims: hidden },
  { name: 'ffn_norm', after: stage.route, dims: hidden },
  { name: 'ffn_moe_logits', after: stage.route, dims: ({ experts }) => [experts] },
  { name: 'ffn_moe_topk', after: stage.route, dims: used },
  { name: 'ffn_moe_weights', after: stage.route, dims: used },
  { name: 'ffn_moe_weights_norm', after: stage.route, dims: used },
  { name: 'ffn_moe_gate_par', after: stage.experts, dims: ({ expertsPerToken, intermediateSize }) => [expertsPerToken, intermediateSize] },
  { name: 'ffn_moe_down', after: stage.experts, dims: ({ expertsPerToken, hiddenSize }) => [expertsPerToken, hiddenSize] },
  { name: 'ffn_moe_out', after: stage.experts, dims: hidden },
  { name: 'l_out', after: stage.experts, dims: hidden },
]

export const embeddingTap = { name: 'inp_embd', dims: hidden }
export const outputTaps = [
  { name: 'result_norm', dims: hidden },
  { name: 'result_output', dims: ({ vocabSize }: MixtralConfig) => [vocabSize] },
]

/** Which tensors a trace wants. */
export class TapChoice {
  readonly #layers: number
  readonly #patterns: readonly string[]

  /** Throws `OPTION` for a pattern that no tensor of a model with so many layers has, and for what is no list of patterns. */
  constructor(layers: number, { tensors = ['*'] }: TraceOptions) {
    this.#layers = layers
    if (!Array.isArray(tensors) || !tensors.length || tensors.some((pattern) => typeof pattern !== 'string'))
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

  /** The taps of a layer that are wanted. */
  inLayer(index: number): Tap[] {
    return layerTaps.filter(({ name }) => this.has(`${name}-${index}`))
  }

  /** The end of the layers in which something is wanted. */
  get endLayer(): number {
    let end = this.#layers
    while (end > 0 && !this.inLayer(end - 1).length) end--
    return end
  }

  /** Whether anything after the last layer is wanted. */
  get output(): boolean {
    return outputTaps.some(({ name }) => this.has(name))
  }
}

/** All names in a model with so many layers, each once. */
function tapNames(layers: number): string[] {
  const inLayers = Array.from({ length: layers }, (_, index) => [...new Set(layerTaps.map(({ name }) => `${name}-${index}`))])
  return [embeddingTap.name, ...inLayers.flat(), ...outputTaps.map(({ name }) => name)]
}

/** Whether the parts of the pattern between its stars come in the name one after the other, the first and last at its ends. */
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
