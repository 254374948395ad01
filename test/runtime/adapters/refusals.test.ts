// Adapters that are not applied: each is refused in one line that says what and where.

import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { GgufEntry } from '../../../dist/format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import { writeGguf } from '../../../dist/format/gguf/writer.js'
import { MixtralModel, Reference } from '../../../dist/index.js'
import { fileOf } from '../../format/tensors/safetensorsFile.js'
import { shapes, writeShapeModel } from '../../golden/shapeModel.js'
import { adapterMetadata, fusedPair, modulePair, type PeftTensor, plainPair, writePeftFolder } from './adapterFiles.js'

const shape = shapes.find(({ name }) => name === 'base')!
const { dim, heads, headDim, ffn, experts } = shape

let root = ''
let model = ''
beforeAll(async () => {
  root = await fs.mkdtemp(path.join(os.tmpdir(), 'adapters-'))
  model = path.join(root, 'model.gguf')
  await writeShapeModel(shape, model)
})
afterAll(() => fs.rm(root, { recursive: true }))

type Named = [name: string, shape: number[], type?: string, fill?: number]
const q: Named[] = [
  ['blk.0.attn_q.weight.lora_a', [dim, 4]],
  ['blk.0.attn_q.weight.lora_b', [4, heads * headDim]],
]

/** Writes a file of tensors that are filled with one byte, and applies it. */
async function applyGguf(tensors: readonly Named[], metadata: readonly GgufEntry[] = adapterMetadata(8)): Promise<void> {
  const file = path.join(root, 'adapter.gguf')
  const plan = tensors.map(([name, sizes, type = 'F32', fill = 0]) => {
    const { blockBytes, blockWeights } = ggmlTypeByName(type)!
    const bytes = (sizes.reduce((product, size) => product * size, 1) / blockWeights) * blockBytes
    return { name, type: ggmlTypeByName(type)!, shape: sizes, pieces: () => [new Uint8Array(bytes).fill(fill)] }
  })
  await writeGguf(file, { metadata, tensors: plan })
  await Reference.open(model, { adapters: [file] })
}
const keys = (changes: Record<string, GgufEntry | undefined>) =>
  [
    ...new Map<string, GgufEntry | undefined>([
      ...adapterMetadata(8).map((entry) => [entry[0], entry] as const),
      ...Object.entries(changes),
    ]).values(),
  ].filter((entry) => entry !== undefined)

test('what should be is: plain, merged and single experts, in every type', async () => {
  await applyGguf(q)
  await applyGguf(q, keys({ 'adapter.lora.alpha': undefined }))
  await applyGguf([
    ['blk.1.ffn_down_exps.weight.lora_a', [ffn, 2, experts], 'F16'],
    ['blk.1.ffn_down_exps.weight.lora_b', [2, dim, experts], 'BF16'],
    ['blk.0.ffn_up.1.weight.lora_a', [dim, 32], 'F16'],
    ['blk.0.ffn_up.1.weight.lora_b', [32, ffn], 'Q8_0'],
  ])
})

