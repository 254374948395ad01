// `mixtral tokenize`: token ids and pieces of a text.

import type { Command } from 'commander'
import { quotedText } from '../../base/terminalText.js'
import { openGguf } from '../../format/gguf/openGguf.js'
import { localModel } from '../../registry/stores/localModels.js'
import { Tokenizer } from '../../text/tokenizer/tokenizer.js'
import { ANY_MODEL, addOutputFlags, type OutputFlags } from './flags.js'
import { wrapped } from './helpText.js'
import { columns, jsonLine } from './layout.js'
import { textOrStdin } from './stdin.js'

interface TokenizeFlags extends OutputFlags {
  readonly special?: true
  readonly bos?: true
}

export function configureTokenize(command: Command): void {
  addOutputFlags(
    command
      .argument('<model>', ANY_MODEL)
      .argument('<text>', 'the text, or - to read it from standard input')
      .option('--special', 'take the text of control tokens, such as </s>, for the tokens')
      .option('--bos', 'put the token for the beginning of a text first'),
  )
    .addHelpText(
      'after',
      wrapped(`
Examples:
  mixtral tokenize demo "Once upon a time"
  mixtral tokenize demo "[INST] Who are you? [/INST] Me.</s>" --special --bos
  mixtral tokenize mixtral-8x7b.Q4_K_M.gguf - --json < text.txt`),
    )
    .action(tokenize)
}

async function tokenize(model: string, text: string, { special, bos, json }: TokenizeFlags): Promise<void> {
  const { metadata } = await openGguf((await localModel(model)).path)
  const tokenizer = Tokenizer.fromGgufMetadata(metadata)
  const ids = tokenizer.encode(await textOrStdin(text), { addBos: bos ?? false, parseSpecial: special ?? false })
  const tokens = ids.map((id) => tokenizer.token(id))
  if (json) {
    process.stdout.write(jsonLine({ tokens: ids, pieces: tokens.map(({ piece }) => piece), count: ids.length }))
    return
  }
  const rows = tokens.map(({ id, piece, type }) => [String(id), quotedText(piece), type === 'normal' ? '' : type])
  process.stdout.write(columns(rows, [0]))
  process.stderr.write(`${ids.length} tokens\n`)
}
