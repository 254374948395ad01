// The items of a run in their order: the questions of a file, as many of each subject as asked for, behind their
// examples. The same file and settings give the same prompts, each time. Owns how examples are chosen, as lm-eval
// chooses them: the first ones, or drawn by Python's generator from a fixed seed.

import { createHash } from 'node:crypto'
import { MixtralError } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import { TimeSlice } from '../../base/timeSlice.js'
import { PythonRandom } from './pythonRandom.js'
import { taskRows } from './taskFile.js'
import { promptsOf, type Question, type TaskForm } from './taskForms.js'
import type { TaskRow } from './taskRow.js'

/** lm-eval's `fewshot_random_seed`. */
const SEED = 1234

/** What is asked, and of which file. */
export interface TaskSource {
  readonly form: TaskForm
  readonly file: string
  /** The file that examples are taken from, if it is another one. */
  readonly exampleFile: string | undefined
  /** How many examples stand before each question. */
  readonly shots: number
  /** Most items, of each subject where there are subjects. */
  readonly limit: number
  readonly signal: AbortSignal | undefined
}

export interface TaskItem {
  readonly row: TaskRow
  readonly question: Question
  /** (choices): what comes before each choice, and what is scored. */
  readonly prompts: readonly { readonly context: string; readonly target: string }[]
}

interface Example {
  readonly text: string
  /** The row that it is made of: a question is no example for itself. */
  readonly row: string
}

/** The questions of a file, at most `limit` of each subject. Throws what reading throws. */
async function* questions({ form, file, limit, signal }: TaskSource): AsyncGenerator<{ row: TaskRow; question: Question }> {
  const slice = new TimeSlice()
  const counts = new Map<string | undefined, number>()
  for await (const row of taskRows(file, signal)) {
    const question = form.ask(row)
    const count = (counts.get(question.subject) ?? 0) + 1
    counts.set(question.subject, count)
    if (count <= limit) yield { row, question }
    if (count >= limit && question.subject === undefined) return
    if (slice.isOver) await slice.pause(signal)
  }
}

/**
 * Reads all items: how many there are. Throws `IO` for what is wrong with one and for a file without any, `OPTION`
 * where there are too few examples, and what `check` throws.
 */
export async function countItems(source: TaskSource, check?: (item: TaskItem) => Promise<void>): Promise<number> {
  let count = 0
  for await (const item of taskItems(source)) {
    await check?.(item)
    count++
  }
  if (count === 0) throw new MixtralError('IO', `${source.file} has no items, expected one in each line`)
  return count
}

/** The items of a run. Throws what reading throws, and `OPTION` where there are too few examples. */
export async function* taskItems(source: TaskSource): AsyncGenerator<TaskItem> {
  const examples = source.shots > 0 ? await Examples.read(source) : undefined
  const most = limits.taskPrompt.most
  for await (const { row, question } of questions(source)) {
    const prompts = promptsOf(question, examples?.before(row, question) ?? '')
    const longest = prompts.reduce((most, { context, target }) => Math.max(most, context.length + target.length), 0)
    if (longest > most) row.refuse(`has ${longest} characters with its examples, expected at most ${most}`)
    yield { row, question, prompts }
  }
}

/** What makes a prompt another one: 16 hex digits. */
export function promptHash({ question, prompts }: TaskItem): string {
  const { gold, lengths } = question
  const hash = createHash('sha256').update('[[') // the JSON of [prompts, gold, lengths], which may be too long for a string
  for (const [i, prompt] of prompts.entries()) hash.update((i > 0 ? ',' : '') + JSON.stringify(prompt))
  return hash
    .update(`],${JSON.stringify(gold)},${JSON.stringify(lengths)}]`)
    .digest('hex')
    .slice(0, 16)
}

class Examples {
  readonly #source: TaskSource
  readonly #random = new PythonRandom(SEED)
  /** Whether a question may be among them, and is left out: where lm-eval looks for it, and in the task's own file. */
  readonly #meetsItself: boolean
  /** How many are taken at first: one more where the question itself may be among them. */
  readonly #wanted: number
  /** By subject, which is undefined where there are none. */
  readonly #all = new Map<string | undefined, Example[]>()

  private constructor(source: TaskSource) {
    const { form, shots, exampleFile } = source
    this.#source = source
    this.#meetsItself = exampleFile === undefined || form.drawsOneMore
    this.#wanted = shots + (this.#meetsItself ? 1 : 0)
  }

  static async read(source: TaskSource): Promise<Examples> {
    const examples = new Examples(source)
    const { form, file, exampleFile = file, signal } = source
    const slice = new TimeSlice()
    let characters = 0
    for await (const row of taskRows(exampleFile, signal)) {
      const { subject, example } = form.ask(row)
      const list = examples.#all.get(subject) ?? []
      examples.#all.set(subject, list)
      if (form.examples === 'first' && list.length === examples.#wanted) continue
      list.push({ text: example, row: rowHash(row) })
      characters += example.length
      if (characters > limits.taskExamples.most) {
        throw new MixtralError('IO', `${row.where}: the examples up to here have more than ${limits.taskExamples.most} characters`)
      }
      if (slice.isOver) await slice.pause(signal)
    }
    return examples
  }

  /** The text of the examples before a question. Call it for each question, in order: what is drawn depends on that. */
  before(row: TaskRow, { subject }: Question): string {
    const { form, shots } = this.#source
    const list = this.#all.get(subject) ?? []
    let taken = this.#take(list, this.#wanted, subject)
    if (this.#meetsItself) {
      const own = rowHash(row)
      const others = (some: readonly Example[]) => some.filter((example) => example.row !== own)
      taken = others(taken).slice(0, shots)
      // the file has the question more than once
      if (taken.length < shots && form.examples === 'drawn') taken = this.#take(others(list), shots, subject)
    }
    return taken.map(({ text }) => text).join('')
  }

  #take(list: readonly Example[], count: number, subject: string | undefined): readonly Example[] {
    const { form, shots, exampleFile, file } = this.#source
    if (list.length < count) {
      const of = subject === undefined ? '' : ` of ${subject}`
      const expected = `expected ${count} for ${shots} before each item`
      throw new MixtralError('OPTION', `${exampleFile ?? file} has ${list.length} examples${of}, ${expected}`)
    }
    return form.examples === 'first' ? list.slice(0, count) : this.#random.sample(list.length, count).map((place) => list[place]!)
  }
}

/** The same of the same fields, in whatever order and format of file they are. Throws `IO` for too deep ones. */
function rowHash(row: TaskRow): string {
  try {
    const text = JSON.stringify(row.fields, (_, value) => {
      if (typeof value === 'bigint') return Number(value)
      const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
      return isObject ? Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)) : value
    })
    return createHash('sha256').update(text).digest('base64')
  } catch (cause) {
    return row.refuse(`cannot be written as JSON (${(cause as Error).message}), expected fields with few lists in each other`)
  }
}
