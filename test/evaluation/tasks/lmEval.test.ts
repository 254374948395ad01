// Prompts and figures beside those of runs of lm-eval itself, whose model was a rule that both sides know: a choice's
// score is made of the hash of its prompt. How the files were made: test/golden/README.md.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { subjectAccuracies } from '../../../dist/evaluation/tasks/mmluGroups.js'
import { type TaskName, taskForms } from '../../../dist/evaluation/tasks/taskForms.js'
import { taskItems } from '../../../dist/evaluation/tasks/taskItems.js'
import { type Accuracy, AnswerCount, taken } from '../../../dist/evaluation/tasks/taskScores.js'

interface Run {
  readonly task: TaskName
  readonly shots: number
  readonly limit: number | null
  /** (items): the hash of each item's prompts. */
  readonly prompts: readonly string[]
  readonly figures: Readonly<Record<string, readonly [value: number, stderr: number | null]>>
}

const folder = fileURLToPath(new URL('../../golden/lm-eval/', import.meta.url))
const { runs }: { runs: Run[] } = JSON.parse(readFileSync(`${folder}runs.json`, 'utf8'))
const sha256 = (text: string) => createHash('sha256').update(text).digest()
const scoreOf = ({ context, target }: { context: string; target: string }) =>
  -(sha256(`${context}\0${target}`).readUInt32BE(0) % 400) / 8 - 0.5

async function ours({ task, shots, limit }: Run) {
  const name = task.startsWith('arc') ? 'arc' : task
  const source = {
    form: taskForms[task],
    file: `${folder}${name}.jsonl`,
    exampleFile: shots === 0 ? undefined : `${folder}${name}_${name === 'mmlu' ? 'dev' : 'train'}.jsonl`,
    shots,
    limit: limit ?? Number.MAX_SAFE_INTEGER,
    signal: undefined,
  }
  const prompts: string[] = []
  const [all, normalized, subjects] = [new AnswerCount(), new AnswerCount(), new Map<string, AnswerCount>()]
  for await (const item of taskItems(source)) {
    const { gold, subject, lengths } = item.question
    prompts.push(
      sha256(JSON.stringify(item.prompts.map(({ context, target }) => [context, target])))
        .toString('hex')
        .slice(0, 16),
    )
    const { byScore, byCharacter } = taken(item.prompts.map(scoreOf), lengths)
    all.add(byScore === gold)
    normalized.add(byCharacter === gold)
    if (subject === undefined) continue
    const own = subjects.get(subject) ?? new AnswerCount()
    subjects.set(subject, own)
    own.add(byScore === gold)
  }
  if (subjects.size === 0) {
    const norm = source.form.isNormalized ? { [`${task} acc_norm`]: normalized.accuracy } : {}
    return { prompts, figures: { [`${task} acc`]: all.accuracy, ...norm } }
  }
  const { subjects: each, groups, acc } = subjectAccuracies(subjects)
  const named = [...each, ...groups, { name: 'mmlu', acc }]
  return { prompts, figures: Object.fromEntries(named.map(({ name, acc }) => [`${name} acc`, acc])) }
}

test.each(runs.map((run) => [`${run.task}, ${run.shots} examples, limit ${run.limit ?? 'none'}`, run] as const))(
  '%s: every character of the prompts and every figure is that of lm-eval',
  async (_, run) => {
    const { prompts, figures } = await ours(run)
    expect(prompts).toEqual(run.prompts)
    expect(Object.keys(figures).sort()).toEqual(Object.keys(run.figures).sort())
    for (const [name, { value, stderr }] of Object.entries<Accuracy>(figures)) {
      const [theirs, theirStderr] = run.figures[name]!
      expect(value).toBeCloseTo(theirs, 14)
      if (theirStderr === null) expect(stderr).toBeUndefined()
      else expect(stderr).toBeCloseTo(theirStderr, 14)
    }
  },
)
