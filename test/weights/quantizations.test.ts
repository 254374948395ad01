import { expect, test } from 'vitest'
import { MixtralConfig } from '../../dist/weights/mixtralConfig.js'
import { type QuantizationName, quantizedSize } from '../../dist/weights/quantizations.js'

function mixtral(layers: number, hidden: number, heads: number, inner: number): MixtralConfig {
  const numbers = {
    block_count: layers,
    embedding_length: hidden,
    feed_forward_length: inner,
    context_length: 32768,
    vocab_size: 32000,
    'attention.head_count': heads,
    'attention.head_count_kv': 8,
    'attention.layer_norm_rms_epsilon': 1e-5,
    expert_count: 8,
    expert_used_count: 2,
    'rope.freq_base': 1e6,
  }
  const entries = Object.entries(numbers).map(([key, value]) => [`llama.${key}`, value] as const)
  return MixtralConfig.fromGgufMetadata(new Map<string, string | number>([['general.architecture', 'llama'], ...entries]))
}

const small = mixtral(32, 4096, 32, 14336)
const large = mixtral(56, 6144, 48, 16384)

test.each<[name: QuantizationName, gib: number, activeGb: number]>([
  ['Q4_0', 24.63, 7.34],
  ['Q3_K_M', 21.0, 6.37],
  ['Q4_K_M', 26.49, 7.9],
  ['Q5_K_M', 30.95, 9.14],
  ['Q6_K', 35.74, 10.53],
  ['Q8_0', 46.22, 13.55],
])('8x7B in %s has the size of the published file', (name, gib, activeGb) => {
  const { bytes, activeBytesPerToken } = quantizedSize(small, name)
  expect(bytes / 2 ** 30).toBeCloseTo(gib, 1)
  expect(activeBytesPerToken / 1e9).toBeCloseTo(activeGb, 1)
})

test('8x22B in Q4_K_M has the size of the published files', () => {
  const { bytes, activeBytesPerToken } = quantizedSize(large, 'Q4_K_M')
  expect(bytes / 1e9).toBeCloseTo(85.6, 0)
  expect(activeBytesPerToken / 1e9).toBeCloseTo(24.05, 0)
})

test.each<[name: QuantizationName, gb: number]>([
  ['F16', 90],
  ['Q8_0', 50],
  ['Q6_K', 40],
  ['Q4_K_M', 28],
  ['Q3_K_M', 22],
])("8x7B in %s has the size of the first plan's table, within a twentieth", (name, gb) => {
  expect(Math.abs(quantizedSize(small, name).bytes / 1e9 / gb - 1)).toBeLessThan(0.05)
})
