// The list of what a check of the weights goes through, for plans that are too large for a test's files.

import { expect, test } from 'vitest'
import { type WeightPart, weightParts } from '../../../dist/runtime/engine/check/weightParts.js'
import type { MixtralTensors } from '../../../dist/runtime/weights/mixtralTensors.js'
import { type PlanOptions, planModel } from '../../../dist/runtime/weights/plan.js'
import { expertRoles, layerRoles } from '../../../dist/runtime/weights/roles.js'
import { allOf, configOf, mixtral8x7b, tensorsOf } from '../weights/syntheticTensors.js'

const options: PlanOptions = { build: 'simd', threads: 8, batchSize: 2048, contextLength: 16384 }

/** Every part in order, each expert's with its role. */
function everyPart({ tokenEmbd, layers, outputNorm, output }: MixtralTensors): WeightPart[] {
  const ofLayers = layers.flatMap((tensors, layer) => [
    ...layerRoles.map((role) => ({ slice: tensors[role], layer })),
    ...tensors.experts.flatMap((matrices, expert) => expertRoles.map((part) => ({ slice: matrices[part], layer, expert, part }))),
  ])
  const end = layers.length
  return [{ slice: tokenEmbd, layer: -1 }, ...ofLayers, { slice: outputNorm, layer: end }, { slice: output, layer: end }]
}

test('every matrix is a part once, in the order of a pass, whether experts are resident, streamed, or streamed with a slot for each', () => {
  const config = configOf(mixtral8x7b)
  const tensors = tensorsOf(mixtral8x7b, allOf('Q8_0'))
  const resident = planModel(config, tensors, options)
  const fitting = planModel(config, tensors, { ...options, ram: resident.bytes - 1 })
  const streamed = planModel(config, tensors, { ...options, ram: 2e10 })
  expect(fitting.slots.length).toBe(resident.slots.length)
  expect(streamed.slots.length).toBeLessThan(resident.slots.length)
  const expected = everyPart(tensors)

  expect(weightParts(resident, config)).toEqual(
    expected.map(({ part: _, ...rest }, n) => ({ ...rest, load: { ...resident.loads[n]!, slice: rest.slice } })),
  )
  for (const plan of [fitting, streamed]) {
    const loads = new Map(plan.loads.map((load) => [load.slice, load]))
    const withLoads = expected.map((part) => (part.expert === undefined ? { ...part, load: loads.get(part.slice)! } : part))
    expect(weightParts(plan, config)).toEqual(withLoads)
  }
})

test('a tied embedding is two parts: rows before the layers, a matrix after them', () => {
  const shape = { ...mixtral8x7b, layers: 1, tied: true }
  const config = configOf(shape)
  const tensors = tensorsOf(shape, allOf('Q8_0'))
  const parts = weightParts(planModel(config, tensors, options), config).filter(({ slice }) => slice === tensors.tokenEmbd)
  expect(parts.map(({ layer, load }) => ({ layer, packed: load!.packed }))).toEqual([
    { layer: -1, packed: false },
    { layer: 1, packed: true },
  ])
})
