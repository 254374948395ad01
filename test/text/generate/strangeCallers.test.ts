// Callers whose arguments and functions are not what they seem: lists whose iterator gives something else, options that
// another read would give otherwise or that are inherited, functions that throw nothing, reject, or call back.

import process from 'node:process'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ChatMessage, type ForgetRule, MixtralError, MixtralModel, Reference } from '../../../dist/index.js'

let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 1, contextLength: 128 })
})
afterAll(() => model.close())

const unhandled: unknown[] = []
const hear = (error: unknown) => void unhandled.push(error)
beforeEach(() => void process.on('unhandledRejection', hear))
afterEach(async () => {
  await new Promise((resolve) => setTimeout(resolve, 10))
  process.off('unhandledRejection', hear)
  expect(unhandled.splice(0)).toEqual([])
})

const ids = [1, 300, 301, 302]
const short = { temperature: 0, maxNewTokens: 4 }
const user = (content: string): ChatMessage => ({ role: 'user', content })

describe('a list is as long as it says, whatever its iterator gives', () => {
  const liar = (given: Iterable<number>) => Object.assign([...ids], { [Symbol.iterator]: () => given[Symbol.iterator]() })
  const lists = () => [liar([]), liar(Array(5000).fill(300))]

  test.each<[string, (ids: number[]) => unknown]>([
    ['evaluate', (list) => model.evaluate(list)],
    ['logits', (list) => model.logits(list)],
    ['score', (list) => model.score(list)],
    ['routing', (list) => model.routing(list)],
    ['embed', (list) => model.embed(list)],
    ['trace', (list) => model.trace(list, { tensors: ['l_out-0'] })],
    ['session', (list) => model.session({ ids: list }).ids],
    [
      'append',
      async (list) => {
        const session = model.session()
        await session.append(list)
        return session.ids
      },
    ],
    ['reference', async (list) => (await Reference.open('models/tiny-mixtral.Q4_K_M.gguf')).embed(list)],
  ])('%s', async (_, call) => {
    const expected = await call(ids)
    for (const list of lists()) expect(await call(list)).toEqual(expected)
  })

  test('a list that is too long is refused before it is copied', async () => {
    await expect(model.session().append(new Array(2 ** 27))).rejects.toMatchObject({ code: 'CONTEXT' })
  })
})

describe('an option is read once', () => {
  const changing = (name: string, first: unknown, then: unknown) => {
    let reads = 0
    return Object.defineProperty({}, name, { enumerable: true, get: () => (reads++ === 0 ? first : then) })
  }
  const wrong: readonly (readonly [string, unknown, unknown])[] = [
    ['expertsPerToken', 2, 1e9],
    ['signal', undefined, { aborted: false }],
    ['onProgress', undefined, 5],
  ]

  test.each(wrong)('%s', async (...option) => {
    expect(await model.evaluate(ids, changing(...option))).toEqual(await model.evaluate(ids))
    expect(await model.logits(ids, changing(...option))).toEqual(await model.logits(ids))
    expect(await model.score(ids, changing(...option))).toEqual(await model.score(ids))
    await model.routing(ids, changing(...option))
    await model.generate('Hi', { ...short, ...changing(...option) })
  })

  test('names, too', async () => {
    let reads = 0
    const hidden: Record<string, unknown> = { ids: [-5, 1e9], from: -3, ended: undefined }
    const options = new Proxy(hidden, { ownKeys: (all) => (reads++ === 0 ? [] : Reflect.ownKeys(all)) })
    expect(await model.evaluate(ids, options)).toEqual(await model.evaluate(ids))
  })
})

describe('options that would be passed over without a word are refused', () => {
  class Settings {
    get maxNewTokens() {
      return 2
    }
  }
  test.each<[string, object]>([
    ['a signal in their place', new AbortController().signal],
    ['a list', []],
    ['a map', new Map([['maxNewTokens', 2]])],
    ['an object of a class', new Settings()],
    ['inherited ones', Object.create({ maxNewTokens: 2 })],
  ])('%s', async (_, options) => {
    const refused = { code: 'OPTION', message: expect.stringMatching(/^the options are .*expected a plain object$/) }
    await expect(model.generate('Hi', options)).rejects.toMatchObject(refused)
    await expect(model.evaluate(ids, options)).rejects.toMatchObject(refused)
    await expect(MixtralModel.load('demo', options)).rejects.toMatchObject(refused)
    expect(() => model.session(options)).toThrow(expect.objectContaining(refused))
    expect(() => model.chatSession(options)).toThrow(expect.objectContaining(refused))
  })

  test('an object with the prototype of a signal is no signal', async () => {
    const signal = Object.create(AbortSignal.prototype)
    await expect(model.generate('Hi', { signal })).rejects.toMatchObject({ code: 'OPTION' })
    await expect(model.evaluate(ids, { signal })).rejects.toMatchObject({ code: 'OPTION' })
  })

  test('of a null prototype they count', async () => {
    const options = Object.assign(Object.create(null), short)
    expect((await model.generate('Hi', options)).ids).toHaveLength(4)
  })
})

