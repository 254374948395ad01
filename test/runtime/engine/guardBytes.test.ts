// Nothing writes outside of what is its own: guard bytes behind every area of every bank are intact after random calls
// of many kinds at the same time, whose arguments the caller changes while they run, and the weights are those of the
// file. MIXTRAL_TEST_CALLS: how many calls; MIXTRAL_TEST_SEED: other ones.

import { describe, expect, test } from 'vitest'
import { MixtralError, MixtralModel } from '../../../dist/index.js'
import { askForGuards, readGuards, watchGuards } from '../../../dist/runtime/weights/guards.js'
import { Changer, seeded, settle } from '../../changer.js'

askForGuards(128)

const { MIXTRAL_TEST_CALLS = '120', MIXTRAL_TEST_SEED = '1' } = process.env
const AT_ONCE = 12

test('a write behind an area is found', () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
  const guards = [
    { bank: 0, at: 64, bytes: 64 },
    { bank: 0, at: 256, bytes: 64 },
  ]
  const end = watchGuards([memory], guards)
  expect(readGuards()).toEqual({ watched: 2, broken: [] })
  new Uint8Array(memory.buffer)[319] = 0
  expect(readGuards().broken).toEqual([guards[1]])
  end()
  expect(readGuards()).toEqual({ watched: 0, broken: [] })
})

describe.each([
  ['f16 keys and values, long steps', { threads: 2, contextLength: 200 }],
  ['f32 keys and values, short steps, small banks', { threads: 3, contextLength: 96, batchSize: 5, kvFormat: 'f32', bankBytes: 1_000_000 }],
  ['experts that come and go, few pages', { threads: 2, contextLength: 96, batchSize: 16, sequences: 3, ram: 6_300_000 }],
] as const)('%s', (_, options) => {
  const count = Math.ceil(Number(MIXTRAL_TEST_CALLS) / 3)
  test(`${count} calls`, { timeout: 60_000 + 1000 * count }, async () => {
    const model = await MixtralModel.load('demo', options)
    const random = seeded(Number(MIXTRAL_TEST_SEED))
    const int = (least: number, most: number) => least + Math.floor(random() * (most - least + 1))
    const probe = Array.from({ length: 40 }, (_, i) => 300 + i)
    const before = await model.logits(probe)
    expect(readGuards().watched).toBeGreaterThan(30)

    const ids = () => Array.from({ length: int(1, options.contextLength + 4) }, () => (random() < 0.01 ? 9999 : int(0, 2047)))
    const callOptions = () => ({ onProgress: () => {} })
    const asked = () => ({
      ...callOptions(),
      maxNewTokens: int(1, 12),
      seed: int(0, 9),
      stopIds: [400],
      logprobs: int(0, 2),
      n: random() < 0.1 ? 2 : 1,
    })
    const talk = () => [{ role: 'user', content: 'What is 7 + 5?'.repeat(int(1, 12)) }]
    const traced = () => ({ ...callOptions(), tensors: ['ffn_moe_topk-*', 'l_out-2', 'result_output'].slice(int(0, 2)) })
    const calls: (() => [unknown[], (...args: never[]) => unknown])[] = [
      () => [[ids(), callOptions()], model.logits],
      () => [[ids(), callOptions()], model.evaluate],
      () => [[Int32Array.from(ids()), { top: int(0, 3) }], model.score],
      () => [[ids(), callOptions()], model.routing],
      () => [[ids().slice(0, 30), traced()], random() < 0.5 ? model.trace : model.traceEach],
      () => [['Once upon a time, '.repeat(int(1, 20)), asked()], random() < 0.5 ? model.generate : model.stream],
      () => [[talk(), asked()], random() < 0.5 ? model.chat : model.streamChat],
      () => [[{ ids: ids() }], async (o) => model.session(o).generate({ maxNewTokens: 3 })],
      () => [[ids()], async (i) => model.session({ ids: [1, 2, 3] }).append(i)],
      () => [[], model.reset],
    ]
    let done = 0
    const work = async () => {
      while (done++ < count) {
        const [args, call] = calls[int(0, calls.length - 1)]!()
        const changer = new Changer(int(0, 1e9))
        try {
          const result = call.apply(model, args as never[])
          changer.start(args)
          await settle(result)
        } catch (error) {
          expect(error).toBeInstanceOf(MixtralError)
          const { code, message } = error as MixtralError
          expect([code, message, call.name]).toEqual([expect.stringMatching(/^(CONTEXT|TOKENIZER|OPTION)$/), message, call.name])
        } finally {
          changer.stop()
        }
        expect(readGuards().broken).toEqual([])
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
    expect(await model.logits(probe)).toEqual(before)
    for await (const { name, unlikeFile, unlikeOracle } of model.checkWeights())
      expect([name, unlikeFile, unlikeOracle]).toEqual([name, 0, 0])
    expect(readGuards().broken).toEqual([])
    await model.close()
    expect(readGuards().watched).toBe(0)
  })
})
