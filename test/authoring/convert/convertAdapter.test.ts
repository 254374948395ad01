// PEFT adapters: what they compute, in a network that shares nothing with src/, and what becomes of them as a file.

import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { floatToHalf, halfToFloat } from '../../../dist/format/quants/half.js'
import { convertAdapter, convertCheckpoint, Reference } from '../../../dist/index.js'
import { divergence } from '../../golden/divergence.js'
import {
  added,
  fusedPair,
  modulePair,
  moduleShape,
  type PeftTensor,
  type PlainPair,
  plainPair,
  transposed,
  writePeftFolder,
} from '../../runtime/adapters/adapterFiles.js'
import { ModelFile } from '../quantize/quantizedFile.js'
import { halfSplitLogits } from './halfSplitReference.js'
import { configOf, type SourceTensor, smallModel, sourceTensors, writeCheckpoint, writeJson } from './sourceModel.js'

let root = ''
let model = ''
beforeAll(async () => {
  root = await fs.mkdtemp(path.join(os.tmpdir(), 'convert-adapter-'))
  model = path.join(root, 'model.gguf')
  await fs.mkdir(path.join(root, 'checkpoint'))
  await writeCheckpoint(path.join(root, 'checkpoint'), smallModel)
  await convertCheckpoint(path.join(root, 'checkpoint'), model)
})
afterAll(() => fs.rm(root, { recursive: true }))

const tokens = [1, 672, 600, 261, 462, 17, 2047, 0, 300, 301, 302, 1999]
const { layers, experts, hidden, intermediate } = smallModel
const weights = sourceTensors(smallModel, 'F32')
const attention = ['q_proj', 'k_proj', 'v_proj', 'o_proj'].map((name) => `self_attn.${name}`)

/** A change by the name of a module, `0.self_attn.q_proj`. */
type Changes = Map<string, { readonly pair: PlainPair; readonly scale: number }>

/** The source's logits with weights W + scale * B A, in float64. */
function changedLogits(changes: Changes): number[] {
  const changed = new Map<string, SourceTensor>(weights)
  for (const [module, { pair, scale }] of changes) {
    const name = `model.layers.${module}.weight`
    const { shape, values } = weights.get(name)!
    const columns = shape[1]!
    const sums = Float64Array.from(values, (value, i) => value + added(pair, scale, Math.floor(i / columns), i % columns))
    changed.set(name, { shape, values: sums as unknown as Float32Array })
  }
  return halfSplitLogits(smallModel, changed, tokens)
}

const makePair = (module: string, rank: number) => plainPair(module, ...moduleShape(smallModel, module), rank)
const namesIn = (modules: readonly string[]) =>
  Array.from({ length: layers }, (_, layer) => modules.map((name) => `${layer}.${name}`)).flat()

/** Pairs of rank 4 for modules of all layers, at one scale. */
function changesOf(modules: readonly string[], scale: number, rank = 4): Changes {
  return new Map(namesIn(modules).map((name) => [name, { pair: makePair(name, rank), scale }]))
}
const stored = (changes: Changes) => [...changes].flatMap(([name, { pair }]) => modulePair(name, pair))

const singleExperts = Array.from({ length: experts }, (_, e) => ['w1', 'w2', 'w3'].map((w) => `block_sparse_moe.experts.${e}.${w}`)).flat()

