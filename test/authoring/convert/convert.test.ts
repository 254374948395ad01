// What a converted file computes and holds, beside the checkpoint it was made of.

import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { convertCheckpoint } from '../../../dist/authoring/convert/convert.js'
import { Reference } from '../../../dist/evaluation/reference/reference.js'
import type { Gguf } from '../../../dist/format/gguf/gguf.js'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { formats } from '../../../dist/format/quants/formats.js'
import { MixtralModel } from '../../../dist/text/generate/mixtralModel.js'
import { divergence } from '../../golden/divergence.js'
import { halfSplitLogits } from './halfSplitReference.js'
import { configOf, type Dtype, type Layout, oddModel, smallModel, sourceTensors, writeCheckpoint, writeJson } from './sourceModel.js'

let folder = ''
let target = ''
beforeEach(async () => {
  folder = path.join(await fs.mkdtemp(path.join(os.tmpdir(), 'convert-')), 'Small-Mixtral')
  await fs.mkdir(folder)
  target = path.join(path.dirname(folder), 'model.gguf')
})
afterEach(() => fs.rm(path.dirname(folder), { recursive: true }))

const tokens = [1, 672, 600, 261, 462, 17, 2047, 0, 300, 301, 302, 1999]

const cases: { layout: Layout; dtype: Dtype; shards: number }[] = [
  { layout: 'experts', dtype: 'F32', shards: 1 },
  { layout: 'experts', dtype: 'BF16', shards: 3 },
  { layout: 'merged', dtype: 'F16', shards: 2 },
  { layout: 'consolidated', dtype: 'BF16', shards: 1 },
  { layout: 'consolidated', dtype: 'F32', shards: 2 },
]

test.each(cases)('logits from $layout in $dtype, $shards file(s), are those of the source weights', async ({ layout, dtype, shards }) => {
  await writeCheckpoint(folder, smallModel, { layout, dtype, shards })
  const result = await convertCheckpoint(folder, target)
  expect(result.type).toBe(dtype)
  expectEqualLogits((await Reference.open(target)).logits(tokens), halfSplitLogits(smallModel, sourceTensors(smallModel, dtype), tokens))
})

test.each(['experts', 'merged'] as const)('tied embeddings and heads of their own width come through, from %s', async (layout) => {
  await writeCheckpoint(folder, oddModel, { layout, dtype: 'F32' })
  await convertCheckpoint(folder, target)
  const { tensors, metadata } = await openGguf(target)
  expect(tensors.has('output.weight')).toBe(false)
  expect(metadata.get('llama.attention.key_length')).toBe(oddModel.headDim)
  expectEqualLogits((await Reference.open(target)).logits(tokens), halfSplitLogits(oddModel, sourceTensors(oddModel, 'F32'), tokens))
})

test('the fast model computes the logits of the source weights too', async () => {
  await writeCheckpoint(folder, smallModel)
  await convertCheckpoint(folder, target)
  const model = await MixtralModel.load(target, { threads: 1 })
  try {
    const found = await model.logits(tokens)
    expect(divergence(halfSplitLogits(smallModel, sourceTensors(smallModel, 'F32'), tokens), found, 2048).meanKL).toBeLessThan(1e-9)
  } finally {
    await model.close()
  }
})

test('a sliding window narrower than the context is kept, another is none', async () => {
  await writeCheckpoint(folder, smallModel)
  await writeJson(folder, 'config.json', { ...configOf(smallModel), sliding_window: 100 })
  await convertCheckpoint(folder, target)
  expect((await openGguf(target)).metadata.get('llama.attention.sliding_window')).toBe(100)
  await writeJson(folder, 'config.json', { ...configOf(smallModel), sliding_window: 512 })
  await convertCheckpoint(folder, target)
  expect((await openGguf(target)).metadata.has('llama.attention.sliding_window')).toBe(false)
})

test('what config.json leaves out is what transformers takes, with a note; values that change nothing are accepted', async () => {
  await writeCheckpoint(folder, smallModel)
  const { max_position_embeddings: _, ...config } = configOf(smallModel) as Record<string, unknown>
  await writeJson(folder, 'config.json', { ...config, sliding_window: 0, rope_scaling: { type: 'linear', factor: 1 } })
  const { notes } = await convertCheckpoint(folder, target)
  const { metadata } = await openGguf(target)
  expect(metadata.get('llama.context_length')).toBe(131_072)
  expect(metadata.has('llama.attention.sliding_window')).toBe(false)
  expect(notes).toContain('max_position_embeddings is not in config.json; 131072, the default of transformers, is taken')
  await writeJson(folder, 'config.json', { ...config, rope_scaling: { type: 'linear', factor: 2 } })
  await expect(convertCheckpoint(folder, target)).rejects.toMatchObject({ code: 'UNSUPPORTED' })
})

