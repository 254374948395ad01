// Hyper-parameters from metadata: defaults, and everything that is refused.

import { expect, test } from 'vitest'
import type { GgufValue } from '../../../dist/format/gguf/gguf.js'
import { MixtralConfig } from '../../../dist/runtime/weights/mixtralConfig.js'
import { WeightLoader } from '../../../dist/runtime/weights/weightLoader.js'

// Mixtral 8x7B as published, without what may be absent.
const required: Record<string, GgufValue> = {
  'general.architecture': 'llama',
  'llama.block_count': 32,
  'llama.context_length': 32768,
  'llama.embedding_length': 4096,
  'llama.feed_forward_length': 14336,
  'llama.attention.head_count': 32,
  'llama.attention.layer_norm_rms_epsilon': 1e-5,
  'llama.expert_count': 8,
  'llama.expert_used_count': 2,
  'tokenizer.ggml.tokens': Array.from({ length: 32000 }, (_, id) => `t${id}`),
}

/** The required keys with some replaced, or left out where undefined. */
function config(changes: Record<string, GgufValue | undefined> = {}): MixtralConfig {
  const entries = Object.entries({ ...required, ...changes }).filter((entry): entry is [string, GgufValue] => entry[1] !== undefined)
  return MixtralConfig.fromGgufMetadata(new Map(entries))
}

test('the demo model has its hyper-parameters', async () => {
  const { metadata } = await WeightLoader.fromGguf('models/tiny-mixtral.Q4_K_M.gguf')
  expect({ ...MixtralConfig.fromGgufMetadata(metadata) }).toEqual({
    vocabSize: 2048,
    hiddenSize: 256,
    intermediateSize: 256,
    layers: 6,
    heads: 4,
    kvHeads: 2,
    headDim: 64,
    experts: 8,
    expertsPerToken: 2,
    maxPositions: 512,
    slidingWindow: undefined,
    ropeTheta: 1e6,
    ropeDim: 64,
    rmsEps: Math.fround(1e-5),
    routerAuxLossCoef: undefined,
  })
})

test('absent keys get the defaults of llama.cpp', () => {
  const { vocabSize, kvHeads, headDim, ropeTheta, ropeDim, slidingWindow } = config()
  expect({ vocabSize, kvHeads, headDim, ropeTheta, ropeDim, slidingWindow }).toEqual({
    vocabSize: 32000,
    kvHeads: 32,
    headDim: 128,
    ropeTheta: 10000,
    ropeDim: 128,
    slidingWindow: undefined,
  })
})

test('the vocabulary is as large as the list of tokens, or as the key says where there is no list', () => {
  expect(config({ 'llama.vocab_size': 5 }).vocabSize).toBe(32000)
  expect(config({ 'llama.vocab_size': 5, 'tokenizer.ggml.tokens': undefined }).vocabSize).toBe(5)
})

test('heads may be wider than their share of the hidden size', () => {
  expect(config({ 'llama.attention.key_length': 256, 'llama.attention.value_length': 256 }).headDim).toBe(256)
})

test('a sliding window is taken from the file, and 0 is none', () => {
  expect(config({ 'llama.attention.sliding_window': 4096 }).slidingWindow).toBe(4096)
  expect(config({ 'llama.attention.sliding_window': 0 }).slidingWindow).toBeUndefined()
})

test('the coefficient of the router loss is passed on', () => {
  expect(config({ 'llama.router_aux_loss_coef': 0.02 }).routerAuxLossCoef).toBe(0.02)
})

test('a number per layer is taken if all are equal', () => {
  const { heads, kvHeads } = config({
    'llama.attention.head_count': Array(32).fill(32),
    'llama.attention.head_count_kv': Array(32).fill(8),
  })
  expect([heads, kvHeads]).toEqual([32, 8])
})

test.each<Record<string, GgufValue>>([
  { 'llama.rope.scaling.type': 'none', 'llama.rope.scaling.factor': 8 },
  { 'llama.rope.scaling.type': 'linear', 'llama.rope.scaling.factor': 1 },
  { 'llama.rope.scaling.type': 'linear', 'llama.rope.scaling.factor': 0 },
  { 'llama.rope.scale_linear': 1 },
  { 'llama.rope.scaling.attn_factor': 1 },
  { 'llama.attention.causal': true },
])('what changes nothing is accepted: %j', (changes) => {
  expect(config(changes).layers).toBe(32)
})

