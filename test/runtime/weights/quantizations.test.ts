import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { MixtralConfig } from '../../../dist/runtime/weights/mixtralConfig.js'
import { type QuantizationName, quantizationNames, quantizedSize, quantizedType } from '../../../dist/runtime/weights/quantizations.js'
import { parseTensorName, type QuantizedRole } from '../../../dist/runtime/weights/roles.js'
import { demoPath } from '../model/demoFiles.js'

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

// The sizes that bartowski/Mixtral-8x22B-v0.1-GGUF names, made by llama.cpp b2636.
test.each<[name: QuantizationName, gb: number]>([
  ['Q5_K_M', 99.96],
  ['Q5_K_S', 96.97],
  ['Q4_K_M', 85.58],
  ['Q4_K_S', 80.47],
  ['IQ4_XS', 76.35],
  ['Q3_K_L', 72.57],
  ['Q3_K_M', 67.78],
  ['Q3_K_S', 61.49],
  ['Q2_K', 52.1],
  ['IQ4_NL', 80.47],
  ['IQ3_M', 64.49],
  ['IQ3_S', 61.49],
  ['IQ3_XS', 58.22],
])('8x22B in %s has the size of the published file', (name, gb) => {
  expect(Math.abs(quantizedSize(large, name).bytes / 1e9 - gb)).toBeLessThan(0.02)
})

const mixes: Readonly<Record<string, Readonly<Record<string, string>>>> = JSON.parse(
  readFileSync(new URL('../../golden/demo/mixes.json', import.meta.url), 'utf8'),
)

test.each(Object.keys(mixes))('the demo model in %s has the types that llama-quantize gives it', async (name) => {
  const gguf = await openGguf(demoPath('F16'))
  const config = MixtralConfig.fromGgufMetadata(gguf.metadata)
  const types = Object.keys(mixes[name]!).map((tensor) => {
    const { role, layer = 0 } = parseTensorName(tensor)!
    const columns = gguf.tensors.get(tensor)!.shape[0]!
    return [tensor, quantizedType(name as QuantizationName, role as QuantizedRole, layer, columns, config).name]
  })
  expect(Object.fromEntries(types)).toEqual(mixes[name])
})

// After llama_tensor_get_type; the demo model has too few layers for a first eighth.
test.each<[name: QuantizationName, plain: string[], weighed: string[]]>([
  ['Q4_0', ['Q4_0', 'Q4_0'], ['Q4_1', 'Q4_0']],
  ['IQ4_XS', ['Q5_K', 'IQ4_XS'], ['IQ4_XS', 'IQ4_XS']],
  ['IQ4_NL', ['Q5_K', 'IQ4_NL'], ['IQ4_NL', 'IQ4_NL']],
  ['Q4_K_S', ['Q5_K', 'Q4_K'], ['Q5_K', 'Q4_K']],
])(
  'ffn_down of 8x7B in %s, in the first eighth of the layers and beyond, without and with an importance matrix',
  (name, plain, weighed) => {
    const types = (matrix: boolean) => [3, 4].map((layer) => quantizedType(name, 'ffnDown', layer, 14336, small, matrix).name)
    expect([types(false), types(true)]).toEqual([plain, weighed])
  },
)

test('8x22B in Q4_K_M reads 24 GB per token', () => {
  expect(quantizedSize(large, 'Q4_K_M').activeBytesPerToken / 1e9).toBeCloseTo(24.05, 1)
})

test('quantizations are listed from the largest to the smallest', () => {
  const sizes = quantizationNames.map((name) => quantizedSize(small, name).bytes)
  expect(sizes).toEqual([...sizes].sort((a, b) => b - a))
})

/** What the first plan said of 8x7B, in GB. */
const planned: readonly (readonly [name: QuantizationName, gb: number])[] = [
  ['F16', 90],
  ['Q8_0', 50],
  ['Q6_K', 40],
  ['Q4_K_M', 28],
  ['Q3_K_M', 22],
]

test.each(planned)("8x7B in %s has the size of the first plan's table, within a twentieth", (name, gb) => {
  expect(Math.abs(quantizedSize(small, name).bytes / 1e9 / gb - 1)).toBeLessThan(0.05)
})

test('the table of sizes in docs/memory.md is what the shapes give', () => {
  const page = readFileSync(new URL('../../../docs/memory.md', import.meta.url), 'utf8')
  const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1)
  const cells = (config: MixtralConfig, name: QuantizationName) => {
    const { bytes, activeBytesPerToken } = quantizedSize(config, name)
    return `${gigabytes(bytes)} | ${gigabytes(activeBytesPerToken)}`
  }
  for (const name of [
    'F16',
    'Q8_0',
    'Q6_K',
    'Q5_K_M',
    'Q4_K_M',
    'Q3_K_M',
    'Q2_K',
    'IQ3_S',
    'IQ3_XXS',
    'IQ2_M',
    'IQ2_XXS',
    'IQ1_M',
  ] as const) {
    expect(page).toContain(`| ${name} | ${cells(small, name)} | ${cells(large, name)} |`)
  }
})