const ggufs: Record<string, [tensors: Named[], code: string, message: RegExp, metadata?: GgufEntry[]]> = {
  'a model': [q, 'MODEL', /"general\.type": "model", expected "adapter"/, keys({ 'general.type': ['general.type', 'string', 'model'] })],
  'another architecture': [
    q,
    'MODEL',
    /"general\.architecture": "qwen2", expected "llama"/,
    keys({ 'general.architecture': ['general.architecture', 'string', 'qwen2'] }),
  ],
  'another kind of adapter': [
    q,
    'UNSUPPORTED',
    /"adapter\.type": "vera", expected "lora"/,
    keys({ 'adapter.type': ['adapter.type', 'string', 'vera'] }),
  ],
  'an adapter that begins at a text': [
    q,
    'UNSUPPORTED',
    /invocation_tokens": a list of 2, expected none/,
    keys({ alora: ['adapter.alora.invocation_tokens', 'array<uint32>', [1, 2]] }),
  ],
  'an alpha that is no number': [
    q,
    'MODEL',
    /"adapter\.lora\.alpha": NaN, expected a finite number/,
    keys({ 'adapter.lora.alpha': ['adapter.lora.alpha', 'float32', Number.NaN] }),
  ],
  'an alpha that is a text': [
    q,
    'MODEL',
    /"adapter\.lora\.alpha": "8", expected a finite number/,
    keys({ 'adapter.lora.alpha': ['adapter.lora.alpha', 'string', '8'] }),
  ],
  'no factor': [[], 'MODEL', /no tensor of an adapter, expected some/],
  'one factor': [q.slice(0, 1), 'MODEL', /\.lora_b is missing, expected both factors \(tensor "blk\.0\.attn_q\.weight"\)/],
  'a norm': [
    [...q, ['blk.0.attn_norm.weight', [dim]]],
    'UNSUPPORTED',
    /tensor "blk\.0\.attn_norm\.weight" would change the result, and is not applied/,
  ],
  'factors of a norm': [
    [
      ['blk.0.attn_norm.weight.lora_a', [dim, 1]],
      ['blk.0.attn_norm.weight.lora_b', [1, 1]],
    ],
    'UNSUPPORTED',
    /tensor "blk\.0\.attn_norm\.weight" would change the result/,
  ],
  'an embedding': [
    [...q, ['token_embd.weight.lora_a', [4, 4]], ['token_embd.weight.lora_b', [4, 4]]],
    'UNSUPPORTED',
    /"token_embd\.weight" would change/,
  ],
  'an output': [
    [...q, ['output.weight.lora_a', [4, 4]], ['output.weight.lora_b', [4, 4]]],
    'UNSUPPORTED',
    /tensor "output\.weight" would change/,
  ],
  'another tensor': [
    [...q, ['blk.0.attn_q.weight', [dim]]],
    'MODEL',
    /"blk\.0\.attn_q\.weight", expected names that end in \.lora_a and \.lora_b/,
  ],
  'a matrix that no Mixtral has': [
    [
      ['blk.0.ssm_in.weight.lora_a', [dim, 4]],
      ['blk.0.ssm_in.weight.lora_b', [4, dim]],
    ],
    'MODEL',
    /no matrix of a Mixtral: the adapter is to another model \(tensor "blk\.0\.ssm_in\.weight"\)/,
  ],
  'another type': [[[q[0]![0], [256, 4], 'Q4_K'], q[1]!], 'UNSUPPORTED', /is of type Q4_K, expected F32, F16, BF16, Q8_0/],
  'another layer': [
    q.map(([name, sizes]) => [name.replace('blk.0', 'blk.7'), sizes]),
    'MODEL',
    /layer 7, expected one from 0 to \d+: the adapter is to another model/,
  ],
  'other inputs': [[[q[0]![0], [dim + 32, 4]], q[1]!], 'MODEL', new RegExp(`${dim + 32} inputs, expected ${dim}`)],
  'other outputs': [[q[0]!, [q[1]![0], [4, 8]]], 'MODEL', /8 outputs, expected \d+: the adapter is to another model/],
  'factors of different ranks': [[q[0]!, [q[1]![0], [2, heads * headDim]]], 'MODEL', /expected \[columns, rank\] and \[rank, rows\]/],
  'a rank beyond the limit': [
    [
      [q[0]![0], [dim, 5000]],
      [q[1]![0], [5000, heads * headDim]],
    ],
    'MODEL',
    /rank 5000, expected one from 1 to 4096/,
  ],
  'a vector': [[[q[0]![0], [dim]], q[1]!], 'MODEL', /has shape \[\d+\], expected two dimensions/],
  'attention of several matrices': [
    [
      [q[0]![0], [dim, 4, 2]],
      [q[1]![0], [4, heads * headDim, 2]],
    ],
    'MODEL',
    /factors of 2 matrices, expected those of one/,
  ],
  'another number of experts': [
    [
      ['blk.0.ffn_up_exps.weight.lora_a', [dim, 4, experts + 1]],
      ['blk.0.ffn_up_exps.weight.lora_b', [4, ffn, experts + 1]],
    ],
    'MODEL',
    new RegExp(`${experts + 1} experts, expected ${experts}`),
  ],
  'an expert too many': [
    [
      [`blk.0.ffn_up.${experts}.weight.lora_a`, [dim, 4]],
      [`blk.0.ffn_up.${experts}.weight.lora_b`, [4, ffn]],
    ],
    'MODEL',
    new RegExp(`expert ${experts}, expected one from 0 to ${experts - 1}`),
  ],
  'experts merged and apart': [
    [
      ['blk.0.ffn_up_exps.weight.lora_a', [dim, 4, experts]],
      ['blk.0.ffn_up_exps.weight.lora_b', [4, ffn, experts]],
      ['blk.0.ffn_up.0.weight.lora_a', [dim, 4]],
      ['blk.0.ffn_up.0.weight.lora_b', [4, ffn]],
    ],
    'MODEL',
    /experts merged and apart, expected one layout/,
  ],
  'numbers that are not finite': [
    [[q[0]![0], q[0]![1], 'F32', 0xff], q[1]!],
    'MODEL',
    /values are not finite, expected none \(tensor "blk\.0\.attn_q\.weight\.lora_a"\)/,
  ],
}

