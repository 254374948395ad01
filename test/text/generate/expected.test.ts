import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type GenerationOptions, type GenerationResult, MixtralModel } from '../../../dist/index.js'

const demo = fileURLToPath(new URL('../../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))
const prompt = 'Long ago, in a far away land,'

let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load(demo, { threads: 2 })
})
afterAll(() => model.close())

/** A result without what is measured. */
const lasting = ({
  prefillSeconds: _,
  decodeSeconds: __,
  reusedTokens: ___,
  draftedTokens: ____,
  acceptedTokens,
  ...rest
}: GenerationResult) => rest

const cases: Readonly<Record<string, GenerationOptions>> = {
  'that was cut': { seed: 1, maxNewTokens: 20 },
  'that ended by itself': { seed: 4, temperature: 0.7 },
  'with log-probabilities': { seed: 1, maxNewTokens: 20, logprobs: 3 },
  'with experts': { seed: 1, maxNewTokens: 20, experts: true },
  'of other experts': { seed: 1, maxNewTokens: 20, expertsPerToken: 1 },
  'by mirostat': { seed: 1, maxNewTokens: 20, mirostat: 2 },
  'with penalties': { seed: 1, maxNewTokens: 20, repetitionPenalty: 1.3, dryMultiplier: 1 },
  'cut before a stop string': { seed: 1, stop: ' a', maxNewTokens: 60 },
  'of forced tokens': { seed: 1, regex: 'a fixed beginning [0-9]{3} and a fixed end' },
  'of forced tokens with log-probabilities': { seed: 1, regex: 'a fixed beginning [0-9]{3} and a fixed end', logprobs: 0 },
}

test.each(Object.entries(cases))('an answer %s is found right, with the result of writing it', async (_, options) => {
  const written = await model.generate(prompt, options)
  await model.reset()
  const checked = await model.generate(prompt, { ...options, expected: written.ids })
  expect(lasting(checked)).toEqual(lasting(written))
})

test('a wrong token ends the call, and is named by its place', async () => {
  const options = { seed: 1, maxNewTokens: 20 }
  const { ids } = await model.generate(prompt, options)
  for (const place of [0, 7, 19]) {
    const expected = ids.with(place, ids[place]! + 1)
    await expect(model.generate(prompt, { ...options, expected })).rejects.toMatchObject({
      code: 'OPTION',
      message: `token ${place + 1} of the answer is ${ids[place]! + 1}, expected ${ids[place]}`,
    })
  }
  await expect(model.generate(prompt, { ...options, expected: ids.slice(0, -1) })).rejects.toThrow('token 20 of the answer is none')
  await expect(model.generate(prompt, { ...options, expected: [...ids, 300] })).rejects.toThrow('1 tokens behind its end')
  expect((await model.generate(prompt, options)).ids).toEqual(ids) // the model is as usable as before
})

test('what is no answer is refused', async () => {
  const call = (options: object) => model.generate(prompt, options as GenerationOptions)
  await expect(call({ expected: 'x' })).rejects.toMatchObject({ code: 'OPTION' })
  await expect(call({ expected: [1], n: 2 })).rejects.toThrow('expected is given with n 2')
  await expect(call({ expected: [99_999_999] })).rejects.toMatchObject({ code: 'TOKENIZER' })
  await expect(call({ expected: Array.from({ length: 600 }, () => 300) })).rejects.toMatchObject({ code: 'CONTEXT' })
})
