// The synthetic model writer: files that load and behave like a real model's, in miniature.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { Reference } from '../../dist/evaluation/reference/reference.js'
import { openGguf } from '../../dist/format/gguf/openGguf.js'
import { formats } from '../../dist/format/quants/formats.js'
import { MixtralModel } from '../../dist/text/generate/mixtralModel.js'
import { Tokenizer } from '../../dist/text/tokenizer/tokenizer.js'

// Plain JavaScript without types, hence not a static import.
const { writeSyntheticModel } = await import(new URL('../../bench/syntheticModel.mjs', import.meta.url).href)

const folder = mkdtempSync(join(tmpdir(), 'mixtral-synthetic-'))
afterAll(() => rmSync(folder, { recursive: true }))

const miniature = { layers: 4, hidden: 512, ffn: 512, heads: 4, kvHeads: 2, vocab: 400 }

async function write(name: string, options: object): Promise<string> {
  const path = join(folder, name)
  await writeSyntheticModel(path, { ...miniature, ...options })
  return path
}

test('Q4_K_M has the block types that llama.cpp gives each tensor', async () => {
  const { tensors } = await openGguf(await write('types.gguf', { type: 'Q4_K_M' }))
  const typesOf = (tensor: string) => [0, 1, 2, 3].map((layer) => tensors.get(`blk.${layer}.${tensor}.weight`)!.type.name).join(' ')
  expect(typesOf('attn_q')).toBe('Q4_K Q4_K Q4_K Q4_K')
  expect(typesOf('attn_k')).toBe('Q8_0 Q8_0 Q8_0 Q8_0')
  expect(typesOf('attn_v')).toBe('Q8_0 Q8_0 Q8_0 Q8_0')
  expect(typesOf('attn_output')).toBe('Q5_K Q5_K Q5_K Q5_K')
  expect(typesOf('ffn_gate_inp')).toBe('F32 F32 F32 F32')
  expect(typesOf('ffn_up_exps')).toBe('Q4_K Q4_K Q4_K Q4_K')
  expect(typesOf('ffn_down_exps')).toBe('Q4_K Q4_K Q6_K Q6_K')
  expect(tensors.get('token_embd.weight')!.type.name).toBe('Q4_K')
  expect(tensors.get('output.weight')!.type.name).toBe('Q6_K')
})

function check(name: string, values: Float32Array, expected: number): void {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
  expect(Math.abs(mean), name).toBeLessThan(0.05 * expected)
  expect(Math.abs(deviation - expected), name).toBeLessThan(0.05 * expected)
}

/**
 * How many times the usual 0.02 a layer's weights are: those of the first layers, from which routing gets its
 * steadiness.
 */
const gains: Record<string, number> = { token_embd: 80, attn_output: 0.3, ffn_down_exps: 0.3 }
/** Tensors whose first columns are alike. */
const constants = ['token_embd', 'attn_q', 'attn_k', 'ffn_gate_inp']

test.each(['Q4_K_M', 'Q8_0', 'F16', 'MXFP4_MOE', 'IQ3_XXS', 'IQ2_XXS'])(
  '%s: every matrix has mean 0, its standard deviation, and no row twice',
  async (type) => {
    const path = await write(`${type}.gguf`, { type })
    const file = readFileSync(path)
    for (const { name, type, shape, offset, bytes } of (await openGguf(path)).tensors.values()) {
      if (name.includes('_norm.') || /^blk\.[23]\./.test(name)) continue
      const part = name.replace(/^blk\.\d+\.|\.weight$/g, '')
      const blocks = new Uint8Array(file.subarray(offset, offset + bytes))
      const values = new Float32Array((bytes / type.blockBytes) * type.blockWeights)
      formats.get(type.name)!.dequantize(blocks, values)
      const rest = values.filter((_, i) => !constants.includes(part) || i % shape[0]! >= 32)
      check(name, rest, 0.02 * (gains[part] ?? 1))
      expect(new Set(Array.from({ length: 32 }, (_, i) => values[i])).size === 1, name).toBe(constants.includes(part))
      const rows = values.length / shape[0]!
      const rowBytes = bytes / rows
      const distinct = new Set(
        Array.from({ length: rows }, (_, row) => Buffer.from(blocks.subarray(row * rowBytes, (row + 1) * rowBytes)).toString('latin1')),
      )
      expect(distinct.size, name).toBe(rows)
    }
  },
)

