// The matrices of a Mixtral in both layouts of experts, and every set of tensors that is refused.

import { expect, test } from 'vitest'
import type { GgufPlan } from '../../../dist/format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import { readHeader } from '../../../dist/format/gguf/readHeader.js'
import { joinShards } from '../../../dist/format/gguf/shards.js'
import { MixtralConfig } from '../../../dist/runtime/weights/mixtralConfig.js'
import { type MixtralTensors, mixtralTensors } from '../../../dist/runtime/weights/mixtralTensors.js'
import { WeightLoader } from '../../../dist/runtime/weights/weightLoader.js'
import { ggufBytes, memorySource, type TinyOptions, tiny, tinyPlan } from '../../format/gguf/tinyGguf.js'

async function tensorsOf(plan: GgufPlan): Promise<MixtralTensors> {
  const gguf = joinShards([await readHeader(memorySource(ggufBytes(plan), 'tiny.gguf'))])
  return mixtralTensors(MixtralConfig.fromGgufMetadata(gguf.metadata), gguf)
}

type Tensor = GgufPlan['tensors'][number]

/** A tiny model's plan with its list of tensors changed. */
function changed(change: (tensors: readonly Tensor[]) => Tensor[], options?: TinyOptions): GgufPlan {
  const plan = tinyPlan(options)
  return { ...plan, tensors: change(plan.tensors) }
}
const without = (name: string, options?: TinyOptions) => changed((tensors) => tensors.filter((tensor) => tensor.name !== name), options)
const replaced = (name: string, by: { type?: string; shape?: number[] }) =>
  changed((tensors) =>
    tensors.map((tensor) =>
      tensor.name === name ? { name, type: ggmlTypeByName(by.type ?? tensor.type.name)!, shape: by.shape ?? tensor.shape } : tensor,
    ),
  )
const added = (name: string, shape: number[], options?: TinyOptions) =>
  changed((tensors) => [...tensors, { name, type: ggmlTypeByName('F32')!, shape }], options)

test('the demo model has every matrix', async () => {
  const { gguf, metadata } = await WeightLoader.fromGguf('models/tiny-mixtral.Q4_K_M.gguf')
  const { tied, layers, output } = mixtralTensors(MixtralConfig.fromGgufMetadata(metadata), gguf)
  expect(tied).toBe(false)
  expect(output).toMatchObject({ name: 'output.weight', type: { name: 'Q6_K' }, rows: 2048, columns: 256 })
  expect(layers.map(({ experts }) => experts.length)).toEqual([8, 8, 8, 8, 8, 8])
  expect(layers[0]!.attnK).toMatchObject({ type: { name: 'Q8_0' }, rows: 128, columns: 256, bytes: 128 * 272 })
  expect(layers[0]!.attnNorm).toMatchObject({ type: { name: 'F32' }, rows: 1, columns: 256 })
})

test('an expert in a merged tensor is a slice of it', async () => {
  const plan = tinyPlan()
  const { layers } = await tensorsOf(plan)
  const { offset: first, bytes } = layers[1]!.experts[0]!.ffnDown
  expect(bytes).toBe(tiny.intermediateSize * tiny.hiddenSize * 4)
  for (const [expert, { ffnDown }] of layers[1]!.experts.entries()) {
    expect(ffnDown).toMatchObject({
      name: 'blk.1.ffn_down_exps.weight',
      rows: tiny.hiddenSize,
      columns: tiny.intermediateSize,
      offset: first + expert * bytes,
      bytes,
    })
  }
})

test('experts in tensors of their own are found, with an F16 router', async () => {
  const { layers } = await tensorsOf(tinyPlan({ layout: 'single', router: 'F16' }))
  expect(layers[0]!.ffnGateInp).toMatchObject({ type: { name: 'F16' }, rows: tiny.experts, columns: tiny.hiddenSize })
  expect(layers[1]!.experts.map(({ ffnUp }) => ffnUp.name)).toEqual([0, 1, 2, 3].map((expert) => `blk.1.ffn_up.${expert}.weight`))
})

test('without an output matrix, the embedding serves', async () => {
  const { tied, output, tokenEmbd } = await tensorsOf(tinyPlan({ tied: true }))
  expect(tied).toBe(true)
  expect(output).toBe(tokenEmbd)
})

test('a dimension of 1 at the end may be left out', async () => {
  const plan = tinyPlan({
    metadata: [
      ['llama.expert_count', 'uint32', 1],
      ['llama.expert_used_count', 'uint32', 1],
    ],
  })
  const tensors = plan.tensors.map(({ name, type, shape }) => {
    if (name.endsWith('_exps.weight')) return { name, type, shape: shape.slice(0, 2) }
    return name.endsWith('ffn_gate_inp.weight') ? { name, type, shape: shape.slice(0, 1) } : { name, type, shape }
  })
  expect((await tensorsOf({ ...plan, tensors })).layers[0]!.experts.length).toBe(1)
})

