// Lists that cost their maker nothing: an array of holes says that it has four billion items, and the memory of a typed
// array may have gone to another thread. Each is refused or empty; before, the process ended without memory.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { MixtralModel } from '../../../dist/index.js'

let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 1 })
})
afterAll(async () => model.close())

const holes = () => new Array<never>(2 ** 32 - 1)
const gone = () => {
  const ids = new Int32Array(4)
  structuredClone(ids.buffer, { transfer: [ids.buffer] })
  return ids
}

test.each<[string, () => unknown]>([
  ['messages of a chat session', () => model.chatSession({ messages: holes() })],
  ['what is said', () => model.chatSession().send(holes())],
  ['parts', () => model.tokenizer.encodeParts(holes())],
  ['tensors of a trace', () => model.trace([5], { tensors: holes() })],
  ...['stop', 'stopIds', 'bannedWords', 'logitBias', 'samplers', 'drySequenceBreakers'].map((name): [string, () => unknown] => [
    name,
    () => model.generate('a', { maxNewTokens: 1, [name]: holes() }),
  ]),
])('%s of four billion holes', async (_, call) => {
  await expect((async () => call())()).rejects.toMatchObject({ code: 'OPTION', message: expect.stringContaining('4294967295') })
})

test('typed arrays without memory are empty', async () => {
  expect(model.tokenizer.decode(gone())).toBe('')
  await expect(model.generate('a', { maxNewTokens: 1, stopIds: gone() as unknown as number[] })).resolves.toMatchObject({
    finishReason: 'length',
  })
})

test.each<[object, string]>([
  [{ n: Symbol('n') }, 'n is Symbol(n)'],
  [{ n: Object.create(null) }, 'n is an object'],
  [{ bannedWords: [Object.create(null)] }, 'bannedWords has an object'],
])('what has no text is named', async (options, message) => {
  await expect((async () => model.generate('a', options))()).rejects.toMatchObject({
    code: 'OPTION',
    message: expect.stringContaining(message),
  })
})