/** A layer's experts as one pair for both parameters, and what each does to the matrices of an expert. */
function fused(layer: number, isSwapped: boolean): { tensors: PeftTensor[]; changes: Changes } {
  const gateUp = Array.from({ length: experts }, (_, e) => plainPair(`gu ${layer} ${e}`, 2 * intermediate, hidden, 2))
  const down = Array.from({ length: experts }, (_, e) => plainPair(`d ${layer} ${e}`, hidden, intermediate, 2))
  const form = (pairs: PlainPair[]) => (isSwapped ? pairs.map(transposed) : pairs)
  const changes: Changes = new Map()
  for (const [e, pair] of gateUp.entries()) {
    const half = (second: 0 | 1) => ({ ...pair, rows: intermediate, b: pair.b.slice(second * intermediate * 2) })
    const name = (w: string) => `${layer}.block_sparse_moe.experts.${e}.${w}`
    changes.set(name('w1'), { pair: half(0), scale: 3 })
    changes.set(name('w3'), { pair: half(1), scale: 3 })
    changes.set(name('w2'), { pair: down[e]!, scale: 3 })
  }
  const tensors = [...fusedPair(`${layer}.mlp.experts`, form(gateUp)), ...fusedPair(`${layer}.mlp.experts.base_layer`, form(down))]
  return { tensors, changes }
}
const fusedLayers = (isSwapped: boolean) => {
  const all = Array.from({ length: layers }, (_, layer) => fused(layer, isSwapped))
  return {
    tensors: all.flatMap(({ tensors }) => tensors),
    changes: new Map(all.flatMap(({ changes }) => [...changes])),
    config: { r: 2, lora_alpha: 6 },
  }
}

interface Case {
  readonly tensors: PeftTensor[]
  readonly changes: Changes
  readonly config?: object
}
const plain = (changes: Changes, config?: object): Case => ({ tensors: stored(changes), changes, ...(config && { config }) })

/** One matrix with a rank and a scale of its own. */
const patterned = (() => {
  const changes = changesOf(attention, 2)
  changes.set('1.self_attn.q_proj', { pair: makePair('1.self_attn.q_proj', 2), scale: 5 / 2 })
  changes.set('0.self_attn.v_proj', { pair: makePair('0.self_attn.v_proj', 4), scale: 3 / 4 })
  return plain(changes, {
    rank_pattern: { 'layers.1.self_attn.q_proj': 2 },
    alpha_pattern: { '^model.layers.1.self_attn.q_proj': 5, '0\\.self_attn\\.v_proj': 3, v_proj: 8 },
  })
})()

const cases: Record<string, Case> = {
  'queries and values': plain(changesOf(attention.slice(0, 1).concat(attention.slice(2, 3)), 2)),
  'all of attention and the router': plain(changesOf([...attention, 'block_sparse_moe.gate'], 2)),
  'experts apart': plain(changesOf(singleExperts, 2)),
  'some experts only': plain(new Map([...changesOf(singleExperts, 2)].filter(([name]) => /experts\.[13]\.w[12]/.test(name)))),
  'experts of transformers 5, as of PEFT 0.19': fusedLayers(false),
  'experts of transformers 5, as of PEFT 0.18': fusedLayers(true),
  'patterns of ranks and alphas': patterned,
  'rank-stabilized scales': plain(changesOf(attention, 8 / Math.sqrt(4)), { use_rslora: true }),
  'scales that float32 does not hold': plain(changesOf(attention, 7 / Math.sqrt(3), 3), { use_rslora: true, lora_alpha: 7, r: 3 }),
}

test.each(Object.entries(cases))(
  '%s: logits are those of the source weights and their changes',
  async (name, { tensors, changes, config }) => {
    const folder = path.join(root, name.replaceAll(/\W/g, '-'))
    await writePeftFolder(folder, tensors, config)
    const truth = changedLogits(changes)
    expect(divergence(truth, (await Reference.open(model)).logits(tokens), 2048).meanKL).toBeGreaterThan(1e-3)
    const inFolder = (await Reference.open(model, { adapters: [folder] })).logits(tokens)
    expect(divergence(truth, inFolder, 2048).meanKL).toBeLessThan(1e-12)
    const file = `${folder}.gguf`
    await convertAdapter(folder, file, { base: model })
    const inFile = (await Reference.open(model, { adapters: [file] })).logits(tokens)
    expect(divergence(truth, inFile, 2048).meanKL).toBeLessThan(1e-11)
  },
)

