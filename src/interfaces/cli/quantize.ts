// `mixtral quantize`: rewrites a model, with smaller weights, in the other layout of experts, or in other shards.

import { Argument, type Command, Option } from 'commander'
import { type ExpertLayout, expertLayouts } from '../../authoring/quantize/expertLayout.js'
import { quantizeModel } from '../../authoring/quantize/quantize.js'
import { type QuantizeType, quantizeTypes } from '../../authoring/quantize/quantizePlan.js'
import { byteCount, weightCount } from '../../base/amounts.js'
import { localModel } from '../../registry/stores/localModels.js'
import { addOutputFlags, byteSize, type OutputFlags, wholeNumber } from './flags.js'
import { wrapped } from './helpText.js'
import { onInterrupt } from './interrupt.js'
import { jsonLine, textFor } from './layout.js'
import { ProgressBar } from './progressBar.js'

interface QuantizeFlags extends OutputFlags {
  readonly layout?: ExpertLayout
  readonly shardSize?: number
  readonly requantize?: true
  readonly threads?: number
}

export function configureQuantize(command: Command): void {
  addOutputFlags(
    command
      .argument('<in>', 'the path of a GGUF file, any shard of a sharded one, or any name of a model on this machine')
      .argument('<out>', 'the path of the file to write')
      .addArgument(new Argument('<type>', 'type of the weights in the result; copy keeps them').choices(quantizeTypes))
      .addOption(
        new Option('--layout <layout>', 'how experts are stored (default: merged, which every program reads)').choices(expertLayouts),
      )
      .option('--shard-size <size>', 'write shards with at most this size of weights each, such as 4G (default: one file)', byteSize)
      .option('--requantize', 'also quantize weights that are quantized already, which costs quality')
      .option('--threads <n>', 'CPU threads (default: one for each core)', wholeNumber(1, 1024)),
  )
    .addHelpText(
      'after',
      wrapped(`
Each tensor gets the block type that llama.cpp gives it. Norms, routers and weights that are already as small stay as they are. OUT gets its name
when all of it is written; an error or Ctrl-C leaves no file behind. The memory needed does not depend on the size of the model.

Examples:
  mixtral quantize mixtral-F16.gguf mixtral-Q4_K_M.gguf Q4_K_M
  mixtral quantize mixtral-Q8_0.gguf mixtral-Q3_K_M.gguf Q3_K_M --requantize
  mixtral quantize old-layout.gguf new-layout.gguf copy               experts merged, as today's programs expect
  mixtral quantize mixtral-00001-of-00005.gguf mixtral.gguf copy      shards into one file
  mixtral quantize mixtral.gguf mixtral.gguf copy --shard-size 4G     and back: mixtral-00001-of-00007.gguf and so on`),
    )
    .action(quantize)
}

async function quantize(input: string, output: string, type: QuantizeType, flags: QuantizeFlags): Promise<void> {
  const { layout, shardSize, requantize, threads, json } = flags
  const { path } = await localModel(input)
  const bar = new ProgressBar(type === 'copy' ? 'copying' : 'quantizing', byteCount)
  const interrupt = onInterrupt()
  const start = performance.now()
  const { files, weights, types } = await quantizeModel(path, output, type, {
    ...(layout !== undefined && { layout }),
    ...(shardSize !== undefined && { shardBytes: shardSize }),
    ...(requantize !== undefined && { requantize }),
    ...(threads !== undefined && { threads }),
    onProgress: ({ loaded, total }) => bar.update(loaded, total),
    signal: interrupt.signal,
  }).finally(() => {
    bar.clear()
    interrupt.release()
  })
  const seconds = (performance.now() - start) / 1000
  if (json) {
    process.stdout.write(jsonLine({ files, weights, types, seconds, weights_per_second: weights / seconds }))
    return
  }
  for (const { path, bytes } of files) process.stdout.write(textFor(process.stdout, `${path}: ${byteCount(bytes)}\n`))
  process.stderr.write(`${weightCount(weights)} weights in ${seconds.toFixed(1)} s, ${weightCount(weights / seconds)} per second\n`)
}