test.each(Object.entries(ggufs))('a GGUF file with %s', async (_, [tensors, code, message, metadata]) => {
  await expect(applyGguf(tensors, metadata)).rejects.toMatchObject({ name: 'MixtralError', code, message: expect.stringMatching(message) })
})

const module = '0.self_attn.q_proj'
const pair = plainPair('q', heads * headDim, dim, 4)
const whole = modulePair(module, pair)
const other = (name: string, sizes = [4]): PeftTensor => ({ name, shape: sizes, values: new Float32Array(sizes.reduce((a, b) => a * b)) })
const fused = (inputs: number, outputs: number, rank = 4) =>
  fusedPair(
    '0.mlp.experts',
    Array.from({ length: experts }, () => plainPair('f', outputs, inputs, rank)),
  )

const folders: Record<string, [tensors: PeftTensor[], config: object, code: string, message: RegExp]> = {
  'another method': [whole, { peft_type: 'IA3' }, 'UNSUPPORTED', /"IA3", expected "LORA" \(key "peft_type"\)/],
  DoRA: [whole, { use_dora: true }, 'UNSUPPORTED', /true, expected none: DoRA scales the rows of the weights, too \(key "use_dora"\)/],
  'modules to save': [
    whole,
    { modules_to_save: ['lm_head'] },
    'UNSUPPORTED',
    /a list of 1, expected none: modules that are saved as a whole/,
  ],
  biases: [whole, { bias: 'lora_only' }, 'UNSUPPORTED', /"lora_only", expected "none" \(key "bias"\)/],
  'changed weights of the model': [
    whole,
    { init_lora_weights: 'pissa_niter_4' },
    'UNSUPPORTED',
    /"pissa_niter_4", which changes the weights of the model/,
  ],
  'weights of the model that gradients have changed': [
    whole,
    { init_lora_weights: 'lora_ga' },
    'UNSUPPORTED',
    /"lora_ga", which changes the weights of the model/,
  ],
  'factors that are drawn': [
    whole,
    { monteclora_config: { num_samples: 8 } },
    'UNSUPPORTED',
    /an object, expected none: factors that are drawn/,
  ],
  'a switch that nobody knows': [
    whole,
    { use_tomorrow: true },
    'UNSUPPORTED',
    /true, expected none: a kind of adapter that is not known here \(key "use_tomorrow"\)/,
  ],
  'repeated layers': [whole, { layer_replication: [[0, 1]] }, 'UNSUPPORTED', /layers that stand for several/],
  'an alpha of 0': [whole, { lora_alpha: 0 }, 'CHECKPOINT', /0, expected a number other than 0 \(key "lora_alpha"\)/],
  'an alpha that is a text': [whole, { lora_alpha: '8' }, 'CHECKPOINT', /"8", expected a number \(key "lora_alpha"\)/],
  'a rank of 0': [whole, { r: 0 }, 'CHECKPOINT', /0, expected a whole number from 1 to 4096 \(key "r"\)/],
  'another rank than its factors': [whole, { r: 8 }, 'CHECKPOINT', /factors of ranks 4 and 4, expected 8, as adapter_config\.json has it/],
  'a regular expression that looks ahead': [
    whole,
    { alpha_pattern: { '(?=q)q_proj': 3 } },
    'UNSUPPORTED',
    /the pattern "\(\?=q\)q_proj", expected the name of a module or its end, or a simple regular expression/,
  ],
  'long regular expressions': [
    whole,
    { alpha_pattern: { [`${'('.repeat(5000)}a${')'.repeat(5000)}`]: 3 } },
    'UNSUPPORTED',
    /regular expressions of more than 500 characters/,
  ],
  'a pattern without a number': [whole, { rank_pattern: { q_proj: null } }, 'CHECKPOINT', /no value for "q_proj" \(key "rank_pattern"\)/],
  'no factor': [[], {}, 'CHECKPOINT', /no factors of an adapter, expected some/],
  'one factor': [
    whole.slice(0, 1),
    {},
    'CHECKPOINT',
    /lora_B is missing, expected both factors \(module "model\.layers\.0\.self_attn\.q_proj"\)/,
  ],
  'a magnitude of DoRA': [[...whole, other(`${module}.lora_magnitude_vector`)], {}, 'UNSUPPORTED', /DoRA scales the rows/],
  'an output': [
    [...whole, other('!base_model.model.lm_head.lora_A.weight', [2, 2])],
    {},
    'UNSUPPORTED',
    /embedding and output are not adapted here/,
  ],
  'a whole module': [
    [...whole, other('!base_model.model.model.norm.weight')],
    {},
    'UNSUPPORTED',
    /would change the result, and is not applied here/,
  ],
  'a doubled prefix': [
    whole.map((one) => ({ ...one, name: `!base_model.model.base_model.model.model.layers.${one.name}` })),
    {},
    'UNSUPPORTED',
    /expected names such as base_model\.model\.model/,
  ],
  'a bias of a factor': [[...whole, other(`${module}.lora_B.bias`)], {}, 'UNSUPPORTED', /would change the result/],
  'a module that no Mixtral has': [modulePair('0.mlp.gate_proj', pair), {}, 'UNSUPPORTED', /is not applied here.*mlp\.gate_proj/],
  'another type': [whole.map((one) => ({ ...one, dtype: 'I32' })), {}, 'UNSUPPORTED', /elements of type "I32", expected F32, F16, BF16/],
  'a factor of three dimensions': [
    [{ ...whole[0]!, shape: [4, 1, dim] }, whole[1]!],
    {},
    'CHECKPOINT',
    /shape \[4,1,\d+\], expected rows and columns/,
  ],
  'another layer': [
    modulePair('9.self_attn.q_proj', pair),
    {},
    'MODEL',
    /layer 9, expected one from 0 to \d+: the adapter is to another model/,
  ],
  'other inputs': [
    modulePair(module, plainPair('x', heads * headDim, dim + 1, 4)),
    {},
    'MODEL',
    /inputs, expected \d+: the adapter is to another model/,
  ],
  'other outputs': [modulePair(module, plainPair('x', 3, dim, 4)), {}, 'MODEL', /3 outputs, expected \d+: the adapter is to another model/],
  'an expert too many': [
    modulePair(`0.block_sparse_moe.experts.${experts}.w1`, plainPair('x', ffn, dim, 4)),
    {},
    'MODEL',
    /expert \d+, expected one from/,
  ],
  'experts of other widths': [fused(dim, 3), {}, 'MODEL', /\d+ inputs and 3 outputs, expected/],
  'experts of another rank': [fused(dim, 2 * ffn, 3), {}, 'CHECKPOINT', /expected \d+: rank 4 for each of \d+ experts/],
  'experts in an order that nothing tells': [
    fused(dim, 2 * ffn),
    { auto_mapping: { base_model_class: 'MixtralForCausalLM', unsloth_fixed: true } },
    'UNSUPPORTED',
    /absent, and until September 2026 Unsloth had another order of experts, expected "rank_major".* \(key "lora_B_layout"\)/,
  ],
  'experts in an order that nobody knows': [
    fused(dim, 2 * ffn),
    { lora_B_layout: 'by_moonlight' },
    'UNSUPPORTED',
    /"by_moonlight", expected rank_major or grouped_by_expert \(key "lora_B_layout"\)/,
  ],
  'experts twice': [
    [...fused(dim, 2 * ffn), ...fused(dim, 2 * ffn).map((one) => ({ ...one, name: one.name.replace('experts.', 'experts.base_layer.') }))],
    {},
    'CHECKPOINT',
    /a second change of the same matrix/,
  ],
  'numbers that are not finite': [
    modulePair(module, { ...pair, b: pair.b.map(() => Number.NaN) }),
    {},
    'MODEL',
    /values are not finite, expected none/,
  ],
}

