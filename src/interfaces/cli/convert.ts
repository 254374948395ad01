// `mixtral convert`: converts a Hugging Face checkpoint to a GGUF file. Owns the flags and the progress bar;
// authoring/convert/ does the work.

import fs from 'node:fs/promises'
import { type Command, InvalidArgumentError } from 'commander'
import { convertInSteps } from '../../authoring/convert/convert.js'
import { type ElementType, elementTypes, isElementType } from '../../authoring/convert/elementType.js'
import { byteCount, weightCount } from '../../base/amounts.js'
import { checkOutputs } from './files.js'
import { addOutputFlags, type OutputFlags } from './flags.js'
import { wrapped } from './helpText.js'
import { onInterrupt } from './interrupt.js'
import { jsonLine, print, say, textFor } from './layout.js'
import { ProgressLine } from './progressLine.js'

export function configureConvert(command: Command): void {
  addOutputFlags(
    command
      .argument('<dir>', 'folder of a Mixtral checkpoint: safetensors, config.json, tokenizer.model or tokenizer.json')
      .argument('<out>', 'the GGUF file to write')
      .argument('[type]', 'f16, bf16 or f32 (default: as in the checkpoint)', elementType),
  )
    .addHelpText(
      'after',
      wrapped(`
The weights are copied, or rounded to the type; "mixtral quantize" makes a smaller file of the result. Mistral AI's own files (params.json and
consolidated.safetensors) work too. OUT appears only when it is complete, and is about as large as the checkpoint. An older file of that name is replaced.

Examples:
  mixtral convert Mixtral-8x7B-Instruct-v0.1 mixtral.bf16.gguf
  mixtral convert Mixtral-8x7B-Instruct-v0.1 mixtral.f16.gguf f16 --json`),
    )
    .action(convert)
}

function elementType(text: string): ElementType {
  const type = text.toUpperCase()
  if (isElementType(type)) return type
  throw new InvalidArgumentError(`Expected ${elementTypes.join(', ').toLowerCase()}; mixtral quantize makes smaller types of the result.`)
}

async function convert(folder: string, out: string, type: ElementType | undefined, { json }: OutputFlags): Promise<void> {
  checkOutputs(out)
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
  const result = await convertInSteps(folder, out, options, beforeWriting).finally(() => {
    bar.clear()
    release()
  })
  const { size: bytes } = await fs.stat(out)
  if (!json) for (const note of [...result.notes, ...(replaces ? [`${out}: the older file of that name is replaced`] : [])]) say(note)
  const facts = `${result.type}, ${weightCount(result.weights)} weights in ${result.tensors} tensors, ${byteCount(bytes)}`
  if (json) process.stdout.write(jsonLine({ path: out, bytes, ...result }))
  else print(textFor(process.stdout, `${out}: ${facts}\n`))
}
