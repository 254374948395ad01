// Tasks with strange texts and strange callers: nothing but errors of ours, and a journal that can be cut anywhere.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { evaluateTask, MixtralModel } from '../../../dist/index.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-hostile-tasks-'))
let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 1, contextLength: 256 })
})
afterAll(async () => {
  await model.close()
  rmSync(folder, { recursive: true })
})

const written = (name: string, lines: readonly string[]) => {
  const path = join(folder, name)
  writeFileSync(path, lines.map((line) => `${line}\n`).join(''))
  return path
}
const question = (question: string, subject: string) =>
  JSON.stringify({ question, subject, choices: ['One', 'Two', 'Three', 'Four'], answer: 1 })

test('a journal that is cut within any of its characters goes on', async () => {
  const file = written('subjects.jsonl', [question('How many?', 'añatomía 解剖 \u{1f98a}'), question('Who?', '\u2028\ud83d')])
  const journal = join(folder, 'subjects.journal')
  const result = await evaluateTask(model, 'mmlu', file, { journal })
  const whole = readFileSync(journal)
  const subject = whole.indexOf('"subject"')
  for (let end = subject + 12; end < subject + 28; end++) {
    writeFileSync(journal, whole.subarray(0, end))
    expect(await evaluateTask(model, 'mmlu', file, { journal })).toEqual(result)
    expect(readFileSync(journal).equals(whole)).toBe(true)
  }
})

test('a row of lists in lists in lists is refused where it is compared with others', async () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
  const line = (n: number) => question(`Number ${n}?`, 'anatomy').replace('{', `{"extra":${deep},`)
  const file = written('deep.jsonl', [line(0), line(1)])
  await expect(evaluateTask(model, 'mmlu', file, { shots: 1 })).rejects.toMatchObject({
    code: 'IO',
    message: expect.stringMatching(/deep\.jsonl, line 1: (cannot be written as JSON|is no JSON)/),
  })
})

test('a prompt that is longer than any context is refused by its line, before anything runs', async () => {
  const file = written(
    'long.jsonl',
    Array.from({ length: 20 }, (_, n) => question(`${n}${'a'.repeat(1_000_000)}`, 'anatomy')),
  )
  await expect(evaluateTask(model, 'mmlu', file, { shots: 17 })).rejects.toMatchObject({
    code: 'IO',
    message: expect.stringMatching(/long\.jsonl, line 1: has 18\d{6} characters with its examples, expected at most 16777216$/),
  })
})

test('an asynchronous function for progress that is rejected ends the run with its error', async () => {
  const file = written(
    'three.jsonl',
    ['What?', 'Who?', 'Where?'].map((one) => question(one, 'anatomy')),
  )
  for (const failing of [1, 3]) {
    const onProgress = async ({ loaded }: { loaded: number }) => {
      if (loaded === failing) throw new Error('no progress')
    }
    await expect(evaluateTask(model, 'mmlu', file, { onProgress })).rejects.toThrow('no progress')
  }
})

test('other work goes on while a long item becomes tokens, and an abort ends it', async () => {
  const file = written('item.jsonl', [question('so it goes '.repeat(80_000), 'anatomy')])
  const controller = new AbortController()
  const run = evaluateTask(model, 'mmlu', file, { signal: controller.signal })
  const start = performance.now()
  setTimeout(() => controller.abort(), 50)
  await expect(run).rejects.toMatchObject({ code: 'ABORTED' })
  expect(performance.now() - start).toBeLessThan(1000)
})

test('a call whose signal has fired already reads and writes nothing', async () => {
  const file = written('one.jsonl', [question('What?', 'anatomy')])
  const [journal, signal] = [join(folder, 'aborted.journal'), AbortSignal.abort()]
  await expect(evaluateTask(model, 'mmlu', file, { journal, signal })).rejects.toMatchObject({ code: 'ABORTED' })
  expect(existsSync(journal)).toBe(false)
  await evaluateTask(model, 'mmlu', file, { journal })
  await expect(evaluateTask(model, 'mmlu', file, { journal, signal })).rejects.toMatchObject({ code: 'ABORTED' })
})

test('an abort does not wait for a Parquet file that has no end', async () => {
  const bytes = readFileSync(new URL('files/mmlu.parquet', import.meta.url))
  bytes[22]! ^= 0xff // a page that says that it has endless values
  const file = join(folder, 'endless.parquet')
  writeFileSync(file, bytes)
  const start = performance.now()
  await expect(evaluateTask(model, 'mmlu', file, { signal: AbortSignal.timeout(500) })).rejects.toMatchObject({ code: 'ABORTED' })
  expect(performance.now() - start).toBeLessThan(10_000)
})