describe('what a function of the caller throws ends its call, whatever it is', () => {
  const outcome = (promise: Promise<unknown>) =>
    promise.then(
      () => ['no error'],
      (error: unknown) => [error],
    )
  let prompts = 0
  const prompt = () => `Number ${++prompts} is` // so that there is progress

  test.each([undefined, null, 0, '', false])('%s', async (thrown) => {
    const onProgress = () => {
      throw thrown
    }
    await model.reset()
    expect(await outcome(model.generate(prompt(), { ...short, onProgress }))).toEqual([thrown])
    expect(await outcome(model.evaluate(ids, { onProgress }))).toEqual([thrown])
    expect(await outcome(model.logits(ids, { onProgress }))).toEqual([thrown])
    expect(await outcome(model.stream(prompt(), { ...short, onProgress }).result)).toEqual([thrown])
  })

  test('an asynchronous function', async () => {
    const error = new Error('not written')
    const onProgress = () => Promise.reject(error) as unknown as undefined
    expect(await outcome(model.generate(prompt(), { ...short, onProgress }))).toEqual([error])
  })

  test('an error that nothing can be added to', async () => {
    const onProgress = () => {
      throw Object.freeze(new MixtralError('MODEL', 'frozen'))
    }
    await expect(model.generate(prompt(), { ...short, onProgress })).rejects.toMatchObject({ code: 'MODEL', partial: { text: '' } })
  })

  test('an asynchronous listener of routing is told once, and no more', async () => {
    const warnings: string[] = []
    const warned = ({ message }: Error) => void warnings.push(message)
    process.on('warning', warned)
    let calls = 0
    model.onRouting(() => {
      calls++
      return Promise.reject(new Error('not counted')) as unknown as undefined
    })
    await model.generate(prompt(), short)
    const before = calls
    await model.generate(prompt(), short)
    await new Promise((resolve) => setTimeout(resolve, 10))
    process.off('warning', warned)
    expect(calls).toBe(before)
    expect(warnings).toEqual(['not counted'])
  })
})

describe('a rule of forgetting', () => {
  const question = 'What is the capital of France? I would like to know it'
  const past = Array.from({ length: 8 }, (_, i): ChatMessage => ({ role: i % 2 ? 'assistant' : 'user', content: question }))
  const chatOf = (forget: ForgetRule) => model.chatSession({ messages: past, forget, options: short })

  test('gives messages that are then those of the conversation alone', async () => {
    const kept = [{ role: 'user', content: 'Who are you?' }]
    const chat = chatOf(() => kept)
    await chat.send('Hi')
    kept[0]!.content = 'changed'
    expect(chat.messages[0]).toEqual(user('Who are you?'))
  })

  test('changes nothing of what it is given', async () => {
    const chat = chatOf((messages) => {
      for (const message of messages) Object.assign(message, { content: 'changed' })
      throw new Error('no')
    })
    await expect(chat.send('Hi')).rejects.toThrow('no')
    expect(chat.messages).toEqual(past)
    expect(chat.isAnswering).toBe(false)
  })

  test('that is asynchronous is refused', async () => {
    const chat = chatOf((async () => {
      throw new Error('unheard')
    }) as unknown as ForgetRule)
    await expect(chat.send('Hi')).rejects.toMatchObject({ code: 'OPTION', message: expect.stringContaining('a promise') })
  })

  test('cannot use the conversation that waits for it', async () => {
    let inner: Promise<unknown> | undefined
    const chat = chatOf((messages) => {
      inner = chat.send('inside').catch(({ code }) => code)
      expect(() => chat.clear()).toThrow('in use')
      return messages.slice(-1)
    })
    await chat.send('Hi')
    expect(await inner).toBe('OPTION')
    expect(chat.messages[0]).toEqual(user('Hi'))
    expect(chat.messages).toHaveLength(2)
  })

  test('may add messages: none are forgotten then', async () => {
    const chat = chatOf((messages) => Array(3).fill(messages.at(-1)))
    const small = model.chatSession({
      messages: past.slice(0, 2),
      reserve: 110,
      options: short,
      forget: (all) => [...all.slice(-1), ...all],
    })
    expect((await chat.send('Hi')).forgotten).toBe(6)
    expect((await small.send('Hi')).forgotten).toBe(0)
  })
})

test('an option of a call that is undefined leaves that of the chat session', async () => {
  const chat = model.chatSession({ options: short })
  expect((await chat.send('Who are you?', { maxNewTokens: undefined } as never)).ids).toHaveLength(4)
})
