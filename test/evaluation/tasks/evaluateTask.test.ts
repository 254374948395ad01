// Tasks on the demo model: scores beside a plain computation, results that depend on nothing but the file, the journal.

import { createHash } from 'node:crypto'
import { appendFileSync, copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { evaluateTask, type LoadOptions, MixtralModel, type TaskName, type TaskOptions } from '../../../dist/index.js'
import { plainPair, writeGgufAdapter } from '../../runtime/adapters/adapterFiles.js'
import { type AnyRow, plainScores } from './plainScores.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-tasks-'))
const file = (name: string) => fileURLToPath(new URL(`files/${name}`, import.meta.url))
const rowsOf = <Row = AnyRow>(path: string): Row[] =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
const tasks = ['hellaswag', 'arc_easy', 'mmlu', 'winogrande'] as const
const files: Record<string, string> = {
  ...{ hellaswag: file('hellaswag.jsonl'), arc_easy: file('arc.jsonl'), arc_challenge: file('arc.jsonl') },
  ...{ mmlu: file('mmlu.jsonl'), winogrande: file('winogrande.jsonl') },
}
const dev = file('mmlu_dev.jsonl')
let count = 0
const fresh = () => join(folder, `${count++}.jsonl`)

let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 2, contextLength: 512 })
})
afterAll(async () => {
  await model.close()
  rmSync(folder, { recursive: true })
})

interface Entry {
  readonly gold: number
  readonly scores: number[]
  readonly choice: number
  readonly choice_norm?: number
}

/** A run, and the entries of its journal. */
async function journaled(task: TaskName, options: TaskOptions = {}, on = model) {
  const journal = fresh()
  const result = await evaluateTask(on, task, files[task]!, { ...options, journal })
  return { result, entries: rowsOf<Entry>(journal).slice(1), text: readFileSync(journal, 'utf8') }
}

test.each(tasks)('%s: scores are those of a plain float64 computation from logits, to 1e-9', async (task) => {
  const { entries } = await journaled(task)
  const rows = rowsOf(files[task]!)
  expect(entries).toHaveLength(rows.length)
  for (const [i, { scores }] of entries.entries()) {
    const plain = await plainScores(model, task, rows[i]!)
    expect(scores).toHaveLength(plain.length)
    for (const [choice, score] of scores.entries()) {
      expect(score).toBeLessThan(0)
      expect(Math.abs(score - plain[choice]!)).toBeLessThan(1e-9)
    }
  }
})

test('so are those with another number of experts', async () => {
  const { entries } = await journaled('arc_easy', { expertsPerToken: 3, limit: 2 })
  for (const [i, row] of rowsOf(files.arc_easy!).slice(0, 2).entries()) {
    const plain = await plainScores(model, 'arc_easy', row, 3)
    for (const [choice, score] of entries[i]!.scores.entries()) expect(Math.abs(score - plain[choice]!)).toBeLessThan(1e-9)
  }
})

test('accuracies follow from scores, by characters in acc_norm; equal choices go to the first, an empty one is not taken', async () => {
  const { result, entries } = await journaled('hellaswag')
  const rows = rowsOf(files.hellaswag!)
  const lengths = [...rows.entries()].map(([, { endings }]) =>
    endings.map(
      (ending) =>
        [
          ...ending
            .trim()
            .replace(/ \[title\]/g, '. ')
            .replace(/\[.*?\]/g, '')
            .replace(/ {2}/g, ' '),
        ].length,
    ),
  )
  const first = (values: readonly number[]) => values.indexOf(Math.max(...values))
  const norm = entries.map(({ scores }, i) => first(scores.map((score, choice) => score / lengths[i]![choice]!)))
  expect(entries.map(({ choice }) => choice)).toEqual(entries.map(({ scores }) => first(scores)))
  expect(entries.map(({ choice_norm }) => choice_norm)).toEqual(norm)
  expect(new Set(entries[3]!.scores).size).toBe(1)
  expect([entries[3]!.choice, entries[3]!.choice_norm]).toEqual([0, 0])
  expect(lengths[6]!.slice(0, 3)).toEqual([0, 30, 0])
  expect([1, 3]).toContain(entries[6]!.choice_norm)
  const right = entries.map(({ gold, choice }) => Number(gold === choice))
  const mean = right.reduce((sum, one) => sum + one, 0) / right.length
  const squares = right.reduce((sum, one) => sum + (one - mean) ** 2, 0)
  expect(result.acc.value).toBe(mean)
  expect(result.acc.stderr).toBeCloseTo(Math.sqrt(squares / (right.length - 1)) / Math.sqrt(right.length), 14)
  expect(result.accNorm?.value).toBe(entries.filter(({ gold }, i) => gold === norm[i]).length / entries.length)
  expect(result).toMatchObject({ task: 'hellaswag', shots: 0, items: 8, cut: 0, subjects: undefined, groups: undefined })
})