test('rope_parameters of transformers 5 are read', async () => {
  await writeCheckpoint(folder, smallModel)
  const { rope_theta: _, ...config } = configOf(smallModel)
  await writeJson(folder, 'config.json', { ...config, rope_parameters: { rope_type: 'default', rope_theta: 54321 } })
  await convertCheckpoint(folder, target)
  expect((await openGguf(target)).metadata.get('llama.rope.freq_base')).toBe(54321)
})

test.each(['F32', 'F16', 'BF16'] as const)(
  'an F32 checkpoint becomes %s, norms and routers apart, each weight the nearest there is',
  async (type) => {
    await writeCheckpoint(folder, smallModel)
    await convertCheckpoint(folder, target, { type })
    const gguf = await openGguf(target)
    expect(gguf.metadata.get('general.file_type')).toBe({ F32: 0, F16: 1, BF16: 32 }[type])
    for (const { name, type: own } of gguf.tensors.values()) expect(own.name, name).toBe(/norm|gate_inp/.test(name) ? 'F32' : type)

    const source = sourceTensors(smallModel, 'F32').get('model.embed_tokens.weight')!.values
    const found = await valuesOf(gguf, 'token_embd.weight')
    // The halves of the distances to the neighbors: of 2^-24 for small numbers in F16, else relative.
    const error = (value: number) =>
      type === 'F32' ? 0 : type === 'F16' ? Math.max(2 ** -25, Math.abs(value) * 2 ** -11) : Math.abs(value) * 2 ** -8
    expect(source.findIndex((value, i) => !(Math.abs(found[i]! - value) <= error(value)))).toBe(-1)
  },
)

test('a number beyond F16 is refused by its tensor, and nothing is left', async () => {
  await writeCheckpoint(folder, smallModel)
  const file = path.join(folder, 'model.safetensors')
  const bytes = await fs.readFile(file)
  bytes.writeFloatLE(70000, 8 + Number(bytes.readBigUInt64LE())) // the first of the output matrix
  await fs.writeFile(file, bytes)
  await expect(convertCheckpoint(folder, target, { type: 'F16' })).rejects.toMatchObject({
    code: 'OPTION',
    message: 'tensor "lm_head.weight" has numbers that F16 cannot hold, expected a wider type for output.weight',
  })
  expect(await fs.readdir(path.dirname(target))).toEqual(['Small-Mixtral'])
})

test.each([
  ['F32', 'lm_head.weight', Number.NaN],
  ['F16', 'lm_head.weight', Number.POSITIVE_INFINITY],
  ['F16', 'model.norm.weight', Number.NEGATIVE_INFINITY],
  ['F32', 'model.layers.1.block_sparse_moe.gate.weight', Number.NaN],
] as const)('as %s, a number of %s that is %d is refused, and nothing is left', async (type, name, value) => {
  await writeCheckpoint(folder, smallModel)
  const file = path.join(folder, 'model.safetensors')
  const bytes = await fs.readFile(file)
  const headerBytes = Number(bytes.readBigUInt64LE())
  const { data_offsets } = JSON.parse(bytes.toString('utf8', 8, 8 + headerBytes))[name]
  bytes.writeFloatLE(value, 8 + headerBytes + data_offsets[0] + 4)
  await fs.writeFile(file, bytes)
  await expect(convertCheckpoint(folder, target, { type })).rejects.toMatchObject({
    code: 'MODEL',
    message: `tensor "${name}": 1 values are not finite, expected none: the checkpoint is damaged`,
  })
  expect(await fs.readdir(path.dirname(target))).toEqual(['Small-Mixtral'])
})

test('an aborted conversion leaves nothing', async () => {
  await writeCheckpoint(folder, smallModel)
  const controller = new AbortController()
  const call = convertCheckpoint(folder, target, {
    signal: controller.signal,
    onProgress: ({ loaded: written, total }) => {
      if (written > total / 2) controller.abort()
    },
  })
  await expect(call).rejects.toMatchObject({ code: 'ABORTED' })
  expect(await fs.readdir(path.dirname(target))).toEqual(['Small-Mixtral'])
})

test.each([
  ['an unknown option', { kind: 'F16' }, /unknown option kind/],
  ['an unknown type', { type: 'Q8_0' }, /type is "Q8_0", expected one of F32, F16, BF16/],
])('%s is refused before anything is read', async (_, options, message) => {
  await expect(convertCheckpoint('no such folder', target, options as object)).rejects.toMatchObject({
    code: 'OPTION',
    message: expect.stringMatching(message),
  })
})

