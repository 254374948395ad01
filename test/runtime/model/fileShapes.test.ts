// Files as they are in the wild: the shape of an 8x22B in small, in shards; many layers; every width of a head; routers
// of any type; old versions of the format, and keys left out.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { GgufEntry } from '../../../dist/format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { GgufWriter } from '../../../dist/format/gguf/writer.js'
import { formats } from '../../../dist/format/quants/formats.js'
import { MixtralModel, quantizeModel, Reference } from '../../../dist/index.js'
import { demoF16, Folder } from '../../authoring/quantize/quantizedFile.js'
import { divergence } from '../../golden/divergence.js'
import { type Shape, writeShapeModel } from '../../golden/shapeModel.js'
import { demo, llamaCpp } from './demoFiles.js'
import { hashOf } from './hash.js'

const folder = new Folder()
const base: Shape = {
  name: 'base',
  seed: 3,
  layers: 2,
  dim: 256,
  heads: 4,
  kvHeads: 2,
  headDim: 64,
  ffn: 256,
  experts: 8,
  used: 2,
  vocab: 300,
  ropeTheta: 1e6,
  tokens: [],
  routing: [],
  check: {},
}

async function write(name: string, changes: Partial<Shape>): Promise<string> {
  const path = folder.file(`${name}.gguf`)
  await writeShapeModel({ ...base, ...changes }, path)
  return path
}

const tokensOf = (vocab: number, count: number) => Array.from({ length: count }, (_, i) => (i * 61 + 1) % vocab)

async function logitsOf(path: string, tokens: readonly number[]): Promise<Float32Array> {
  await using model = await MixtralModel.load(path, { threads: 2, contextLength: 256 })
  return await model.logits(tokens)
}

async function expectTruth(path: string, vocab: number, count = 20, most = 1e-9): Promise<void> {
  const tokens = tokensOf(vocab, count)
  const { meanKL, top1 } = divergence((await Reference.open(path)).logits(tokens), await logitsOf(path, tokens), vocab)
  expect(meanKL).toBeLessThanOrEqual(most)
  expect(top1).toBe(1)
}

describe('an 8x22B in small: 48 heads over 8, a vocabulary of 32768, in five shards', () => {
  const changes = { dim: 384, heads: 48, kvHeads: 8, headDim: 8, ffn: 1024, vocab: 32768 }

  test('is the network of the reference', async () => {
    await expectTruth(await write('large', changes), 32768, 8)
  })

  test('quantised, its shards give the logits of the one file, bit for bit', async () => {
    const [one, set] = [folder.file('large-Q8_0.gguf'), folder.file('large-set.gguf')]
    await quantizeModel(folder.file('large.gguf'), one, 'Q8_0')
    const { files } = await quantizeModel(one, set, 'copy', { shardBytes: 8e6 })
    expect(files.length).toBe(5)
    const tokens = tokensOf(32768, 12)
    expect(hashOf(await logitsOf(files[3]!.path, tokens))).toBe(hashOf(await logitsOf(one, tokens)))
  })
})

test('56 layers are the network of the reference', async () => {
  // float32 roundings grow from layer to layer: two layers of these weights are within 1e-11, ten within 1e-9
  await expectTruth(await write('deep', { layers: 56, dim: 32, heads: 4, kvHeads: 2, headDim: 8, ffn: 32 }), 300, 20, 1e-6)
})

test.each([32, 48, 64, 80, 96, 112, 128, 160, 192, 256])('heads of %i are the network of the reference', async (headDim) => {
  await expectTruth(await write(`heads-${headDim}`, { dim: 64, heads: 4, kvHeads: 2, headDim, ffn: 64, experts: 4 }), 300, 40)
})

test.each([
  [1, 1],
  [2, 2],
  [4, 1],
  [16, 4],
  [60, 6],
  [128, 8],
])('%i experts with %i active are the network of the reference', async (experts, used) => {
  await expectTruth(await write(`experts-${experts}`, { dim: 64, heads: 4, kvHeads: 4, headDim: 16, ffn: 32, experts, used }), 300)
})

/** Copies a model file with the router in another type, or other metadata. */
async function rewritten(
  path: string,
  name: string,
  change: { router?: string; version?: 2; metadata?: (entries: GgufEntry[]) => GgufEntry[] },
) {
  const { metadata, metadataTypes, tensors } = await openGguf(path)
  const contents = new Uint8Array(readFileSync(path))
  const entries = [...metadata].map(([key, value]): GgufEntry => [key, metadataTypes.get(key)!, value])
  const written = [...tensors.values()].map(({ name, type, shape, offset, bytes }) => {
    const data = contents.slice(offset, offset + bytes)
    if (!change.router || !name.endsWith('ffn_gate_inp.weight')) return { name, type, shape, data }
    return { name, type: ggmlTypeByName(change.router)!, shape, data: encoded(change.router, new Float32Array(data.buffer)) }
  })
  const target = folder.file(`${name}.gguf`)
  const { version } = change
  const writer = await GgufWriter.create(target, {
    ...(version && { version }),
    metadata: change.metadata?.(entries) ?? entries,
    tensors: written,
  })
  for (const { data } of written) await writer.write(data)
  await writer.close()
  return target
}

function encoded(typeName: string, values: Float32Array): Uint8Array {
  const { type, encode } = formats.get(typeName)!
  const blocks = new Uint8Array((values.length / type.blockWeights) * type.blockBytes)
  encode!(values, blocks)
  return blocks
}

// Activations meet a quantised router in 8 bits, as they meet every matrix of a file that is quantised throughout: that
// file's distance is the bound.
test.each([
  ['Q8_0', 'Q8_0'],
  ['Q6_K', 'Q6_K'],
  ['Q4_K', 'Q4_K_S'],
  ['Q4_0', 'Q4_0'],
])('with a router in %s, the demo model is no further from the reference than llama.cpp is in %s', async (router, file) => {
  const path = await rewritten(demoF16, `router-${router}`, { router })
  const { trimmedMeanKL } = divergence((await Reference.open(path)).logits(demo.tokens), await logitsOf(path, demo.tokens), demo.vocab)
  expect(trimmedMeanKL).toBeLessThanOrEqual(1.25 * llamaCpp(file).trimmedMeanKL)
})

test('version 2 of the format, and a file without the keys that have a default, give the same logits', async () => {
  const path = await write('all-keys', { ropeTheta: 10000 })
  const tokens = tokensOf(300, 20)
  const expected = hashOf(await logitsOf(path, tokens))
  const optional = [
    'general.name',
    'llama.rope.freq_base',
    'llama.rope.dimension_count',
    'llama.vocab_size',
    'llama.attention.key_length',
    'tokenizer.ggml.bos_token_id',
    'tokenizer.ggml.eos_token_id',
    'tokenizer.ggml.unknown_token_id',
  ]
  const bare = await rewritten(path, 'bare', { version: 2, metadata: (entries) => entries.filter(([key]) => !optional.includes(key)) })
  expect((await openGguf(bare)).version).toBe(2)
  expect(hashOf(await logitsOf(bare, tokens))).toBe(expected)
})
