// The items of a run: how many, and which examples stand before them.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { atOnce } from '../../../dist/base/timeSlice.js'
import { choiceTokens } from '../../../dist/evaluation/tasks/choiceScores.js'
import { type TaskName, taskForms } from '../../../dist/evaluation/tasks/taskForms.js'
import { countItems, taskItems } from '../../../dist/evaluation/tasks/taskItems.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { metadataOf, normal } from '../../text/tokenizer/vocabularies.js'
import { collected } from './collected.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-items-'))
afterAll(() => rmSync(folder, { recursive: true }))
const written = (name: string, rows: readonly object[]) => {
  const path = join(folder, name)
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return path
}
const arc = (n: number, name: string) =>
  Array.from({ length: n }, (_, i) => ({
    id: `${name}${i}`,
    question: `${name}${i}`,
    choices: { text: ['yes', 'no'], label: ['A', 'B'] },
    answerKey: 'A',
  }))
const mmlu = (subject: string, n: number, name: string) =>
  Array.from({ length: n }, (_, i) => ({ question: `${name}${i}`, subject, choices: ['1', '2', '3', '4'], answer: 0 }))
const winogrande = (n: number, name: string) =>
  Array.from({ length: n }, (_, i) => ({ sentence: `${name}${i} _ sleeps`, option1: 'Ann', option2: 'Eve', answer: '1' }))

const source = (task: TaskName, file: string, { shots = 0, exampleFile = undefined as string | undefined, limit = 1e9 } = {}) => ({
  form: taskForms[task],
  file,
  exampleFile,
  shots,
  limit,
  signal: undefined,
})

/** The numbers of the questions in each prompt: of the examples, and last its own. */
async function asked(from: ReturnType<typeof source>) {
  const items = await collected(taskItems(from))
  return items.map(({ prompts }) => [...prompts[0]!.context.matchAll(/[qe]\d+/g)].map(([name]) => name))
}

test('examples of ARC are drawn from the other file as Python draws them, anew for each item', async () => {
  const [file, exampleFile] = [written('arc', arc(3, 'q')), written('arc-train', arc(40, 'e'))]
  // random.Random(1234).sample(range(40), 5), three times
  expect(await asked(source('arc_easy', file, { shots: 5, exampleFile }))).toEqual([
    ['e28', 'e7', 'e0', 'e5', 'e37', 'q0'],
    ['e2', 'e5', 'e6', 'e22', 'e15', 'q1'],
    ['e1', 'e22', 'e39', 'e30', 'e29', 'q2'],
  ])
})

test('where lm-eval knows no test split, it draws one example more, and leaves the last one out', async () => {
  const [file, exampleFile] = [written('wg', winogrande(3, 'q')), written('wg-train', winogrande(40, 'e'))]
  // the same draws, of which each has five
  expect(await asked(source('winogrande', file, { shots: 4, exampleFile }))).toEqual([
    ['e28', 'e7', 'e0', 'e5', 'q0'],
    ['e2', 'e5', 'e6', 'e22', 'q1'],
    ['e1', 'e22', 'e39', 'e30', 'q2'],
  ])
})

test('a question is no example for itself where both are of one file', async () => {
  const file = written('arc-own', arc(6, 'q'))
  const items = await asked(source('arc_easy', file, { shots: 4 }))
  for (const [index, names] of items.entries()) {
    expect(names).toHaveLength(5)
    expect(new Set(names).size).toBe(5)
    expect(names.at(-1)).toBe(`q${index}`)
  }
})

test('a question that the examples have more than once is none either: others are drawn, as in lm-eval', async () => {
  const rows = winogrande(6, 'q')
  const file = written('wg-copies', [rows[0]!])
  const exampleFile = written('wg-copies-train', [...rows, rows[0]!, rows[0]!])
  // r = random.Random(1234); all = r.sample(range(8), 4); without those of 0, 6 and 7: r.sample([1, 2, 3, 4, 5], 3)
  expect(await asked(source('winogrande', file, { shots: 3, exampleFile }))).toEqual([['q5', 'q1', 'q3', 'q0']])
  const few = written('wg-few-copies', [...rows.slice(0, 3), rows[0]!, rows[0]!])
  await expect(asked(source('winogrande', file, { shots: 3, exampleFile: few }))).rejects.toMatchObject({
    code: 'OPTION',
    message: expect.stringMatching(/wg-few-copies has 2 examples, expected 3 for 3 before each item$/),
  })
})

