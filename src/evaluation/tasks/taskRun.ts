// A run of a task: items in their order, several at a time so that steps are full, each with its line in the journal
// and its part in the figures. The result does not depend on how many run at a time, nor on where an earlier run ended.

import { createHash } from 'node:crypto'
import { abortedError, MixtralError } from '../../base/errors.js'
import { refuseInput } from '../../base/files/draftFile.js'
import { Told } from '../../base/onAbort.js'
import { inSlices } from '../../base/timeSlice.js'
import { fingerprintOf, inputFiles } from '../../runtime/engine/loadedAdapters.js'
import { fingerprint } from '../../runtime/weights/fingerprint.js'
import { NUMERICS } from '../../runtime/weights/scratch.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import { callsOf, choiceScores, choiceTokens } from './choiceScores.js'
import { Journal, type JournalEntry, type JournalHead } from './journal.js'
import { subjectAccuracies } from './mmluGroups.js'
import { promptsOf, type TaskForm, type TaskName, taskForms } from './taskForms.js'
import { countItems, promptHash, type TaskItem, type TaskSource, taskItems } from './taskItems.js'
import { type Accuracy, type AccuracyOf, AnswerCount, taken } from './taskScores.js'

/** Progress of a run. */
export interface TaskProgress {
  /** Items done. */
  readonly loaded: number
  /** Items to run. */
  readonly total: number
  /** The accuracy so far, over all items alike. */
  readonly acc: Accuracy
}

export interface TaskOptions {
  /** How many examples stand before each question. Default 0. */
  readonly shots?: number
  /** The file that the examples are taken from, of the split that is for that. Default: the task's own file. */
  readonly examples?: string
  /** Most items; of MMLU, most items of each subject. Default: all. */
  readonly limit?: number
  /** A file that gets each item with its scores. A run that finds it goes on where the file ends. */
  readonly journal?: string
  /** How many experts each token has in a layer. Default: the model's own number. */
  readonly expertsPerToken?: number
  readonly signal?: AbortSignal
  /** Called after each item. */
  readonly onProgress?: (progress: TaskProgress) => void
}

export interface TaskResult {
  readonly task: TaskName
  /** How many examples stood before each question. */
  readonly shots: number
  /** Number of items. */
  readonly items: number
  /** By score. Of MMLU: of all subjects by their sizes. */
  readonly acc: Accuracy
  /** By score per character of the choice: of HellaSwag and ARC. */
  readonly accNorm: Accuracy | undefined
  /** Of MMLU: each subject, by name. */
  readonly subjects: readonly AccuracyOf[] | undefined
  /** Of MMLU: each group of subjects. */
  readonly groups: readonly AccuracyOf[] | undefined
  /** Items of which a prompt had more tokens than the context, and lost its first ones. */
  readonly cut: number
  /** The SHA-256 of all scores, item by item and choice by choice, as little-endian float64: 64 hex digits. */
  readonly scoresHash: string
}

/** Checked options. */
interface TaskRun extends Omit<TaskSource, 'form'> {
  readonly journal: string | undefined
  readonly expertsPerToken: number | undefined
  readonly onProgress: TaskOptions['onProgress']
}

/** An item whose scores come. */
interface Pending {
  readonly index: number
  readonly item: TaskItem
  readonly scores: Promise<number[]>
  readonly calls: number
  readonly isCut: boolean
}

/** Throws what `evaluateTask` throws. */
export async function runTask(model: MixtralModel, task: TaskName, run: TaskRun): Promise<TaskResult> {
  if (run.signal?.aborted) throw abortedError(run.signal)
  const source = { ...run, form: taskForms[task] }
  const total = await countItems(source, (item) => checkItem(model, item, run.signal))
  const journal = await openJournal(model, task, run)
  const done = journal?.done ?? []
  try {
    if (done.length > total) {
      throw new MixtralError('OPTION', `${run.journal} has ${done.length} items, expected at most the ${total} of this run`)
    }
    const figures = new Figures(source.form)
    const progress = new Told(run.onProgress)
    for await (const entry of entries(model, source, done)) {
      if (entry.item >= done.length) await journal?.append(entry)
      const acc = figures.add(entry)
      progress.next({ loaded: figures.items, total, acc })
    }
    await progress.end()
    return { task, shots: run.shots, ...figures.result }
  } finally {
    await journal?.close()
  }
}

/**
 * Throws what `choiceTokens` throws for an item: a run may take days, and should not end in the middle. Examples are
 * most of a prompt, and all but never matter for that.
 */
async function checkItem(model: MixtralModel, { row, question, prompts }: TaskItem, signal?: AbortSignal): Promise<void> {
  const { tokenizer, contextLength } = model
  try {
    await inSlices(choiceTokens(tokenizer, promptsOf(question, ''), contextLength, row.where), signal)
  } catch {
    await inSlices(choiceTokens(tokenizer, prompts, contextLength, row.where), signal)
  }
}

