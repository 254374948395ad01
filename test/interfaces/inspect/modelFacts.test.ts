// What is said of a model before it is loaded is what loading then does: for random shapes, types and budgets by the
// plan, and for the demo by loading it.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import type { Gguf, GgufTensor, GgufValue } from '../../../dist/format/gguf/gguf.js'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { fitText } from '../../../dist/interfaces/inspect/fit.js'
import { factsOf } from '../../../dist/interfaces/inspect/modelFacts.js'
import { checkEngineOptions } from '../../../dist/runtime/engine/engineOptions.js'
import { compileKernels } from '../../../dist/runtime/kernels/compile.js'
import { MixtralConfig } from '../../../dist/runtime/weights/mixtralConfig.js'
import { mixtralTensors } from '../../../dist/runtime/weights/mixtralTensors.js'
import { planModel } from '../../../dist/runtime/weights/plan.js'
import { MixtralModel } from '../../../dist/text/generate/mixtralModel.js'
import { shapes as goldenShapes, writeShapeModel } from '../../golden/shapeModel.js'
import { demoPath } from '../../runtime/model/demoFiles.js'

const { build } = await compileKernels()

interface Shape {
  readonly layers: number
  readonly hidden: number
  readonly inner: number
  readonly experts: number
  readonly vocabulary: number
  readonly type: string
  readonly downType: string
}

/** The header of a model of this shape: heads of 64 dimensions, two query heads for a key head. */
function headerOf({ layers, hidden, inner, experts, vocabulary, type, downType }: Shape): Gguf {
  const metadata: Record<string, GgufValue> = {
    'general.architecture': 'llama',
    'llama.vocab_size': vocabulary,
    'llama.block_count': layers,
    'llama.context_length': 32768,
    'llama.embedding_length': hidden,
    'llama.feed_forward_length': inner,
    'llama.attention.head_count': hidden / 64,
    'llama.attention.head_count_kv': hidden / 128,
    'llama.attention.layer_norm_rms_epsilon': 1e-5,
    'llama.expert_count': experts,
    'llama.expert_used_count': 2,
  }
  const tensors = new Map<string, GgufTensor>()
  let offset = 0
  const add = (name: string, typeName: string, ...shape: number[]) => {
    const ggmlType = ggmlTypeByName(typeName)!
    const bytes = (shape.reduce((product, size) => product * size) / ggmlType.blockWeights) * ggmlType.blockBytes
    tensors.set(`${name}.weight`, { name: `${name}.weight`, type: ggmlType, shape, file: 0, offset, bytes })
    offset += bytes
  }
  add('token_embd', type, hidden, vocabulary)
  for (let n = 0; n < layers; n++) {
    for (const norm of ['attn_norm', 'ffn_norm']) add(`blk.${n}.${norm}`, 'F32', hidden)
    for (const matrix of ['attn_q', 'attn_output']) add(`blk.${n}.${matrix}`, type, hidden, hidden)
    for (const matrix of ['attn_k', 'attn_v']) add(`blk.${n}.${matrix}`, type, hidden, hidden / 2)
    add(`blk.${n}.ffn_gate_inp`, 'F32', hidden, experts)
    for (const matrix of ['ffn_gate_exps', 'ffn_up_exps']) add(`blk.${n}.${matrix}`, type, hidden, inner, experts)
    add(`blk.${n}.ffn_down_exps`, n === 0 ? downType : type, inner, hidden, experts)
  }
  add('output_norm', 'F32', hidden)
  add('output', type, hidden, vocabulary)
  return {
    version: 3,
    metadata: new Map(Object.entries(metadata)),
    metadataTypes: new Map(),
    rawTexts: new Map(),
    tensors,
    files: [{ path: 'x', bytes: offset }],
  }
}

const shapes: fc.Arbitrary<Shape> = fc.record({
  layers: fc.integer({ min: 2, max: 8 }),
  hidden: fc.constantFrom(256, 512, 1024),
  inner: fc.constantFrom(256, 768, 2048),
  experts: fc.constantFrom(4, 8),
  vocabulary: fc.constantFrom(64, 4000),
  type: fc.constantFrom('Q4_K', 'Q8_0', 'F16', 'F32'),
  downType: fc.constantFrom('Q6_K', 'Q8_0', 'F32'),
})