test('a question is the same one whatever the order of its fields', async () => {
  const [row] = winogrande(1, 'q')
  const turned = Object.fromEntries(Object.entries(row!).reverse())
  const file = written('wg-turned', [row!])
  const exampleFile = written('wg-turned-train', [turned, ...winogrande(2, 'e')])
  const [names] = await asked(source('winogrande', file, { shots: 2, exampleFile }))
  expect([...names!].sort()).toEqual(['e0', 'e1', 'q0'])
})

test('where lm-eval does not look for it, a question of the other file stays', async () => {
  const file = written('mmlu-both', mmlu('anatomy', 2, 'q'))
  const exampleFile = written('mmlu-both-dev', mmlu('anatomy', 3, 'q'))
  expect(await asked(source('mmlu', file, { shots: 2, exampleFile }))).toEqual([
    ['q0', 'q1', 'q0'],
    ['q0', 'q1', 'q1'],
  ])
})

test('MMLU has the first examples of the subject, and a question is none for itself', async () => {
  const file = written('mmlu', [...mmlu('anatomy', 2, 'q1'), ...mmlu('sociology', 2, 'q2')])
  const exampleFile = written('mmlu-dev', [...mmlu('sociology', 3, 'e2'), ...mmlu('anatomy', 3, 'e1')])
  expect(await asked(source('mmlu', file, { shots: 2, exampleFile }))).toEqual([
    ['e10', 'e11', 'q10'],
    ['e10', 'e11', 'q11'],
    ['e20', 'e21', 'q20'],
    ['e20', 'e21', 'q21'],
  ])
  expect(await asked(source('mmlu', file, { shots: 1 }))).toEqual([
    ['q11', 'q10'],
    ['q10', 'q11'],
    ['q21', 'q20'],
    ['q20', 'q21'],
  ])
})

test('a limit is for each subject, and of other tasks for all', async () => {
  const file = written('mmlu-limit', [...mmlu('a', 3, 'q1'), ...mmlu('b', 1, 'q2'), ...mmlu('a', 1, 'q3'), ...mmlu('b', 2, 'q4')])
  expect(await asked(source('mmlu', file, { limit: 2 }))).toEqual([['q10'], ['q11'], ['q20'], ['q40']])
  expect(await countItems(source('mmlu', file, { limit: 2 }))).toBe(4)
  expect(await countItems(source('arc_easy', written('arc-limit', arc(7, 'q')), { limit: 5 }))).toBe(5)
})

test('behind the limit nothing is read, and before it everything is checked first', async () => {
  const file = written('arc-wrong', [...arc(3, 'q'), { question: 'q3' }])
  expect(await countItems(source('arc_easy', file, { limit: 3 }))).toBe(3)
  await expect(countItems(source('arc_easy', file))).rejects.toMatchObject({ message: expect.stringMatching(/line 4: has no choices/) })
})

test.each([
  ['arc_easy', { shots: 41 }, /arc-train has 40 examples, expected 41 for 41 before each item$/],
  ['winogrande', { shots: 40 }, /wg-train has 40 examples, expected 41 for 40 before each item$/],
] as const)('%s: too few examples are refused', async (task, { shots }, message) => {
  const rows = { arc_easy: [arc, 'arc'], winogrande: [winogrande, 'wg'] } as const
  const [make, name] = rows[task]
  const [file, exampleFile] = [written(name, make(3, 'q')), written(`${name}-train`, make(40, 'e'))]
  const items = collected(taskItems(source(task, file, { shots, exampleFile })))
  await expect(items).rejects.toMatchObject({ code: 'OPTION', message: expect.stringMatching(message) })
})

test('a subject without enough examples is named', async () => {
  const file = written('mmlu-few', [...mmlu('anatomy', 2, 'q'), ...mmlu('sociology', 1, 'q')])
  const items = collected(taskItems(source('mmlu', file, { shots: 1 })))
  await expect(items).rejects.toMatchObject({
    code: 'OPTION',
    message: expect.stringContaining('has 1 examples of sociology, expected 2 for 1'),
  })
})

test('an empty file has no items', async () => {
  await expect(countItems(source('arc_easy', written('empty', [])))).rejects.toMatchObject({ code: 'IO' })
})

test('a choice that the tokenizer joins to the last token of its context has nothing to score', () => {
  const tokenizer = Tokenizer.fromGgufMetadata(metadataOf(normal('▁:▁so', '▁:▁', '▁:', 'so', '▁', ':', 's', 'o')))
  expect(tokenizer.encode(': so', { addBos: false })).toHaveLength(1)
  expect(() => atOnce(choiceTokens(tokenizer, [{ context: ':', target: ' so' }], 40, 'tasks.jsonl, line 6'))).toThrow(
    expect.objectContaining({
      code: 'IO',
      message: 'tasks.jsonl, line 6: a choice adds no token to its context, expected at least one',
    }),
  )
})
