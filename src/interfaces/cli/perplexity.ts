// `mixtral perplexity`: measures how well a model predicts a text, and its divergence from stored logits. Owns the
// flags and what is printed; the measuring is evaluation/perplexity/.

import type { Command } from 'commander'
import { MixtralError, quoted } from '../../base/errors.js'
import { refuseInput } from '../../base/files/draftFile.js'
import { type DivergenceResult, measureDivergence } from '../../evaluation/perplexity/divergence.js'
import { LogitsFile } from '../../evaluation/perplexity/logitsFile.js'
import { measurePerplexity, type PerplexityResult, USUAL_WINDOW } from '../../evaluation/perplexity/perplexity.js'
import type { Estimate } from '../../evaluation/perplexity/statistics.js'
import { SHORTEST_WINDOW, type WindowOptions, type WindowProgress } from '../../evaluation/perplexity/windows.js'
import { inputFiles } from '../../runtime/engine/loadedAdapters.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import { divergenceJson, divergenceText } from './divergenceText.js'
import { checkOutputs, readTextFile } from './files.js'
import { ANY_MODEL, addJudgeFlags, expertsOption, type JudgeFlags, wholeNumber } from './flags.js'
import { wrapped } from './helpText.js'
import { onInterrupt } from './interrupt.js'
import { jsonLine, print } from './layout.js'
import { withModel } from './loading.js'
import { ProgressLine } from './progressLine.js'
import { failMissing } from './usageErrors.js'

interface PerplexityFlags extends JudgeFlags {
  readonly chunks?: number
  readonly saveLogits?: string
  readonly kl?: string
}

export function configurePerplexity(command: Command): void {
  command
    .argument('<model>', ANY_MODEL)
    .argument('[file]', 'the text, UTF-8; with --kl it may be left out')
    .option('--chunks <n>', 'windows to run at most (default: all)', wholeNumber(1))
    .option('--save-logits <file>', 'store the logits in a file, for --kl or llama-perplexity --kl-divergence')
    .option('--kl <file>', 'compare with logits stored by --save-logits or llama-perplexity --kl-divergence-base')
  addJudgeFlags(command)
  // Of the model flags, only --context has another meaning here.
  const context = command.options.find(({ long }) => long === '--context')!
  context.description = `tokens of a window (default: ${USUAL_WINDOW}, or the model's context if that is shorter)`
  context.argParser(wholeNumber(SHORTEST_WINDOW, 2 ** 24))
  command
    .addHelpText(
      'after',
      wrapped(`
The text is cut into windows as by llama-perplexity: BOS in the first place of each, and only predictions of the second half count.
With --kl the text, the window and the tokens are those of the stored logits; a text given beside it must have the same tokens.

Examples:
  mixtral perplexity mixtral-8x7b.Q4_K_M.gguf wiki.test.raw
  mixtral perplexity mixtral-8x7b.Q8_0.gguf wiki.test.raw --chunks 20 --save-logits Q8_0.kld
  mixtral perplexity mixtral-8x7b.Q4_K_M.gguf --kl Q8_0.kld`),
    )
    .action((model: string, file: string | undefined, flags: PerplexityFlags) => perplexity(command, model, file, flags))
}

async function perplexity(command: Command, model: string, file: string | undefined, flags: PerplexityFlags): Promise<void> {
  if (flags.kl !== undefined) {
    if (flags.saveLogits !== undefined) command.error('expected either --save-logits or --kl')
    if (flags.context !== undefined) command.error('--kl has the window of the stored logits, expected no --context')
    return compareWithStored(model, file, flags.kl, flags)
  }
  if (file === undefined) failMissing(command, 'file', `; ${quoted(model)} is the model`)
  const { saveLogits, context } = flags
  checkOutputs(saveLogits)
  const text = await textOf(file)
  let experts = flags.experts
  const result = await withModel(model, { ...flags, context: context ?? USUAL_WINDOW }, async (loaded) => {
    experts ??= loaded.config.expertsPerToken
    if (saveLogits !== undefined) await refuseInput(saveLogits, [file, ...inputFiles(loaded)])
    return watched(flags, (options) =>
      measurePerplexity(loaded, text, {
        ...options,
        ...(context !== undefined && { contextLength: context }),
        ...(saveLogits !== undefined && { saveLogits }),
      }),
    )
  })
  if (flags.json) {
    const { value, error } = result.perplexity
    const saved = saveLogits !== undefined && { saved: saveLogits }
    process.stdout.write(jsonLine({ model, file, experts_per_token: experts, ...windowsJson(result), perplexity: value, error, ...saved }))
    return
  }
  process.stdout.write(`PPL = ${estimateText(result.perplexity, 5)}\n`)
  process.stderr.write(windowsText(result))
}

