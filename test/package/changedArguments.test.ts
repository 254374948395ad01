// Every public function is called with arguments that the caller changes at once, and at every await, until it ends: it
// gives what it gives to a caller who leaves them alone. A new function has to have its row here.

import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as library from '../../dist/index.js'
import { smallModel, writeCheckpoint } from '../authoring/convert/sourceModel.js'
import { Changer, settle } from '../changer.js'
import { modulePair, plainPair, writePeftFolder } from '../runtime/adapters/adapterFiles.js'
import { publicFunctions } from './publicFunctions.js'

const { MixtralModel, MixtralConfig, MixtralError, Reference, Tokenizer, WeightLoader, LogitsFile } = library
const demo = fileURLToPath(new URL('../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'mixtral-changed-'))
const checkpoint = join(folder, 'checkpoint')
const adapter = join(folder, 'adapter')
const tasks = fileURLToPath(new URL('../evaluation/tasks/files/arc.jsonl', import.meta.url))
const text = readFileSync(new URL('../golden/kl/eval-short.txt', import.meta.url), 'utf8').slice(0, 3000)

let model: library.MixtralModel
let reference: library.Reference
let imatrix: library.Imatrix
let file: library.LogitsFile
let weights: library.Weights
let talked: library.ChatSession
beforeAll(async () => {
  model = await MixtralModel.load(demo, { threads: 2, batchSize: 16 })
  reference = await Reference.open(demo)
  imatrix = await library.collectImatrix(model, text, { contextLength: 64, windows: 2 })
  await library.measurePerplexity(model, text, { contextLength: 64, windows: 2, saveLogits: join(folder, 'logits') })
  file = await LogitsFile.open(join(folder, 'logits'))
  weights = await WeightLoader.fromGguf(demo)
  talked = model.chatSession({ options: { temperature: 0, maxNewTokens: 4 } })
  await talked.send('Who are you?')
  await model.session({ ids: ids() }).save(join(folder, 'session'))
  await talked.save(join(folder, 'talk'))
  mkdirSync(checkpoint)
  await writePeftFolder(adapter, modulePair('1.self_attn.q_proj', plainPair('q', 256, 256, 4)))
  await writeCheckpoint(checkpoint, smallModel, { layout: 'experts', dtype: 'F32', shards: 1 })
  process.env.HF_ENDPOINT = 'http://127.0.0.1:9' // where nobody listens
})
afterAll(async () => {
  await file.close()
  await model.close()
  rmSync(folder, { recursive: true })
})

const ids = () => Array.from({ length: 40 }, (_, i) => 300 + i)
const call = () => ({ onProgress: () => {}, signal: new AbortController().signal })
const asked = () => ({
  ...call(),
  maxNewTokens: 8,
  seed: 3,
  stop: [' the'],
  stopIds: [400],
  bannedWords: ['was'],
  samplers: ['top_k', 'temperature'],
})
const tools = () => [
  { type: 'function', function: { name: 'add', parameters: { type: 'object', properties: { a: { type: 'integer' } } } } },
]
const talk = () => [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: [{ type: 'text', text: 'Who are you?' }] },
]
const traced = () => ({ ...call(), tensors: ['l_out-*', 'ffn_moe_topk-1'] })
const hashOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex')
const answer = ({ text, ids, finishReason, toolCalls }: library.GenerationResult) => ({ text, ids, finishReason, toolCalls })
const failure = (promise: Promise<unknown>) => promise.then(String, ({ code, message }) => [code, message])
/** A proxy that throws whatever it is asked. */
const { proxy: revoked, revoke } = Proxy.revocable({}, {})
revoke()
let files = 0
const target = () => join(folder, `out-${files++}.gguf`)
const loadOptions = () => ({ ...call(), threads: 1, contextLength: 64, kvFormat: 'f32', batchSize: 8 })
const facts = async (loading: Promise<library.MixtralModel>) => {
  const { threads, contextLength, batchSize, memory, ...loaded } = await loading
  void loaded
  return { threads, contextLength, batchSize, memory }
}

/** The arguments of a call, made anew each time, and the call. */
type Row = readonly [make: () => unknown[], call: (...args: never[]) => unknown]
const row = <Args extends unknown[]>(make: () => [...Args], run: (...args: Args) => unknown): Row => [make, run as never]
const any = <T>(value: unknown) => value as T

const rows: Record<string, Row> = {
  'MixtralModel.load': row(
    () => [
      { path: demo, layers: { params: { temperature: 0 }, messages: [], licenses: [], system: 'Be brief.', template: undefined } },
      loadOptions(),
    ],
    async (local, options) => {
      const loaded = await MixtralModel.load(any(local), any(options))
      const { ids } = await loaded.chat([{ role: 'user', content: 'Who are you?' }], { maxNewTokens: 5, seed: 1 })
      await loaded.close()
      return [await facts(Promise.resolve(loaded)), ids]
    },
  ),
  'MixtralModel.fromWeights': row(
    () => [loadOptions()],
    async (options) => {
      const loaded = await MixtralModel.fromWeights(MixtralConfig.fromGgufMetadata(weights.metadata), weights, any(options))
      await loaded.close()
      return facts(Promise.resolve(loaded))
    },
  ),
  'MixtralModel.prototype.generate': row(
    () => [asked()],
    async (o) => answer(await model.generate('Once upon a time', any(o))),
  ),
  'MixtralModel.prototype.stream': row(
    () => [asked()],
    (o) => model.stream('Once upon a time', any(o)),
  ),
  'MixtralModel.prototype.chat': row(
    () => [talk(), { ...asked(), tools: tools(), stop: [] }],
    async (m, o) => answer(await model.chat(any(m), any(o))),
  ),
  'MixtralModel.prototype.streamChat': row(
    () => [talk(), asked()],
    (m, o) => model.streamChat(any(m), any(o)),
  ),
  'MixtralModel.prototype.applyChatTemplate': row(
    () => [talk(), { tools: tools() }],
    (m, o) => model.applyChatTemplate(any(m), any(o)),
  ),
  'MixtralModel.prototype.countTokens': row(
    () => [talk(), { tools: tools() }],
    (m, o) => model.countTokens(any(m), any(o)),
  ),
  'MixtralModel.prototype.chatSession': row(
    () => [{ messages: talk().slice(0, 1), options: asked() }],
    async (o) => {
      const chat = model.chatSession(any(o))
      await new Promise((resolve) => setTimeout(resolve, 5))
      return answer(await chat.send('And what are you?'))
    },
  ),
  'MixtralModel.prototype.session': row(
    () => [{ ids: ids() }],
    async (o) => {
      const session = model.session(o)
      await new Promise((resolve) => setTimeout(resolve, 5))
      return session.ids
    },
  ),
  'MixtralModel.prototype.restore': row(
    () => [{ salt: 'a' }],
    async (o) => {
      return (await model.restore(join(folder, 'session'), o)).session.ids
    },
  ),
  'MixtralModel.prototype.restoreChat': row(
    () => [{ salt: 'a', options: { temperature: 0, maxNewTokens: 4, stop: ['zq'] } }],
    async (o) => {
      return answer(await (await model.restoreChat(join(folder, 'talk'), any(o))).send('And what are you?'))
    },
  ),
  'TokenModel.prototype.logits': row(
    () => [ids(), call()],
    (i, o) => model.logits(i, o),
  ),
  'TokenModel.prototype.evaluate': row(
    () => [Int32Array.from(ids()), call()],
    (i, o) => model.evaluate(i, o),
  ),
  'TokenModel.prototype.score': row(
    () => [ids(), { ...call(), from: 5, top: 2 }],
    (i, o) => model.score(i, o),
  ),
  'TokenModel.prototype.routing': row(
    () => [ids(), call()],
    (i, o) => model.routing(i, o),
  ),
  'MixtralModel.prototype.embed': row(
    () => [ids(), { ...call(), salt: 'a' }],
    (i, o) => model.embed(i, o),
  ),
  'TokenModel.prototype.trace': row(
    () => [ids(), traced()],
    (i, o) => model.trace(i, o),
  ),
  'TokenModel.prototype.traceEach': row(
    () => [ids(), traced()],
    (i, o) => model.traceEach(i, o),
  ),
  'TokenModel.prototype.checkWeights': row(
    () => [call()],
    async (o) => {
      const names: string[] = []
      for await (const { name } of model.checkWeights(o)) if (names.push(name) > 5) break
      return names
    },
  ),
  'Session.prototype.append': row(
    () => [ids(), call()],
    async (i, o) => {
      const session = model.session({ ids: [1] })
      await session.append(i, o)
      return session.ids
    },
  ),
  'Session.prototype.generate': row(
    () => [asked()],
    async (o) => answer(await model.session({ ids: ids() }).generate(any(o))),
  ),
  'Session.prototype.stream': row(
    () => [asked()],
    (o) => model.session({ ids: ids() }).stream(any(o)),
  ),
  'Session.prototype.chat': row(
    () => [talk(), asked()],
    async (m, o) => answer(await model.session().chat(any(m), any(o))),
  ),
  'Session.prototype.streamChat': row(
    () => [talk(), asked()],
    (m, o) => model.session().streamChat(any(m), any(o)),
  ),
  'Session.prototype.save': row(
    () => [{ ...call(), metadata: { a: [1, { b: 2 }] } }],
    async (o) => {
      await model.session({ ids: ids() }).save(join(folder, 'saved'), o)
      return (await model.restore(join(folder, 'saved'))).metadata
    },
  ),
  'ChatSession.prototype.send': row(
    () => [talk().slice(1), asked()],
    async (m, o) => answer(await model.chatSession().send(any(m), any(o))),
  ),
  'ChatSession.prototype.stream': row(
    () => [talk().slice(1), asked()],
    (m, o) => model.chatSession().stream(any(m), any(o)),
  ),
  'ChatSession.prototype.save': row(
    () => [call()],
    async (o) => {
      await talked.save(join(folder, 'chat'), o)
      return (await model.restore(join(folder, 'chat'))).metadata
    },
  ),
  'Tokenizer.load': row(
    () => [call().signal && { signal: call().signal }],
    async (o) => (await Tokenizer.load(model.metadata, o)).vocabSize,
  ),
  'Tokenizer.prototype.encode': row(
    () => [{ addBos: false }],
    (o) => model.tokenizer.encode(text, o),
  ),
  'Tokenizer.prototype.encodeParts': row(
    () => [['a', 5, 'b']],
    (parts) => model.tokenizer.encodeParts(any(parts)),
  ),
  'Tokenizer.prototype.decode': row(
    () => [ids(), { special: true }],
    (i, o) => model.tokenizer.decode(i, o),
  ),
  'Tokenizer.prototype.decoder': row(
    () => [{ special: true }],
    async (o) => {
      const decoder = model.tokenizer.decoder(o)
      await undefined
      return [1, 400, 2].map((id) => decoder.push(id))
    },
  ),
  'Reference.prototype.logits': row(
    () => [ids().slice(0, 3)],
    (i) => reference.logits(i),
  ),
  'Reference.prototype.trace': row(
    () => [ids().slice(0, 3), { tensors: ['l_out-1'] }],
    (i, o) => reference.trace(i, o),
  ),
  'Reference.prototype.embed': row(
    () => [ids()],
    (i) => reference.embed(i),
  ),
  'Reference.open': row(
    () => [{ adapters: [{ path: adapter, scale: 2 }, adapter] }],
    async (o) => (await Reference.open(demo, any(o))).logits([1, 300]),
  ),
  'WeightLoader.fromGguf': row(
    () => [{ signal: new AbortController().signal }],
    async (o) => (await WeightLoader.fromGguf(demo, o)).metadata.size,
  ),
  'HuggingFace.pull': row(
    () => [{ onProgress: () => {} }],
    (o) => failure(library.HuggingFace.pull('owner/repo/m.gguf', o)),
  ),
  'OllamaRegistry.pull': row(
    () => [{ onProgress: () => {} }],
    (o) => failure(library.OllamaRegistry.pull('127.0.0.1:9/a/b:c', o)),
  ),
  collectImatrix: row(
    () => [{ ...call(), contextLength: 64, windows: 2 }],
    (o) => library.collectImatrix(model, text, o),
  ),
  writeImatrix: row(
    () => [structuredClone(imatrix)],
    async (given) => {
      const out = target()
      await library.writeImatrix(out, given)
      return hashOf(out)
    },
  ),
  convertCheckpoint: row(
    () => [{ ...call(), type: 'F16' }],
    async (o) => {
      const out = target()
      return [await library.convertCheckpoint(checkpoint, out, any(o)), hashOf(out)]
    },
  ),
  convertAdapter: row(
    () => [{ ...call(), base: demo, type: 'F16' }],
    async (o) => {
      const out = target()
      return [await library.convertAdapter(adapter, out, any(o)), hashOf(out)]
    },
  ),
  quantizeModel: row(
    () => [{ ...call(), layout: 'merged', requantize: true, threads: 2, adapters: [{ path: adapter, scale: 0.5 }] }],
    async (o) => {
      const out = target()
      const { files: _, ...result } = await library.quantizeModel(demo, out, 'Q2_K', any(o))
      return [result, hashOf(out)]
    },
  ),
  evaluateTask: row(
    () => [{ ...call(), shots: 1, limit: 1, expertsPerToken: 2 }],
    (o) => library.evaluateTask(model, 'arc_easy', tasks, o),
  ),
  expertStatistics: row(
    () => [[{ domain: 'a', text: text.slice(0, 400) }], { ...call(), contextLength: 64, favorites: 1, beginning: 5 }],
    (texts, o) => library.expertStatistics(model, texts, o),
  ),
  measurePerplexity: row(
    () => [{ ...call(), contextLength: 64, windows: 2 }],
    (o) => library.measurePerplexity(model, text, o),
  ),
  measureDivergence: row(
    () => [{ ...call(), windows: 2 }],
    (o) => library.measureDivergence(model, file, o),
  ),
  verifyModel: row(
    () => [ids().slice(0, 8), { ...call(), onLayer: () => {} }],
    (i, o) => library.verifyModel(model, i, o),
  ),
}

/** They take texts and numbers only, or a header, or nothing: there is nothing that a caller could change. */
const unchangeable = new Set([
  ...['status', 'expertUses', 'onRouting', 'takeProfile', 'reset', 'close', 'expertFigures'].map((name) => `TokenModel.prototype.${name}`),
  ...['fork', 'rewind', 'close'].map((name) => `Session.prototype.${name}`),
  ...['undo', 'clear', 'fork', 'close'].map((name) => `ChatSession.prototype.${name}`),
  ...['encodePrompt', 'splitSpecial', 'token', 'bytes'].map((name) => `Tokenizer.prototype.${name}`),
  ...['matrix', 'layer', 'output'].map((name) => `Reference.prototype.${name}`),
  ...['window', 'close'].map((name) => `LogitsFile.prototype.${name}`),
  ...['Tokenizer.fromGgufMetadata', 'MixtralConfig.fromGgufMetadata', 'LogitsFile.open', 'readImatrix'],
])

test('every public function has its row', () => {
  const found = publicFunctions()
  expect(found.length).toBeGreaterThan(60)
  expect(found.filter((name) => !(name in rows) && !unchangeable.has(name))).toEqual([])
  expect([...Object.keys(rows), ...unchangeable].filter((name) => !found.includes(name))).toEqual([])
})

describe.each(Object.entries(rows))('%s', (_, [make, run]) => {
  test('gives what it gives to a caller who leaves its arguments alone', async () => {
    const expected = await settle(run(...(make() as never[])))
    const args = make()
    const changer = new Changer(1)
    const result = run(...(args as never[]))
    changer.start(args)
    try {
      expect(await settle(result)).toEqual(expected)
    } finally {
      changer.stop()
    }
  })

  test('throws nothing but our error for arguments of any type', async () => {
    for (const wrong of [null, 5, [Symbol('s')], revoked]) {
      for (let place = 0; place < make().length; place++) {
        const args = make()
        const isOptions = typeof args[place] === 'object' && Object.getPrototypeOf(args[place]) === Object.prototype
        if (wrong === revoked && !isOptions) continue
        args[place] = wrong
        const error = await (async () => settle(run(...(args as never[]))))().then(
          () => undefined,
          (error) => error,
        )
        if (error !== undefined) expect(error).toBeInstanceOf(MixtralError)
      }
    }
  })
})

test('nothing is left in the folder but what was written on purpose', () => {
  expect(readdirSync(folder).filter((name) => !/^(out-\d+\.gguf|checkpoint|adapter|logits|session|saved|chat|talk)$/.test(name))).toEqual(
    [],
  )
})
