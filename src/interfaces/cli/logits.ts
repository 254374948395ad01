// `mixtral logits`: writes the logits of a token sequence to a file.

import type { Command } from 'commander'
import { byteCount } from '../../base/amounts.js'
import { refuseInput } from '../../base/files/draftFile.js'
import { inputFiles } from '../../runtime/engine/loadedAdapters.js'
import { checkOutputs, checkPlaces, writeOutput } from './files.js'
import { ANY_MODEL, addLoraFlag, addModelFlags, addOutputFlags, type ModelFlags, tokenIds } from './flags.js'
import { wrapped } from './helpText.js'
import { onInterrupt } from './interrupt.js'
import { jsonLine, say } from './layout.js'
import { withModel } from './loading.js'
import { ProgressLine } from './progressLine.js'

interface LogitsFlags extends ModelFlags {
  readonly tokens?: number[]
  readonly prompt?: string
  readonly out: string
}

export function configureLogits(command: Command): void {
  command
    .argument('[model]', ANY_MODEL, 'demo')
    .option('--tokens <ids>', 'comma-separated token ids', tokenIds)
    .option('--prompt <text>', 'a text to tokenize as `mixtral run` does')
    .requiredOption('--out <file>', 'the file to write: raw little-endian float32, (tokens, vocabulary)')
  addOutputFlags(addLoraFlag(addModelFlags(command, 'as long as the text at least')))
    .addHelpText(
      'after',
      wrapped(`
Examples:
  mixtral logits demo --tokens 1,672,600,261,462 --out logits.f32
  mixtral logits mixtral-8x7b.Q4_K_M.gguf --prompt "Once upon a time" --out logits.f32 --json`),
    )
    .action((model: string, flags: LogitsFlags) => logits(command, model, flags))
}

async function logits(command: Command, model: string, flags: LogitsFlags): Promise<void> {
  const { prompt, out } = flags
  if ((flags.tokens === undefined) === (prompt === undefined)) command.error('expected either --tokens or --prompt')
  checkOutputs(out)
  await checkPlaces(out)
  await withModel(model, flags, async (loaded) => {
    await refuseInput(out, inputFiles(loaded))
    const tokens = flags.tokens ?? loaded.tokenizer.encodePrompt(prompt!)
    const bar = new ProgressLine('logits', { unit: 'tokens', quiet: flags.json === true })
    const interrupt = onInterrupt()
    const values = await loaded
      .logits(tokens, { signal: interrupt.signal, onProgress: ({ loaded, total }) => bar.update(loaded, total) })
      .finally(() => {
        bar.clear()
        interrupt.release()
      })
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    await writeOutput(out, [bytes])
    const { vocabSize } = loaded.config
    if (flags.json) process.stdout.write(jsonLine({ model, tokens, vocabulary: vocabSize, out, bytes: bytes.length }))
    else say(`${out}: ${tokens.length} x ${vocabSize} float32, ${byteCount(bytes.length)}`)
  })
}
