// Calls on a loaded model that wait for each other, are aborted, or meet a close: each ends with a clear error, nothing
// hangs, and the next call is right.

import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { setEnvironmentData } from 'node:worker_threads'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { MixtralModel } from '../../../dist/text/generate/mixtralModel.js'
import { demo } from '../model/demoFiles.js'
import { hashOf } from '../model/hash.js'

const prompt = '[INST] What is the capital of France? [/INST]'
const answer = 'The capital of France is Paris.'
const greedy = { temperature: 0 }

/** A long text to read: the demo's sequence twice. */
const tokens = [...demo.tokens, ...demo.tokens]

const aborted = { name: 'AbortError', code: 'ABORTED', message: 'the call was aborted' }
const closed = { name: 'MixtralError', code: 'CLOSED', message: 'the model was closed' }

describe('an abort', () => {
  let model: MixtralModel
  let expected: string
  beforeAll(async () => {
    model = await MixtralModel.load('demo', { threads: 2, batchSize: 32 })
    expected = hashOf(await model.evaluate(tokens))
  })
  afterAll(() => model.close())
  afterEach(async () => {
    expect((await model.generate(prompt, greedy)).text).toBe(answer)
    expect(hashOf(await model.evaluate(tokens))).toBe(expected)
  })

  test('before a call ends it at once, with the reason as its cause', async () => {
    const signal = AbortSignal.abort('no longer needed')
    await expect(model.generate(prompt, { signal })).rejects.toMatchObject({ ...aborted, cause: 'no longer needed' })
    await expect(model.chat([{ role: 'user', content: 'Hello' }], { signal })).rejects.toMatchObject(aborted)
    await expect(model.logits(tokens, { signal })).rejects.toMatchObject(aborted)
    await expect(model.evaluate(tokens, { signal })).rejects.toMatchObject(aborted)
  })

  test.each([1, 5])('in the middle of a step of the prompt, after %i ms, ends the call', async (milliseconds) => {
    await model.reset()
    const abort = new AbortController()
    const running = expect(model.logits(tokens, { signal: abort.signal })).rejects.toMatchObject(aborted)
    setTimeout(() => abort.abort(), milliseconds)
    await running
  })

  test('between two chunks of the prompt keeps the chunks that are done', async () => {
    await model.reset()
    const abort = new AbortController()
    const done: number[] = []
    const onProgress = ({ loaded }: { loaded: number }) => {
      done.push(loaded)
      if (loaded === 64) abort.abort()
    }
    await expect(model.evaluate(tokens, { signal: abort.signal, onProgress })).rejects.toMatchObject(aborted)
    await model.evaluate(tokens, { onProgress: ({ loaded, total }) => done.push(loaded, total) })
    expect(done.slice(0, 4)).toEqual([32, 64, 96, tokens.length])
  })

  test('while text is written ends it, after the pieces that are there', async () => {
    const abort = new AbortController()
    let text = ''
    const reading = async () => {
      for await (const piece of model.stream(prompt, { ...greedy, signal: abort.signal })) {
        text += piece.text
        if (text.endsWith('capital')) abort.abort()
      }
    }
    await expect(reading()).rejects.toMatchObject(aborted)
    expect(text).toBe('The capital')
  })

  test('of a call that waits for another ends it without waiting', async () => {
    const first = model.stream(prompt, greedy)
    await first.next()
    const abort = new AbortController()
    const waiting = [
      expect(model.generate(prompt, { signal: abort.signal })).rejects.toMatchObject(aborted),
      expect(model.logits(tokens, { signal: abort.signal })).rejects.toMatchObject(aborted),
    ]
    abort.abort()
    await Promise.all(waiting)
    await first.return({} as never)
  })

  test('of one waiting call does not let the next pass the first', async () => {
    await using narrow = await MixtralModel.load('demo', { threads: 2, sequences: 1 })
    const order: string[] = []
    const first = narrow.generate(prompt, greedy).then(() => order.push('first'))
    const abort = new AbortController()
    const second = narrow.generate(prompt, { signal: abort.signal }).catch(() => order.push('second'))
    const third = narrow.generate(prompt, greedy).then(() => order.push('third'))
    abort.abort()
    await Promise.all([first, second, third])
    expect(order).toEqual(['second', 'first', 'third'])
  })
})