async function compareWithStored(model: string, file: string | undefined, kl: string, flags: PerplexityFlags): Promise<void> {
  const text = file === undefined ? undefined : await textOf(file)
  const base = await LogitsFile.open(kl)
  let result: DivergenceResult
  let experts = flags.experts
  try {
    result = await withModel(model, { ...flags, context: base.windows.contextLength }, (loaded) => {
      experts ??= loaded.config.expertsPerToken
      if (text !== undefined) checkSameTokens(loaded, text, base)
      return watched(flags, (options) => measureDivergence(loaded, base, options))
    })
  } finally {
    await base.close()
  }
  if (flags.json) {
    process.stdout.write(jsonLine({ model, base: kl, experts_per_token: experts, ...windowsJson(result), ...divergenceJson(result) }))
    return
  }
  process.stdout.write(divergenceText(result))
  process.stderr.write(windowsText(result))
}

/**
 * Calls `measure` with the options in the flags, a signal that Ctrl-C aborts, and a line of progress. What was measured
 * before Ctrl-C is told.
 */
async function watched<T>(flags: PerplexityFlags, measure: (options: WindowOptions) => Promise<T>): Promise<T> {
  const line = new ProgressLine('perplexity', { unit: 'windows', quiet: flags.json === true })
  const interrupt = onInterrupt()
  const { signal } = interrupt
  const { chunks } = flags
  const asked = { ...(chunks !== undefined && { windows: chunks }), ...expertsOption(flags) }
  let last: WindowProgress | undefined
  const onProgress = (progress: WindowProgress) => {
    last = progress
    line.update(progress.loaded, progress.total, `PPL ${estimateText(progress.perplexity, 4)}`)
  }
  try {
    return await measure({ ...asked, signal, onProgress })
  } catch (error) {
    line.clear()
    if (signal.aborted && last) reportPart(last, flags.json === true)
    throw error
  } finally {
    line.clear()
    interrupt.release()
  }
}

function reportPart({ loaded, total, perplexity: { value, error } }: WindowProgress, json: boolean): void {
  if (json) process.stdout.write(jsonLine({ interrupted: true, windows: loaded, of_windows: total, perplexity: value, error }))
  else print(`interrupted after ${loaded} of ${total} windows: PPL = ${estimateText({ value, error }, 5)}\n`)
}

const estimateText = ({ value, error }: Estimate, digits: number) => `${value.toFixed(4)} ± ${error.toFixed(digits)}`

/** The text of a file. Its last line break does not count, as in llama-perplexity. */
async function textOf(file: string): Promise<string> {
  return (await readTextFile(file)).replace(/\n$/, '')
}

function checkSameTokens({ tokenizer }: MixtralModel, text: string, { path, windows }: LogitsFile): void {
  const tokens = tokenizer.encode(text)
  const at = windows.tokens.findIndex((token, i) => token !== tokens[i])
  if (at < 0) return
  const found = at < tokens.length ? `is ${tokens[at]}` : 'is missing'
  throw new MixtralError('OPTION', `token ${at} of the text ${found}, expected ${windows.tokens[at]} as in ${path}`)
}

type Extent = Pick<PerplexityResult, 'contextLength' | 'windows' | 'predictions'>

function windowsJson({ contextLength, windows, predictions }: Extent) {
  return { context: contextLength, windows, predictions }
}

function windowsText({ contextLength, windows, predictions }: Extent): string {
  return `${predictions} predictions, ${windows} windows of ${contextLength} tokens\n`
}
