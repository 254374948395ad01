// The stages of a token: how many units each has on a number of threads, what of the measured time each unit takes, and
// the bytes it reads. Follows src/runtime/model, as it is and as it was before units were cut by what is left.

import { cutRows, mostGroups } from '../../dist/runtime/model/rowUnits.js'
import { EXPERT_ROWS } from '../../dist/runtime/weights/scratch.js'

/**
 * @param {object} model config of the model; bytes of the tensors whose names match; seconds of each timed stage of a
 * token, on one thread; `slower(groups)`, how much longer a group of four rows takes in a call of so many groups @param
 * {number} threads @param {boolean} before @returns {import('./simulate.mjs').Stage[]}
 */
export function stagesOf({ config, bytes, seconds, slower }, threads, before) {
  const { layers, heads, kvHeads, headDim, hiddenSize, intermediateSize, expertsPerToken, vocabSize } = config
  const perLayer = (stage) => Math.max(1e-9, seconds[stage] / layers)
  const weights = (pattern) => bytes(pattern) / layers
  const one = (name, time) => ({ name, units: [{ seconds: time, bytes: 0 }] })
  const alike = (name, time, count, read) => ({
    name,
    units: Array.from({ length: count }, () => ({ seconds: time / count, bytes: read / count })),
  })
  const rows = (name, time, groups, read, columns) => {
    const total = groups.reduce((sum, count) => sum + count, 0)
    const most = mostGroups(1, columns)
    const sizes = before ? evenUnits(groups, most, threads) : [...cutRows(groups, most, threads)].filter((_, i) => i % 3 === 2)
    return { name, units: sizes.map((size) => ({ seconds: (time * size * slower(size)) / total, bytes: (read * size) / total })) }
  }
  const quarter = (count) => Math.ceil(count / 4)
  const width = heads * headDim
  const qkv = [width, kvHeads * headDim, kvHeads * headDim].map(quarter)
  const expertUnits = expertsPerToken * Math.ceil(intermediateSize / EXPERT_ROWS)
  const expert = (pattern) => (weights(pattern) * expertsPerToken) / config.experts
  const attention = perLayer('attention') + perLayer('rope')
  const layer = [
    one('norm', (seconds.norm - seconds.norm / (layers + 1)) / layers),
    rows('qkv', perLayer('qkv'), qkv, weights(/attn_[qkv]\.weight/), hiddenSize),
    ...(before
      ? [alike('rope', perLayer('rope'), kvHeads, 0), alike('attention', perLayer('attention'), kvHeads, 0), one('round', 2e-6)]
      : []),
    ...(before ? [] : [alike('attention', attention, kvHeads, 0)]),
    rows('output', perLayer('output'), [quarter(hiddenSize)], weights(/attn_output\.weight/), width),
    one('route', perLayer('route')),
    alike('gate and up', perLayer('gate and up'), expertUnits, expert(/ffn_(gate|up)(_exps|\.\d+)\.weight/)),
    rows(
      'down',
      perLayer('down'),
      Array(expertsPerToken).fill(quarter(hiddenSize)),
      expert(/ffn_down(_exps|\.\d+)\.weight/),
      intermediateSize,
    ),
  ]
  return [
    one('embed', seconds.embed),
    ...Array.from({ length: layers }, () => layer).flat(),
    one('norm', seconds.norm / (layers + 1)),
    rows('logits', seconds.logits, [quarter(vocabSize)], bytes(/^output\.weight/) || bytes(/^token_embd\.weight/), hiddenSize),
  ]
}

/** Units of one size, as they were before. */
function evenUnits(groups, most, threads) {
  const total = groups.reduce((sum, count) => sum + count, 0)
  const size = Math.min(most, Math.max(4, Math.ceil(total / (threads * 8) / 4) * 4))
  return groups.flatMap((count) => Array.from({ length: Math.ceil(count / size) }, (_, i) => Math.min(size, count - i * size)))
}
