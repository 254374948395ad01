// Mixtral as transformers computes it, in float64, straight from a checkpoint's own tensors: rotary embedding on halves
// of a head, softmax over all experts before the best are kept. Shares nothing with src/, so that a mistake in the
// conversion cannot hide in both.

import type { SourceModel, SourceTensor } from './sourceModel.js'

type Tensors = ReadonlyMap<string, SourceTensor>
type Vector = Float64Array

/** Logits of every position, (tokens, vocab). */
export function halfSplitLogits(model: SourceModel, tensors: Tensors, tokens: readonly number[]): number[] {
  const { hidden, layers } = model
  const weights = (name: string) => tensors.get(name)!.values
  const embedding = weights('model.embed_tokens.weight')
  let x: Vector[] = tokens.map((id) => Float64Array.from(embedding.subarray(id * hidden, (id + 1) * hidden)))
  for (let layer = 0; layer < layers; layer++) {
    const name = (part: string) => weights(`model.layers.${layer}.${part}.weight`)
    const attended = attention(
      model,
      name,
      x.map((row) => norm(row, name('input_layernorm'))),
    )
    x = x.map((row, t) => row.map((value, i) => value + attended[t]![i]!))
    const thought = x.map((row) => experts(model, name, norm(row, name('post_attention_layernorm'))))
    x = x.map((row, t) => row.map((value, i) => value + thought[t]![i]!))
  }
  const output = model.tied ? embedding : weights('lm_head.weight')
  return x.flatMap((row) => [...product(output, norm(row, weights('model.norm.weight')))])
}

function attention({ heads, kvHeads, headDim, ropeTheta }: SourceModel, name: (part: string) => Float32Array, x: Vector[]): Vector[] {
  const rotated = (matrix: Float32Array) => x.map((row, position) => rotateHalves(product(matrix, row), position, headDim, ropeTheta))
  const q = rotated(name('self_attn.q_proj'))
  const k = rotated(name('self_attn.k_proj'))
  const v = x.map((row) => product(name('self_attn.v_proj'), row))
  return x.map((_, t) => {
    const mixed = new Float64Array(heads * headDim)
    for (let head = 0; head < heads; head++) {
      const kvHead = Math.floor(head / (heads / kvHeads))
      const scores = k.slice(0, t + 1).map((key) => {
        let sum = 0
        for (let i = 0; i < headDim; i++) sum += q[t]![head * headDim + i]! * key[kvHead * headDim + i]!
        return sum / Math.sqrt(headDim)
      })
      softmax(scores).forEach((weight, s) => {
        for (let i = 0; i < headDim; i++) mixed[head * headDim + i]! += weight * v[s]![kvHead * headDim + i]!
      })
    }
    return product(name('self_attn.o_proj'), mixed)
  })
}

function rotateHalves(vector: Vector, position: number, headDim: number, theta: number): Vector {
  const half = headDim / 2
  return vector.map((value, at) => {
    const i = at % headDim
    const angle = position * theta ** (-(2 * (i % half)) / headDim)
    const partner = i < half ? -vector[at + half]! : vector[at - half]!
    return value * Math.cos(angle) + partner * Math.sin(angle)
  })
}

function experts({ used, hidden }: SourceModel, name: (part: string) => Float32Array, x: Vector): Vector {
  const probabilities = softmax([...product(name('block_sparse_moe.gate'), x)])
  const best = probabilities.map((p, expert) => ({ p, expert })).sort((a, b) => b.p - a.p)
  const chosen = best.slice(0, used)
  const total = chosen.reduce((sum, { p }) => sum + p, 0)
  const out = new Float64Array(hidden)
  for (const { p, expert } of chosen) {
    const matrix = (w: string) => name(`block_sparse_moe.experts.${expert}.${w}`)
    const up = product(matrix('w3'), x)
    const inner = product(matrix('w1'), x).map((gate, i) => (gate / (1 + Math.exp(-gate))) * up[i]!)
    product(matrix('w2'), inner).forEach((value, i) => {
      out[i]! += (p / total) * value
    })
  }
  return out
}

/** (rows, columns) times (columns). */
function product(matrix: Float32Array, x: Vector): Vector {
  const out = new Float64Array(matrix.length / x.length)
  for (let row = 0; row < out.length; row++) {
    let sum = 0
    for (let i = 0; i < x.length; i++) sum += matrix[row * x.length + i]! * x[i]!
    out[row] = sum
  }
  return out
}

function norm(x: Vector, weight: Float32Array): Vector {
  const square = x.reduce((sum, value) => sum + value * value, 0) / x.length
  return x.map((value, i) => (value / Math.sqrt(square + Math.fround(1e-5))) * weight[i]!) // GGUF keeps the eps as float32
}

function softmax(values: readonly number[]): number[] {
  const largest = Math.max(...values)
  const exps = values.map((value) => Math.exp(value - largest))
  const total = exps.reduce((sum, value) => sum + value, 0)
  return exps.map((value) => value / total)
}
