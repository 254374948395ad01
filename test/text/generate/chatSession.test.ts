// A conversation that keeps itself: what it remembers, what it forgets and by which rule, and what it is after an
// error.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ChatMessage, MixtralModel } from '../../../dist/index.js'

let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 2 })
})
afterAll(() => model.close())

const options = { temperature: 0 }
const user = (content: string): ChatMessage => ({ role: 'user', content })
const assistant = (content: string): ChatMessage => ({ role: 'assistant', content })

test('it answers as `chat` does, and remembers both', async () => {
  const chat = model.chatSession({ system: 'Be brief.', options })
  const first = await chat.send('What is the capital of France?')
  expect(first).toMatchObject({ text: 'The capital of France is Paris.', forgotten: 0 })
  let text = ''
  for await (const piece of chat.stream('What is 7 + 5?')) text += piece.text
  const expected = [
    { role: 'system', content: 'Be brief.' },
    user('What is the capital of France?'),
    assistant(first.text),
    user('What is 7 + 5?'),
    assistant(text),
  ]
  expect(chat.messages).toEqual(expected)
  expect(text).toBe((await model.chat(expected.slice(0, 4), options)).text)
})

test('options of a call go before those of the session', async () => {
  const chat = model.chatSession({ options: { ...options, maxNewTokens: 2 } })
  expect((await chat.send('Who are you?')).ids).toHaveLength(2)
  expect((await chat.send('Who are you?', { maxNewTokens: 3 })).ids).toHaveLength(3)
})

describe('without room for an answer', () => {
  const question = 'What is the capital of France?'
  const talk = async (chat: ReturnType<MixtralModel['chatSession']>, turns: number) => {
    const all = []
    for (let i = 0; i < turns; i++) all.push(await chat.send(question))
    return all
  }

  test('the oldest questions are forgotten, some at a time; the system message stays', async () => {
    const chat = model.chatSession({ system: 'Be brief.', options, reserve: 200 })
    const answers = await talk(chat, 30)
    const forgetful = answers.filter(({ forgotten }) => forgotten > 0)
    expect(forgetful.length).toBeGreaterThan(1)
    expect(forgetful.length).toBeLessThan(10)
    expect(answers.every(({ promptTokens, text }) => promptTokens <= 312 && text === 'The capital of France is Paris.')).toBe(true)
    expect(chat.messages.slice(0, 2)).toEqual([{ role: 'system', content: 'Be brief.' }, user(question)])
    const total = answers.reduce((sum, { forgotten }) => sum + forgotten, 0)
    expect(chat.messages).toHaveLength(1 + 60 - total)
  })

  test('nothing is forgotten where that is the rule', async () => {
    const chat = model.chatSession({ options, forget: 'nothing' })
    await expect(talk(chat, 40)).rejects.toMatchObject({ code: 'CONTEXT' })
    expect(chat.messages.at(-1)!.role).toBe('assistant')
    chat.clear()
    expect((await chat.send(question)).text).toBe('The capital of France is Paris.')
  })

  test('a function chooses what stays', async () => {
    const fits: object[] = []
    const chat = model.chatSession({
      options,
      reserve: 400,
      forget: (messages, fit) => {
        fits.push(fit)
        return messages.slice(-1)
      },
    })
    const answers = await talk(chat, 6)
    expect(fits[0]).toEqual({ tokens: expect.any(Number), room: 112 })
    expect(answers.some(({ forgotten }) => forgotten > 2)).toBe(true)
  })

  test('what it throws ends the call, and what is no list is refused', async () => {
    const messages = Array.from({ length: 40 }, (_, i) => (i % 2 ? assistant('a word') : user('a word')))
    const thrower = () => {
      throw new RangeError('mine')
    }
    expect(() => model.chatSession({ messages, forget: thrower, reserve: 400 }).stream('x')).toThrow(RangeError)
    const nothing = () => undefined as never
    expect(() => model.chatSession({ messages, forget: nothing, reserve: 400 }).stream('x')).toThrow(
      /forget gave no value, expected a list/,
    )
  })
})