test('a file of the checkpoint is not written over', async () => {
  await writeCheckpoint(folder, smallModel)
  await expect(convertCheckpoint(folder, path.join(folder, 'model.safetensors'))).rejects.toMatchObject({ code: 'OPTION' })
  await convertCheckpoint(folder, path.join(folder, 'model.gguf'))
})

test('the metadata are those of llama.cpp for a Mixtral', async () => {
  await writeCheckpoint(folder, smallModel)
  await writeJson(folder, 'generation_config.json', { temperature: 0.75, top_k: 40, top_p: 0.5, eos_token_id: [2, 7] })
  await convertCheckpoint(folder, target)
  const { metadata, metadataTypes } = await openGguf(target)
  const keys = [...metadata].filter(([, value]) => !Array.isArray(value)).map(([key, value]) => [key, metadataTypes.get(key), value])
  expect(keys).toEqual([
    ['general.architecture', 'string', 'llama'],
    ['general.type', 'string', 'model'],
    ['general.name', 'string', 'Small-Mixtral'],
    ['general.size_label', 'string', '4x147K'],
    ['general.sampling.top_k', 'int32', 40],
    ['general.sampling.top_p', 'float32', 0.5],
    ['general.sampling.temp', 'float32', 0.75],
    ['llama.block_count', 'uint32', 2],
    ['llama.context_length', 'uint32', 512],
    ['llama.embedding_length', 'uint32', 32],
    ['llama.feed_forward_length', 'uint32', 48],
    ['llama.attention.head_count', 'uint32', 4],
    ['llama.attention.head_count_kv', 'uint32', 2],
    ['llama.rope.freq_base', 'float32', 10000],
    ['llama.attention.layer_norm_rms_epsilon', 'float32', Math.fround(1e-5)],
    ['llama.expert_count', 'uint32', 4],
    ['llama.expert_used_count', 'uint32', 2],
    ['general.file_type', 'uint32', 0],
    ['llama.vocab_size', 'uint32', 2048],
    ['llama.rope.dimension_count', 'uint32', 8],
    ['general.quantization_version', 'uint32', 2],
    ['tokenizer.ggml.model', 'string', 'llama'],
    ['tokenizer.ggml.pre', 'string', 'default'],
    ['tokenizer.ggml.bos_token_id', 'uint32', 1],
    ['tokenizer.ggml.eos_token_id', 'uint32', 2],
    ['tokenizer.ggml.eot_token_id', 'uint32', 7],
    ['tokenizer.ggml.unknown_token_id', 'uint32', 0],
  ])
})

function expectEqualLogits(found: ArrayLike<number>, expected: readonly number[]): void {
  expect(found.length).toBe(expected.length)
  const spread = Math.max(...expected) - Math.min(...expected)
  for (let i = 0; i < expected.length; i++) {
    if (!(Math.abs(found[i]! - expected[i]!) < 1e-9 * spread)) expect({ i, found: found[i] }).toEqual({ i, found: expected[i] })
  }
}

/** The values of an F32, F16 or BF16 tensor. */
async function valuesOf({ tensors, files }: Gguf, name: string): Promise<Float32Array> {
  const { type, file, offset, bytes, shape } = tensors.get(name)!
  const handle = await fs.open(files[file]!.path)
  const { buffer } = await handle.read(new Uint8Array(bytes), 0, bytes, offset).finally(() => handle.close())
  const out = new Float32Array(shape.reduce((product, size) => product * size, 1))
  formats.get(type.name)!.dequantize(buffer, out)
  return out
}

test('a single file goes before an index of other shards, and that is said', async () => {
  await writeCheckpoint(folder, smallModel, { layout: 'experts', dtype: 'F32', shards: 1 })
  await writeJson(folder, 'model.safetensors.index.json', { weight_map: { 'lm_head.weight': 'model-00001-of-00002.safetensors' } })
  const { notes } = await convertCheckpoint(folder, target)
  expect(notes).toEqual(['model.safetensors is taken, and model.safetensors.index.json beside it is not'])
  expectEqualLogits((await Reference.open(target)).logits(tokens), halfSplitLogits(smallModel, sourceTensors(smallModel, 'F32'), tokens))
})

test('a sliding window of the configuration is said where it has an effect', async () => {
  await writeCheckpoint(folder, smallModel)
  const config = configOf(smallModel) as { max_position_embeddings: number }
  const notesWith = async (window: number | null) => {
    await writeJson(folder, 'config.json', { ...config, sliding_window: window })
    return (await convertCheckpoint(folder, target)).notes
  }
  expect(await notesWith(8)).toEqual([expect.stringContaining('sliding window: each token attends to the last 8 of')])
  expect(await notesWith(null)).toEqual([])
  expect(await notesWith(config.max_position_embeddings)).toEqual([])
})
