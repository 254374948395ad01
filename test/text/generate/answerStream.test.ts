// The stream of an answer as a caller holds it: its result without a loop of one's own, what is left of it when it ends
// early, and what happens when nobody holds it any more.

import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AnswerStream, MixtralError, MixtralModel } from '../../../dist/index.js'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const prompt = 'Once upon a time'
const options = { temperature: 0, maxNewTokens: 12 }
let model: MixtralModel
let text: string
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 2 })
  text = (await model.generate(prompt, options)).text
})
afterAll(() => model.close())

const streams: [string, () => AnswerStream][] = [
  ['a model', () => model.stream(prompt, options)],
  ['a session', () => model.session({ ids: model.tokenizer.encodePrompt(prompt) }).stream(options)],
]
const chat = (): AnswerStream => model.streamChat([{ role: 'user', content: 'Who are you?' }], options)

async function textOf(pieces: AsyncIterable<{ text: string }>): Promise<string> {
  let all = ''
  for await (const piece of pieces) all += piece.text
  return all
}

describe.each(streams)('the result of a stream of %s', (_, open) => {
  test('is there after a loop', async () => {
    const stream = open()
    expect(await textOf(stream)).toBe(text)
    expect(await stream.result).toMatchObject({ text, finishReason: 'length', promptTokens: 5 })
  })

  test('needs no loop', async () => {
    expect(await open().result).toMatchObject({ text, finishReason: 'length' })
  })

  test('that was asked for first leaves all pieces to a loop', async () => {
    const stream = open()
    const { result } = stream
    expect(await textOf(stream)).toBe(text)
    expect((await result).text).toBe(text)
    const read = open()
    await read.result
    expect(await textOf(read)).toBe(text)
    expect(await read.next()).toEqual({ done: true, value: undefined })
  })

  test('of a loop that is left is an error with what was read', async () => {
    const stream = open()
    let read = ''
    for await (const piece of stream) {
      read += piece.text
      if (read.length > 8) break
    }
    await expect(stream.result).rejects.toMatchObject({ name: 'AbortError', code: 'ABORTED', partial: { text: read } })
    expect(await stream.next()).toEqual({ done: true, value: undefined })
  })

  test('of a stream that nobody began is the same, and rejects nobody who does not ask', async () => {
    const stream = open()
    await stream.return(undefined as never)
    await expect(stream.result).rejects.toMatchObject({ code: 'ABORTED', partial: { text: '', ids: [] } })
  })
})

test('the result of a chat is that of `chat`, with its own fields', async () => {
  const stream = chat()
  const [read, result] = await Promise.all([textOf(stream), stream.result])
  expect(result).toMatchObject({ text: read, folded: false, toolCalls: [] })
})

describe('an error in the middle has the text so far', () => {
  test.each(['generate', 'stream'] as const)('an abort of %s', async (name) => {
    const abort = new AbortController()
    const all = { ...options, maxNewTokens: 200, signal: abort.signal }
    let calls = 0
    const unlisten = model.onRouting(() => {
      if (++calls === 12) abort.abort(new Error('enough'))
    })
    const error = await (name === 'generate' ? model.generate(prompt, all) : textOf(model.stream(prompt, all))).catch((error) => error)
    unlisten()
    expect(error).toBeInstanceOf(MixtralError)
    expect(error).toMatchObject({ name: 'AbortError', code: 'ABORTED', cause: new Error('enough') })
    const { partial } = error as MixtralError
    expect(partial!.text.length).toBeGreaterThan(3)
    expect(text.startsWith(partial!.text)).toBe(true)
    expect(model.tokenizer.decode(partial!.ids, { continues: true })).toBe(partial!.text)
  })

  test('an abort before the first token has an empty one', async () => {
    await expect(model.generate(prompt, { signal: AbortSignal.abort() })).rejects.toMatchObject({ partial: { text: '', ids: [] } })
  })

  test('several answers have one each', async () => {
    const abort = new AbortController()
    const stream = model.stream(prompt, { n: 3, seed: 1, signal: abort.signal })
    const reading = async () => {
      let pieces = 0
      for await (const _ of stream) if (++pieces === 9) abort.abort()
    }
    const error: MixtralError = await reading().then(
      () => undefined as never,
      (error) => error,
    )
    expect(error.partial!.choices).toHaveLength(3)
    expect(error.partial!.choices![0]).toEqual({ text: error.partial!.text, ids: error.partial!.ids })
    await expect(stream.result).rejects.toBe(error)
  })

  test('closing has it, too', async () => {
    const other = await MixtralModel.load('demo', { threads: 1 })
    const stream = other.stream(prompt, { temperature: 0 })
    for (let i = 0; i < 3; i++) await stream.next()
    await other.close()
    const error = await stream.result.catch((error) => error)
    expect(error).toMatchObject({ name: 'MixtralError', code: 'CLOSED' })
    expect((error as MixtralError).partial!.text.length).toBeGreaterThan(3)
  })

  test('an error before it began has none', async () => {
    const error = await model.generate('word '.repeat(600)).catch((error) => error)
    expect(error).toMatchObject({ code: 'CONTEXT', promptTokens: 602, contextLength: 512 })
    expect(error).not.toHaveProperty('partial')
    await expect(model.logits(new Array(513).fill(1))).rejects.toMatchObject({ promptTokens: 513, contextLength: 512 })
  })
})

describe('what nobody holds gives the model back', () => {
  const collected = async (isFree: () => boolean) => {
    for (let i = 0; i < 100 && !isFree(); i++) {
      await sleep(10)
      collectGarbage()
    }
    return isFree()
  }

  test.each([...streams, ['a chat', chat] as const])('a stream of %s', async (_, open) => {
    await open().next()
    const endless = model.stream(prompt, { temperature: 0 })
    await endless.next()
    expect(await collected(() => model.status().running === 1)).toBe(true)
    await endless.return(undefined as never)
  })

  test('a session whose stream was forgotten is free again', async () => {
    const session = model.session({ ids: [1, 400] })
    await session.stream({ temperature: 0 }).next()
    expect(() => session.rewind(1)).toThrow(/in use/)
    const isFree = () => {
      try {
        session.rewind(1)
        return true
      } catch {
        return false
      }
    }
    expect(await collected(isFree)).toBe(true)
  })

  test.each<[string, (stream: AnswerStream, abort: AbortController) => Promise<unknown>]>([
    ['has ended', (stream) => textOf(stream)],
    ['was left', (stream) => stream.next().then(() => stream.return(undefined as never))],
    ['was aborted', (stream, abort) => Promise.all([textOf(stream).catch(() => {}), stream.result.catch(() => {}), abort.abort()])],
  ])('a stream that %s is collected, though its call knows it', async (_, end) => {
    const begin = async () => {
      const abort = new AbortController()
      const stream = model.stream(prompt, { ...options, signal: abort.signal })
      Object.assign(abort.signal, { stream })
      await end(stream, abort)
      return new WeakRef(stream)
    }
    const ended = await begin()
    expect(await collected(() => ended.deref() === undefined)).toBe(true)
  })

  test.each<[string, () => AsyncGenerator<unknown>]>([
    ['traceEach', () => model.traceEach([1, 2, 3])],
    ['checkWeights', () => model.checkWeights()],
  ])('a loop of %s', async (_, open) => {
    await open().next()
    let isDone = false
    void model.evaluate([1, 5, 6]).then(() => {
      isDone = true
    })
    expect(await collected(() => isDone)).toBe(true)
  })
})
