// Functions of the caller that are asynchronous and reject, at their first call and at their last: each long call ends
// with their error, and none of them is left unhandled, which would end the process.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runBatch, verifyBatch } from '../../dist/batch.js'
import * as library from '../../dist/index.js'
import { smallModel, writeCheckpoint } from '../authoring/convert/sourceModel.js'
import { modulePair, plainPair, writePeftFolder } from '../runtime/adapters/adapterFiles.js'

const { MixtralModel, Reference, HuggingFace } = library
const demo = fileURLToPath(new URL('../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'mixtral-rejected-'))
const [checkpoint, adapter, input, results] = ['checkpoint', 'adapter', 'in.jsonl', 'results.jsonl'].map((name) => join(folder, name))
const ids = Array.from({ length: 40 }, (_, i) => 300 + i)

let model: library.MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load(demo, { threads: 1, batchSize: 16 })
  mkdirSync(checkpoint!)
  await writeCheckpoint(checkpoint!, smallModel, { layout: 'experts', dtype: 'F32', shards: 1 })
  await writePeftFolder(adapter!, modulePair('1.self_attn.q_proj', plainPair('q', 256, 256, 4)))
  const lines = ['a', 'b'].map((id) => ({ custom_id: id, method: 'POST', url: '/v1/completions', body: { prompt: id, max_tokens: 2 } }))
  writeFileSync(input!, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  await runBatch(model, input!, results!)
})
afterAll(async () => {
  await model.close()
  rmSync(folder, { recursive: true })
})

type Told = (...told: unknown[]) => void
let files = 0
const target = () => join(folder, `out-${files++}`)
const all = async (values: AsyncIterable<unknown>) => {
  for await (const _ of values);
}
const calls: Record<string, (told: Told) => Promise<unknown>> = {
  'MixtralModel.load': async (onProgress) => (await MixtralModel.load(demo, { threads: 1, onProgress })).close(),
  generate: (onProgress) => model.generate('Once upon a time', { maxNewTokens: 2, onProgress }),
  'generate, onAccepted': (onAccepted) => model.generate('Once upon a time', { maxNewTokens: 2, onAccepted }),
  evaluate: async (onProgress) => {
    await model.reset()
    return model.evaluate(ids, { onProgress })
  },
  trace: (onProgress) => model.trace(ids, { tensors: ['l_out-1'], onProgress }),
  traceEach: (onProgress) => all(model.traceEach(ids, { tensors: ['l_out-1'], onProgress })),
  checkWeights: (onProgress) => all(model.checkWeights({ onProgress })),
  verifyModel: (onProgress) => library.verifyModel(model, ids.slice(0, 4), { onProgress }),
  'verifyModel, onLayer': (onLayer) => library.verifyModel(model, ids.slice(0, 4), { onLayer }),
  convertCheckpoint: (onProgress) => library.convertCheckpoint(checkpoint!, target(), { onProgress }),
  convertAdapter: (onProgress) => library.convertAdapter(adapter!, target(), { base: demo, onProgress }),
  quantizeModel: (onProgress) => library.quantizeModel(demo, target(), 'Q2_K', { requantize: true, threads: 1, onProgress }),
  collectImatrix: (onProgress) => library.collectImatrix(model, 'a b c '.repeat(50), { contextLength: 16, windows: 2, onProgress }),
  runBatch: (onProgress) => runBatch(model, input!, target(), { onProgress }),
  verifyBatch: (onProgress) => verifyBatch(model, input!, results!, { onProgress }),
}

interface Telling {
  readonly loaded?: number
  readonly done?: number
  readonly total?: number
  readonly layer?: number
}
/** Whether nothing more will be told. */
const isLast = ({ loaded, done, total, layer }: Telling = {}, name = '') => {
  if (name === 'verifyBatch') return loaded! > 0 // where its second line of two begins
  return layer === undefined ? (loaded ?? done) === total : layer === model.config.layers
}

describe.each(Object.entries(calls))('%s', (name, call) => {
  test.each([
    ['first', () => true],
    ['last', isLast],
  ] as const)('ends with what its function is rejected with at its %s call', async (_, isWrong) => {
    const told = async (telling: unknown) => {
      if (isWrong(telling as Telling, name)) throw new Error('no progress')
    }
    await expect(call(told)).rejects.toThrow('no progress')
  })
})

test('what comes after the end of a call is a warning', async () => {
  const warned = new Promise((resolve) => process.once('warning', resolve))
  await model.trace([1, 2], { tensors: ['l_out-1'], onProgress: () => sleep(50).then(() => Promise.reject(new Error('too late'))) })
  expect(await warned).toMatchObject({ message: 'too late' })
})

test('a call that does not wait for anything warns of what its function is rejected with', async () => {
  const reference = await Reference.open(demo)
  const warned = new Promise((resolve) => process.once('warning', resolve))
  reference.trace([1], { tensors: ['l_out-0'], onProgress: () => Promise.reject(new Error('not awaited')) })
  expect(await warned).toMatchObject({ message: 'not awaited' })
})

test('functions that are told of a pull end it with what they are rejected with', async () => {
  const { createServer } = await import('node:http')
  const bytes = Buffer.from('GGUF!')
  const server = createServer((request, response) => {
    if (request.url!.startsWith('/api/')) {
      // without a hash: nobody can verify it
      return void response.end(JSON.stringify({ sha: 'a'.repeat(40), siblings: [{ rfilename: 'm.gguf', size: bytes.length }] }))
    }
    const range = { 'content-range': `bytes 0-${bytes.length - 1}/${bytes.length}` }
    response.writeHead(206, { 'content-length': bytes.length, etag: '"1"', ...range }).end(bytes)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const before = { ...process.env }
  process.env.MIXTRAL_HOME = join(folder, 'store')
  process.env.HF_ENDPOINT = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  const failing = () => Promise.reject(new Error('no progress'))
  try {
    for (const option of ['onProgress', 'onUnverified']) {
      await expect(HuggingFace.pull('owner/repo/m.gguf', { [option]: failing })).rejects.toThrow('no progress')
    }
  } finally {
    process.env = before
    server.close()
  }
})