const applyFolder = (folder: string) => Reference.open(model, { adapters: [folder] })

test.each(Object.entries(folders))('a folder with %s', async (_, [tensors, config, code, message]) => {
  const folder = path.join(root, 'folder')
  await writePeftFolder(folder, tensors, config)
  await expect(applyFolder(folder)).rejects.toMatchObject({ name: 'MixtralError', code, message: expect.stringMatching(message) })
})

test('a folder whose files are missing, pickled or damaged', async () => {
  const folder = path.join(root, 'files')
  await writePeftFolder(folder, whole)
  const file = (name: string) => path.join(folder, name)
  await fs.writeFile(file('adapter_model.safetensors'), fileOf('{"a":'))
  await expect(applyFolder(folder)).rejects.toMatchObject({ code: 'CHECKPOINT', message: /not valid JSON/ })
  await fs.rename(file('adapter_model.safetensors'), file('adapter_model.bin'))
  await expect(applyFolder(folder)).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    message: /"adapter_model\.bin" is a pickle, which is a program/,
  })
  await fs.rm(file('adapter_model.bin'))
  await expect(applyFolder(folder)).rejects.toMatchObject({ code: 'IO' })
  await fs.writeFile(file('adapter_config.json'), '[]')
  await expect(applyFolder(folder)).rejects.toMatchObject({ code: 'CHECKPOINT', message: /holds a list of 0, expected a JSON object/ })
  await fs.rm(file('adapter_config.json'))
  await expect(applyFolder(folder)).rejects.toMatchObject({ code: 'IO' })
})

