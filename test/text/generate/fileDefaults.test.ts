import { expect, test } from 'vitest'
import type { GgufValue } from '../../../dist/format/gguf/gguf.js'
import { fileDefaults } from '../../../dist/text/generate/fileDefaults.js'

const read = (keys: Record<string, GgufValue>) =>
  fileDefaults(new Map(Object.entries(keys).map(([key, value]) => [`general.sampling.${key}`, value])))

test('the keys of llama.cpp become options under our names, numbers of 32 bits those that were meant', () => {
  const numbers = { temp: Math.fround(0.6), top_k: 20, top_p: Math.fround(0.95), min_p: 0, xtc_probability: 0.5, xtc_threshold: 0.25 }
  const others = { penalty_last_n: 32, penalty_repeat: Math.fround(1.1), mirostat: 2, mirostat_tau: 4, mirostat_eta: 0.5 }
  expect(read({ ...numbers, ...others, sequence: 'top_k;tfs_z;temperature;top_k' })).toEqual({
    options: {
      ...{ temperature: 0.6, topK: 20, topP: 0.95, minP: 0, xtcProbability: 0.5, xtcThreshold: 0.25 },
      ...{ penaltyLastN: 32, repetitionPenalty: 1.1, mirostat: 2, mirostatTau: 4, mirostatEta: 0.5 },
      samplers: ['top_k', 'temperature'],
    },
    notes: [],
  })
})

test('values past a range mean what they mean for llama.cpp', () => {
  expect(read({ temp: -1, top_k: -1 })).toEqual({ options: { temperature: 0, topK: 0 }, notes: [] })
})

test.each<[string, GgufValue]>([
  ['temp', 'hot'],
  ['temp', Number.NaN],
  ['penalty_repeat', 0],
  ['mirostat', 7],
  ['top_k', true],
  ['sequence', 3],
  ['sequence', 'tfs_z'],
])('%s %j is ignored, with a note', (key, value) => {
  expect(read({ [key]: value })).toEqual({
    options: {},
    notes: [expect.stringMatching(`^general.sampling.${key} in the file .* ignored$`)],
  })
})