test.each<[string, 'MODEL' | 'UNSUPPORTED', Record<string, GgufValue | undefined>]>([
  ['metadata key "general.architecture": "qwen2moe", expected "llama"', 'MODEL', { 'general.architecture': 'qwen2moe' }],
  ['metadata key "general.architecture": no value, expected "llama"', 'MODEL', { 'general.architecture': undefined }],
  ['metadata key "llama.expert_count": no value, expected at least 1: this is a dense model', 'MODEL', { 'llama.expert_count': undefined }],
  ['metadata key "llama.expert_count": 0, expected at least 1: this is a dense model', 'MODEL', { 'llama.expert_count': 0 }],
  ['metadata key "llama.expert_count": -1, expected a whole number from 1 to 4096', 'MODEL', { 'llama.expert_count': -1 }],
  [
    'metadata key "llama.expert_used_count": no value, expected a whole number from 1 to 4096',
    'MODEL',
    { 'llama.expert_used_count': undefined },
  ],
  ['metadata key "llama.expert_used_count": 0, expected', 'MODEL', { 'llama.expert_used_count': 0 }],
  ['metadata key "llama.expert_used_count": 9, expected at most the 8 experts', 'MODEL', { 'llama.expert_used_count': 9 }],
  [
    'metadata key "llama.expert_count": 4096, expected at most 1024 in each of 32 layers',
    'MODEL',
    { 'llama.expert_count': 4096, 'llama.expert_used_count': 2 },
  ],
  [
    'metadata key "llama.expert_count": 9, expected at most 8 in each of 4096 layers',
    'MODEL',
    { 'llama.block_count': 4096, 'llama.expert_count': 9 },
  ],
  ['metadata key "llama.block_count": 0, expected', 'MODEL', { 'llama.block_count': 0 }],
  ['metadata key "llama.block_count": 1000000000, expected', 'MODEL', { 'llama.block_count': 1e9 }],
  ['metadata key "llama.block_count": "many", expected', 'MODEL', { 'llama.block_count': 'many' }],
  ['"llama.embedding_length": 65537, expected a whole number from 1 to 65536', 'MODEL', { 'llama.embedding_length': 65_537 }],
  ['"llama.feed_forward_length": 262145, expected a whole number from 1 to 262144', 'MODEL', { 'llama.feed_forward_length': 262_145 }],
  [
    '"llama.attention.head_count": 1024, expected heads of 128 that are 65536 wide together at most',
    'MODEL',
    { 'llama.attention.head_count': 1024, 'llama.attention.key_length': 128, 'llama.attention.value_length': 128 },
  ],
  ['"llama.attention.head_count": 262144, expected a whole number from 1 to 65536', 'MODEL', { 'llama.attention.head_count': 2 ** 18 }],
  ['"llama.attention.key_length": 65538, expected a whole number from 1 to 65536', 'MODEL', { 'llama.attention.key_length': 65_538 }],
  ['metadata key "llama.context_length": no value, expected', 'MODEL', { 'llama.context_length': undefined }],
  ['metadata key "llama.embedding_length": 9223372036854775808, expected', 'MODEL', { 'llama.embedding_length': 2n ** 63n }],
  ['metadata key "llama.feed_forward_length": 1.5, expected', 'MODEL', { 'llama.feed_forward_length': 1.5 }],
  ['metadata key "llama.vocab_size": no value, expected', 'MODEL', { 'tokenizer.ggml.tokens': undefined }],
  ['metadata key "tokenizer.ggml.tokens": a list of 0, expected 1 to', 'MODEL', { 'tokenizer.ggml.tokens': [] }],
  [
    '"llama.attention.head_count": a list of 2, expected one number, or the same for every layer',
    'MODEL',
    { 'llama.attention.head_count': [32, 16] },
  ],
  ['metadata key "llama.attention.head_count": a list of 0, expected', 'MODEL', { 'llama.attention.head_count': [] }],
  ['metadata key "llama.attention.key_length": 170.66', 'MODEL', { 'llama.attention.head_count': 24 }],
  ['metadata key "llama.attention.head_count_kv": 5, expected a divisor of the 32 heads', 'MODEL', { 'llama.attention.head_count_kv': 5 }],
  ['metadata key "llama.attention.key_length": 127, expected an even whole number', 'MODEL', { 'llama.attention.key_length': 127 }],
  ['metadata key "llama.attention.value_length": 64, expected the 128 of keys', 'MODEL', { 'llama.attention.value_length': 64 }],
  ['metadata key "llama.attention.sliding_window": -1, expected a whole number from 0', 'MODEL', { 'llama.attention.sliding_window': -1 }],
  [
    'metadata key "llama.attention.layer_norm_rms_epsilon": -1, expected at least 0',
    'MODEL',
    { 'llama.attention.layer_norm_rms_epsilon': -1 },
  ],
  [
    '"llama.attention.layer_norm_rms_epsilon": no value, expected a finite number',
    'MODEL',
    { 'llama.attention.layer_norm_rms_epsilon': undefined },
  ],
  ['metadata key "llama.rope.freq_base": 0, expected more than 0', 'MODEL', { 'llama.rope.freq_base': 0 }],
  [
    'metadata key "llama.rope.freq_base": Infinity, expected a finite number',
    'MODEL',
    { 'llama.rope.freq_base': Number.POSITIVE_INFINITY },
  ],
  ['metadata key "llama.rope.freq_base": NaN, expected a finite number', 'MODEL', { 'llama.rope.freq_base': Number.NaN }],
  ['metadata key "llama.rope.dimension_count": 130, expected even and at most', 'MODEL', { 'llama.rope.dimension_count': 130 }],
  ['metadata key "llama.rope.dimension_count": 63, expected even and at most', 'MODEL', { 'llama.rope.dimension_count': 63 }],
  ['metadata key "llama.router_aux_loss_coef": "x", expected a finite number', 'MODEL', { 'llama.router_aux_loss_coef': 'x' }],
  ['metadata key "llama.rope.scaling.type": "yarn", expected "none"', 'UNSUPPORTED', { 'llama.rope.scaling.type': 'yarn' }],
  ['metadata key "llama.rope.scaling.factor": 4, expected 1', 'UNSUPPORTED', { 'llama.rope.scaling.factor': 4 }],
  ['metadata key "llama.rope.scale_linear": 2, expected 1', 'UNSUPPORTED', { 'llama.rope.scale_linear': 2 }],
  ['metadata key "llama.rope.scaling.attn_factor": 2, expected 1', 'UNSUPPORTED', { 'llama.rope.scaling.attn_factor': 2 }],
  ['metadata key "llama.attention.causal": false, expected true', 'UNSUPPORTED', { 'llama.attention.causal': false }],
])('refused: %s', (message, code, changes) => {
  expect(() => config(changes)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }))
})
