// Calls inside the loops of others on the same model: they work, and neither sees the other.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MixtralModel } from '../../../dist/index.js'

let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 2, batchSize: 8 })
})
afterAll(() => model.close())

const ids = Array.from({ length: 20 }, (_, i) => 300 + 7 * i)
const tensors = ['ffn_moe_topk-1', 'l_out-2', 'result_output']
const greedy = { temperature: 0, maxNewTokens: 3 }

const calls: [string, () => Promise<unknown>][] = [
  ['generate', async () => (await model.generate('Once upon a time', greedy)).text],
  ['evaluate', () => model.evaluate([1, 500, 600])],
  ['trace', () => model.trace([1, 500, 600], { tensors: ['l_out-5'] })],
  [
    'traceEach',
    async () => {
      const names: string[] = []
      for await (const { name } of model.traceEach([1, 400], { tensors })) names.push(name)
      return names
    },
  ],
  ['reset', () => model.reset()],
  [
    'checkWeights',
    async () => {
      for await (const { name } of model.checkWeights()) return name
    },
  ],
]

describe.each(calls)('%s', (_, call) => {
  test('inside the loop of traceEach', async () => {
    const expected = await call()
    const plain = []
    for await (const rows of model.traceEach(ids, { tensors })) plain.push(rows)
    const nested: typeof plain = []
    const progress: number[] = []
    for await (const rows of model.traceEach(ids, { tensors, onProgress: ({ loaded }) => progress.push(loaded) })) {
      nested.push(rows)
      expect(await call()).toEqual(expected)
    }
    expect(nested).toEqual(plain)
    expect(progress).toEqual([8, 16, 20])
  })

  test('inside the loop of checkWeights', async () => {
    const expected = await call()
    let parts = 0
    for await (const { unlikeFile, unlikeOracle } of model.checkWeights()) {
      expect([unlikeFile, unlikeOracle]).toEqual([0, 0])
      expect(await call()).toEqual(expected)
      if (++parts === 4) break
    }
    expect(parts).toBe(4)
  })

  test('inside the loop of a stream', async () => {
    const expected = await call()
    const { text } = await model.generate('Long ago,', { ...greedy, maxNewTokens: 5 })
    let nested = ''
    for await (const piece of model.stream('Long ago,', { ...greedy, maxNewTokens: 5 })) {
      nested += piece.text
      expect(await call()).toEqual(expected)
    }
    expect(nested).toBe(text)
  })
})

test('a loop that holds the model lends it to nobody', async () => {
  const loop = model.traceEach(ids, { hold: true })
  await loop.next()
  let isOver = false
  const waiting = model.evaluate([1, 500, 600]).then(() => {
    isOver = true
  })
  await sleep(200)
  expect(isOver).toBe(false)
  await loop.return(undefined)
  await waiting
  expect(() => model.traceEach(ids, { hold: 1 } as never)).toThrow('hold is 1, expected true or false')
})

test('a loop that is lent ends with the model', async () => {
  const other = await MixtralModel.load('demo', { threads: 1 })
  const read = async () => {
    for await (const _ of other.traceEach(ids)) await other.evaluate([1]).then(() => other.close())
  }
  await expect(read()).rejects.toMatchObject({ code: 'CLOSED' })
})
