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
    notes: [],
  })
})

test.each<[params: object, options: object]>([
  [{ seed: -1, num_predict: -2 }, {}],
  [{ num_predict: 0 }, {}],
  [
    { num_predict: 7.9, top_k: 20.5 },
    { maxNewTokens: 7, topK: 20 },
  ],
  [{ top_k: -1 }, { topK: 0 }],
  [{ top_k: 0 }, { topK: 0 }],
  [
    { temperature: -1, top_p: 1.5, min_p: -0.1, typical_p: 2 },
    { temperature: 0, topP: 1, minP: 0, typicalP: 1 },
  ],
  [{ repeat_last_n: 0 }, { penaltyLastN: 0 }],
  [{ repeat_last_n: -1 }, { penaltyLastN: -1 }],
  [{ repeat_last_n: -7 }, { penaltyLastN: 0 }],
  [
    { mirostat: -1, mirostat_tau: 1000, mirostat_eta: 3 },
    { mirostatTau: 100, mirostatEta: 1 },
  ],
  [{ temperature: '0.5' }, { temperature: 0.5 }],
  [{ stop: '' }, {}],
  [{ stop: ['', 'a'] }, { stop: ['a'] }],
  [{ stop: 'a' }, { stop: ['a'] }],
])('%j has the meaning that it has for Ollama', (params, options) => {
  expect(modelDefaults(layers({ params: params as OllamaLayers['params'] }))).toEqual({ options, unused: [], notes: [] })
})

test.each([
  [{ temperature: 'hot' }, 'temperature'],
  [{ temperature: '' }, 'temperature'],
  [{ repeat_penalty: 0 }, 'repeat_penalty'],
  [{ repeat_penalty: 1e9 }, 'repeat_penalty'],
  [{ mirostat: 3 }, 'mirostat'],
  [{ top_k: true }, 'top_k'],
  [{ top_k: 1e300 }, 'top_k'],
  [{ stop: 7 }, 'stop'],
  [{ seed: 1e300 }, 'seed'],
  [{ num_ctx: 'long' }, 'num_ctx'],
  [{ num_ctx: true }, 'num_ctx'],
])('%j is ignored, and said', (params, name) => {
  const { options, notes, ...others } = modelDefaults(layers({ params: params as OllamaLayers['params'] }))
  expect({ options, ...others }).toEqual({ options: {}, unused: [] })
  expect(notes).toEqual([expect.stringMatching(`^the parameter ${name} .* ignored$`)])
})

test('a context of nothing is none', () => {
  for (const context of [0, -1, 3]) expect(modelDefaults(layers({ params: { num_ctx: context } }))).not.toHaveProperty('contextLength')
  expect(modelDefaults(layers({ params: { num_ctx: 4096.5 } })).contextLength).toBe(4096)
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
  const later = [user, own]
  expect(withModelMessages(later, with_)).toEqual([{ role: 'system', content: 'S' }, ...with_.messages, ...later])
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
