// The scores of choices once more, as plainly as can be: the prompts are written out here, logits come one prompt at a
// time from the model, and their logarithms are float64 of this engine. Shares no code with evaluation/tasks/.

import type { MixtralModel } from '../../../dist/index.js'

/** The fields of all tasks. */
export interface AnyRow {
  readonly activity_label: string
  readonly ctx_a: string
  readonly ctx_b: string
  readonly endings: readonly string[]
  readonly question: string
  readonly subject: string
  /** Of ARC an object, of MMLU a list. */
  readonly choices: readonly string[] & { readonly text: readonly string[] }
  readonly sentence: string
  readonly option1: string
  readonly option2: string
}

/** (choices): what stands before a choice, and the choice with its blank. */
const prompts: Record<string, (row: AnyRow) => [context: string, target: string][]> = {
  hellaswag: ({ activity_label, ctx_a, ctx_b, endings }) => {
    const clean = (text: string) =>
      text
        .trim()
        .replace(/ \[title\]/g, '. ')
        .replace(/\[.*?\]/g, '')
        .replace(/ {2}/g, ' ')
    const context = clean(`${activity_label}: ${ctx_a} ${ctx_b.slice(0, 1).toUpperCase()}${ctx_b.slice(1).toLowerCase()}`)
    return endings.map((ending) => [context, ` ${clean(ending)}`])
  },
  arc_easy: ({ question, choices }) => choices.text.map((text) => [`Question: ${question}\nAnswer:`, ` ${text}`]),
  mmlu: ({ question, subject, choices }) => {
    const [a, b, c, d] = choices
    const about = `The following are multiple choice questions (with answers) about ${subject.replace(/_/g, ' ')}.\n\n`
    const context = `${about}${question.trim()}\nA. ${a}\nB. ${b}\nC. ${c}\nD. ${d}\nAnswer:`
    return ['A', 'B', 'C', 'D'].map((letter) => [context, ` ${letter}`])
  },
  winogrande: ({ sentence, option1, option2 }) => {
    const [before, after] = sentence.split('_')
    return [option1, option2].map((option) => [`${before}${option}`, ` ${after!.trim()}`])
  },
}

/** (choices): the sum of the log-probabilities of the tokens behind the context. */
export async function plainScores(model: MixtralModel, task: string, row: object, expertsPerToken?: number): Promise<number[]> {
  const scores: number[] = []
  for (const [context, target] of prompts[task]!(row as AnyRow)) {
    const spaces = context.length - context.trimEnd().length
    const before = model.tokenizer.encode(context.slice(0, context.length - spaces))
    const ids = model.tokenizer.encode(context + target)
    const logits = await model.logits(ids, expertsPerToken === undefined ? {} : { expertsPerToken })
    const { vocabSize } = model.config
    let score = 0
    for (let at = before.length; at < ids.length; at++) {
      const row = Array.from(logits.subarray((at - 1) * vocabSize, at * vocabSize))
      const most = Math.max(...row)
      const sum = row.reduce((all, logit) => all + Math.exp(logit - most), 0)
      score += row[ids[at]!]! - most - Math.log(sum)
    }
    scores.push(score)
  }
  return scores
}
