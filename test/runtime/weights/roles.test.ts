// The table of tensor roles: names both ways, in either layout of experts, and that a file and a plan have a place for each.

import { describe, expect, test } from 'vitest'
import { MixtralConfig } from '../../../dist/runtime/weights/mixtralConfig.js'
import { mixtralTensors, slicesOf } from '../../../dist/runtime/weights/mixtralTensors.js'
import { planModel } from '../../../dist/runtime/weights/plan.js'
import {
  expertMatricesOf,
  expertRoles,
  expertTensorName,
  isQuantized,
  isVector,
  layerRoles,
  matricesOf,
  modelRoles,
  parseTensorName,
  type Role,
  recordOf,
  roles,
  shapeOf,
  tensorName,
} from '../../../dist/runtime/weights/roles.js'
import { WeightLoader } from '../../../dist/runtime/weights/weightLoader.js'
import { allOf, configOf, mixtral8x7b, tensorsOf } from './syntheticTensors.js'

const allRoles = Object.keys(roles) as Role[]

test("every role is the model's, a layer's or an expert's, and no two have a name in common", () => {
  expect([...modelRoles, ...layerRoles, ...expertRoles].sort()).toEqual(allRoles.toSorted())
  const names = allRoles.map((role) => tensorName(role, 3))
  expect(new Set(names).size).toBe(allRoles.length)
})

// [role, rows, columns, name] of Mixtral 8x7B, written down from a file's header
test.each<[Role, number, number, string]>([
  ['tokenEmbd', 32000, 4096, 'token_embd.weight'],
  ['attnNorm', 1, 4096, 'blk.31.attn_norm.weight'],
  ['attnQ', 4096, 4096, 'blk.31.attn_q.weight'],
  ['attnK', 1024, 4096, 'blk.31.attn_k.weight'],
  ['attnV', 1024, 4096, 'blk.31.attn_v.weight'],
  ['attnOutput', 4096, 4096, 'blk.31.attn_output.weight'],
  ['ffnNorm', 1, 4096, 'blk.31.ffn_norm.weight'],
  ['ffnGateInp', 8, 4096, 'blk.31.ffn_gate_inp.weight'],
  ['ffnGate', 14336, 4096, 'blk.31.ffn_gate_exps.weight'],
  ['ffnUp', 14336, 4096, 'blk.31.ffn_up_exps.weight'],
  ['ffnDown', 4096, 14336, 'blk.31.ffn_down_exps.weight'],
  ['outputNorm', 1, 4096, 'output_norm.weight'],
  ['output', 32000, 4096, 'output.weight'],
])('%s of 8x7B is (%i, %i), %s', (role, rows, columns, name) => {
  expect(shapeOf(role, configOf(mixtral8x7b))).toEqual({ rows, columns })
  expect(tensorName(role, 31)).toBe(name)
})

test('heads need not be as wide together as the stream', () => {
  const config = configOf({ ...mixtral8x7b, heads: 6, kvHeads: 3, headDim: 64, hidden: 512 })
  expect(shapeOf('attnQ', config)).toEqual({ rows: 384, columns: 512 })
  expect(shapeOf('attnK', config)).toEqual({ rows: 192, columns: 512 })
  expect(shapeOf('attnOutput', config)).toEqual({ rows: 512, columns: 384 })
})

describe('names', () => {
  test.each(allRoles)('%s comes back from its name', (role) => {
    const layer = roles[role].per === 'model' ? undefined : 12
    expect(parseTensorName(tensorName(role, layer))).toEqual({ per: roles[role].per, role, layer, expert: undefined })
  })

  test.each(expertRoles)("%s comes back from one expert's own name", (role) => {
    expect(expertTensorName(role, 3, 7)).toBe(tensorName(role, 3).replace('_exps', '.7'))
    expect(parseTensorName(expertTensorName(role, 3, 10))).toEqual({ per: 'expert', role, layer: 3, expert: 10 })
  })

  test.each([
    ...['token_embd', 'blk.0.token_embd.weight', 'token_embd_exps.weight', 'output.0.weight', 'output.bias'],
    ...['attn_q.weight', 'blk.0.attn_q.bias', 'blk.00.attn_q.weight', 'blk.0.attn_q_exps.weight', 'blk.0.attn_q.1.weight'],
    ...['blk.0.ffn_gate.weight', 'blk.0.ffn_gate_inp_exps.weight', 'blk.0.ffn_up_shexp.weight', 'blk.0.ffn_up_exps.3.weight'],
    ...['ffn_up.3.weight', 'vision.blk.0.attn_q.weight', 'rope_freqs.weight', 'blk.0.constructor.weight', ''],
  ])('"%s" has no role', (name) => {
    expect(parseTensorName(name)).toBeUndefined()
  })
})

test('every tensor of a file has a role, and its place among the tensors is that role', async () => {
  const { gguf, metadata } = await WeightLoader.fromGguf('models/tiny-mixtral.Q4_K_M.gguf')
  const config = MixtralConfig.fromGgufMetadata(metadata)
  const tensors = mixtralTensors(config, gguf)
  for (const { name } of gguf.tensors.values()) {
    const named = parseTensorName(name)!
    if (named.per === 'model') expect(tensors[named.role].name).toBe(name)
    else if (named.per === 'layer') expect(tensors.layers[named.layer]![named.role].name).toBe(name)
    else for (const expert of tensors.layers[named.layer]!.experts) expect(expert[named.role].name).toBe(name)
  }
  expect(new Set(slicesOf(tensors).map(({ name }) => name))).toEqual(new Set(gguf.tensors.keys()))
})

test('a plan has one place for each role, vectors as they are and matrices packed', () => {
  const shape = { ...mixtral8x7b, layers: 2 }
  const tensors = tensorsOf(shape, allOf('Q8_0'))
  const { loads } = planModel(configOf(shape), tensors, { build: 'simd', threads: 1, batchSize: 1, contextLength: 32 })
  const counts = { model: 1, layer: 2, expert: 2 * 8 }
  for (const role of allRoles) {
    const own = loads.filter(({ slice }) => parseTensorName(slice.name)!.role === role)
    expect(own.length, role).toBe(counts[roles[role].per])
    for (const { packed } of own) expect(packed, role).toBe(role !== 'tokenEmbd' && !isVector(role))
  }
})

test("a layer's matrices are without its vectors and its experts, and an expert's are in the order of its slot", () => {
  const named = <R extends Role>(of: readonly R[]) => recordOf(of, (role) => role)
  expect(matricesOf(named(layerRoles))).toEqual(['attnQ', 'attnK', 'attnV', 'attnOutput', 'ffnGateInp'])
  expect(expertMatricesOf(named(expertRoles))).toEqual(['ffnGate', 'ffnUp', 'ffnDown'])
})

test('a quantization keeps the types of norms and routers alone', () => {
  expect(allRoles.filter((role) => !isQuantized(role))).toEqual(['attnNorm', 'ffnNorm', 'ffnGateInp', 'outputNorm'])
})