test.each(['Q4_K_M', 'Q8_0', 'MXFP4_MOE', 'IQ3_XXS', 'IQ2_XXS'])(
  '%s: the model runs, uses many experts, and has something to choose from',
  async (type) => {
    const reference = await Reference.open(await write(`${type}-runs.gguf`, { type }))
    const used = new Set<number>()
    const logits = reference.logits([1, 300, 301, 302, 399, 300], (name, values) => {
      if (name.startsWith('ffn_moe_topk')) for (const expert of values) used.add(expert)
    })
    const mean = logits.reduce((sum, value) => sum + value, 0) / logits.length
    const deviation = Math.sqrt(logits.reduce((sum, value) => sum + (value - mean) ** 2, 0) / logits.length)
    expect(deviation).toBeGreaterThan(0.1)
    expect(deviation).toBeLessThan(10)
    expect(used.size).toBeGreaterThan(4)
  },
)

test('the vocabulary has 32000 different pieces and any text comes back from it', async () => {
  const { metadata } = await openGguf(await write('vocabulary.gguf', { type: 'Q8_0', layers: 1, vocab: 32000 }))
  const pieces = metadata.get('tokenizer.ggml.tokens') as string[]
  expect(new Set(pieces).size).toBe(32000)
  const tokenizer = Tokenizer.fromGgufMetadata(metadata)
  const text = 'Ten synthetic penguins, 3 of them né in Łódź.'
  expect(tokenizer.decode(tokenizer.encode(text))).toBe(text)
})

test('the same seed gives the same file, another seed another', async () => {
  const [a, b, c] = await Promise.all([1, 1, 2].map((seed, i) => write(`seed-${i}.gguf`, { type: 'Q4_K_M', layers: 1, seed })))
  expect(readFileSync(a!).equals(readFileSync(b!))).toBe(true)
  expect(readFileSync(a!).equals(readFileSync(c!))).toBe(false)
})

test('neighboring tokens share experts about as often as in Mixtral 8x7B, and no expert takes most', async () => {
  const path = await write('routing.gguf', { type: 'Q4_K_M', hidden: 4096, heads: 32, kvHeads: 8, ffn: 256, layers: 6 })
  await using model = await MixtralModel.load(path, { batchSize: 128, contextLength: 128 })
  const ids = Array.from({ length: 128 }, (_, i) => (i * 7919 + 13) % 400)
  const traced = await model.trace(ids, { tensors: ['ffn_moe_topk-*'] })
  const layers = traced.map(({ values }) => {
    const picks = ids.map((_, t) => [...values.subarray(2 * t, 2 * t + 2)])
    const pairs = picks.slice(1).map((pick, t) => [pick, picks[t]!] as const)
    const share = (same: (a: number[], b: number[]) => boolean) => pairs.filter(([a, b]) => same(a, b)).length / pairs.length
    return {
      first: share((a, b) => a[0] === b[0]),
      either: share((a, b) => a.some((expert) => b.includes(expert))),
      largest: Math.max(...Array.from({ length: 8 }, (_, e) => values.filter((expert) => expert === e).length / values.length)),
    }
  })
  const mean = (of: (layer: (typeof layers)[0]) => number) => layers.reduce((sum, layer) => sum + of(layer), 0) / layers.length
  // the paper's table 5: 14 to 28 % and 46 to 67 %; chance is 12.5 and 46 %
  expect(mean(({ first }) => first)).toBeGreaterThan(0.14)
  expect(mean(({ first }) => first)).toBeLessThan(0.3)
  expect(mean(({ either }) => either)).toBeGreaterThan(0.48)
  expect(mean(({ either }) => either)).toBeLessThan(0.72)
  expect(Math.max(...layers.map(({ largest }) => largest))).toBeLessThan(0.4)
})
