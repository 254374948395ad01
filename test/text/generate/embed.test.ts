import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MixtralModel, Reference } from '../../../dist/index.js'
import { shapes, writeShapeModel } from '../../golden/shapeModel.js'

let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 2, sequences: 4, kvTokens: 2048 })
})
afterAll(() => model.close())

const texts = [
  'The capital of France is Paris.',
  'Long ago, in a far away land, there lived a child.',
  '7 + 5 = 12.',
  'KING RICHARD III: '.repeat(12),
]

/** The mean of rows, of length 1, in float64. */
function meanOf(rows: Float64Array | Float32Array, width: number): Float64Array {
  const sum = new Float64Array(width)
  for (const [i, value] of rows.entries()) sum[i % width]! += value
  const length = Math.hypot(...sum)
  return sum.map((value) => value / length)
}

/** The largest difference of two vectors. */
const distance = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0)

test('an embedding is the mean of the last hidden states, of length 1, as the float64 reference has it', async () => {
  const reference = await Reference.open(model.gguf)
  const { hiddenSize } = model.config
  for (const text of texts.slice(0, 3)) {
    const ids = model.tokenizer.encode(text)
    const { vector, tokens } = await model.embed(text)
    expect([vector.length, tokens]).toEqual([hiddenSize, ids.length])
    expect(Math.hypot(...vector)).toBeCloseTo(1, 6)
    const [traced] = await model.trace(ids, { tensors: ['result_norm'] })
    expect(distance(vector, meanOf(traced!.values as Float32Array, hiddenSize))).toBeLessThan(1e-7)
    const [judged] = reference.trace(ids, { tensors: ['result_norm'] })
    const exact = meanOf(judged!.values as Float64Array, hiddenSize)
    const cosine = exact.reduce((sum, value, i) => sum + value * vector[i]!, 0)
    // activations are quantized to 8 bits here, and exact there
    expect(cosine).toBeGreaterThan(0.999)
  }
})

test('with weights in float32, which nothing rounds to 8 bits, it is that of the reference to 1e-6', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mixtral-embed-'))
  const path = join(folder, 'base.gguf')
  const base = shapes.find(({ name }) => name === 'base')!
  await writeShapeModel(base, path)
  const exact = await MixtralModel.load(path, { threads: 2, batchSize: 5 })
  const [judged] = (await Reference.open(path)).trace(base.tokens, { tensors: ['result_norm'] })
  const wanted = meanOf(judged!.values as Float64Array, exact.config.hiddenSize)
  const { vector } = await exact.embed(base.tokens)
  await exact.close()
  rmSync(folder, { recursive: true })
  expect(distance(vector, wanted)).toBeLessThan(1e-6)
})

test('the bits are the same alone, beside others, after a cache hit, and in small steps', async () => {
  const alone: Float32Array[] = []
  for (const text of texts) {
    await model.reset()
    alone.push((await model.embed(text)).vector)
  }
  const cached = await Promise.all(texts.map((text) => model.embed(text)))
  expect(cached.map(({ vector }) => vector)).toEqual(alone)
  await model.reset()
  const prompt = 'KING RICHARD III:\n'
  const options = { temperature: 0, maxNewTokens: 30, ignoreEos: true, logprobs: 2 }
  const written = await model.generate(prompt, options)
  const [crowd, beside] = await Promise.all([
    Promise.all([...texts, ...texts].map((text) => model.embed(text))),
    model.generate(prompt, options),
  ])
  expect(crowd.map(({ vector }) => vector)).toEqual([...alone, ...alone])
  expect([beside.text, beside.logprobs]).toEqual([written.text, written.logprobs])
  const small = await MixtralModel.load('demo', { threads: 1, batchSize: 3 })
  for (const [i, text] of texts.entries()) expect((await small.embed(text)).vector).toEqual(alone[i])
  await small.close()
})

test('all rows are computed each time, and what follows finds them in the cache', async () => {
  await model.reset()
  const ids = model.tokenizer.encode(texts[3]!)
  for (let i = 0; i < 2; i++) {
    let rows = 0
    const end = model.onRouting(() => rows++)
    await model.embed(ids)
    end()
    expect(rows).toBe(ids.length)
  }
  const next = await model.session({ ids }).generate({ maxNewTokens: 1 })
  expect(next.reusedTokens).toBeGreaterThanOrEqual(ids.length - 1)
  const other = await model.session({ ids, salt: 'other' }).generate({ maxNewTokens: 1 })
  expect(other.reusedTokens).toBe(0)
})

test('a text is only text: control tokens are not read in it', async () => {
  const spelled = await model.embed('a</s>')
  expect(spelled.tokens).toBe(model.tokenizer.encode('a</s>').length)
  expect(spelled.tokens).toBeGreaterThan(model.tokenizer.encodePrompt('a</s>').length)
})

test('what is wrong is said', async () => {
  const wrong = (input: unknown, options = {}) => expect(model.embed(input as string, options)).rejects
  await wrong([]).toMatchObject({ code: 'OPTION' })
  await wrong(undefined).toMatchObject({ code: 'OPTION' })
  await wrong('a', { other: 1 }).toMatchObject({ code: 'OPTION', message: expect.stringContaining('other') })
  await wrong('a', { salt: 1 }).toMatchObject({ code: 'OPTION' })
  await wrong([99_999]).toMatchObject({ code: 'TOKENIZER' })
  await wrong('a '.repeat(600)).toMatchObject({ code: 'CONTEXT', message: expect.stringMatching(/\d+ tokens.*512/) })
  await wrong('a', { signal: AbortSignal.abort() }).toMatchObject({ code: 'ABORTED' })
})
