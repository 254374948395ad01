// Tasks of multiple choice: how often a model takes the right answer, by lm-eval's prompts and arithmetic. Owns the
// check of its arguments; what it does is taskRun.ts's. Definitions: docs/evaluation.md.

import { checkKind, checkText, MixtralError, shown } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import { checkCallOptions, checkExpertsPerToken } from '../../runtime/engine/callArguments.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import { type TaskName, taskNames } from './taskForms.js'
import type { TaskOptions, TaskResult } from './taskRun.js'

/**
 * Asks a model the questions of a task's file, JSON lines or Parquet as on Hugging Face, and counts its right answers.
 * Each choice is scored by its log-probability after the question.
 *
 * Throws `OPTION` for an unknown task, impossible options, too few examples and the journal of another run; `IO` for a
 * file that cannot be read or whose items are not the task's; `UNSUPPORTED` for Parquet without the package hyparquet;
 * `CONTEXT` for a choice that does not fit; and what `MixtralModel.score` throws.
 * @param file the path of the items; where there are several splits, of the one that lm-eval asks
 * @example
 * const { acc, scoresHash } = await evaluateTask(model, 'hellaswag', 'hellaswag_val.jsonl', { limit: 100 })
 */
export async function evaluateTask(model: MixtralModel, task: TaskName, file: string, options: TaskOptions = {}): Promise<TaskResult> {
  checkKind('the model', model, typeof model?.score === 'function' && typeof model.status === 'function', 'a MixtralModel')
  checkKind('the task', task, taskNames.includes(task), taskNames.join(', '))
  checkText('the file of the task', file)
  const own = checkCallOptions(options, ['shots', 'examples', 'limit', 'journal', 'expertsPerToken'])
  const { shots = 0, examples, limit = Number.MAX_SAFE_INTEGER, journal, expertsPerToken, signal, onProgress } = own
  checkWhole('shots', shots, 0, limits.taskShots.most)
  checkWhole('limit', limit, 1, Number.MAX_SAFE_INTEGER)
  for (const [name, path] of Object.entries({ examples, journal })) if (path !== undefined) checkText(name, path)
  if (examples !== undefined && shots === 0) throw new MixtralError('OPTION', 'examples without shots, expected at least 1')
  checkExpertsPerToken(expertsPerToken, model.config.experts)
  const { runTask } = await import('./taskRun.js')
  return runTask(model, task, { file, shots, exampleFile: examples, limit, journal, expertsPerToken, signal, onProgress })
}

function checkWhole(name: string, value: number, least: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return
  throw new MixtralError('OPTION', `${name} is ${shown(value)}, expected a whole number from ${least}${most < 1e6 ? ` to ${most}` : ''}`)
}
