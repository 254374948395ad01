// Grouped-query attention. Each token asks with a query per head; every token up to it answers with a key, how well it
// fits, and a value, what it has to say. Several heads of queries share one head of keys and values, so that fewer of
// those need be remembered.

import { cos, pow, sin } from '../../base/elementary.js'
import type { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import type { Layer } from './layer.js'
import { softmax } from './matrix.js'

/** (tokens, hidden) -> (tokens, hidden). Token t attends to tokens 0 to t, or to the last `slidingWindow` of them. */
export function attention({ config, tensors, multiply, show }: Layer, x: Float64Array): Float64Array {
  const { heads, kvHeads, headDim } = config
  const tokens = x.length / config.hiddenSize
  const plainQ = show('Qcur', multiply(x, tensors.attnQ), heads * headDim)
  const q = show('Qcur', rotate(plainQ, heads, config), heads, headDim) // (tokens, heads, headDim)
  const plainK = show('Kcur', multiply(x, tensors.attnK), kvHeads * headDim)
  const k = show('Kcur', rotate(plainK, kvHeads, config), kvHeads, headDim) // (tokens, kvHeads, headDim)
  const v = show('Vcur', multiply(x, tensors.attnV), kvHeads * headDim) // (tokens, kvHeads, headDim)

  const mixed = new Float64Array(tokens * heads * headDim) // (tokens, heads, headDim)
  for (let token = 0; token < tokens; token++) {
    const first = Math.max(0, token + 1 - (config.slidingWindow ?? tokens))
    for (let head = 0; head < heads; head++) {
      const at = (token * heads + head) * headDim
      const kvHead = Math.floor((head * kvHeads) / heads)
      const kvAt = (i: number) => ((first + i) * kvHeads + kvHead) * headDim

      const scores = new Float64Array(token + 1 - first)
      for (let i = 0; i < scores.length; i++) {
        for (let c = 0; c < headDim; c++) scores[i]! += (q[at + c]! * k[kvAt(i) + c]!) / Math.sqrt(headDim)
      }
      for (const [i, share] of softmax(scores).entries()) {
        for (let c = 0; c < headDim; c++) mixed[at + c]! += share * v[kvAt(i) + c]!
      }
    }
  }
  return multiply(show('kqv_merged_cont', mixed, heads * headDim), tensors.attnOutput)
}

/**
 * Rotary position embedding (RoPE): (tokens, heads, headDim) -> the same. Turns the pair of elements (2i, 2i + 1) of
 * each head by position * ropeTheta^(-2i / ropeDim), so that a query times a key depends on how far apart they are.
 * Elements from ropeDim on stay.
 */
export function rotate(x: Float64Array, heads: number, { headDim, ropeDim, ropeTheta }: MixtralConfig): Float64Array {
  const y = x.slice()
  for (let start = 0; start < x.length; start += headDim) {
    const position = Math.floor(start / (heads * headDim))
    for (let even = 0; even < ropeDim; even += 2) {
      const angle = position * pow(ropeTheta, -even / ropeDim)
      const [a, b] = [x[start + even]!, x[start + even + 1]!]
      y[start + even] = a * cos(angle) - b * sin(angle)
      y[start + even + 1] = a * sin(angle) + b * cos(angle)
    }
  }
  return y
}