async function openJournal(model: MixtralModel, task: TaskName, run: TaskRun): Promise<Journal | undefined> {
  const { journal, file, exampleFile, shots, expertsPerToken = model.config.expertsPerToken } = run
  if (journal === undefined) return undefined
  await refuseInput(journal, [file, ...(exampleFile === undefined ? [] : [exampleFile]), ...inputFiles(model)])
  const adapters = fingerprintOf(model.adapters)
  const head: JournalHead = {
    journal: 'mixtral-wasm eval 1',
    task,
    shots,
    model: await fingerprint(model.gguf),
    numerics: NUMERICS,
    kv_format: model.memory.kvFormat,
    context: model.contextLength,
    experts_per_token: expertsPerToken,
    ...(adapters !== undefined && { adapters }),
  }
  return Journal.open(journal, head)
}

/** The entries of all items in order: those that an earlier run has, and the others as the model makes them. */
async function* entries(
  model: MixtralModel,
  source: TaskSource & Pick<TaskRun, 'expertsPerToken' | 'journal'>,
  done: readonly JournalEntry[],
): AsyncGenerator<JournalEntry> {
  const { signal, expertsPerToken, form, journal } = source
  const options = { ...(signal && { signal }), ...(expertsPerToken !== undefined && { expertsPerToken }) }
  /** Calls at a time: twice as many as can run, so that the next ones wait already. */
  const most = 2 * model.status().sequences
  const pending: Pending[] = []
  let calls = 0
  let index = 0
  const next = async () => {
    const first = pending[0]!
    const entry = entryOf(form, first, await first.scores)
    pending.shift()
    calls -= first.calls
    return entry
  }
  try {
    for await (const item of taskItems(source)) {
      const earlier = done[index]
      if (earlier !== undefined) {
        if (earlier.prompt !== promptHash(item) || earlier.scores.length !== item.prompts.length) {
          throw new MixtralError('OPTION', `${journal}: item ${index} is not that of ${item.row.where}, expected the journal of this file`)
        }
        yield entryOf(form, { index, item, isCut: earlier.cut === true }, earlier.scores)
      } else {
        const { tokenizer, contextLength } = model
        const choices = await inSlices(choiceTokens(tokenizer, item.prompts, contextLength, item.row.where), signal)
        const own = callsOf(choices)
        while (pending.length > 0 && calls + own > most) yield await next()
        const scores = choiceScores(model, choices, options)
        scores.catch(() => {}) // told where it is awaited
        pending.push({ index, item, scores, calls: own, isCut: choices.some(({ isCut }) => isCut) })
        calls += own
      }
      index++
    }
    while (pending.length > 0) yield await next()
  } finally {
    await Promise.allSettled(pending.map(({ scores }) => scores))
  }
}

function entryOf(
  { isNormalized }: TaskForm,
  { index, item, isCut }: Pick<Pending, 'index' | 'item' | 'isCut'>,
  scores: readonly number[],
): JournalEntry {
  const { subject, gold, lengths } = item.question
  const { byScore, byCharacter } = taken(scores, lengths)
  return {
    item: index,
    line: item.row.number,
    ...(subject !== undefined && { subject }),
    prompt: promptHash(item),
    gold,
    scores,
    choice: byScore,
    ...(isNormalized && { choice_norm: byCharacter }),
    cut: isCut,
  }
}

/** What is counted of the items. */
class Figures {
  readonly #isNormalized: boolean
  readonly #all = new AnswerCount()
  readonly #normalized = new AnswerCount()
  readonly #subjects = new Map<string, AnswerCount>()
  readonly #hash = createHash('sha256')
  #cut = 0

  constructor({ isNormalized }: TaskForm) {
    this.#isNormalized = isNormalized
  }

  get items(): number {
    return this.#all.items
  }

  /** Adds an item; the accuracy so far. */
  add({ scores, gold, choice, choice_norm, subject, cut }: JournalEntry) {
    const isRight = choice === gold
    this.#all.add(isRight)
    this.#normalized.add(choice_norm === gold)
    if (subject !== undefined) {
      const own = this.#subjects.get(subject) ?? new AnswerCount()
      this.#subjects.set(subject, own)
      own.add(isRight)
    }
    if (cut) this.#cut++
    const bits = new DataView(new ArrayBuffer(8 * scores.length))
    for (const [i, score] of scores.entries()) bits.setFloat64(8 * i, score, true)
    this.#hash.update(new Uint8Array(bits.buffer))
    return this.#all.accuracy
  }

  get result(): Omit<TaskResult, 'task' | 'shots'> {
    const bySubject = this.#subjects.size > 0 ? subjectAccuracies(this.#subjects) : undefined
    return {
      items: this.#all.items,
      acc: bySubject?.acc ?? this.#all.accuracy,
      accNorm: this.#isNormalized ? this.#normalized.accuracy : undefined,
      subjects: bySubject?.subjects,
      groups: bySubject?.groups,
      cut: this.#cut,
      scoresHash: this.#hash.copy().digest('hex'),
    }
  }
}
