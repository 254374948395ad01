// A message may have a thousand calls and as many answers, a request a hundred thousand items. Where each is compared
// with all others, the thread is lost for minutes: then the test runs out of its time.

import { expect, test } from 'vitest'
import { messagesOf } from '../../../dist/interfaces/server/responses/items.js'
import { type ChatMessage, checkMessages } from '../../../dist/text/chat/chatMessages.js'
import { foldTools } from '../../../dist/text/chat/foldTools.js'
import { fileDefaults } from '../../../dist/text/generate/fileDefaults.js'

const MANY = 40_000
const MOST = 1024 // calls of a message
const call = (id: number, name = 'f') => ({ id: `call_${id}`, type: 'function', function: { name, arguments: '' } }) as const
const calling = (name = (_: number) => 'f'): ChatMessage[] => [
  { role: 'user', content: 'Hi' },
  { role: 'assistant', content: null, tool_calls: Array.from({ length: MOST }, (_, i) => call(i, name(i))) },
]

test.each<[string, (i: number) => Partial<ChatMessage>]>([
  ['in their order', () => ({})],
  ['by their ids, the last one first', (i) => ({ tool_call_id: `call_${MOST - 1 - i}` })],
  ['by their names, the last one first', (i) => ({ name: `f${MOST - 1 - i}` })],
])('answers to many calls, %s', (_, which) => {
  const answers = Array.from({ length: MOST }, (_, i): ChatMessage => ({ role: 'tool', content: '', ...which(i) }))
  const turns = checkMessages([...calling((i) => `f${i}`), ...answers])
  const { tool_call_id: id, name } = answers[1]!
  const expected = id ?? `call_${name?.slice(1) ?? 1}`
  expect(turns[3]!.answers!.id).toBe(expected)
})

test('the first id that is there twice is named, among many', () => {
  const messages = calling()
  const wrong = [...messages[1]!.tool_calls!.slice(2), call(7), call(3)]
  expect(() => checkMessages([messages[0]!, { ...messages[1]!, tool_calls: wrong }])).toThrow(
    'message 1 has two tool calls with the id "call_7"',
  )
})

test('an answer without an id is for the first open call of its name, whatever was answered by its id', () => {
  const answer = (more: Partial<ChatMessage>): ChatMessage => ({ role: 'tool', content: '', ...more })
  const asked: ChatMessage = { role: 'assistant', tool_calls: [call(0, 'a'), call(1, 'b'), call(2, 'a'), call(3, 'b')] }
  const answers = [answer({ tool_call_id: 'call_0' }), answer({ name: 'a' }), answer({ name: 'b' }), answer({})]
  const turns = checkMessages([{ role: 'user', content: '' }, asked, ...answers])
  expect(turns.slice(2).map((turn) => turn.answers!.id)).toEqual(['call_0', 'call_2', 'call_1', 'call_3'])
  expect(() => checkMessages([{ role: 'user', content: '' }, asked, answers[0]!, answers[0]!])).toThrow('answers the call "call_0"')
  expect(() => checkMessages([{ role: 'user', content: '' }, asked, answers[1]!])).toThrow('the tool call "call_1" of the last')
})

test('many calls of the Responses API become one message', () => {
  const items = Array.from({ length: MANY * 2 }, (_, i) => ({ type: 'function_call', call_id: `c${i}`, name: 'f', arguments: '' }))
  const messages = messagesOf([{ role: 'assistant', content: 'I look.' }, ...items], null)
  expect(messages.map((message) => message.tool_calls?.length)).toEqual([MANY * 2])
  expect(messages[0]!.tool_calls!.at(-1)!.id).toBe(`c${MANY * 2 - 1}`)
})

test('a file names a step many times, behind many that nobody knows', () => {
  const sequence = 'x;'.repeat(MANY * 3) + 'top_k;'.repeat(MANY * 3)
  expect(fileDefaults(new Map([['general.sampling.sequence', sequence]])).options).toEqual({ samplers: ['top_k'] })
})

test('the texts of many turns are joined once, not with each next turn', () => {
  const words = 'a'.repeat(200)
  const user = Array.from({ length: MANY }, () => ({ role: 'user', content: words, calls: [] }) as const)
  const said = { role: 'assistant', content: 'b', calls: [] } as const
  const folded = foldTools([{ role: 'system', content: 's', calls: [] }, ...user, said, user[0]!, user[1]!], undefined)
  expect(folded.map(({ role, content }) => [role, content.length])).toEqual([
    ['system', 1],
    ['user', MANY * 202 - 2],
    ['assistant', 1],
    ['user', 402],
  ])
})
