// `mixtral imatrix`: collects an importance matrix for `mixtral quantize --imatrix`. Owns the flags and what is
// printed; the collecting is authoring/imatrix/.

import { stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { Command } from 'commander'
import { collectImatrix, imatrixBytes, USUAL_IMATRIX_WINDOW } from '../../authoring/imatrix/collect.js'
import { writeImatrix } from '../../authoring/imatrix/imatrixFile.js'
import { describeRare, type RareExpert, rareExperts } from '../../authoring/imatrix/rareExperts.js'
import { ioError } from '../../base/files/byteSource.js'
import { checkDiskSpace, refuseInput } from '../../base/files/draftFile.js'
import { inputFiles } from '../../runtime/engine/loadedAdapters.js'
import { checkOutputs, checkPlaces, readTextFile } from './files.js'
import { ANY_MODEL, addLoraFlag, addModelFlags, addOutputFlags, type ModelFlags, wholeNumber } from './flags.js'
import { wrapped } from './helpText.js'
import { onInterrupt } from './interrupt.js'
import { jsonLine, print, say, textFor } from './layout.js'
import { withModel } from './loading.js'
import { ProgressLine } from './progressLine.js'

interface ImatrixFlags extends ModelFlags {
  readonly chunks?: number
}

export function configureImatrix(command: Command): void {
  command
    .argument('<model>', ANY_MODEL)
    .argument('<text>', 'the path of a text, UTF-8: the more, and the more like what the model will be used for, the better')
    .argument('<out>', 'the path of the file to write: a GGUF, or the old form of llama.cpp if the name ends in .dat')
    .option('--chunks <n>', 'windows to run at most (default: all)', wholeNumber(1))
  addOutputFlags(addLoraFlag(addModelFlags(command)))
  // Of the model flags, only --context has another meaning here.
  const context = command.options.find(({ long }) => long === '--context')!
  context.description = `tokens of a window (default: ${USUAL_IMATRIX_WINDOW}, or the model's context if that is shorter)`
  command
    .addHelpText(
      'after',
      wrapped(`
Sums the squares of what each matrix of the model is multiplied with, column by column and expert by expert, over windows of the text as
llama-imatrix cuts them. \`mixtral quantize --imatrix\` and llama-quantize weigh errors by it. OUT appears only when it is complete: after an error
or Ctrl-C there is none. With --lora, it is that of the model with the adapters, for \`mixtral quantize --lora\`. An F16 or Q8_0 model gives the best matrix, a Q4_K_M one a good one.

Examples:
  mixtral imatrix mixtral-Q8_0.gguf text.txt mixtral.imatrix.gguf
  mixtral imatrix mixtral-Q8_0.gguf text.txt mixtral.imatrix.gguf --chunks 100 -c 1024
  mixtral imatrix mixtral-Q8_0.gguf text.txt mixtral.imatrix.dat      for older programs
  mixtral quantize mixtral-F16.gguf mixtral-IQ3_XXS.gguf IQ3_XXS --imatrix mixtral.imatrix.gguf`),
    )
    .action(imatrix)
}

async function imatrix(model: string, file: string, out: string, flags: ImatrixFlags): Promise<void> {
  checkOutputs(out)
  await checkPlaces(out)
  if ((await stat(out).catch(() => undefined))?.isFile() === false) throw ioError('write', out, new Error('it is no file, expected one'))
  const text = await readTextFile(file)
  const { chunks, context, json, kv = 'f32' } = flags
  const start = performance.now()
  // keys and values as halves would be the largest error by far
  const load = { ...flags, context: context ?? USUAL_IMATRIX_WINDOW, kv }
  const matrix = await withModel(model, load, async (loaded) => {
    await refuseInput(out, [file, ...inputFiles(loaded)])
    await checkDiskSpace(out, dirname(out), imatrixBytes(loaded.config)) // before the work, not after hours
    const bar = new ProgressLine('imatrix', { unit: 'windows', quiet: json === true })
    const interrupt = onInterrupt()
    try {
      const collected = await collectImatrix(loaded, text, {
        ...(chunks !== undefined && { windows: chunks }),
        ...(context !== undefined && { contextLength: context }),
        dataset: basename(file),
        signal: interrupt.signal,
        onProgress: ({ loaded, total }) => bar.update(loaded, total),
      })
      await writeImatrix(out, collected) // a signal that comes now is too late, and must leave no draft
      return collected
    } finally {
      bar.clear()
      interrupt.release()
    }
  })
  const seconds = (performance.now() - start) / 1000
  const { entries, windows, contextLength } = matrix
  const rare = rareExperts(matrix)
  if (json) {
    process.stdout.write(
      jsonLine({ model, file, out, context: contextLength, windows, tensors: entries.size, rare_experts: rareJson(rare), seconds }),
    )
    return
  }
  for (const line of describeRare(rare)) say(line)
  print(textFor(process.stdout, `${out}: ${entries.size} tensors, ${windows} windows of ${contextLength} tokens\n`))
}

export function rareJson(rare: readonly RareExpert[]) {
  return rare.map(({ name, expert, count }) => ({ tensor: name, expert, tokens: count }))
}