test('MMLU has subjects and groups; WinoGrande and MMLU have no acc_norm', async () => {
  const { subjects, groups, accNorm, items } = await evaluateTask(model, 'mmlu', files.mmlu!)
  expect(subjects?.map(({ name, items }) => [name, items])).toEqual([
    ['anatomy', 3],
    ['business_ethics', 2],
    ['high_school_world_history', 2],
    ['sociology', 3],
  ])
  expect(groups?.map(({ name }) => name)).toEqual(['stem', 'humanities', 'social_sciences', 'other'])
  expect({ accNorm, items }).toEqual({ accNorm: undefined, items: 10 })
  expect((await evaluateTask(model, 'winogrande', files.winogrande!)).accNorm).toBeUndefined()
})

test('the hash is the SHA-256 of all scores as little-endian float64', async () => {
  const { result, entries } = await journaled('winogrande')
  const hash = createHash('sha256')
  for (const score of entries.flatMap(({ scores }) => scores)) {
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleLE(score)
    hash.update(bytes)
  }
  expect(result.scoresHash).toBe(hash.digest('hex'))
})

/** Some items of each task, with examples. */
const some = (task: TaskName): TaskOptions => (task === 'mmlu' ? { shots: 2, examples: dev, limit: 1 } : { shots: 1, limit: 3 })

test('results and journals are the same on other threads, and with batching on and off', async () => {
  const expected = await Promise.all(tasks.map((task) => journaled(task, some(task))))
  for (const options of [
    { threads: 1, sequences: 8, batchSize: 128 },
    { threads: 1, sequences: 1, batchSize: 1 },
    { threads: 2, sequences: 1, batchSize: 7 },
    { threads: 2, sequences: 16, kvTokens: 2048 },
  ]) {
    const other = await MixtralModel.load('demo', { ...options, contextLength: 512 })
    try {
      for (const [i, task] of tasks.entries()) expect(await journaled(task, some(task), other)).toEqual(expected[i])
    } finally {
      await other.close()
    }
  }
})

test('Parquet gives what its JSON lines give', async () => {
  for (const name of ['arc', 'mmlu']) {
    const task = name === 'arc' ? 'arc_challenge' : 'mmlu'
    expect(await evaluateTask(model, task, file(`${name}.parquet`))).toEqual(await evaluateTask(model, task, file(`${name}.jsonl`)))
  }
})

test('examples change scores, and stand before the question in the order of the other file', async () => {
  const { result, entries } = await journaled('mmlu', { shots: 2, examples: dev, limit: 1 })
  expect([result.shots, result.items]).toEqual([2, 4])
  const examples = rowsOf<AnyRow & { answer: number }>(dev).slice(0, 2)
  const asText = ({ question, choices, answer }: (typeof examples)[number]) =>
    `${question}\n${choices.map((choice, i) => `${'ABCD'[i]}. ${choice}`).join('\n')}\nAnswer: ${'ABCD'[answer]}\n\n`
  const before = examples.map(asText).join('')
  const [row] = rowsOf(files.mmlu!)
  const plain = await plainScores(model, 'mmlu', { ...row, question: `${before}${row!.question}` })
  for (const [choice, score] of entries[0]!.scores.entries()) expect(Math.abs(score - plain[choice]!)).toBeLessThan(1e-9)
})

test('progress counts items, with the accuracy so far', async () => {
  const told: unknown[] = []
  const { acc } = await evaluateTask(model, 'arc_easy', files.arc_easy!, { onProgress: (progress) => told.push(progress) })
  expect(told.map((one) => (one as { loaded: number }).loaded)).toEqual([1, 2, 3, 4, 5, 6])
  expect(told.at(-1)).toEqual({ loaded: 6, total: 6, acc })
  expect(told[0]).toMatchObject({ acc: { stderr: undefined } })
})