test('a folder becomes the file that llama.cpp makes of it: names, shapes, pairs of rows, alpha', async () => {
  const folder = path.join(root, 'My-LoRA')
  const q = makePair('0.self_attn.q_proj', 4)
  const expertPairs = Array.from({ length: experts }, (_, e) => makePair(`0.block_sparse_moe.experts.${e}.w3`, 4))
  const named = expertPairs.flatMap((pair, e) => modulePair(`0.block_sparse_moe.experts.${e}.w3`, pair))
  await writePeftFolder(folder, [...modulePair('0.self_attn.q_proj', q), ...named], { base_model_name_or_path: 'me/Small-Mixtral' }, 'BF16')
  const file = path.join(root, 'my-lora.gguf')
  const result = await convertAdapter(folder, file, { base: path.join(root, 'checkpoint') })
  expect(result).toEqual({ alpha: 8, tensors: 4, weights: 4 * (32 + 32) + 4 * 4 * (32 + 48), notes: [] })
  const opened = await ModelFile.open(file)
  expect(Object.fromEntries(opened.gguf.metadata)).toEqual({
    'general.architecture': 'llama',
    'general.type': 'adapter',
    'adapter.type': 'lora',
    'general.name': 'My-LoRA',
    'general.base_model.count': 1,
    'general.base_model.0.name': 'Small Mixtral',
    'general.base_model.0.organization': 'me',
    'general.base_model.0.repo_url': 'https://huggingface.co/me/Small-Mixtral',
    'adapter.lora.alpha': 8,
    'general.quantization_version': 2,
  })
  expect([...opened.gguf.tensors.values()].map(({ name, type, shape }) => [name, type.name, shape])).toEqual([
    ['blk.0.attn_q.weight.lora_a', 'BF16', [32, 4]],
    ['blk.0.attn_q.weight.lora_b', 'BF16', [4, 32]],
    ['blk.0.ffn_up_exps.weight.lora_a', 'BF16', [32, 4, 4]],
    ['blk.0.ffn_up_exps.weight.lora_b', 'BF16', [4, 48, 4]],
  ])
  expect(opened.values('blk.0.attn_q.weight.lora_a')).toEqual(q.a)
  // a head's rows 0, 1, 2, 3 and 4, 5, 6, 7 become 0, 4, 1, 5, 2, 6, 3, 7
  const rowOf = (row: number) => Math.floor(row / 8) * 8 + [0, 4, 1, 5, 2, 6, 3, 7][row % 8]!
  expect(opened.values('blk.0.attn_q.weight.lora_b')).toEqual(
    Float32Array.from(q.b, (_, i) => q.b[rowOf(Math.floor(i / 4)) * 4 + (i % 4)]!),
  )
  expect(opened.values('blk.0.ffn_up_exps.weight.lora_b')).toEqual(Float32Array.from(expertPairs.flatMap(({ b }) => [...b])))
})

test('the type of the factors can be chosen, and what it does not hold is refused', async () => {
  const folder = path.join(root, 'typed')
  const pair = makePair('0.self_attn.v_proj', 4)
  await writePeftFolder(folder, modulePair('0.self_attn.v_proj', { ...pair, a: pair.a.map((value) => value * 1.001) }))
  const file = path.join(root, 'typed.gguf')
  await convertAdapter(folder, file, { base: model, type: 'F16' })
  const opened = await ModelFile.open(file)
  expect(opened.types).toEqual({ 'blk.0.attn_v.weight.lora_a': 'F16', 'blk.0.attn_v.weight.lora_b': 'F16' })
  expect(opened.values('blk.0.attn_v.weight.lora_a')).toEqual(pair.a.map((value) => halfToFloat(floatToHalf(value * 1.001))))
  await writePeftFolder(folder, modulePair('0.self_attn.v_proj', { ...pair, a: pair.a.map(() => 70000) }))
  await expect(convertAdapter(folder, file, { base: model, type: 'F16' })).rejects.toMatchObject({
    code: 'OPTION',
    message: 'the factors of blk.0.attn_v.weight have numbers that F16 cannot hold, expected a wider type',
  })
})