test('the verdict is that of the plan with which the engine loads', () => {
  const verdicts = new Set<string>()
  const loading = { contextLength: fc.constantFrom(32, 1000), threads: fc.constantFrom(1, 8), batchSize: fc.constantFrom(16, 128) }
  // In thousandths of what the model takes with all experts in memory.
  const budget = fc.integer({ min: 300, max: 1100 })
  fc.assert(
    fc.property(shapes, fc.record(loading), budget, (shape, options, thousandths) => {
      const gguf = headerOf(shape)
      const { needs } = factsOf(gguf, { build, options })
      const ram = Math.ceil((thousandths / 1000) * needs!.memoryBytes)
      const { fit, refusal } = factsOf(gguf, { build, options: { ...options, ram } })
      verdicts.add(fit!.verdict)

      const config = MixtralConfig.fromGgufMetadata(gguf.metadata)
      const plan = () =>
        planModel(config, mixtralTensors(config, gguf), { ...checkEngineOptions({ ...options, ram }, config.maxPositions), build })
      expect(fit).toMatchObject({ budgetBytes: ram, experts: shape.layers * shape.experts, refusal })
      if (fit!.verdict === 'refused') {
        expect(plan).toThrow(expect.objectContaining({ code: 'MEMORY', message: refusal }))
        return
      }
      const { bytes, streaming, slots } = plan()
      expect(bytes).toBeLessThanOrEqual(ram)
      expect({ verdict: fit!.verdict, slots: fit!.slots }).toEqual({ verdict: streaming ? 'streamed' : 'resident', slots: slots.length })
      if (fit!.verdict === 'resident') expect(bytes).toBe(needs!.memoryBytes)
    }),
  )
  expect([...verdicts].toSorted()).toEqual(['refused', 'resident', 'streamed'])
})

test('what a model takes at least is told beside what it takes with expanded layers', () => {
  const shape = { layers: 2, hidden: 256, inner: 256, experts: 8, vocabulary: 64, type: 'IQ2_XXS', downType: 'IQ2_XXS' }
  const { memoryBytes, leastMemoryBytes } = factsOf(headerOf(shape), { build }).needs!
  expect(leastMemoryBytes).toBeLessThan(memoryBytes)
  const within = (ram: number) => factsOf(headerOf(shape), { build, options: { ram } })
  expect(within(leastMemoryBytes).needs!.memoryBytes).toBe(leastMemoryBytes)
  expect([within(leastMemoryBytes).fit!.verdict, within(leastMemoryBytes - 1).fit!.verdict]).toEqual(['resident', 'streamed'])
  const q8 = factsOf(headerOf({ ...shape, type: 'Q8_0', downType: 'Q8_0' }), { build }).needs!
  expect(q8.leastMemoryBytes).toBe(q8.memoryBytes)
})

test('with the last byte that a model needs it is resident, with one less it is not', () => {
  const gguf = headerOf({ layers: 2, hidden: 256, inner: 256, experts: 8, vocabulary: 64, type: 'Q8_0', downType: 'Q8_0' })
  const ram = factsOf(gguf, { build }).needs!.memoryBytes
  const verdict = (ram: number) => factsOf(gguf, { build, options: { ram } }).fit!.verdict
  expect([verdict(ram), verdict(ram - 1)]).toEqual(['resident', 'streamed'])
})

test('a quantization in which it would fit is one whose own header is resident', () => {
  const shape = { layers: 4, hidden: 1024, inner: 2048, experts: 4, vocabulary: 4000, downType: 'F16', type: 'F16' }
  const options = { contextLength: 32, ram: factsOf(headerOf(shape), { build, options: { contextLength: 32 } }).needs!.memoryBytes - 1 }
  expect(factsOf(headerOf(shape), { build, options }).fit!.would[0]).toBe('Q8_0')
  const q8 = factsOf(headerOf({ ...shape, type: 'Q8_0', downType: 'Q8_0' }), { build, options: { contextLength: 32 } }).needs!.memoryBytes
  const would = (ram: number) => factsOf(headerOf(shape), { build, options: { ...options, ram } }).fit!.would
  expect([would(q8).includes('Q8_0'), would(q8 - 1).includes('Q8_0')]).toEqual([true, false])
})