test('a prompt that is too long loses its beginning, as in lm-eval all but the context and one token, and is counted', async () => {
  const short = await MixtralModel.load('demo', { threads: 2, contextLength: 40 })
  try {
    const { result, entries } = await journaled('arc_easy', {}, short)
    expect(result.cut).toBe(0)
    const long = fresh()
    const [row] = rowsOf(files.arc_easy!)
    writeFileSync(long, JSON.stringify({ ...row, question: `${'Once upon a time. '.repeat(20)}${row!.question}` }))
    const journal = fresh()
    expect(await evaluateTask(short, 'arc_easy', long, { journal })).toMatchObject({ items: 1, cut: 1 })
    const { scores } = rowsOf<Entry>(journal)[1]!
    const prompt = `Question: ${'Once upon a time. '.repeat(20)}${row!.question}\nAnswer:`
    const whole = short.tokenizer.encode(`${prompt} light and water`)
    const scored = whole.length - short.tokenizer.encode(prompt).length
    // lm-eval: inp = (context_enc + continuation_enc)[-(max_length + 1):][:-1]
    const input = whole.slice(-41, -1)
    const logits = await short.logits(input)
    const { vocabSize } = short.config
    let expected = 0
    for (let at = 40 - scored; at < 40; at++) {
      const place = logits.subarray(at * vocabSize, (at + 1) * vocabSize)
      const most = Math.max(...place)
      const sum = place.reduce((all, logit) => all + Math.exp(logit - most), 0)
      expected += place[whole[whole.length - 40 + at]!]! - most - Math.log(sum)
    }
    expect(Math.abs(scores[0]! - expected)).toBeLessThan(1e-9)
    expect(scores).not.toEqual(entries[0]!.scores)
  } finally {
    await short.close()
  }
})

test('a prompt of one token more than the context is whole, since its last one is not run', async () => {
  const [row] = rowsOf(files.arc_easy!)
  const choices = { text: ['light', 'goats'], label: ['A', 'B'] }
  const prompt = `Question: ${row!.question}\nAnswer:`
  const longest = Math.max(...choices.text.map((text) => model.tokenizer.encode(`${prompt} ${text}`).length))
  const path = fresh()
  writeFileSync(path, JSON.stringify({ ...row, choices }))
  const cut = async (contextLength: number) => {
    const other = await MixtralModel.load('demo', { threads: 2, contextLength })
    try {
      return await evaluateTask(other, 'arc_easy', path)
    } finally {
      await other.close()
    }
  }
  const whole = await evaluateTask(model, 'arc_easy', path)
  expect(await cut(longest - 1)).toEqual(whole)
  expect(await cut(longest - 2)).toMatchObject({ cut: 1 })
})

test('a choice that cannot be scored is told before anything is computed', async () => {
  const short = await MixtralModel.load('demo', { threads: 2, contextLength: 40 })
  try {
    const [row] = rowsOf(files.arc_easy!)
    const [path, journal] = [fresh(), fresh()]
    const long = { ...row, choices: { text: ['no', 'yes '.repeat(41)], label: ['A', 'B'] } }
    writeFileSync(path, `${JSON.stringify(row)}\n\n${JSON.stringify(long)}`)
    const told: unknown[] = []
    const run = evaluateTask(short, 'arc_easy', path, { journal, onProgress: (progress) => told.push(progress) })
    await expect(run).rejects.toMatchObject({
      code: 'CONTEXT',
      message: expect.stringMatching(/\.jsonl, line 3: a choice has \d+ tokens, expected at most the 40 of the context$/),
    })
    expect([told, existsSync(journal)]).toEqual([[], false])
  } finally {
    await short.close()
  }
})

test('white space at the end of a context belongs to the choice', async () => {
  const path = fresh()
  const row = { sentence: 'The goat saw the _ and ran.', option1: 'dog  ', option2: 'cat', answer: '1' }
  writeFileSync(path, JSON.stringify(row))
  const journal = fresh()
  await evaluateTask(model, 'winogrande', path, { journal })
  const { scores } = rowsOf<Entry>(journal)[1]!
  const plain = await plainScores(model, 'winogrande', row)
  for (const [choice, score] of scores.entries()) expect(Math.abs(score - plain[choice]!)).toBeLessThan(1e-9)
})

test('without any context, BOS is it', async () => {
  const path = fresh()
  writeFileSync(path, JSON.stringify({ sentence: '_ Once upon a time', option1: '', option2: ' ', answer: '1' }))
  const journal = fresh()
  await evaluateTask(model, 'winogrande', path, { journal })
  const { scores } = rowsOf<Entry>(journal)[1]!
  const sum = async (text: string) => {
    const ids = [model.tokenizer.bosId, ...model.tokenizer.encode(text, { addBos: false })]
    return (await model.score(ids)).reduce((all, { logprob }) => all + logprob, 0)
  }
  expect(scores).toEqual([await sum(' Once upon a time'), await sum('  Once upon a time')])
})

