// The logits of one sequence, here and in node-llama-cpp, and how far apart they are. For the scripts that ask whether
// both read a file alike.

import { readFileSync } from 'node:fs'
import { getLlama, LlamaLogLevel } from 'node-llama-cpp'
import { MixtralModel } from '../../dist/index.js'

const { tokens } = JSON.parse(readFileSync(new URL('../../test/golden/demo/logits.json', import.meta.url), 'utf8'))

export function openLlama() {
  return getLlama({ gpu: false, build: 'never', skipDownload: true, progressLogs: false, logLevel: LlamaLogLevel.error })
}

/** (tokens, vocabulary). `options` are those of loading. */
export async function ours(path, options = {}) {
  const model = await MixtralModel.load(path, { contextLength: tokens.length, ...options })
  const logits = await model.logits(tokens)
  await model.close()
  return logits
}

/**
 * The same. Keys and values of an F32 model are kept in F32 here, so they must be there.
 * @param adapters of `{ path, scale }`
 */
export async function theirs(llama, path, { kv = 'F16', adapters = [] } = {}) {
  const model = await llama.loadModel({ modelPath: path })
  const context = await model.createContext({
    contextSize: tokens.length,
    threads: 2,
    flashAttention: kv !== 'F32', // which rounds to halves what goes through it
    experimentalKvCacheKeyType: kv,
    experimentalKvCacheValueType: kv,
    ...(adapters.length > 0 && { lora: { adapters: adapters.map(({ path: filePath, scale }) => ({ filePath, scale })) } }),
  })
  const sequence = context.getSequence()
  const results = await sequence.controlledEvaluate(tokens.map((token) => [token, { generateNext: { logits: true } }]))
  const vocabulary = results[0].next.logits.size
  const logits = new Float32Array(tokens.length * vocabulary).fill(Number.NaN)
  for (const [t, { next }] of results.entries()) for (const [token, logit] of next.logits) logits[t * vocabulary + token] = logit
  await context.dispose()
  await model.dispose()
  return logits
}

/**
 * Divergence of `other` from `logits` without the highest 5 % of positions, and the share of positions with the same
 * first choice.
 */
export function compare(logits, other) {
  const divergences = []
  const vocabulary = logits.length / tokens.length
  let same = 0
  for (let t = 0; t < tokens.length; t++) {
    const [p, q] = [logits, other].map((all) => logSoftmax(all.subarray(t * vocabulary, (t + 1) * vocabulary)))
    divergences.push(p.reduce((sum, value, i) => sum + Math.exp(value) * (value - q[i]), 0))
    if (p.indexOf(Math.max(...p)) === q.indexOf(Math.max(...q))) same++
  }
  const kept = divergences.sort((a, b) => a - b).slice(0, Math.floor(tokens.length * 0.95))
  return { divergence: kept.reduce((sum, value) => sum + value, 0) / kept.length, same: same / tokens.length }
}

function logSoftmax(logits) {
  const largest = logits.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY)
  const total = Math.log(logits.reduce((sum, value) => sum + Math.exp(value - largest), 0)) + largest
  return Float64Array.from(logits, (value) => value - total)
}