test.each(['vision.patch_embd.weight', 'mm.0.weight', 'blk.0.attn_rot_embd.weight', 'blk.1.attn.rotary_emb.inv_freq'])(
  'tensor %s is ignored',
  async (name) => {
    expect((await tensorsOf(added(name, [4]))).layers.length).toBe(2)
  },
)

/** What is refused, the file, the code, and how the message goes on after the path. */
type Refusal = [string, GgufPlan, 'MODEL' | 'UNSUPPORTED', string]

test.each<Refusal>([
  ['a missing embedding', without('token_embd.weight'), 'MODEL', 'tensor token_embd.weight is missing, expected with shape [32,264]'],
  ['a missing norm', without('blk.1.ffn_norm.weight'), 'MODEL', 'tensor blk.1.ffn_norm.weight is missing, expected with shape [32,1]'],
  [
    'a missing router',
    without('blk.0.ffn_gate_inp.weight'),
    'MODEL',
    'tensor blk.0.ffn_gate_inp.weight is missing, expected with shape [32,4]',
  ],
  [
    'a missing merged matrix',
    without('blk.0.ffn_up_exps.weight'),
    'MODEL',
    'tensor blk.0.ffn_up_exps.weight is missing, expected with shape [32,16,4]',
  ],
  [
    'a missing expert',
    without('blk.1.ffn_down.3.weight', { layout: 'single' }),
    'MODEL',
    'tensor blk.1.ffn_down.3.weight is missing, expected with shape [16,32]',
  ],
  [
    'a layer without experts',
    changed((tensors) => tensors.filter(({ name }) => !/^blk\.1\..*_exps/.test(name))),
    'MODEL',
    'tensors blk.1.ffn_gate_exps.weight and blk.1.ffn_gate.0.weight are missing, expected one of them',
  ],
  [
    'a layer in two layouts',
    added('blk.0.ffn_up.2.weight', [32, 16]),
    'MODEL',
    'tensors blk.0.ffn_gate_exps.weight and blk.0.ffn_up.2.weight: experts merged and apart, expected one layout in a layer',
  ],
  [
    'a wrong shape',
    replaced('blk.0.attn_k.weight', { shape: [32, 32] }),
    'MODEL',
    'tensor blk.0.attn_k.weight has shape [32,32], expected [32,16], columns first',
  ],
  [
    'another number of experts',
    replaced('blk.0.ffn_up_exps.weight', { shape: [32, 16, 3] }),
    'MODEL',
    'tensor blk.0.ffn_up_exps.weight has shape [32,16,3], expected [32,16,4]',
  ],
  ...['NVFP4', 'Q1_0', 'Q2_0'].map(
    (type): Refusal => [
      `a type without a kernel, ${type}`,
      replaced('blk.0.attn_q.weight', { type, shape: [128, 32] }),
      'UNSUPPORTED',
      `tensor blk.0.attn_q.weight is of type ${type}, supported here: F32, F16, `,
    ],
  ),
  [
    'a norm of half precision',
    replaced('output_norm.weight', { type: 'F16' }),
    'UNSUPPORTED',
    'tensor output_norm.weight is of type F16, supported here: F32',
  ],
  ['a bias', added('blk.0.attn_q.bias', [32]), 'UNSUPPORTED', 'tensor "blk.0.attn_q.bias" would change the result'],
  ['rotary factors', added('rope_freqs.weight', [4]), 'UNSUPPORTED', 'tensor "rope_freqs.weight" would change the result'],
  ['a shared expert', added('blk.1.ffn_up_shexp.weight', [32, 16]), 'UNSUPPORTED', 'tensor "blk.1.ffn_up_shexp.weight" would change'],
  ['a further layer', added('blk.2.attn_norm.weight', [32]), 'UNSUPPORTED', 'tensor "blk.2.attn_norm.weight" would change the result'],
  [
    'a further expert',
    added('blk.0.ffn_up.4.weight', [32, 16], { layout: 'single' }),
    'UNSUPPORTED',
    'tensor "blk.0.ffn_up.4.weight" would change the result',
  ],
])('%s is refused', async (_, plan, code, message) => {
  await expect(tensorsOf(plan)).rejects.toMatchObject({ code, message: expect.stringMatching(/^tiny\.gguf: /) })
  await expect(tensorsOf(plan)).rejects.toThrow(message)
})
