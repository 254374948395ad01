import { afterAll, beforeAll, expect, test } from 'vitest'
import { MixtralModel } from '../../../dist/index.js'

let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 1, sequences: 3 })
})
afterAll(() => model.close())

test('a call says once that it is accepted, before its first piece, however many answers it has', async () => {
  for (const n of [1, 3]) {
    const seen: string[] = []
    const onAccepted = () => void seen.push('accepted')
    for await (const { index = 0 } of model.stream('Long ago', { n, maxNewTokens: 1, onAccepted })) seen.push(`piece ${index}`)
    expect(seen[0]).toBe('accepted')
    expect(seen.filter((one) => one === 'accepted')).toHaveLength(1)
    expect(seen.length).toBeGreaterThan(n)
  }
})

test('what is wrong with options or prompt is thrown before', async () => {
  const onAccepted = () => {
    throw new Error('accepted')
  }
  await expect(model.generate('x', { grammar: 'root ::= (', onAccepted })).rejects.toMatchObject({ code: 'OPTION' })
  await expect(model.generate('word '.repeat(600), { onAccepted })).rejects.toMatchObject({ code: 'CONTEXT' })
  await expect(model.generate('x', { logitBias: { 99999: 1 }, onAccepted })).rejects.toMatchObject({ code: 'OPTION' })
  await expect(model.chat([{ role: 'user', content: null }], { onAccepted })).rejects.toMatchObject({ code: 'TEMPLATE' })
  await expect(model.generate('x', { onAccepted: 1 as never })).rejects.toMatchObject({ code: 'OPTION' })
})

test('a model tells how many calls share a step, and what Ollama brought with it', () => {
  expect([model.status().sequences, model.layers]).toEqual([3, undefined])
})