describe('calls at the same time', () => {
  test('have each their own result', async () => {
    await using model = await MixtralModel.load('demo', { threads: 2 })
    const prompts = ['[INST] What is 7 + 5? [/INST]', prompt, '[INST] What is a young goat called? [/INST]']
    const alone: string[] = []
    for (const one of prompts) alone.push((await model.generate(one, greedy)).text)
    const [texts, logits] = await Promise.all([
      Promise.all(prompts.map(async (one) => (await model.generate(one, greedy)).text)),
      model.logits(tokens.slice(0, 20)),
      expect(model.generate(prompt, { temperature: -1 })).rejects.toMatchObject({ code: 'OPTION' }),
    ])
    expect(texts).toEqual(alone)
    expect(logits).toEqual(await model.logits(tokens.slice(0, 20)))
  })

  test('are refused at once for an impossible option, whatever call is before them', async () => {
    await using model = await MixtralModel.load('demo', { threads: 2 })
    const first = model.stream(prompt, greedy)
    await first.next()
    for (const options of [{ temperature: -1 }, { stop: '' }, { maxNewTokens: 0 }, { unknown: 1 }]) {
      await expect(model.generate(prompt, options)).rejects.toMatchObject({ code: 'OPTION' })
    }
    await first.return({} as never)
  })

  test('a stream that is left early ends', async () => {
    await using model = await MixtralModel.load('demo', { threads: 2 })
    for await (const piece of model.stream(prompt, greedy)) if (piece.text) break
    expect((await model.generate(prompt, greedy)).text).toBe(answer)
  })

  test('a stream that nobody reads holds nothing', async () => {
    await using model = await MixtralModel.load('demo', { threads: 2 })
    const unread = model.stream(prompt, greedy)
    expect((await model.generate(prompt, greedy)).text).toBe(answer)
    await unread.return({} as never)
  })

  test('the main thread stays free while a step runs', async () => {
    await using model = await MixtralModel.load('demo', { threads: 2, batchSize: 512 })
    let last = performance.now()
    let longest = 0
    let ticks = 0
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
      ticks++
    }, 5)
    for (let i = 0; i < 3; i++) {
      await model.reset()
      await model.evaluate(tokens)
      await model.generate(prompt, greedy)
    }
    clearInterval(timer)
    expect(ticks).toBeGreaterThan(3)
    expect(longest).toBeLessThan(500)
  })
})

test('many calls that wait, on one signal and on none, are no reason for a warning', async () => {
  const warnings: string[] = []
  const listen = ({ message }: Error) => warnings.push(message)
  process.on('warning', listen)
  const { signal } = new AbortController()
  await using model = await MixtralModel.load('demo', { threads: 2 })
  const calls = Array.from({ length: 15 }, (_, seed) => [{ seed }, { seed, signal }]).flat()
  const options = { maxNewTokens: 1 }
  await Promise.all([...calls.map((call) => model.generate('Once', { ...options, ...call })), ...calls.map(() => model.reset())])
  await sleep(20)
  process.off('warning', listen)
  expect(warnings).toEqual([])
})

describe('closing', () => {
  test.each([1, 5])('while a prompt is read ends the call, after %i ms', async (milliseconds) => {
    const model = await MixtralModel.load('demo', { threads: 2 })
    const running = expect(model.logits(tokens)).rejects.toMatchObject(closed)
    await sleep(milliseconds)
    await model.close()
    await running
  })

  test('in the moment of a call ends it', async () => {
    const model = await MixtralModel.load('demo', { threads: 2 })
    const running = expect(model.generate(prompt)).rejects.toMatchObject(closed)
    await model.close()
    await running
  })

  test('while text is written ends the stream', async () => {
    const model = await MixtralModel.load('demo', { threads: 2 })
    const pieces = model.stream(prompt, greedy)
    await pieces.next()
    await model.close()
    await expect(pieces.next()).rejects.toMatchObject(closed)
  })

  test('ends the calls that wait, also behind a stream that nobody reads on', async () => {
    const model = await MixtralModel.load('demo', { threads: 2 })
    const first = model.stream(prompt, greedy)
    await first.next()
    const waiting = [
      expect(model.generate(prompt)).rejects.toMatchObject(closed),
      expect(model.evaluate(tokens)).rejects.toMatchObject(closed),
    ]
    await model.close()
    await Promise.all(waiting)
  })

  test('twice is closing once, and every later call is refused', async () => {
    const model = await MixtralModel.load('demo', { threads: 2 })
    await Promise.all([model.close(), model.close()])
    await model.close()
    await expect(model.generate(prompt)).rejects.toMatchObject(closed)
    await expect(model.stream(prompt).next()).rejects.toMatchObject(closed)
    await expect(model.chat([{ role: 'user', content: 'Hello' }])).rejects.toMatchObject(closed)
    await expect(model.logits([1])).rejects.toMatchObject(closed)
    await expect(model.evaluate([1])).rejects.toMatchObject(closed)
    await expect(model.reset()).rejects.toMatchObject(closed)
  })
})

