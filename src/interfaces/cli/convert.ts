// `mixtral convert`: converts a Hugging Face checkpoint, or a PEFT adapter, to a GGUF file. Owns the flags and the
// progress bar; authoring/convert/ does the work.

import fs from 'node:fs/promises'
import { type Command, InvalidArgumentError } from 'commander'
import { convertInSteps } from '../../authoring/convert/convert.js'
import { type ConvertAdapterOptions, convertAdapter, isAdapterFolder } from '../../authoring/convert/convertAdapter.js'
import { type ElementType, elementTypes, isElementType } from '../../authoring/convert/elementType.js'
import { byteCount, weightCount } from '../../base/amounts.js'
import { MixtralError, quoted } from '../../base/errors.js'
import { localModel } from '../../registry/stores/localModels.js'
import { isFolder } from '../../runtime/adapters/adapterSet.js'
import { checkOutputs } from './files.js'
import { addOutputFlags, type OutputFlags } from './flags.js'
import { wrapped } from './helpText.js'
import { onInterrupt } from './interrupt.js'
import { jsonLine, print, say, textFor } from './layout.js'
import { ProgressLine } from './progressLine.js'

export function configureConvert(command: Command): void {
  addOutputFlags(
    command
      .argument(
        '<dir>',
        'folder of a Mixtral checkpoint: safetensors, config.json, tokenizer.model or tokenizer.json; or of a PEFT adapter',
      )
      .argument('<out>', 'the GGUF file to write')
      .argument('[type]', 'f16, bf16 or f32 (default: as in the checkpoint)', elementType)
      .option(
        '--base <model>',
        'of an adapter: the model that it is to, a GGUF file, a name on this machine, or a folder (default: what it names)',
      ),
  )
    .addHelpText(
      'after',
      wrapped(`
The weights are copied, or rounded to the type; "mixtral quantize" makes a smaller file of the result. Mistral AI's own files (params.json and
consolidated.safetensors) work too. OUT appears only when it is complete, and is about as large as the checkpoint. An older file of that name is replaced.
A folder with adapter_config.json and adapter_model.safetensors, as PEFT writes it, becomes a GGUF adapter as llama.cpp has them.

Examples:
  mixtral convert Mixtral-8x7B-Instruct-v0.1 mixtral.bf16.gguf
  mixtral convert Mixtral-8x7B-Instruct-v0.1 mixtral.f16.gguf f16 --json
  mixtral convert my-lora my-lora.gguf --base mixtral.Q4_K_M.gguf`),
    )
    .action(convert)
}

function elementType(text: string): ElementType {
  const type = text.toUpperCase()
  if (isElementType(type)) return type
  throw new InvalidArgumentError(`Expected ${elementTypes.join(', ').toLowerCase()}; mixtral quantize makes smaller types of the result.`)
}

interface ConvertFlags extends OutputFlags {
  readonly base?: string
}

async function convert(folder: string, out: string, type: ElementType | undefined, { json, base }: ConvertFlags): Promise<void> {
  checkOutputs(out)
  const isAdapter = await isAdapterFolder(folder)
  if (base !== undefined && !isAdapter) throw await noAdapterError(folder)
  const bar = new ProgressLine('converting', { unit: 'bytes', quiet: json === true })
  const stop = new AbortController()
  let release = () => {}
  const replaces = (await fs.stat(out).catch(() => undefined))?.isFile() === true
  const options = {
    ...(type && { type }),
    signal: stop.signal,
    onProgress: ({ loaded, total }: { readonly loaded: number; readonly total: number }) => bar.update(loaded, total),
  }
  // A signal ends the process at once as long as there is nothing to put right.
  const beforeWriting = () => {
    const interrupt = onInterrupt()
    interrupt.signal.addEventListener('abort', () => stop.abort(interrupt.signal.reason))
    release = interrupt.release
  }
  const result = await (isAdapter
    ? convertOfBase(folder, out, base, options, beforeWriting)
    : convertInSteps(folder, out, options, beforeWriting)
  ).finally(() => {
    bar.clear()
    release()
  })
  const { size: bytes } = await fs.stat(out)
  if (!json) for (const note of [...result.notes, ...(replaces ? [`${out}: the older file of that name is replaced`] : [])]) say(note)
  const kind = 'alpha' in result ? `adapter with alpha ${result.alpha}` : result.type
  const facts = `${kind}, ${weightCount(result.weights)} weights in ${result.tensors} tensors, ${byteCount(bytes)}`
  if (json) process.stdout.write(jsonLine({ path: out, bytes, ...result }))
  else print(textFor(process.stdout, `${out}: ${facts}\n`))
}

/** Why there is no adapter to convert where `--base` says that one is meant. */
async function noAdapterError(folder: string): Promise<MixtralError> {
  const there = await fs.stat(folder).catch(() => undefined)
  if (!there) return new MixtralError('IO', `no folder ${quoted(folder)}, expected that of a PEFT adapter, as --base is given`)
  if (there.isDirectory())
    return new MixtralError('OPTION', `base is given, expected an adapter with it: ${folder} has no adapter_config.json`)
  return new MixtralError('OPTION', `base is given, expected the folder of a PEFT adapter with it: ${folder} is a file`)
}

/** Converts an adapter to a model of any name on this machine, or to the one that it names. */
async function convertOfBase(
  folder: string,
  out: string,
  base: string | undefined,
  options: ConvertAdapterOptions,
  beforeWriting: () => void,
) {
  const path = base === undefined || (await isFolder(base)) ? base : (await localModel(base)).path
  beforeWriting()
  return convertAdapter(folder, out, { ...options, ...(path !== undefined && { base: path }) })
}