test.each([
  [['a'.repeat(3), 5], /adapter 1 is 5, expected a path/],
  [[{ path: 'a', scale: '1' }], /the scale of adapter 0 is "1", expected a number/],
  [[{ path: 'a', scale: Number.NaN }], /the scale of adapter 0 is NaN/],
  [[{ path: 'a', scale: 1e39 }], /the scale of adapter 0 is 1e\+39, expected a number from -1000000 to 1000000/],
  [[{ path: 'a', scale: 1e-60 }], /the scale of adapter 0 is 1e-60, expected 0, or a number that float32 can hold/],
  [[{ scale: 1 }], /the path of adapter 0 is no value/],
  [[{ path: 'a', weight: 1 }], /unknown option weight/],
  ['a.gguf', /adapters is "a\.gguf", expected a list of paths/],
  [Array.from({ length: 65 }, () => 'a'), /65 adapters, expected at most 64/],
])('a list of adapters that is none: %j', async (adapters, message) => {
  await expect(Reference.open(model, { adapters: adapters as string[] })).rejects.toMatchObject({
    code: 'OPTION',
    message: expect.stringMatching(message),
  })
})

test('an adapter is no model, and is called one', async () => {
  await applyGguf(q)
  await expect(MixtralModel.load(path.join(root, 'adapter.gguf'))).rejects.toMatchObject({
    code: 'MODEL',
    message: expect.stringMatching(/"general\.type": "adapter", expected a model: this is an adapter to one/),
  })
})
