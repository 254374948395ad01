// `mixtral tokenize`: token ids and pieces of a text.

import type { Command } from 'commander'
import { quotedText } from '../../base/terminalText.js'
import { openGguf } from '../../format/gguf/openGguf.js'
import { localModel } from '../../registry/stores/localModels.js'
import { Tokenizer } from '../../text/tokenizer/tokenizer.js'
import { ANY_MODEL, addOutputFlags, type OutputFlags } from './flags.js'
import { wrapped } from './helpText.js'
import { columns, jsonLine, print, say } from './layout.js'
import { isModelArgument, pipedText, textOrStdin } from './stdin.js'

interface TokenizeFlags extends OutputFlags {
  readonly special?: true
  readonly bos?: true
}

export function configureTokenize(command: Command): void {
  addOutputFlags(
    command
      .argument('[model]', `${ANY_MODEL} (default: "demo")`)
      .argument('[text]', 'the text (default: what a pipe brings on standard input)')
      .option('--special', 'take the text of control tokens, such as </s>, for the tokens')
      .option('--bos', 'put the token for the beginning of a text first'),
  )
    .addHelpText(
      'after',
      wrapped(`
A single argument is the model if it is "demo", ends in .gguf, or is an existing file or a name such as mixtral:8x7b; else it is the text, for
the demo model. A pipe or a file on standard input is the text where no other is given, or where the text is -.

Examples:
  mixtral tokenize "Once upon a time"
  mixtral tokenize demo "[INST] Who are you? [/INST] Me.</s>" --special --bos
  mixtral tokenize mixtral-8x7b.Q4_K_M.gguf --json < text.txt`),
    )
    .action((first: string | undefined, second: string | undefined, flags: TokenizeFlags) => tokenize(command, first, second, flags))
}

async function tokenize(
  command: Command,
  first: string | undefined,
  second: string | undefined,
  { special, bos, json }: TokenizeFlags,
): Promise<void> {
  const isModel = first !== undefined && (second !== undefined || isModelArgument(first))
  const model = isModel ? first : 'demo'
  const argument = isModel ? second : first
  const text = argument === undefined ? await pipedText() : await textOrStdin(argument)
  if (text === undefined) command.error(`TEXT is missing, expected a text or a pipe: mixtral tokenize ${model} "Once upon a time"`)
  const { metadata } = await openGguf((await localModel(model)).path)
  const tokenizer = Tokenizer.fromGgufMetadata(metadata)
  const ids = tokenizer.encode(text, { addBos: bos ?? false, parseSpecial: special ?? false })
  const tokens = ids.map((id) => tokenizer.token(id))
  if (json) {
    process.stdout.write(jsonLine({ tokens: ids, pieces: tokens.map(({ piece }) => piece), count: ids.length }))
    return
  }
  const rows = tokens.map(({ id, piece, type }) => [String(id), quotedText(piece), type === 'normal' ? '' : type])
  print(columns(rows, [0]))
  say(`${ids.length} ${ids.length === 1 ? 'token' : 'tokens'}`)
}
