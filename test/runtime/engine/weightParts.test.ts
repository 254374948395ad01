// What a check of the weights goes through, of plans that are too large for a test's files.

import { expect, test } from 'vitest'
import { weightParts } from '../../../dist/runtime/engine/check/weightParts.js'
import { planModel } from '../../../dist/runtime/weights/plan.js'
import { configOf, mixtral8x7b, tensorsOf } from '../weights/syntheticTensors.js'

test('every expert, resident or not, and also where as many slots as experts happen to fit', () => {
  const config = configOf(mixtral8x7b)
  const tensors = tensorsOf(mixtral8x7b, (name) => (name === 'ffn_gate_inp' ? 'F32' : 'Q8_0'))
  const options = { build: 'simd', threads: 8, batchSize: 2048, contextLength: 16384 } as const
  const resident = planModel(config, tensors, options)
  const fitting = planModel(config, tensors, { ...options, ram: resident.bytes - 1 })
  expect(fitting.slots.length).toBe(resident.slots.length)
  for (const plan of [resident, fitting, planModel(config, tensors, { ...options, ram: 2e10 })]) {
    expect(weightParts(plan, config).filter(({ expert }) => expert !== undefined).length).toBe(3 * 256)
  }
})
