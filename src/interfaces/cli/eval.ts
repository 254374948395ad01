// `mixtral eval`: how often a model takes the right answers of a benchmark. Owns the flags and what is printed; the
// tasks are evaluation/tasks/.

import { Argument, type Command } from 'commander'
import { limits } from '../../base/limits.js'
import { evaluateTask } from '../../evaluation/tasks/evaluateTask.js'
import { type TaskName, taskForms, taskNames } from '../../evaluation/tasks/taskForms.js'
import { countItems } from '../../evaluation/tasks/taskItems.js'
import type { TaskProgress, TaskResult } from '../../evaluation/tasks/taskRun.js'
import type { Accuracy } from '../../evaluation/tasks/taskScores.js'
import { checkOutputs } from './files.js'
import { ANY_MODEL, addJudgeFlags, expertsOption, type JudgeFlags, wholeNumber } from './flags.js'
import { wrapped } from './helpText.js'
import { onInterrupt } from './interrupt.js'
import { columns, jsonLine, print } from './layout.js'
import { withModel } from './loading.js'
import { ProgressLine } from './progressLine.js'

interface EvalFlags extends JudgeFlags {
  readonly model: string
  readonly shots?: number
  readonly examples?: string
  readonly limit?: number
  readonly out?: string
}

export function configureEval(command: Command): void {
  command
    .addArgument(new Argument('<task>', 'the task, by its name in lm-eval').choices([...taskNames]))
    .argument('<file>', 'its items: JSON lines, or Parquet with the package hyparquet, as on Hugging Face')
    .option('-m, --model <model>', ANY_MODEL, 'demo')
    .option('--shots <n>', 'examples before each item (default: 0)', wholeNumber(0, limits.taskShots.most))
    .option('--examples <file>', "where they are taken from: the task's split for that (default: FILE)")
    .option('--limit <n>', 'items to run at most; of mmlu, of each subject (default: all)', wholeNumber(1))
    .option('--out <file>', 'write each item with its scores; a run that was stopped goes on there')
  addJudgeFlags(command, 'examples, question and choice together')
    .addHelpText(
      'after',
      wrapped(`
Prompts, accuracies and standard errors are those of lm-eval. Beside them stands the SHA-256 of all scores: the same file gives the same one on any machine,
with any number of threads. docs/evaluation.md says where the files are, and what the figures mean.

Examples:
  mixtral eval hellaswag hellaswag_val.jsonl --limit 200
  mixtral eval arc_challenge ARC-Challenge/test-00000-of-00001.parquet -m mixtral:8x7b --shots 25 --examples ARC-Challenge/train-00000-of-00001.parquet
  mixtral eval mmlu all/test-00000-of-00001.parquet -m mixtral:8x7b --shots 5 --examples all/dev-00000-of-00001.parquet --out mmlu.jsonl
  mixtral eval winogrande winogrande_xl.jsonl -m mixtral-8x7b.Q4_K_M.gguf --experts 3 --json`),
    )
    .action((task: TaskName, file: string, flags: EvalFlags) => evaluate(command, task, file, flags))
}

async function evaluate(command: Command, task: TaskName, file: string, flags: EvalFlags): Promise<void> {
  const { model, shots, examples, limit, out, json } = flags
  checkOutputs(out)
  if (examples !== undefined && !shots) command.error('--examples is given without --shots, expected how many of them')
  const start = performance.now()
  // what is wrong with a file is told before a model is loaded
  const source = { form: taskForms[task], file, exampleFile: examples, shots: shots ?? 0, limit: limit ?? Number.MAX_SAFE_INTEGER }
  await countItems({ ...source, signal: undefined })
  const options = {
    ...(shots !== undefined && { shots }),
    ...(examples !== undefined && { examples }),
    ...(limit !== undefined && { limit }),
    ...(out !== undefined && { journal: out }),
    ...expertsOption(flags),
  }
  let { experts } = flags
  const result = await withModel(model, flags, async (loaded) => {
    experts ??= loaded.config.expertsPerToken
    const line = new ProgressLine(task, { unit: 'items', quiet: json === true })
    const interrupt = onInterrupt()
    let last: TaskProgress | undefined
    const onProgress = (progress: TaskProgress) => {
      last = progress
      line.update(progress.loaded, progress.total, `acc ${accuracyText(progress.acc)}`)
    }
    try {
      return await evaluateTask(loaded, task, file, { ...options, signal: interrupt.signal, onProgress })
    } catch (error) {
      line.clear()
      if (interrupt.signal.aborted && last) reportPart(task, last, out, json === true)
      throw error
    } finally {
      line.clear()
      interrupt.release()
    }
  })
  const seconds = (performance.now() - start) / 1000
  if (json) process.stdout.write(jsonLine({ model, file, experts_per_token: experts, ...resultJson(result), seconds }))
  else print(resultText(result, `${model}, ${experts} ${experts === 1 ? 'expert' : 'experts'} for each token`))
}

function reportPart(task: string, { loaded, total, acc }: TaskProgress, out: string | undefined, json: boolean): void {
  if (json) process.stdout.write(jsonLine({ interrupted: true, task, items: loaded, of_items: total, ...accuracyJson('acc', acc) }))
  else {
    const again = out === undefined ? '' : '; the same command goes on there'
    print(`interrupted after ${loaded} of ${total} items: acc ${accuracyText(acc)}${again}\n`)
  }
}

function resultText({ task, shots, items, acc, accNorm, subjects, groups, cut, scoresHash }: TaskResult, model: string): string {
  const rowsOf = (head: string, some: TaskResult['subjects']) =>
    some ? [[head, 'items', 'acc'], ...some.map(({ name, items, acc }) => [name, `${items}`, accuracyText(acc)])] : []
  const rows = [...rowsOf('subject', subjects), ...rowsOf('group', groups)]
  const table = rows.length === 0 ? '' : `${columns(rows, [1])}\n`
  const figures = columns([
    ['model', model],
    ['acc', accuracyText(acc)],
    ...(accNorm ? [['acc_norm', accuracyText(accNorm)]] : []),
    ['scores', `sha256 ${scoresHash}`],
  ])
  const lost = cut === 0 ? '' : `${cut} of them longer than the context: their first tokens were left out\n`
  return `${table}${task}: ${items} ${items === 1 ? 'item' : 'items'}, ${shots} ${shots === 1 ? 'example' : 'examples'} before each\n${lost}${figures}`
}

function resultJson({ task, shots, items, acc, accNorm, subjects, groups, cut, scoresHash }: TaskResult) {
  const table = (rows: TaskResult['subjects']) =>
    rows && Object.fromEntries(rows.map(({ name, items, acc }) => [name, { items, ...accuracyJson('acc', acc) }]))
  return {
    task,
    shots,
    items,
    ...accuracyJson('acc', acc),
    ...(accNorm && accuracyJson('acc_norm', accNorm)),
    ...(subjects && { groups: table(groups), subjects: table(subjects) }),
    cut,
    scores_sha256: scoresHash,
  }
}

const accuracyJson = (name: string, { value, stderr }: Accuracy) => ({ [name]: value, [`${name}_stderr`]: stderr ?? null })

const accuracyText = ({ value, stderr }: Accuracy) => `${value.toFixed(4)}${stderr === undefined ? '' : ` ± ${stderr.toFixed(4)}`}`