test('one alpha serves matrices of several scales, and it is told what that took', async () => {
  const folder = path.join(root, 'scales')
  await writePeftFolder(folder, patterned.tensors, patterned.config)
  const { alpha, notes } = await convertAdapter(folder, path.join(root, 'scales.gguf'), { base: model })
  expect(alpha).toBe(8)
  expect(notes).toEqual(['a GGUF adapter has one alpha, 8 here; the factors B of 2 of 8 matrices have their scale in them'])
})

test('the model is the one that is given, or a published one that the folder names', async () => {
  const folder = path.join(root, 'published')
  const shape = [4096, 4096, 2] as const
  await writePeftFolder(folder, modulePair('31.self_attn.q_proj', plainPair('big', ...shape)), {
    r: 2,
    base_model_name_or_path: 'mistralai/Mixtral-8x7B-Instruct-v0.1',
  })
  const file = path.join(root, 'published.gguf')
  await convertAdapter(folder, file)
  const { b } = plainPair('big', ...shape)
  expect((await ModelFile.open(file)).values('blk.31.attn_q.weight.lora_b').subarray(0, 4)).toEqual(
    Float32Array.of(b[0]!, b[1]!, b[128]!, b[129]!),
  )
  await expect(convertAdapter(folder, file, { base: model })).rejects.toMatchObject({
    code: 'MODEL',
    message: /layer 31, expected one from 0 to 1/,
  })
  await writePeftFolder(folder, modulePair('0.self_attn.q_proj', makePair('0.self_attn.q_proj', 4)), {
    base_model_name_or_path: '/home/me/model',
  })
  await expect(convertAdapter(folder, file)).rejects.toMatchObject({
    code: 'OPTION',
    message: `base is not given, expected a GGUF file or a checkpoint's folder: adapter_config.json names "/home/me/model", which is no published Mixtral`,
  })
  await writeJson(folder, 'config.json', configOf(smallModel))
  await convertAdapter(folder, file, { base: folder })
})

test('nothing is written over the adapter, or by a call that is aborted', async () => {
  const folder = path.join(root, 'kept')
  await writePeftFolder(folder, modulePair('0.self_attn.q_proj', makePair('0.self_attn.q_proj', 4)))
  const own = path.join(folder, 'adapter_model.safetensors')
  const bytes = await fs.readFile(own)
  await expect(convertAdapter(folder, own, { base: model })).rejects.toMatchObject({ code: 'OPTION', message: /is an input/ })
  expect((await fs.readFile(own)).equals(bytes)).toBe(true)
  const late = path.join(root, 'late.gguf')
  await expect(convertAdapter(folder, late, { base: model, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' })
  expect((await fs.readdir(root)).filter((name) => name.startsWith('late'))).toEqual([])
})

test('a scale whose alpha no float32 holds goes into B; numbers that then are too large are refused', async () => {
  const [folder, file] = [path.join(root, 'huge'), path.join(root, 'huge.gguf')]
  const changes = changesOf(['self_attn.v_proj'], 1)
  await writePeftFolder(folder, stored(changes), { lora_alpha: 3e38, use_rslora: true }) // times the root of its rank
  const { alpha, notes } = await convertAdapter(folder, file, { base: model })
  expect(alpha).toBe(4)
  expect(notes).toEqual([expect.stringContaining('have their scale in them')])
  await Reference.open(model, { adapters: [file] })
  const larger = stored(changes).map((tensor) => ({ ...tensor, values: tensor.values.map((value) => value * 64) }))
  await writePeftFolder(folder, larger, { lora_alpha: 3e38, use_rslora: true })
  await expect(convertAdapter(folder, path.join(root, 'none.gguf'), { base: model })).rejects.toMatchObject({
    code: 'OPTION',
    message: expect.stringMatching(/the factors of blk\.0\.attn_v\.weight have numbers that F32 cannot hold, expected a smaller scale/),
  })
  await expect(fs.access(path.join(root, 'none.gguf'))).rejects.toThrow()
})