describe('loading', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mixtral-loading-'))
  afterAll(() => rmSync(folder, { recursive: true }))

  test('is ended by an abort before it', async () => {
    await expect(MixtralModel.load('demo', { signal: AbortSignal.abort() })).rejects.toMatchObject(aborted)
  })

  test('is ended by an abort in its middle, with most of the file unread', async () => {
    const reads = join(folder, 'reads')
    setEnvironmentData('reads', reads)
    const abort = new AbortController()
    const worker = new URL('workers/readsSlowly.js', import.meta.url).href
    const onProgress = ({ loaded }: { loaded: number }) => loaded > 0 && abort.abort()
    await expect(MixtralModel.load('demo', { threads: 2, worker, signal: abort.signal, onProgress })).rejects.toMatchObject(aborted)
    const model = await MixtralModel.load('demo', { threads: 1 })
    expect(statSync(reads).size).toBeLessThan(model.gguf.tensors.size)
    await model.close()
  })

  test('ends with what its listener throws, and not the process', async () => {
    setEnvironmentData('reads', join(folder, 'reads'))
    const worker = new URL('workers/readsSlowly.js', import.meta.url).href
    const onProgress = ({ loaded, total }: { loaded: number; total: number }) => {
      if (loaded < total) throw new RangeError('of the listener')
    }
    await expect(MixtralModel.load('demo', { threads: 2, worker, onProgress })).rejects.toThrow(new RangeError('of the listener'))
  })

  test('tells how much is loaded, in growing steps up to everything', async () => {
    const steps: { loaded: number; total: number }[] = []
    await using model = await MixtralModel.load('demo', { threads: 2, onProgress: (step) => steps.push(step) })
    const bytes = [...model.gguf.tensors.values()].reduce((sum, tensor) => sum + tensor.bytes, 0)
    expect(steps.at(-1)).toEqual({ loaded: bytes, total: bytes })
    expect(steps.map(({ loaded }) => loaded)).toEqual(steps.map(({ loaded }) => loaded).toSorted((a, b) => a - b))
  })

  test('with more threads than cores works', async () => {
    await using model = await MixtralModel.load('demo', { threads: 64 })
    expect((await model.generate(prompt, greedy)).text).toBe(answer)
  }, 60_000)

  test.each([
    [{ threads: 0 }, 'threads is 0, expected a whole number from 1 to 1024'],
    [{ threads: 1.5 }, 'threads is 1.5, expected'],
    [{ threads: 2000 }, 'threads is 2000, expected'],
    [{ contextLength: 0 }, 'contextLength is 0, expected'],
    [{ contextLength: Number.NaN }, 'contextLength is NaN, expected'],
    [{ batchSize: -1 }, 'batchSize is -1, expected'],
    [{ kvFormat: 'q4' }, 'kvFormat is "q4", expected f16, f32 or q8'],
    [{ bankBytes: 0 }, 'bankBytes is 0, expected'],
    [{ bankBytes: 2 ** 33 }, 'bankBytes is 8589934592, expected'],
    [{ onProgress: 'often' }, 'onProgress is not a function'],
    [{ signal: 5 }, 'signal is not an AbortSignal'],
    [{ thread: 2 }, 'unknown option thread, expected threads, contextLength'],
  ])('with the option %o is refused', async (options, message) => {
    await expect(MixtralModel.load('demo', options as object)).rejects.toMatchObject({
      code: 'OPTION',
      message: expect.stringContaining(message),
    })
  })

  test('of a name that is neither file nor demo is refused', async () => {
    await expect(MixtralModel.load('nowhere.gguf')).rejects.toMatchObject({
      code: 'IO',
      message: expect.stringContaining('"nowhere.gguf"'),
    })
  })
})
