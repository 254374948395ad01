import { expect, test } from 'vitest'
import {
  type Conversation,
  changed,
  childrenOf,
  choose,
  type Message,
  newConversation,
  pathOf,
  titleOf,
  withMessage,
} from '../../../page/chats/conversation.js'

const message = (id: string, parent: string | null, role: Message['role'] = 'user'): Message => ({
  id,
  parent,
  role,
  content: id,
  created: 1,
})
const ids = (conversation: Conversation) => pathOf(conversation).map(({ id }) => id)

const branched = [
  ['q1', null],
  ['a1', 'q1'],
  ['q2', 'a1'],
  ['a2', 'q2'],
  ['b2', 'q2'],
  ['r1', null],
].reduce((conversation, [id, parent]) => withMessage(conversation, message(id!, parent!)), newConversation(0))

test('what is seen ends with the message that was added last', () => {
  expect(ids(newConversation(0))).toEqual([])
  expect(ids(branched)).toEqual(['r1'])
})

test('a branch is seen as far as it was seen before', () => {
  const first = choose(branched, message('q1', null))
  expect(ids(first)).toEqual(['q1', 'a1', 'q2', 'b2'])
  const other = choose(first, message('a2', 'q2'))
  expect(ids(other)).toEqual(['q1', 'a1', 'q2', 'a2'])
  expect(ids(choose(choose(other, message('r1', null)), message('q1', null)))).toEqual(['q1', 'a1', 'q2', 'a2'])
})

test('siblings stand in the order in which they were made', () => {
  expect(childrenOf(branched, 'q2').map(({ id }) => id)).toEqual(['a2', 'b2'])
  expect(childrenOf(branched, null).map(({ id }) => id)).toEqual(['q1', 'r1'])
})

test('where nothing is chosen, the newest is seen', () => {
  expect(ids({ ...branched, chosen: {} })).toEqual(['r1'])
  expect(ids({ ...branched, chosen: { '': 'nobody' } })).toEqual(['r1'])
})

test('a change leaves the conversation before it as it was', () => {
  const after = changed(branched, 'q1', { content: 'other' })
  expect(after.messages[0]!.content).toBe('other')
  expect(branched.messages[0]!.content).toBe('q1')
})

test.each([
  ['  What\n is this? ', 'What is this?'],
  [`${'word '.repeat(20)}`, `${'word '.repeat(12).trim()}…`],
  ['x'.repeat(100), `${'x'.repeat(60)}…`],
  [`${'x'.repeat(59)}😀😀`, `${'x'.repeat(59)}…`],
])('the title of %j is %j', (text, title) => {
  expect(titleOf(text)).toBe(title)
})
