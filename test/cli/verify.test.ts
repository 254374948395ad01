// That `mixtral verify` would notice: kernels that are wrong on purpose. The right ones here are the reference itself.

import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { openGguf } from '../../dist/gguf/openGguf.js'
import { Reference } from '../../dist/reference/reference.js'
import { compareStages, type LayerByLayer, type StageCheck } from '../../dist/reference/verify.js'
import { Tokenizer } from '../../dist/tokenizer/tokenizer.js'

const path = fileURLToPath(new URL('../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))
const reference = await Reference.open(path)
const gguf = await openGguf(path)
const tokens = [1, 672, 600, 261, 462, 1998, 454]
const { hiddenSize } = reference.config

const right: LayerByLayer = {
  layer: async (index, x) => Float32Array.from(reference.layer(index, Float64Array.from(x))),
  output: async (x) => Float32Array.from(reference.output(Float64Array.from(x))),
}

async function check(kernels: Partial<LayerByLayer>, ids = tokens): Promise<StageCheck[]> {
  const checks: StageCheck[] = []
  for await (const one of compareStages(reference, { ...right, ...kernels }, gguf, ids)) checks.push(one)
  return checks
}

/** Layer 3 changed by `spoil`, which gets its output and its input. */
function spoiled(spoil: (y: Float32Array, x: Float32Array) => void): Partial<LayerByLayer> {
  const layer: LayerByLayer['layer'] = async (index, x) => {
    const y = await right.layer(index, x)
    if (index === 3) spoil(y, x)
    return y
  }
  return { layer }
}

const stagesOff = (checks: readonly StageCheck[]) => checks.filter(({ ok }) => !ok).map(({ stage }) => stage)

test('exact kernels are off by the rounding to float32', async () => {
  const checks = await check({})
  expect(stagesOff(checks)).toEqual([])
  for (const { error } of checks) expect(error).toBeLessThan(1e-6)
})

test.each<[what: string, spoil: (y: Float32Array, x: Float32Array) => void]>([
  [
    'a tenth too much of what the layer adds',
    (y, x) => {
      for (const [i, value] of x.entries()) y[i] = value + (y[i]! - value) * 1.1
    },
  ],
  ['one token that the layer passes by', (y, x) => y.set(x.subarray(6 * hiddenSize), 6 * hiddenSize)],
  ['a token with the result of its neighbour', (y) => y.copyWithin(hiddenSize, 2 * hiddenSize, 3 * hiddenSize)],
  [
    'a channel that is wrong',
    (y, x) => {
      for (let i = 7; i < y.length; i += hiddenSize) y[i] = x[i]! + 5
    },
  ],
  ['a value that is no number', (y) => y.fill(Number.NaN, 100, 101)],
])('%s is noticed, in its layer alone', async (_, spoil) => {
  expect(stagesOff(await check(spoiled(spoil)))).toEqual([3])
})

test('wrong logits are noticed', async () => {
  const output: LayerByLayer['output'] = async (x) => (await right.output(x)).map((logit, i) => (i % 2048 === 0 ? 0 : logit * 1.03))
  expect(stagesOff(await check({ output }))).toEqual(['output'])
})

test('a token that rounding sends to the runner-up of two nearly tied experts is no error', async () => {
  const layer: LayerByLayer['layer'] = async (index, x) => {
    const shaken = x.map((value, i) => value * (1 + (((i * 7919) % 201) - 100) * 4e-4)) // by 4 % at most
    const y = await right.layer(index, shaken)
    return y.map((value, i) => value - shaken[i]! + x[i]!)
  }
  const sentence = Tokenizer.fromGgufMetadata(gguf.metadata).encode('Once upon a time, there was a child named Wendy. She had a blue kite.')
  const checks = await check({ layer }, sentence)
  expect(stagesOff(checks)).toEqual([])
  expect(checks.filter(({ rerouted }) => rerouted > 0).map(({ stage }) => stage)).toEqual([2, 3])
})
