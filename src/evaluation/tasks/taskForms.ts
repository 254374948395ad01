// The tasks: what is asked of a row, in the words and with the choices of lm-eval's tasks of the same names. Owns the
// prompts. Knows neither files nor models. Pure.

import { capitalize, characters, strip } from './pythonText.js'
import type { TaskRow } from './taskRow.js'

/** The tasks by their names in lm-eval. */
export const taskNames = ['hellaswag', 'arc_easy', 'arc_challenge', 'mmlu', 'winogrande'] as const
export type TaskName = (typeof taskNames)[number]

/** A row as it is asked. */
export interface Question {
  /** (choices): the text before what is scored, without examples. */
  readonly contexts: readonly string[]
  /** (choices): the text that is scored, without the blank before it. */
  readonly targets: readonly string[]
  /** (choices): characters of each choice. */
  readonly lengths: readonly number[]
  /** Which choice is right. */
  readonly gold: number
  /** What it says of all questions, before the first example. */
  readonly description: string
  readonly subject: string | undefined
  /** The question with its right choice, as an example for others. */
  readonly example: string
}

export interface TaskForm {
  readonly ask: (row: TaskRow) => Question
  /** Whether `acc_norm` is told, too. */
  readonly isNormalized: boolean
  /** Examples are the first ones of the subject, or drawn at random. */
  readonly examples: 'first' | 'drawn'
  /**
   * Whether questions and examples of the data set are of one split as far as lm-eval knows: it draws one more then.
   */
  readonly drawsOneMore: boolean
}

const BLANK = ' '
const BETWEEN_EXAMPLES = '\n\n'
const LETTERS = ['A', 'B', 'C', 'D'] as const

/** A question whose choices follow one context. */
function choicesAfter(context: string, choices: readonly string[], gold: number): Question {
  return {
    contexts: choices.map(() => context),
    targets: choices,
    lengths: choices.map(characters),
    gold,
    description: '',
    subject: undefined,
    example: `${context}${BLANK}${choices[gold]}${BETWEEN_EXAMPLES}`,
  }
}

function hellaswag(row: TaskRow): Question {
  const context = cleaned(`${row.text('activity_label')}: ${row.text('ctx_a')} ${capitalize(row.text('ctx_b'))}`)
  const endings = row.texts('endings').map(cleaned)
  return choicesAfter(context, endings, row.index('label', endings.length, ': the test split has no labels'))
}

/** Without the marks of WikiHow's pages. */
function cleaned(text: string): string {
  const titled = strip(text).replaceAll(' [title]', '. ')
  return withoutBrackets(titled).replaceAll('  ', ' ')
}

/** Without what stands in brackets on one line: `re.sub("\\[.*?\\]", "", text)`, in linear time. */
function withoutBrackets(text: string): string {
  return text
    .split('\n')
    .map((line) => {
      let kept = ''
      for (let at = 0; ; ) {
        const open = line.indexOf('[', at)
        const close = open < 0 ? -1 : line.indexOf(']', open)
        if (close < 0) return kept + line.slice(at)
        kept += line.slice(at, open)
        at = close + 1
      }
    })
    .join('\n')
}

function arc(row: TaskRow): Question {
  const { text, label } = row.object('choices')
  const choices = row.texts('choices.text', undefined, text)
  const labels = row.texts('choices.label', choices.length, label)
  const key = row.text('answerKey')
  const gold = labels.indexOf(key)
  if (gold < 0) row.refuse(`answerKey is ${JSON.stringify(key)}, expected one of ${labels.join(', ')}`)
  return choicesAfter(`Question: ${row.text('question')}\nAnswer:`, choices, gold)
}

function mmlu(row: TaskRow): Question {
  const subject = row.text('subject')
  const choices = row.texts('choices', LETTERS.length)
  const lines = choices.map((choice, i) => `${LETTERS[i]}. ${choice}`)
  const context = [strip(row.text('question')), ...lines, 'Answer:'].join('\n')
  const about = subject.split('_').join(' ')
  return {
    ...choicesAfter(context, LETTERS, row.index('answer', LETTERS.length)),
    description: `The following are multiple choice questions (with answers) about ${about}.${BETWEEN_EXAMPLES}`,
    subject,
  }
}

function winogrande(row: TaskRow): Question {
  const sentence = row.text('sentence')
  const gap = sentence.indexOf('_')
  if (gap < 0) row.refuse('sentence has no _, expected one in place of the options')
  const contexts = ['option1', 'option2'].map((name) => sentence.slice(0, gap) + row.text(name))
  const target = strip(sentence.slice(gap + 1))
  const answer = row.text('answer')
  const gold = ['1', '2'].indexOf(answer)
  if (gold < 0) row.refuse(`answer is ${JSON.stringify(answer)}, expected "1" or "2": the test split has no answers`)
  return {
    contexts,
    targets: contexts.map(() => target),
    lengths: contexts.map(characters),
    gold,
    description: '',
    subject: undefined,
    example: contexts[gold]! + (target === '' ? '' : BLANK + target + BETWEEN_EXAMPLES),
  }
}

export const taskForms: Readonly<Record<TaskName, TaskForm>> = {
  hellaswag: { ask: hellaswag, isNormalized: true, examples: 'drawn', drawsOneMore: true },
  arc_easy: { ask: arc, isNormalized: true, examples: 'drawn', drawsOneMore: false },
  arc_challenge: { ask: arc, isNormalized: true, examples: 'drawn', drawsOneMore: false },
  mmlu: { ask: mmlu, isNormalized: false, examples: 'first', drawsOneMore: false },
  winogrande: { ask: winogrande, isNormalized: false, examples: 'drawn', drawsOneMore: true },
}

/** The requests of a question behind its examples: what comes before each choice, and what is scored with its blank. */
export function promptsOf({ contexts, targets, description }: Question, examples: string) {
  return contexts.map((context, i) => ({ context: description + examples + context, target: BLANK + targets[i]! }))
}
