// Files of history: what goes out comes in again, and nothing that is wrong does.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Conversation } from '../../../page/chats/conversation.js'
import { historyText, readHistory } from '../../../page/chats/historyFile.js'
import { Routing } from '../../../page/chats/routing.js'

const conversation: Conversation = {
  ...{ id: 'c-1', title: 'A title', created: 1, updated: 2, system: 'Be brief.', schema: '{"type":"object"}' },
  messages: [
    { id: 'm-1', parent: null, role: 'user', content: 'Hello <b>', created: 1 },
    {
      ...{
        id: 'm-2',
        parent: 'm-1',
        role: 'assistant',
        content: '{"a":1}',
        created: 2,
        model: 'demo',
        finish: 'length',
        error: 'why',
        json: true,
      },
      figures: { promptTokens: 3, cachedTokens: 1, completionTokens: 2, waitSeconds: 0.5, writeSeconds: 0.25 },
    },
    { id: 'm-3', parent: 'm-1', role: 'assistant', content: '', created: 3 },
  ],
  chosen: { '': 'm-1', 'm-1': 'm-2' },
}
const routing = new Routing(1, 4, 2, 1)
routing.add([[3, 0]], [[0.7, 0.3]], 4)
const file = { format: 'mixtral-wasm-chats', version: 1, conversations: [conversation], routings: {} }

/** The file with one thing in it replaced. */
function changedAt(path: string, value: unknown): string {
  const copy = JSON.parse(JSON.stringify(file))
  const keys = path.split('.')
  const holder = keys.slice(0, -1).reduce((at, key) => at[key], copy)
  holder[keys.at(-1)!] = value
  return JSON.stringify(copy)
}

test('conversations and experts come back as they went', () => {
  const text = historyText({ conversations: [conversation], routings: new Map([['m-2', routing.stored()]]) })
  expect(readHistory(text)).toEqual({ conversations: [conversation], routings: new Map([['m-2', routing.stored()]]) })
})

test.each([
  ['', 'no JSON'],
  ['[]', 'no object'],
  ['{}', 'its format is not'],
  [changedAt('version', 2), 'has version 2, expected 1'],
  [changedAt('conversations', {}), 'expected a list'],
  [changedAt('conversations', [conversation, conversation]), 'two conversations have one id'],
  [changedAt('conversations.0', null), 'conversation 1 is no object'],
  [changedAt('conversations.0.id', 'a"b'), 'has no id'],
  [changedAt('conversations.0.title', 5), 'has no text'],
  [changedAt('conversations.0.updated', '2'), 'has no time'],
  [changedAt('conversations.0.messages.0.role', 'system'), 'has no role'],
  [changedAt('conversations.0.messages.0.content', { a: 1 }), 'has no text'],
  [changedAt('conversations.0.messages.0.parent', 'm-3'), 'stands before its parent'],
  [changedAt('conversations.0.messages.0.parent', 'm-1'), 'stands before its parent'],
  [changedAt('conversations.0.messages.2.id', 'm-1'), 'two messages have the id'],
  [changedAt('routings', { 'm-2': { layers: 1e9, experts: 4, used: 2 } }), 'have no shape'],
  [changedAt('routings', { 'm-2': { layers: 1000, experts: 1000, used: 2, start: 0 } }), 'are too many'],
  [changedAt('routings', { 'm-2': { layers: 1, experts: 4, used: 2, start: 0, ids: '!', weights: '', ends: '' } }), 'are damaged'],
  [changedAt('routings', { 'm-2': { layers: 1, experts: 4, used: 2, start: 0, ids: 'AAA=', weights: '', ends: '' } }), 'are damaged'],
])('a file is refused with a sentence: %.70s', (text, sentence) => {
  expect(() => readHistory(text)).toThrow(sentence)
})

test('fields that nobody knows are left out, and so are experts of nobody', () => {
  const text = changedAt('conversations.0.messages.1', {
    ...conversation.messages[1],
    html: '<b>',
    finish: 'else',
    figures: { promptTokens: -1 },
  })
  const { conversations } = readHistory(text.replace('"routings":{}', '"routings":{"__proto__":{},"nobody":{}}'))
  const { html, finish, figures } = conversations[0]!.messages[1] as unknown as Record<string, unknown>
  expect([html, finish]).toEqual([undefined, undefined])
  expect(figures).toEqual({ promptTokens: 0, cachedTokens: 0, completionTokens: 0, waitSeconds: 0, writeSeconds: 0 })
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
})

test('what is seen of a conversation is among its messages', () => {
  const { conversations } = readHistory(changedAt('conversations.0.chosen', { '': 'm-1', 'm-1': 'nobody', nobody: 'm-2', 'm-2': 5 }))
  expect(conversations[0]!.chosen).toEqual({ '': 'm-1' })
})

test('whatever is in a file, it is taken or refused with an Error', () => {
  fc.assert(
    fc.property(fc.constantFrom(...paths(file)), fc.jsonValue(), (path, value) => {
      try {
        readHistory(changedAt(path, value))
      } catch (error) {
        expect((error as Error).constructor).toBe(Error)
      }
    }),
  )
})

function paths(value: unknown, before = ''): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) => (key === '' ? [] : [before + key, ...paths(inner, `${before}${key}.`)]))
}
