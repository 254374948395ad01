// A check of a forward pass of the kernels, stage by stage. Each stage is checked on its inputs from the kernels
// themselves, so that errors do not add up and a fault is found where it is made. Owns the inputs of each stage and its
// allowed error. That is the rounding of float32 alone: where kernels round to 8 bits, so does the check.

import { formats } from '../../format/quants/formats.js'
import type { KvFormat } from '../../runtime/kernels/abi.js'
import type { matrixSource } from '../../runtime/weights/matrixSource.js'
import type { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import type { MixtralTensors, TensorSlice } from '../../runtime/weights/mixtralTensors.js'
import { rotate } from '../reference/attention.js'
import { topK } from '../reference/experts.js'
import { rmsNorm, softmax } from '../reference/matrix.js'
import { attended } from './attended.js'
import { type Expected, expectNothing, HALF_ULP, halfStepsOf, note, product, sumOf, swiglu, type Taps } from './expected.js'
import { worstOf } from './worstOf.js'

/** A difference that should not be. */
export interface Fault {
  /** Index of the layer. -1: the embedding. The number of layers: the output. */
  readonly layer: number
  /** The tensor of the file that differs, or the step, where it has no tensor. */
  readonly tensor: string
  /** The difference, in words. */
  readonly problem: string
}

/** Largest number of rows checked of one product. The check of the weights covers all rows, with one token. */
const ROWS = 256

export class StageCheck {
  readonly #config: MixtralConfig
  readonly #tensors: MixtralTensors
  readonly #weights: ReturnType<typeof matrixSource>
  readonly #kvFormat: KvFormat

  constructor(config: MixtralConfig, tensors: MixtralTensors, weights: ReturnType<typeof matrixSource>, kvFormat: KvFormat) {
    this.#config = config
    this.#tensors = tensors
    this.#weights = weights
    this.#kvFormat = kvFormat
  }

  embedding(tokens: readonly number[], taps: Taps): Fault[] {
    const { tokenEmbd } = this.#tensors
    const { hiddenSize } = this.#config
    const values = new Float64Array(tokens.length * hiddenSize)
    for (const [token, id] of tokens.entries()) values.set(this.#weights.row(tokenEmbd, id), token * hiddenSize)
    const expected = { values, allowed: new Float64Array(values.length) }
    return this.#judge(-1, tokenEmbd.name, 'inp_embd', taps.get('inp_embd')!, expected, { column: hiddenSize })
  }

  /** @param x (tokens, hidden) the residual stream before the layer */
  layer(layer: number, x: ArrayLike<number>, taps: Taps): Fault[] {
    const { heads, kvHeads, headDim, hiddenSize } = this.#config
    const { attnNorm, attnQ, attnK, attnV, attnOutput, ffnNorm, ffnGateInp } = this.#tensors.layers[layer]!
    const tap = (name: string) => taps.get(name)!
    return [
      ...this.#norm(layer, attnNorm, x, 'attn_norm', tap('attn_norm')),
      ...this.#product(layer, attnQ, tap('attn_norm'), 'Qcur', tap('Qcur')),
      ...this.#product(layer, attnK, tap('attn_norm'), 'Kcur', tap('Kcur')),
      ...this.#product(layer, attnV, tap('attn_norm'), 'Vcur', tap('Vcur')),
      ...this.#judge(layer, `Qcur-${layer} after RoPE`, 'Qcur', tap('Qcur-rotated'), this.#rotated(tap('Qcur'), heads), {
        head: heads,
        dimension: headDim,
      }),
      ...this.#judge(layer, `Kcur-${layer} after RoPE`, 'Kcur', tap('Kcur-rotated'), this.#rotated(tap('Kcur'), kvHeads), {
        head: kvHeads,
        dimension: headDim,
      }),
      ...this.#judge(layer, `kqv_merged_cont-${layer}`, 'attention', tap('kqv_merged_cont'), attended(taps, this.#config, this.#kvFormat), {
        head: heads,
        dimension: headDim,
      }),
      ...this.#product(layer, attnOutput, tap('kqv_merged_cont'), 'kqv_out', tap('kqv_out')),
      ...this.#judge(layer, `ffn_inp-${layer}`, 'residual', tap('ffn_inp'), sumOf(x, tap('kqv_out')), { column: hiddenSize }),
      ...this.#norm(layer, ffnNorm, tap('ffn_inp'), 'ffn_norm', tap('ffn_norm')),
      ...this.#product(layer, ffnGateInp, tap('ffn_norm'), 'ffn_moe_logits', tap('ffn_moe_logits')),
      ...this.#routing(layer, taps),
      ...this.#experts(layer, taps),
      ...this.#judge(layer, `l_out-${layer}`, 'sum of experts', tap('l_out'), this.#sumOfExperts(taps), { column: hiddenSize }),
    ]
  }

  /** @param x (tokens, hidden) the residual stream after the layers */
  output(x: ArrayLike<number>, taps: Taps): Fault[] {
    const { outputNorm, output } = this.#tensors
    return [
      ...this.#norm(this.#config.layers, outputNorm, x, 'result_norm', taps.get('result_norm')!),
      ...this.#product(this.#config.layers, output, taps.get('result_norm')!, 'result_output', taps.get('result_output')!),
    ]
  }

  #norm(layer: number, slice: TensorSlice, x: ArrayLike<number>, tap: string, found: ArrayLike<number>): Fault[] {
    const values = rmsNorm(Float64Array.from(x), this.#weights.load(slice), this.#config.rmsEps)
    const near = { values, allowed: values.map((value) => 6 * HALF_ULP * Math.abs(value)) }
    return this.#judge(layer, slice.name, tap, found, near, { column: this.#config.hiddenSize })
  }

  /**
   * @param x (tokens, columns)
   * @param found (tokens, rows)
   */
  #product(layer: number, slice: TensorSlice, x: ArrayLike<number>, tap: string, found: ArrayLike<number>): Fault[] {
    const inputs = this.#rounded(slice, x)
    const expected = expectNothing(found.length)
    for (const row of someRows(slice.rows)) {
      const weights = this.#row(slice, row)
      for (const [token, input] of inputs.entries()) note(expected, token * slice.rows + row, product(slice, weights, input))
    }
    return this.#judge(layer, slice.name, tap, found, expected, { row: slice.rows })
  }

  /** A row of a matrix. A small matrix is read as a whole. */
  #row(slice: TensorSlice, row: number): Float32Array {
    if (slice.rows > ROWS) return this.#weights.row(slice, row)
    return this.#weights.load(slice).values.subarray(row * slice.columns, (row + 1) * slice.columns)
  }

  /** The rows of x, (n, columns), rounded as products with the matrix round them. */
  #rounded({ type, columns }: TensorSlice, x: ArrayLike<number>): Float32Array[] {
    const { round } = formats.get(type.name)!
    return rowsOf(x, columns).map((row) => round(row).values)
  }

  #rotated(x: ArrayLike<number>, heads: number): Expected {
    const plain = Float64Array.from(x)
    const { headDim, ropeDim } = this.#config
    // two products with float32 cosines are added; elements beyond ropeDim stay as they are
    const allowed = plain.map((value, i) => (i % headDim < ropeDim ? 4 * HALF_ULP * (Math.abs(value) + Math.abs(plain[i ^ 1]!)) : 0))
    return { values: rotate(plain, heads, this.#config), allowed }
  }

  /** The choice of experts, from the kernels' own logits and without rounding. Then their weights. */
  #routing(layer: number, taps: Taps): Fault[] {
    const { experts, expertsPerToken: used } = this.#config
    const logits = Float64Array.from(taps.get('ffn_moe_logits')!)
    const found = taps.get('ffn_moe_topk')!
    const chosen = Float64Array.from(rowsOf(logits, experts).flatMap((scores) => topK(scores, used)))
    const weights = Float64Array.from(chosen, (expert, pair) => logits[Math.floor(pair / used) * experts + expert]!)
    for (let t = 0; t < found.length; t += used) weights.set(softmax(weights.subarray(t, t + used)), t)
    const exactly = { values: chosen, allowed: new Float64Array(chosen.length) }
    const near = { values: weights, allowed: weights.map((weight) => 16 * HALF_ULP * weight) }
    return [
      ...this.#judge(layer, `ffn_moe_topk-${layer}`, 'expert', found, exactly, { rank: used }),
      ...this.#judge(layer, `ffn_moe_weights_norm-${layer}`, 'weight', taps.get('ffn_moe_weights_norm')!, near, { rank: used }),
    ]
  }

  /** The matrices of the experts that ran, on their inputs from the kernels. */
  #experts(layer: number, taps: Taps): Fault[] {
    const { expertsPerToken: used, hiddenSize: hidden, intermediateSize: ffn } = this.#config
    const topk = Array.from(taps.get('ffn_moe_topk')!)
    const inner = taps.get('ffn_moe_gate_par')!
    const inners = rowsOf(inner, ffn)
    return this.#tensors.layers[layer]!.experts.flatMap(({ ffnGate, ffnUp, ffnDown }, expert) => {
      const pairs = [...topk.keys()].filter((pair) => topk[pair] === expert)
      if (!pairs.length) return []
      const [toGate, toUp] = [ffnGate, ffnUp].map((slice) => this.#rounded(slice, taps.get('ffn_norm')!))
      const halfSteps = new Map(pairs.map((pair) => [pair, halfStepsOf(ffnDown, inners[pair]!)]))
      const gated = expectNothing(inner.length)
      for (const row of someRows(ffn)) {
        const [gate, up] = [this.#row(ffnGate, row), this.#row(ffnUp, row)]
        for (const pair of pairs) {
          const token = Math.floor(pair / used)
          const [value, allowed] = swiglu(product(ffnGate, gate, toGate![token]!), product(ffnUp, up, toUp![token]!))
          note(gated, pair * ffn + row, [value, allowed + halfSteps.get(pair)![row]!])
        }
      }
      const outputs = expectNothing(topk.length * hidden)
      for (const row of someRows(hidden)) {
        const weights = this.#row(ffnDown, row)
        for (const pair of pairs) note(outputs, pair * hidden + row, product(ffnDown, weights, inners[pair]!))
      }
      const [into, outOf] = [`${ffnGate.name} or ${ffnUp.name}, expert ${expert}`, `${ffnDown.name}, expert ${expert}`]
      return [
        ...this.#judge(layer, into, 'ffn_moe_gate_par', inner, gated, { rank: used, row: ffn }),
        ...this.#judge(layer, outOf, 'ffn_moe_down', taps.get('ffn_moe_down')!, outputs, { rank: used, row: hidden }),
      ]
    })
  }

  #sumOfExperts(taps: Taps): Expected {
    const { expertsPerToken: used, hiddenSize: hidden } = this.#config
    const [weights, down] = [taps.get('ffn_moe_weights_norm')!, taps.get('ffn_moe_down')!]
    const values = Float64Array.from(taps.get('ffn_inp')!)
    const magnitudes = values.map(Math.abs)
    for (let at = 0; at < down.length; at++) {
      const pair = Math.floor(at / hidden)
      const term = weights[pair]! * down[at]!
      const to = Math.floor(pair / used) * hidden + (at % hidden)
      values[to]! += term
      magnitudes[to]! += Math.abs(term)
    }
    return { values, allowed: magnitudes.map((magnitude) => HALF_ULP * (used + 2) * magnitude) }
  }

  #judge(
    layer: number,
    tensor: string,
    what: string,
    found: ArrayLike<number>,
    expected: Expected,
    dims: Readonly<Record<string, number>>,
  ): Fault[] {
    const problem = worstOf(found, expected, dims)
    return problem === undefined ? [] : [{ layer, tensor, problem: `${what}: ${problem}` }]
  }
}

const rowsOf = (x: ArrayLike<number>, columns: number) =>
  Array.from({ length: x.length / columns }, (_, row) => Float32Array.from({ length: columns }, (_, c) => x[row * columns + c]!))

/** All rows of a small matrix; of a large one the first, the last, and some between. */
function someRows(rows: number): number[] {
  const count = Math.min(rows, ROWS)
  return Array.from({ length: count }, (_, i) => Math.floor((i * (rows - 1)) / Math.max(1, count - 1)))
}
