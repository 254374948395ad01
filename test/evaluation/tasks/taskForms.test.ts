// What is asked of a row, character by character, in the words of lm-eval's tasks; and rows that are not the task's.

import { expect, test } from 'vitest'
import { promptsOf, type TaskName, taskForms } from '../../../dist/evaluation/tasks/taskForms.js'
import { TaskRow } from '../../../dist/evaluation/tasks/taskRow.js'

const ask = (task: TaskName, fields: unknown) => taskForms[task].ask(new TaskRow('items.jsonl', 'line', 3, fields))

const hellaswag = {
  ind: 24,
  activity_label: 'Roof shingle removal',
  ctx_a: 'A man is sitting on a roof.',
  ctx_b: 'hE',
  ctx: 'A man is sitting on a roof. hE',
  endings: ['is using wrap.', ' pulls [a] shingle [b]. ', 'Then [title] Done', ''],
  label: '3',
}
const arc = { id: 'x', question: 'Why?', choices: { text: ['a', 'bé', '🎵'], label: ['1', '2', '3'] }, answerKey: '3' }
const mmlu = { question: ' What is 1 + 1?\n', subject: 'abstract_algebra', choices: ['1', '2', '3', '4'], answer: 1 }
const winogrande = { sentence: 'Ann saw Eve, so _ was glad.  ', option1: 'Ann', option2: 'Eve', answer: '2' }

test('hellaswag: label, context and capital, endings cleaned', () => {
  const question = ask('hellaswag', hellaswag)
  expect(question.contexts[0]).toBe('Roof shingle removal: A man is sitting on a roof. He')
  expect(question.targets).toEqual(['is using wrap.', 'pulls shingle .', 'Then. Done', ''])
  expect([question.lengths, question.gold]).toEqual([[14, 15, 10, 0], 3])
  expect(ask('hellaswag', { ...hellaswag, label: 1 }).example).toBe(
    'Roof shingle removal: A man is sitting on a roof. He pulls shingle .\n\n',
  )
})

test('hellaswag: what is in brackets goes up to the next bracket, on one line, as the regular expression takes it', () => {
  const cleaned = (text: string) => ask('hellaswag', { ...hellaswag, endings: [text, ''], label: 0 }).targets[0]
  expect(cleaned('a[b[c]d]e')).toBe('ad]e')
  expect(cleaned('a[b\nc]d[')).toBe('a[b\nc]d[')
  expect(cleaned('a [title] b [title]')).toBe('a. b. ')
  expect(cleaned('a    b')).toBe('a  b')
  expect(cleaned('['.repeat(500_000))).toHaveLength(500_000)
})

test.each(['arc_easy', 'arc_challenge'] as const)('%s: question and answer, the key among the labels', (task) => {
  const { contexts, targets, lengths, gold, example } = ask(task, arc)
  expect(contexts).toEqual(Array(3).fill('Question: Why?\nAnswer:'))
  expect({ targets, lengths, gold }).toEqual({ targets: ['a', 'bé', '🎵'], lengths: [1, 2, 1], gold: 2 })
  expect(example).toBe('Question: Why?\nAnswer: 🎵\n\n')
})

test('mmlu: letters are the choices, and the subject is described once, before the examples', () => {
  const question = ask('mmlu', mmlu)
  const asked = 'What is 1 + 1?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:'
  expect(question.example).toBe(`${asked} B\n\n`)
  expect(question.subject).toBe('abstract_algebra')
  const description = 'The following are multiple choice questions (with answers) about abstract algebra.\n\n'
  expect(promptsOf(question, question.example)[2]).toEqual({ context: `${description}${asked} B\n\n${asked}`, target: ' C' })
  expect(ask('mmlu', { ...mmlu, answer: 3n }).gold).toBe(3) // as Parquet has it
})

test('winogrande: the contexts differ, and what follows the gap is scored', () => {
  const { contexts, targets, gold, example } = ask('winogrande', winogrande)
  expect(contexts).toEqual(['Ann saw Eve, so Ann', 'Ann saw Eve, so Eve'])
  expect({ targets, gold }).toEqual({ targets: ['was glad.', 'was glad.'], gold: 1 })
  expect(example).toBe('Ann saw Eve, so Eve was glad.\n\n')
  expect(ask('winogrande', { ...winogrande, sentence: 'It was _' }).example).toBe('It was Eve')
})

test.each<[TaskName, unknown, RegExp]>([
  ['hellaswag', 5, /^items\.jsonl, line 3: is 5, expected an object$/],
  ['hellaswag', [], /is a list of 0, expected an object$/],
  ['hellaswag', null, /is null, expected an object$/],
  ['hellaswag', { ...hellaswag, ctx_b: undefined }, /: ctx_b is no value, expected a text$/],
  ['hellaswag', {}, /: has no activity_label, expected it as/],
  ['hellaswag', mmlu, /: has no activity_label, but question, subject, choices, answer, expected it as/],
  ['hellaswag', JSON.parse('{"__proto__": {"activity_label": "a"}}'), /has no activity_label/],
  ['hellaswag', { ...hellaswag, label: '' }, /: label is "", expected a whole number from 0 to 3: the test split has no labels$/],
  ['hellaswag', { ...hellaswag, label: 4 }, /: label is 4, expected a whole number from 0 to 3/],
  ['hellaswag', { ...hellaswag, label: 1.5 }, /: label is 1.5/],
  ['hellaswag', { ...hellaswag, label: -1n }, /: label is -1/],
  ['hellaswag', { ...hellaswag, endings: 'a' }, /: endings is "a", expected a list of at least 2 texts$/],
  ['hellaswag', { ...hellaswag, endings: ['a'] }, /: endings has 1 texts, expected at least 2, at most 64$/],
  ['hellaswag', { ...hellaswag, endings: Array(65).fill('a') }, /: endings has 65 texts/],
  ['hellaswag', { ...hellaswag, endings: ['a', null] }, /: endings\[1\] is null, expected a text$/],
  ['hellaswag', { ...hellaswag, ctx_a: 'a'.repeat(2 ** 20 + 1) }, /: ctx_a has 1048577 characters, expected at most 1048576$/],
  ['arc_easy', { ...arc, choices: ['a', 'b'] }, /: choices is a list of 2, expected an object$/],
  ['arc_easy', { ...arc, choices: { text: ['a', 'b'], label: ['A'] } }, /: choices\.label has 1 texts, expected 2$/],
  ['arc_easy', { ...arc, answerKey: 'C' }, /: answerKey is "C", expected one of 1, 2, 3$/],
  ['mmlu', { ...mmlu, choices: ['1', '2', '3'] }, /: choices has 3 texts, expected 4$/],
  ['mmlu', { ...mmlu, answer: 'B' }, /: answer is "B", expected a whole number from 0 to 3$/],
  ['winogrande', { ...winogrande, sentence: 'Ann saw Eve' }, /: sentence has no _, expected one in place of the options$/],
  ['winogrande', { ...winogrande, answer: '' }, /: answer is "", expected "1" or "2": the test split has no answers$/],
])('%s: what is not its row is refused in its line, %#', (task, fields, message) => {
  expect(() => ask(task, fields)).toThrow(expect.objectContaining({ code: 'IO', message: expect.stringMatching(message) }))
})
