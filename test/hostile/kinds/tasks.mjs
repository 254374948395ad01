// Files of tasks, read as `mixtral eval` reads them, and journals of its runs, gone on with as it does.

import { readFileSync } from 'node:fs'
import fs from 'node:fs/promises'
import path from 'node:path'
import { Journal } from '../../../dist/evaluation/tasks/journal.js'
import { taskRows } from '../../../dist/evaluation/tasks/taskFile.js'
import { taskForms, taskNames } from '../../../dist/evaluation/tasks/taskForms.js'
import { taskItems } from '../../../dist/evaluation/tasks/taskItems.js'
import { mutateBytes, mutateJsonText, mutateText } from '../mutations.mjs'

const utf8 = new TextEncoder()
const arc = { id: 'a', question: 'Why?', choices: { text: ['a', 'b'], label: ['A', 'B'] }, answerKey: 'B' }
export const rows = {
  hellaswag: { activity_label: 'a [title]', ctx_a: 'b', ctx_b: 'ĳ', endings: ['[c]', '', 'd  e', 'f'], label: '2' },
  arc_easy: arc,
  arc_challenge: arc,
  mmlu: { question: 'a', subject: 'anatomy', choices: ['b', 'c', 'd', 'e'], answer: 3 },
  winogrande: { sentence: 'a _ b', option1: 'c', option2: 'd', answer: '1' },
}

/** The first byte says which task it is. */
export const taskFiles = {
  name: 'task-files',
  share: 1,
  make(random) {
    const place = Math.floor(random.below(taskNames.length))
    const row = rows[taskNames[place]]
    const lines = [JSON.stringify(row), mutateJsonText(random, row), JSON.stringify({ ...row, id: 'b' })]
    return Buffer.concat([Uint8Array.of(place), utf8.encode(lines.join('\n'))])
  },
  async use(bytes, folder) {
    const file = path.join(folder, 'task.jsonl')
    await fs.writeFile(file, bytes.subarray(1))
    const form = taskForms[taskNames[bytes[0] % taskNames.length]]
    const source = { form, file, exampleFile: undefined, shots: 1, limit: 100, signal: undefined }
    for await (const { question, prompts } of taskItems(source)) {
      const isWhole = prompts.length === question.lengths.length && question.gold < prompts.length
      if (!isWhole || prompts.length < 2) throw new Error(`${prompts.length} prompts, right is ${question.gold}`)
    }
  },
}

const tables = ['arc', 'mmlu'].map((name) => readFileSync(new URL(`../../evaluation/tasks/files/${name}.parquet`, import.meta.url)))

/** Parquet, which a thread reads. Both ends matter most: the first page, and the footer that tells of all. */
export const parquetFiles = {
  name: 'parquet',
  share: 0.1,
  make(random) {
    const whole = random.pick(tables)
    const footer = whole.length - 8 - whole.readUInt32LE(whole.length - 8)
    if (random.chance(0.5)) return mutateBytes(random, whole)
    const inner = mutateBytes(random, whole.subarray(footer, -8))
    const end = Buffer.alloc(8, 'PAR1')
    end.writeUInt32LE(inner.length)
    end.write('PAR1', 4)
    return Buffer.concat([whole.subarray(0, footer), inner, end])
  },
  async use(bytes, folder) {
    const file = path.join(folder, 'task.parquet')
    await fs.writeFile(file, bytes)
    let count = 0
    for await (const _ of taskRows(file)) count++
    if (count > 65_536 + bytes.length) throw new Error(`${count} rows of ${bytes.length} bytes`)
  },
}

const head = {
  journal: 'mixtral-wasm eval 1',
  task: 'mmlu',
  shots: 0,
  model: 'm',
  numerics: 1,
  kv_format: 'f16',
  context: 64,
  experts_per_token: 2,
}
const entry = (item) => ({ item, line: item + 1, prompt: 'abc', gold: 1, scores: [-1.5, -2.25], choice: 0, cut: false })
export const journal = [head, entry(0), entry(1), entry(2)].map((line) => `${JSON.stringify(line)}\n`).join('')

export const journals = {
  name: 'journals',
  share: 1,
  make: (random) =>
    utf8.encode(mutateText(random, journal, ['\n', '{"item":1', '"scores":[', 'null', '1e999', '-0', JSON.stringify(entry(1))])),
  async use(bytes, folder) {
    const file = path.join(folder, 'journal.jsonl')
    await fs.writeFile(file, bytes)
    const first = await Journal.open(file, head)
    await first.append(entry(first.done.length)).finally(() => first.close())
    const again = await Journal.open(file, head)
    await again.close()
    if (again.done.length !== first.done.length + 1) throw new Error(`${again.done.length} items behind ${first.done.length} and one`)
  },
}
