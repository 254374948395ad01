// Copies named tensors out of the banks, once their stage has ended. Owns where each lies. Computes those that the
// kernels never write down: the probabilities of the chosen experts, and the sum of their outputs. Does not know when a
// step ends.

import { exp } from '../../base/elementary.js'
import { packings, readActivation } from '../kernels/packing.js'
import type { MixtralConfig } from '../weights/mixtralConfig.js'
import type { Plan } from '../weights/plan.js'
import { type Rows, rowAt } from '../weights/scratch.js'
import type { TracedTensor } from './taps.js'

/** The memory of a model between steps. */
export interface TracedBanks {
  readonly config: MixtralConfig
  readonly plan: Plan
  readonly memories: readonly WebAssembly.Memory[]
}

export class TapReader {
  readonly #banks: TracedBanks
  readonly #count: number

  /** count: rows of each tensor, which are the tokens of the step. */
  constructor(banks: TracedBanks, count: number) {
    this.#banks = banks
    this.#count = count
  }

  /** Copies the residual stream from a layer's bank to the next one's, or to the output's. */
  moveStream(from: number, to: number): void {
    const { at, bytes } = this.#banks.plan.scratch.x
    const source = new Uint8Array(this.#buffer(from), at, this.#count * bytes)
    if (this.#buffer(from) !== this.#buffer(to)) new Uint8Array(this.#buffer(to)).set(source, at)
  }

  /** Copies a tensor, such as `l_out-3`, right after its stage. shape: that of one token. */
  read(tensor: string, layer: number, shape: readonly number[]): TracedTensor['values'] {
    const { scratch, logitsAt, output } = this.#banks.plan
    const { heads, kvHeads, headDim, expertsPerToken: used } = this.#banks.config
    const width = shape.reduce((product, size) => product * size)
    const floats = (rows: Rows, skip = 0) => this.#floats(layer, rows, width, skip)
    const name = tensor.replace(/-\d+$/, '')
    switch (name) {
      case 'inp_embd':
      case 'ffn_inp':
      case 'l_out':
        return floats(scratch.x)
      case 'attn_norm':
      case 'kqv_merged_cont':
      case 'ffn_norm':
      case 'result_norm':
        return floats(scratch.inputs.f32!)
      case 'Qcur':
        return floats(scratch.qkv)
      case 'Kcur':
        return floats(scratch.qkv, heads * headDim)
      case 'Vcur':
        return floats(scratch.qkv, (heads + kvHeads) * headDim)
      case 'kqv_out':
        return floats(scratch.projected)
      case 'ffn_moe_logits':
        return floats(scratch.routerLogits)
      case 'ffn_moe_topk':
        return new Int32Array(floats(scratch.expertIds).buffer)
      case 'ffn_moe_weights':
        return this.#probabilities(layer)
      case 'ffn_moe_weights_norm':
        return floats(scratch.expertWeights)
      case 'ffn_moe_gate_par':
        return this.#expertInputs(layer)
      case 'ffn_moe_down':
        return this.#floats(layer, scratch.expertOutputs, width / used, 0, this.#count * used)
      case 'ffn_moe_out':
        return this.#weighted(layer, width)
      case 'result_output':
        return floats({ at: logitsAt, bytes: Math.ceil(output.rows / 4) * 16 })
      default:
        throw new Error(`no place is known for ${name}`)
    }
  }

  #buffer(layer: number): ArrayBufferLike {
    const { layers, output } = this.#banks.plan
    return this.#banks.memories[layers[layer]?.bank ?? output.bank]!.buffer
  }

  /** Copies `width` floats of each row, from float `skip` on: (count, width). */
  #floats(layer: number, rows: Rows, width: number, skip = 0, count = this.#count): Float32Array<ArrayBuffer> {
    const all = new Float32Array(this.#buffer(layer))
    const out = new Float32Array(count * width)
    for (let row = 0; row < count; row++) {
      const start = rowAt(rows, row) / 4 + skip
      out.set(all.subarray(start, start + width), row * width)
    }
    return out
  }

  #ids(layer: number): Int32Array {
    return new Int32Array(this.#floats(layer, this.#banks.plan.scratch.expertIds, this.#banks.config.expertsPerToken).buffer)
  }

  /** The chosen experts' share in a softmax over all: (tokens, used). */
  #probabilities(layer: number): Float32Array {
    const { experts, expertsPerToken: used } = this.#banks.config
    const logits = this.#floats(layer, this.#banks.plan.scratch.routerLogits, experts)
    return Float32Array.from(this.#ids(layer), (id, pair) => {
      const row = logits.subarray(Math.floor(pair / used) * experts).subarray(0, experts)
      const sum = row.reduce((total, logit) => total + exp(logit - row[id]!), 0)
      return 1 / sum
    })
  }

  /** The inputs of ffn_down as its kernels read them: (tokens, used, intermediate). */
  #expertInputs(layer: number): Float32Array {
    const { plan, config } = this.#banks
    const width = config.intermediateSize
    const all = new Uint8Array(this.#buffer(layer))
    const out = new Float32Array(this.#count * config.expertsPerToken * width)
    for (const [pair, id] of this.#ids(layer).entries()) {
      const kind = packings[plan.layers[layer]!.experts[id]!.ffnDown.type.name]!.activation
      const area = plan.scratch.expertInputs[kind]!
      const row = all.subarray(rowAt(area, pair), rowAt(area, pair + 1))
      out.set(readActivation(kind, row, width, plan.build), pair * width)
    }
    return out
  }

  /** The weighted sum of the experts' outputs: (tokens, hidden). */
  #weighted(layer: number, hidden: number): Float32Array {
    const { scratch } = this.#banks.plan
    const used = this.#banks.config.expertsPerToken
    const weights = this.#floats(layer, scratch.expertWeights, used)
    const outputs = this.#floats(layer, scratch.expertOutputs, hidden, 0, this.#count * used)
    const out = new Float32Array(this.#count * hidden)
    for (const [pair, weight] of weights.entries()) {
      const row = out.subarray(Math.floor(pair / used) * hidden)
      for (let i = 0; i < hidden; i++) row[i] = row[i]! + Math.fround(weight * outputs[pair * hidden + i]!)
    }
    return out
  }
}