describe('after a call that did not end', () => {
  test('by an abort, the question and what was written are remembered, and can go on', async () => {
    const whole = (await model.chat([user('What is the capital of France?')], options)).text
    const chat = model.chatSession({ options })
    const abort = new AbortController()
    let pieces = 0
    const stream = chat.stream('What is the capital of France?', { signal: abort.signal })
    const reading = async () => {
      for await (const _ of stream) if (++pieces === 3) abort.abort()
    }
    await expect(reading()).rejects.toMatchObject({ code: 'ABORTED' })
    const [, begun] = chat.messages
    expect(whole.startsWith(begun!.content as string)).toBe(true)
    expect(begun!.content).not.toBe('')
    await chat.send([])
    expect(chat.messages).toEqual([user('What is the capital of France?'), assistant(whole)])
  })

  test('by a loop that was left, the same', async () => {
    const chat = model.chatSession({ options })
    for await (const _ of chat.stream('Who are you?')) break
    expect(chat.messages).toHaveLength(2)
    expect((await chat.send('What is 7 + 5?')).text).not.toBe('')
  })

  test.each<[string, () => Promise<unknown> | unknown, object]>([
    ['an option', () => model.chatSession({ options }).send('x', { topK: -1 }), { code: 'OPTION' }],
    ['an early abort', () => model.chatSession().send('x', { signal: AbortSignal.abort() }), { code: 'ABORTED' }],
    ['a message', () => model.chatSession().send({ role: 'tool', content: 'x' }), { code: 'TEMPLATE' }],
    ['messages that are none', () => model.chatSession({ messages: 5 as never }), { code: 'TEMPLATE' }],
    [
      'a rule',
      () => model.chatSession({ forget: 'newest' as never }),
      { code: 'OPTION', message: expect.stringContaining('forget is "newest"') },
    ],
    ['a reserve', () => model.chatSession({ reserve: 512 }), { code: 'OPTION' }],
    ['several answers', () => model.chatSession({ options: { n: 2 } }), { code: 'OPTION' }],
    ['an unknown option', () => model.chatSession({ sytem: 'x' } as never), { message: expect.stringMatching(/did you mean system\?$/) }],
  ])('by %s, it is what it was', async (_, call, error) => {
    await expect((async () => call())()).rejects.toMatchObject(error)
    const chat = model.chatSession({ messages: [user('a'), assistant('b')] })
    await chat.send('word '.repeat(600)).catch(() => {})
    expect(chat.messages).toEqual([user('a'), assistant('b')])
  })
})

test('one answer at a time; a call that the conversation has overtaken is refused', async () => {
  const chat = model.chatSession({ options })
  const overtaken = chat.stream('Who are you?')
  const stream = chat.stream('What is 7 + 5?')
  await stream.next()
  expect(() => chat.stream('x')).toThrow(/in use/)
  expect(() => chat.fork()).toThrow(/in use/)
  await stream.result
  await expect(overtaken.next()).rejects.toMatchObject({ code: 'OPTION', message: expect.stringContaining('has gone on') })
})

test('undo, clear and fork', async () => {
  const chat = model.chatSession({ system: 's', messages: [user('a'), assistant('b')], options })
  await chat.send('What is 7 + 5?')
  const fork = chat.fork()
  expect(chat.undo()).toEqual([user('What is 7 + 5?'), assistant('7 + 5 = 12.')])
  expect(chat.messages).toHaveLength(3)
  expect(fork.messages).toHaveLength(5)
  fork.clear()
  expect(fork.messages).toEqual([{ role: 'system', content: 's' }])
  expect(fork.undo()).toEqual([])
  expect(chat.messages).toHaveLength(3)
})

test('what is saved begins again without computing anything twice', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mixtral-chat-'))
  const file = join(folder, 'chat.session')
  try {
    const chat = model.chatSession({ options })
    await chat.send('What is the capital of France?'.repeat(5))
    await chat.save(file)
    await model.reset()
    const again = await model.restoreChat(file, { options })
    expect(again.messages).toEqual(chat.messages)
    const { promptTokens, reusedTokens } = await again.send('x')
    expect(promptTokens - reusedTokens).toBeLessThan(40)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('what is restored has its salt and its rules, and is refused where it is no conversation', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mixtral-chat-'))
  const file = join(folder, 'chat.session')
  try {
    await model.chatSession({ system: 'Be brief.', messages: [user('a'), assistant('b')], salt: 'mine' }).save(file)
    const own = { temperature: 0, maxNewTokens: 1 }
    const restoring = model.restoreChat(file, { salt: 'mine', forget: 'nothing', options: own })
    own.maxNewTokens = 3
    const again = await restoring
    expect(again.messages).toEqual([{ role: 'system', content: 'Be brief.' }, user('a'), assistant('b')])
    expect((await again.send('x')).ids).toHaveLength(1)
    await expect(again.send('word '.repeat(600))).rejects.toMatchObject({ code: 'CONTEXT' })
    await expect(model.restoreChat(file, { system: 'x' } as never)).rejects.toMatchObject({ code: 'OPTION' })
    await expect(model.restoreChat(file, { forget: 'x' as never })).rejects.toMatchObject({ code: 'OPTION' })
    await model.session({ ids: [1, 2] }).save(file)
    await expect(model.restoreChat(file)).rejects.toMatchObject({ code: 'SESSION', message: expect.stringContaining('without messages') })
    await model.session({ ids: [1, 2] }).save(file, { metadata: { messages: [{ role: 'nobody', content: 'x' }] } })
    await expect(model.restoreChat(file)).rejects.toMatchObject({ code: 'TEMPLATE' })
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('what the caller changes afterwards changes nothing', async () => {
  const messages = [user('a'), assistant('b')]
  const own = { temperature: 0, stop: ['zq'] }
  const chat = model.chatSession({ messages, options: own })
  messages.push(user('c'))
  own.temperature = -1
  own.stop.push('')
  chat.messages.push(user('d'))
  const said = [user('Who are you?')]
  const stream = chat.stream(said)
  said.push(assistant(''))
  await stream.result
  expect(chat.messages.map(({ content }) => content).slice(0, 3)).toEqual(['a', 'b', 'Who are you?'])
  expect(chat.messages).toHaveLength(4)
})
