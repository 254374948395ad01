import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import type { OllamaLayers } from '../../../dist/registry/stores/ollamaLayers.js'
import { MixtralModel } from '../../../dist/text/generate/mixtralModel.js'
import { modelDefaults, withModelMessages } from '../../../dist/text/generate/modelDefaults.js'
import { ollamaModel } from '../../registry/ollamaModel.js'
import { demoPath } from '../../runtime/model/demoFiles.js'
import { resultOf } from './readAll.js'

const store = mkdtempSync(join(tmpdir(), 'model-defaults-'))
afterAll(() => rmSync(store, { recursive: true }))

const layers = (more: Partial<OllamaLayers>): OllamaLayers => ({ params: {}, messages: [], licenses: [], ...more })

test("Ollama's parameters become options under our names, and what means nothing here is listed", () => {
  const params = {
    temperature: 0.5,
    top_k: 20,
    top_p: 0.8,
    min_p: 0.1,
    repeat_penalty: 1.1,
    typical_p: 0.9,
    repeat_last_n: 32,
    presence_penalty: 0.5,
    frequency_penalty: 0.25,
    mirostat: 2,
    mirostat_tau: 4,
    mirostat_eta: 0.2,
    seed: 3,
    num_predict: 9,
    stop: ['[INST]'],
    num_ctx: 2048,
  }
  expect(modelDefaults(layers({ params: { ...params, num_gpu: 4, num_thread: 2 } }))).toEqual({
    options: {
      temperature: 0.5,
      topK: 20,
      topP: 0.8,
      minP: 0.1,
      repetitionPenalty: 1.1,
      typicalP: 0.9,
      penaltyLastN: 32,
      presencePenalty: 0.5,
      frequencyPenalty: 0.25,
      mirostat: 2,
      mirostatTau: 4,
      mirostatEta: 0.2,
      seed: 3,
      maxNewTokens: 9,
      stop: ['[INST]'],
    },
    contextLength: 2048,
    unused: ['num_gpu', 'num_thread'],
  })
})

test('a seed or length below 0 means none', () => {
  expect(modelDefaults(layers({ params: { seed: -1, num_predict: -2 } })).options).toEqual({})
})

test.each([
  [{ temperature: -1 }, 'temperature'],
  [{ temperature: 'hot' }, 'temperature'],
  [{ num_ctx: 0 }, 'num_ctx'],
  [{ num_predict: 0.5 }, 'maxNewTokens'],
])('%j is refused', (params, says) => {
  expect(() => modelDefaults(layers({ params: params as OllamaLayers['params'] }))).toThrow(says)
})

test("the model's system message counts where the caller has none, and its conversation goes first", () => {
  const user = { role: 'user', content: 'a' } as const
  const own = { role: 'system', content: 'own' } as const
  const with_ = layers({
    system: 'S',
    messages: [
      { role: 'user', content: 'q' },
      { role: 'assistant', content: 'r' },
    ],
  })
  expect(withModelMessages([user], with_)).toEqual([{ role: 'system', content: 'S' }, ...with_.messages, user])
  expect(withModelMessages([own, user], with_)).toEqual([...with_.messages, own, user])
  expect(withModelMessages([user], undefined)).toEqual([user])
})

test('an option that is undefined leaves the say to the model, any other has it', async () => {
  const { manifest, blobs } = ollamaModel({ params: { temperature: 0, num_predict: 3, num_ctx: 64 } }, readFileSync(demoPath()))
  const files = [...blobs].map(([digest, blob]) => [join('blobs', digest.replace(':', '-')), blob] as const)
  for (const [name, content] of [...files, ['manifests/registry.ollama.ai/library/m/latest', manifest] as const]) {
    mkdirSync(dirname(join(store, name)), { recursive: true })
    writeFileSync(join(store, name), content)
  }
  vi.stubEnv('OLLAMA_MODELS', store)
  vi.stubEnv('MIXTRAL_HOME', join(store, 'own'))
  await using model = await MixtralModel.load('m', { threads: 1, contextLength: undefined } as object)
  vi.unstubAllEnvs()
  expect(model.contextLength).toBe(64)
  const count = async (options: object) => (await resultOf(model.stream('[INST] Who are you? [/INST]', options))).ids.length
  expect(await count({})).toBe(3)
  expect(await count({ maxNewTokens: undefined, temperature: undefined })).toBe(3)
  expect(await count({ maxNewTokens: 5 })).toBe(5)
})
