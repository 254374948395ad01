// `mixtral batch verify`: checks results of a batch against a model. Owns the flags, what is printed and the exit code;
// interfaces/batch/verifyBatch.ts gives the verdict.

import { type Command, InvalidArgumentError } from 'commander'
import { shown } from '../../base/errors.js'
import { type BatchVerdict, verifyBatch } from '../batch/verifyBatch.js'
import { addBatchModelFlags, type BatchModelFlags, batchLoading } from './batchFlags.js'
import { wrapped } from './helpText.js'
import { onInterrupt } from './interrupt.js'
import { complain, jsonLine, print, speed } from './layout.js'
import { withModel } from './loading.js'
import { ProgressLine } from './progressLine.js'

interface VerifyFlags extends Omit<BatchModelFlags, 'name'> {
  readonly input: string
  readonly sample: number
}

export function configureBatchVerify(command: Command): void {
  command
    .description('Checks results of a batch: whether this model gives them.')
    .argument('<out>', 'the file of results, or of errors')
    .requiredOption('--input <in>', 'the file of requests')
    .option('--sample <part>', 'the part of the lines that is computed, chosen by chance, such as 1%', partOf, 1)
  addBatchModelFlags(command)
    .addHelpText(
      'after',
      wrapped(`
Prompt and answer run together, which takes a small part of the time of writing the answer, and each token is drawn again, with its seed: it must be the one
that the line has, and so must every byte of the line. Ids, keys and seeds of all lines are checked, whatever the sample is. The exit code is 1 if a line does
not hold, and the first such line is named.

Examples:
  mixtral batch verify out.jsonl --input in.jsonl
  mixtral batch verify out.jsonl --input in.jsonl --model mixtral:8x7b --sample 1%`),
    )
    .action(verify)
}

async function verify(output: string, flags: VerifyFlags): Promise<void> {
  const { input, sample, json, model } = flags
  const verdict = await withModel(model, await batchLoading(flags), async (loaded) => {
    const bar = new ProgressLine('verifying', { unit: 'bytes', quiet: json === true })
    const interrupt = onInterrupt()
    const onProgress = ({ loaded, total }: { loaded: number; total: number }) => bar.update(loaded, total)
    return verifyBatch(loaded, input, output, { sample, signal: interrupt.signal, onProgress }).finally(() => {
      bar.clear()
      interrupt.release()
    })
  })
  const { lines, computed, tokens, seconds, wrong } = verdict
  if (wrong) process.exitCode = 1
  if (json) process.stdout.write(jsonLine({ lines, computed, tokens, seconds, ok: !wrong, wrong: wrong ? wrongJson(wrong) : null }))
  else if (wrong)
    complain(`${output}:${wrong.line}: ${wrong.customId === '' ? '' : `the result of ${shown(wrong.customId)}: `}${wrong.why}`)
  else print(`right: ${computed} of ${lines} lines, ${tokens} tokens${tokens > 0 ? `, ${speed(tokens / seconds)}` : ''}\n`)
}

function wrongJson({ line, customId, why }: NonNullable<BatchVerdict['wrong']>): object {
  return { line, custom_id: customId, why }
}

/** Reads `1%` or `0.01`. */
function partOf(text: string): number {
  const [, number, percent] = /^(\d+(?:\.\d+)?|\.\d+)(%?)$/.exec(text) ?? []
  const part = Number(number) / (percent ? 100 : 1)
  if (part > 0 && part <= 1) return part
  throw new InvalidArgumentError('Expected a part of all, such as 1% or 0.01.')
}