test('a run goes on where its journal ends: result and journal are those of an uninterrupted one', async () => {
  const options = { shots: 2, examples: dev }
  const whole = await journaled('mmlu', options)
  const lines = whole.text.split('\n')
  for (const kept of [
    '',
    lines[0]!.slice(0, 30),
    `${lines[0]}\n`,
    `${lines.slice(0, 4).join('\n')}\n`,
    `${lines.slice(0, 6).join('\n')}\n{"item":5,"li`,
    whole.text,
  ]) {
    const journal = fresh()
    writeFileSync(journal, kept)
    const told: number[] = []
    const onProgress = ({ loaded }: { loaded: number }) => told.push(loaded)
    expect(await evaluateTask(model, 'mmlu', files.mmlu!, { ...options, journal, onProgress })).toEqual(whole.result)
    expect(readFileSync(journal, 'utf8')).toBe(whole.text)
    expect(told).toHaveLength(10)
  }
})

test('what the journal has is not computed again', async () => {
  const { text, result } = await journaled('arc_easy')
  const journal = fresh()
  writeFileSync(journal, text)
  const stub = new Proxy(model, {
    get: (target, name) => {
      if (name === 'score' || name === 'evaluate') return () => Promise.reject(new Error('computed'))
      const value = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  expect(await evaluateTask(stub, 'arc_easy', files.arc_easy!, { journal })).toEqual(result)
  truncateSync(journal, text.length - 1)
  await expect(evaluateTask(stub, 'arc_easy', files.arc_easy!, { journal })).rejects.toThrow('computed')
})

test('an aborted run keeps what it has, and a longer one goes on with a shorter', async () => {
  const journal = fresh()
  const controller = new AbortController()
  const onProgress = ({ loaded }: { loaded: number }) => loaded === 2 && controller.abort()
  const aborted = evaluateTask(model, 'hellaswag', files.hellaswag!, { journal, signal: controller.signal, onProgress })
  await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' })
  expect(rowsOf(journal).length).toBeGreaterThanOrEqual(3)
  await evaluateTask(model, 'hellaswag', files.hellaswag!, { journal, limit: 7 })
  expect(rowsOf(journal)).toHaveLength(8)
  const { result, text } = await journaled('hellaswag')
  expect(await evaluateTask(model, 'hellaswag', files.hellaswag!, { journal })).toEqual(result)
  expect(readFileSync(journal, 'utf8')).toBe(text)
  await expect(evaluateTask(model, 'hellaswag', files.hellaswag!, { journal, limit: 3 })).rejects.toMatchObject({
    code: 'OPTION',
    message: expect.stringMatching(/has 8 items, expected at most the 3 of this run$/),
  })
})

test.each<[string, TaskOptions & { task?: TaskName }, RegExp]>([
  ['another task', { task: 'arc_challenge' }, /the journal of another run: its task is "arc_easy", expected "arc_challenge"/],
  ['other examples', { shots: 1 }, /its shots is 0, expected 1/],
  ['another number of experts', { expertsPerToken: 1 }, /its experts_per_token is 2, expected 1/],
])('the journal of %s is refused', async (_, { task = 'arc_easy', ...options }, message) => {
  const { text } = await journaled('arc_easy')
  const journal = fresh()
  writeFileSync(journal, text)
  const run = evaluateTask(model, task, files.arc_easy!, { ...options, journal })
  await expect(run).rejects.toMatchObject({ code: 'OPTION', message: expect.stringMatching(message) })
  expect(readFileSync(journal, 'utf8')).toBe(text)
})

test('so are the journal of another file, of another context, and a file that is no journal', async () => {
  const { text } = await journaled('arc_easy')
  const refused = async (journalText: string, message: RegExp, change: (line: string) => string = (line) => line) => {
    const [journal, other] = [fresh(), fresh()]
    writeFileSync(journal, journalText)
    writeFileSync(other, readFileSync(files.arc_easy!, 'utf8').split('\n').map(change).join('\n'))
    const run = evaluateTask(model, 'arc_easy', other, { journal })
    await expect(run).rejects.toMatchObject({ message: expect.stringMatching(message) })
    expect(readFileSync(journal, 'utf8')).toBe(journalText)
  }
  await refused(text, /item 1 is not that of .*line 2, expected the journal of this file$/, (line) => line.replace('cows', 'goats'))
  await refused(text.replace('"context":512', '"context":256'), /its context is 256, expected 512/)
  await refused('My diary.\n', /line 1: is no object in JSON, expected a journal of mixtral eval$/)
  await refused('My diary.', /line 1: is no head of a journal, expected the name of another file$/)
  await refused('{"a":1}\n', /line 1: is not of an earlier run, expected the output of one, or the name of another file$/)
  await refused(text.replace('"item":2', '"item":3'), /line 4: item is 3, expected 2$/)
  await refused(text.replace(/"scores":\[/, '"scores":["a",'), /line 2: scores is a list of \d, expected a list of numbers$/)
  await refused(text.replace('{"item":1', '{"item"1'), /line 3: is no object in JSON/)
})

test('a journal that somebody else writes, too, ends the run', async () => {
  const journal = fresh()
  const run = evaluateTask(model, 'arc_easy', files.arc_easy!, {
    journal,
    onProgress: ({ loaded }) => loaded === 2 && appendFileSync(journal, 'x'),
  })
  await expect(run).rejects.toMatchObject({ code: 'IO', message: expect.stringContaining('another process writes it, too') })
})

test('the task, its examples and the model are not written over', async () => {
  const path = fresh()
  copyFileSync(files.arc_easy!, path)
  await expect(evaluateTask(model, 'arc_easy', path, { journal: path })).rejects.toMatchObject({ code: 'OPTION' })
  expect(readFileSync(path, 'utf8')).toBe(readFileSync(files.arc_easy!, 'utf8'))
  const examples = evaluateTask(model, 'arc_easy', files.arc_easy!, { shots: 1, examples: path, journal: path })
  await expect(examples).rejects.toMatchObject({ code: 'OPTION', message: expect.stringContaining('is an input') })
})

test.each<[string, object, RegExp]>([
  ['an unknown option', { shot: 1 }, /unknown option shot.*did you mean shots\?/],
  ['half a shot', { shots: 0.5 }, /^shots is 0\.5, expected a whole number from 0 to 1000$/],
  ['no item', { limit: 0 }, /^limit is 0, expected a whole number from 1$/],
  ['examples without shots', { examples: dev }, /^examples without shots, expected at least 1$/],
  ['a journal that is no path', { journal: 5 }, /^journal is 5, expected a string$/],
  ['too many experts', { expertsPerToken: 9 }, /^expertsPerToken is 9, expected a whole number from 1 to 8$/],
])('%s is refused', async (_, options, message) => {
  await expect(evaluateTask(model, 'mmlu', files.mmlu!, options)).rejects.toMatchObject({
    code: 'OPTION',
    message: expect.stringMatching(message),
  })
})

test('an unknown task is refused with those that there are', async () => {
  await expect(evaluateTask(model, 'gsm8k' as TaskName, files.mmlu!)).rejects.toMatchObject({
    code: 'OPTION',
    message: 'the task is "gsm8k", expected hellaswag, arc_easy, arc_challenge, mmlu, winogrande',
  })
})

test('a journal belongs to the adapters of its run, and how much of each counts', async () => {
  const adapter = join(folder, 'a.gguf')
  await writeGgufAdapter(adapter, 4, [{ name: 'blk.1.attn_v.weight', pairs: [plainPair('a', 128, 256, 4, 0.5)] }])
  const load = (adapters: LoadOptions['adapters']) =>
    MixtralModel.load('demo', { threads: 1, contextLength: 512, ...(adapters && { adapters }) })
  const run = (on: MixtralModel, journal: string, limit: number) => evaluateTask(on, 'winogrande', files.winogrande!, { journal, limit })
  const refused = { code: 'OPTION', message: expect.stringContaining('is the journal of another run: its adapters is') }
  const [plain, adapted] = [fresh(), fresh()]
  await evaluateTask(model, 'winogrande', files.winogrande!, { journal: plain, limit: 1 })
  {
    await using one = await load([adapter])
    await expect(run(one, plain, 2)).rejects.toMatchObject(refused)
    await run(one, adapted, 1)
    await run(one, adapted, 2)
    await expect(run(one, adapter, 1)).rejects.toMatchObject({ code: 'OPTION', message: expect.stringContaining('is an input') })
  }
  await expect(run(model, adapted, 2)).rejects.toMatchObject(refused)
  await using other = await load([{ path: adapter, scale: 2 }])
  await expect(run(other, adapted, 2)).rejects.toMatchObject(refused)
  await using none = await load([{ path: adapter, scale: 0 }])
  await run(none, plain, 2)
})