describe('the demo is loaded as foreseen', async () => {
  const gguf = await openGguf(demoPath())
  const whole = factsOf(gguf, { build }).needs!.memoryBytes

  test.each([undefined, whole, whole - 1, 9_500_000, 8_000_000])('with --ram %s', async (ram) => {
    const options = ram === undefined ? {} : { ram }
    const { fit, needs, refusal } = factsOf(gguf, { build, options })
    const loading = MixtralModel.load('demo', options)
    if (fit!.verdict === 'refused') return expect(loading).rejects.toMatchObject({ code: 'MEMORY', message: refusal })
    await using model = await loading
    const { experts, expertSlots, totalBytes, weightBytes, kvBytes } = model.memory
    expect({ experts, expertSlots }).toEqual({ experts: fit!.experts, expertSlots: fit!.slots })
    expect(model.contextLength).toBe(needs!.contextLength)
    if (fit!.verdict === 'resident') {
      expect([totalBytes, weightBytes, kvBytes]).toEqual([needs!.memoryBytes, needs!.weightBytes, needs!.kvBytes])
    } else expect(totalBytes).toBeLessThanOrEqual(fit!.budgetBytes)
  })
})

// Their files are small, but their activations are not.
test.each([
  { name: 'many heads', heads: 4096, kvHeads: 1, headDim: 4, ffn: 8, experts: 2, used: 1 },
  { name: 'a wide head', heads: 1, kvHeads: 1, headDim: 4096, ffn: 8, experts: 2, used: 1 },
  { name: 'wide experts, many at a time', heads: 2, kvHeads: 1, headDim: 4, ffn: 4096, experts: 16, used: 16 },
])('scratch memory counts: $name', async (shape) => {
  const folder = mkdtempSync(join(tmpdir(), 'mixtral-facts-'))
  try {
    const path = join(folder, 'wide.gguf')
    await writeShapeModel({ ...goldenShapes[0]!, ...shape, layers: 1, dim: 4, vocab: 260 }, path)
    const { needs, fileBytes } = factsOf(await openGguf(path), { build })
    await using model = await MixtralModel.load(path)
    expect(needs!.memoryBytes).toBe(model.memory.totalBytes)
    expect(needs!.scratchBytes).toBeGreaterThan(10 * fileBytes)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('the context length of an Ollama model counts, unless the caller has one', async () => {
  const gguf = await openGguf(demoPath())
  const layers = { params: { num_ctx: 128 }, messages: [], licenses: [] }
  expect(factsOf(gguf, { build, layers }).needs!.contextLength).toBe(128)
  expect(factsOf(gguf, { build, layers, options: { contextLength: 64 } }).needs!.contextLength).toBe(64)
  expect(factsOf(gguf, { build, layers: { ...layers, params: { num_ctx: 99_999 } } }).needs!.contextLength).toBe(512)
})

test('the fit in words', () => {
  const fit = { budgetBytes: 16e9, residentBytes: 28.43e9, slots: 130, experts: 256, refusal: undefined, would: [] } as const
  expect(fitText({ ...fit, verdict: 'resident', budgetBytes: 30e9 })).toBe(
    'needs 28.43 GB of memory, which fits in the 30.00 GB that this machine can spare',
  )
  expect(fitText({ ...fit, verdict: 'resident', budgetBytes: Number.POSITIVE_INFINITY })).toBe('needs 28.43 GB of memory')
  expect(fitText({ ...fit, verdict: 'streamed', would: ['Q3_K_S', 'Q2_K'] }, 'of --ram')).toBe(
    'needs 28.43 GB of memory, which does not fit in the 16.00 GB of --ram; runs with 130 of 256 experts in memory at a time, the others read when needed; in Q3_K_S, Q2_K it would fit',
  )
  const would = ['Q8_0', 'Q6_K', 'Q5_K_M', 'Q5_K_S', 'Q4_K_M'] as const
  expect(fitText({ ...fit, verdict: 'refused', refusal: 'too little', would })).toBe(
    'cannot run here: too little; in Q8_0, Q6_K, Q5_K_M, Q5_K_S and smaller it would fit',
  )
})
