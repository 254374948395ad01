// `mixtral quantize`: rewrites a model, with smaller weights, in the other layout of experts, or in other shards.

import { Argument, type Command, InvalidArgumentError, Option } from 'commander'
import { readImatrix } from '../../authoring/imatrix/imatrixFile.js'
import { describeRare, rareExperts } from '../../authoring/imatrix/rareExperts.js'
import { type ExpertLayout, expertLayouts } from '../../authoring/quantize/expertLayout.js'
import { quantizeModel } from '../../authoring/quantize/quantize.js'
import { type QuantizeType, quantizeTypes } from '../../authoring/quantize/quantizePlan.js'
import { byteCount, weightCount } from '../../base/amounts.js'
import { quoted } from '../../base/errors.js'
import { didYouMean } from '../../base/nearNames.js'
import { localModel } from '../../registry/stores/localModels.js'
import type { AdapterChoice } from '../../runtime/adapters/adapterSet.js'
import { adapterChoices, mergedText } from './adapters.js'
import { bringAdapters } from './bringing.js'
import { checkOutputs } from './files.js'
import { addOutputFlags, byteSize, type OutputFlags, wholeNumber } from './flags.js'
import { wrapped } from './helpText.js'
import { rareJson } from './imatrix.js'
import { onInterrupt } from './interrupt.js'
import { jsonLine, print, say, textFor } from './layout.js'
import { ProgressLine } from './progressLine.js'

interface QuantizeFlags extends OutputFlags {
  readonly layout?: ExpertLayout
  readonly shardSize?: number
  readonly requantize?: true
  readonly imatrix?: string
  readonly lora?: readonly AdapterChoice[]
  readonly threads?: number
}

export function configureQuantize(command: Command): void {
  addOutputFlags(
    command
      .argument('<in>', 'the path of a GGUF file, any shard of a sharded one, or any name of a model on this machine')
      .argument('<out>', 'the path of the file to write')
      .addArgument(
        new Argument('<type>', `type of the weights in the result; copy keeps them (${quantizeTypes.join(', ')})`).argParser(quantizeType),
      )
      .addOption(
        new Option('--layout <layout>', 'how experts are stored (default: merged, which every program reads)').choices(expertLayouts),
      )
      .option('--shard-size <size>', 'write shards with at most this size of weights each, such as 4G (default: one file)', byteSize)
      .option('--requantize', 'also quantize weights that are quantized already, which costs quality')
      .option('--imatrix <file>', 'importance matrix: errors count as it says; mixtral imatrix or llama-imatrix makes one')
      .option(
        '--lora <file[:scale]>',
        'merges a LoRA adapter: a GGUF file, a PEFT folder or an hf: name; may be given several times',
        adapterChoices,
      )
      .option('--threads <n>', 'CPU threads (default: one for each core)', wholeNumber(1, 1024)),
  )
    .addHelpText(
      'after',
      wrapped(`
Each tensor gets the block type that llama.cpp gives it. Norms, routers and weights that are already as small stay as they are. OUT appears
only when it is complete: after an error or Ctrl-C there is none. The memory needed does not depend on the size of the model.
With --lora, the tensors that an adapter changes are rounded again, also with copy, and the loss is told.
IQ2 types, IQ3_XXS, IQ3_XS and Q2_K_S need an importance matrix. It makes all types below Q8_0 better, the smallest most.

Examples:
  mixtral quantize mixtral-F16.gguf mixtral-Q4_K_M.gguf Q4_K_M
  mixtral quantize mixtral-Q8_0.gguf mixtral-Q3_K_M.gguf Q3_K_M --requantize
  mixtral quantize mixtral-F16.gguf mixtral-IQ2_XXS.gguf IQ2_XXS --imatrix mixtral.imatrix.gguf
  mixtral quantize mixtral-F16.gguf merged-Q4_K_M.gguf Q4_K_M --lora my-lora:0.8
  mixtral quantize old-layout.gguf new-layout.gguf copy               experts merged, as today's programs expect
  mixtral quantize mixtral-00001-of-00005.gguf mixtral.gguf copy      shards into one file
  mixtral quantize mixtral.gguf mixtral.gguf copy --shard-size 4G     and back: mixtral-00001-of-00007.gguf and so on`),
    )
    .action(quantize)
}

/** Case does not matter, as in convert. */
function quantizeType(text: string): QuantizeType {
  const type = quantizeTypes.find((one) => one.toLowerCase() === text.toLowerCase())
  if (type !== undefined) return type
  const begun = quantizeTypes.filter((one) => text.length > 1 && one.startsWith(text.toUpperCase()))
  const meant = begun.length > 0 ? `; did you mean ${begun.join(', ')}?` : didYouMean(text, quantizeTypes)
  const hint = /^(IQ1|TQ|MXFP4)/i.test(text) ? `: ${text} runs here, but is not written` : meant
  throw new InvalidArgumentError(`Expected ${quantizeTypes.join(', ')}${hint}.`)
}

async function quantize(input: string, output: string, type: QuantizeType, flags: QuantizeFlags): Promise<void> {
  const { layout, shardSize, requantize, imatrix, lora, threads, json } = flags
  checkOutputs(output)
  const { path, adapters: own = [] } = await localModel(input)
  // said before the work, not after hours
  if (imatrix !== undefined && !json && (type !== 'copy' || lora)) {
    for (const line of describeRare(rareExperts(await readImatrix(imatrix)))) say(line)
  }
  const adapters = [...own, ...(await bringAdapters(lora, json))]
  const bar = new ProgressLine(type === 'copy' ? 'copying' : 'quantizing', { unit: 'bytes', quiet: json === true })
  const interrupt = onInterrupt()
  const start = performance.now()
  const {
    files,
    weights,
    types,
    unweighed,
    rareExperts: rare,
    merged,
  } = await quantizeModel(path, output, type, {
    ...(layout !== undefined && { layout }),
    ...(shardSize !== undefined && { shardBytes: shardSize }),
    ...(requantize !== undefined && { requantize }),
    ...(imatrix !== undefined && { imatrix }),
    ...(adapters.length > 0 && { adapters }),
    ...(threads !== undefined && { threads }),
    onProgress: ({ loaded, total }) => bar.update(loaded, total),
    signal: interrupt.signal,
  }).finally(() => {
    bar.clear()
    interrupt.release()
  })
  const seconds = (performance.now() - start) / 1000
  if (json) {
    const weighed = imatrix !== undefined && { unweighed, rare_experts: rareJson(rare) }
    process.stdout.write(
      jsonLine({
        files,
        weights,
        types,
        ...weighed,
        ...(adapters.length > 0 && { merged }),
        seconds,
        weights_per_second: weights / seconds,
      }),
    )
    return
  }
  if (merged.length > 0) say(mergedText(merged))
  if (unweighed.length > 0) say(`not in the importance matrix: ${someOf(unweighed)}`)
  for (const { path, bytes } of files) print(textFor(process.stdout, `${path}: ${byteCount(bytes)}\n`))
  say(`${weightCount(weights)} weights in ${seconds.toFixed(1)} s, ${weightCount(weights / seconds)} per second`)
}

/** The first names, and how many more there are. */
function someOf(names: readonly string[]): string {
  const shown = names.slice(0, 8).map(quoted).join(', ')
  return names.length > 8 ? `${shown} and ${names.length - 8} more` : shown
}
