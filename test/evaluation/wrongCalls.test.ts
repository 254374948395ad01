// Measurements, the reference, and the parts of a model called with what is no model, no list of tokens, no input of a
// layer and so on: errors of ours that say what was given.

import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  collectImatrix,
  evaluateTask,
  expertStatistics,
  MixtralConfig,
  MixtralModel,
  measureDivergence,
  measurePerplexity,
  Reference,
  Tokenizer,
  verifyModel,
  WeightLoader,
  writeImatrix,
} from '../../dist/index.js'

const demo = fileURLToPath(new URL('../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))

let model: MixtralModel
let reference: Reference
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 1 })
  reference = await Reference.open(demo)
})
afterAll(() => model.close())

const values: readonly (readonly [string, unknown])[] = [
  ['nothing', undefined],
  ['null', null],
  ['a number', 5],
  ['an object', {}],
  ['the promise of a model', Promise.resolve()],
  ['a URL', new URL('file:///model.gguf')],
]
const calls: readonly (readonly [what: string, call: (value: never) => unknown])[] = [
  ['the model of measurePerplexity', (value) => measurePerplexity(value, 'a')],
  ['the model of evaluateTask', (value) => evaluateTask(value, 'mmlu', 'a')],
  ['the task of evaluateTask', (value) => evaluateTask(model, value, 'a')],
  ['the file of evaluateTask', (value) => evaluateTask(model, 'mmlu', value)],
  ['the model of expertStatistics', (value) => expertStatistics(value, [{ domain: 'a', text: 'b' }])],
  ['the texts of expertStatistics', (value) => expertStatistics(model, value)],
  ['a text of expertStatistics', (value) => expertStatistics(model, [value])],
  ['the model of measureDivergence', (value) => measureDivergence(value, value)],
  ['the base of measureDivergence', (value) => measureDivergence(model, value)],
  ['the model of verifyModel', (value) => verifyModel(value, [1])],
  ['the tokens of verifyModel', (value) => verifyModel(model, value)],
  ['the model of Reference.open', (value) => Reference.open(value)],
  ['the tokens of logits', (value) => reference.logits(value)],
  ['the tokens of trace', (value) => reference.trace(value)],
  ['the tokens of embed', (value) => reference.embed(value)],
  ['the input of layer', (value) => reference.layer(0, value)],
  ['the input of output', (value) => reference.output(value)],
  ['the configuration of fromWeights', async (value) => MixtralModel.fromWeights(value, await WeightLoader.fromGguf(demo))],
  ['the weights of fromWeights', (value) => MixtralModel.fromWeights(MixtralConfig.fromGgufMetadata(model.metadata), value)],
  ['the matrix of writeImatrix', (value) => writeImatrix('/nowhere/out.gguf', value)],
]

test.each(calls.flatMap(([what, call]) => values.map(([kind, value]) => [what, kind, call, value] as const)))(
  '%s is %s',
  async (_, _kind, call, value) => {
    await expect((async () => call(value as never))()).rejects.toMatchObject({ code: 'OPTION' })
  },
)

test('the error says what was given, and what was expected', async () => {
  await expect(measurePerplexity('demo' as never, 'a')).rejects.toThrow('the model is "demo", expected a MixtralModel')
  await expect(Reference.open({} as never)).rejects.toThrow('the model is an object, expected the path of a GGUF file or its header')
  expect(() => reference.logits(5 as never)).toThrow('the tokens are 5, expected a list of token ids')
  expect(() => reference.layer(0, new Float64Array(3))).toThrow('the input is an object, expected a Float64Array of rows of 256')
})

test.each<[what: string, entry: unknown]>([
  ['no entry', null],
  ['an entry of lists', { columns: 1, sums: [1], counts: [1] }],
  ['an entry of another length', { columns: 2, sums: new Float64Array(3), counts: new Float64Array(1) }],
])('an importance matrix with %s is refused', async (_, entry) => {
  const matrix = { entries: new Map([['a', entry]]), datasets: [], windows: 1, contextLength: 16 }
  await expect(writeImatrix('/nowhere/out.gguf', matrix as never)).rejects.toThrow('the importance matrix is an object, expected one of')
})

test('null in place of options is refused', async () => {
  await expect(WeightLoader.fromGguf(demo, null as never)).rejects.toThrow('the options are null, expected a plain object')
  await expect(Tokenizer.load(model.metadata, null as never)).rejects.toThrow('the options are null, expected a plain object')
  expect(() => reference.trace([1], null as never)).toThrow('the options are null, expected a plain object')
})

test.each([
  ['measurePerplexity', measurePerplexity],
  ['collectImatrix', collectImatrix],
] as const)('an asynchronous function for progress that is rejected ends %s with its error', async (_, measure) => {
  const onProgress = async () => {
    throw new Error('no progress')
  }
  const text = 'Once upon a time, there was a young goat who wanted to see the world. '.repeat(3)
  await expect(measure(model, text, { contextLength: 16, windows: 2, onProgress })).rejects.toThrow('no progress')
})
