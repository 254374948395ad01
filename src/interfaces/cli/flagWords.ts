// Errors of the library in the words of the command line: its options by the names of their flags. Owns which flag is
// which option; knows no error.

import { MixtralError } from '../../base/errors.js'
import { generationTable } from '../../text/generate/generationTable.js'

const flags: Readonly<Record<string, string>> = {
  ...Object.fromEntries(Object.entries(generationTable).map(([name, { flag }]) => [name, /--[\w-]+/.exec(flag)![0]])),
  contextLength: '--context',
  threads: '--threads',
  ram: '--ram',
  kvFormat: '--kv',
  toolChoice: '--tool-choice',
  kvTokens: '--kv-tokens',
  sequences: '--parallel',
  windows: '--chunks',
  saveLogits: '--save-logits',
  shardBytes: '--shard-size',
  requantize: '--requantize',
  imatrix: '--imatrix',
  layout: '--layout',
  base: '--base',
  adapters: '--lora',
}

/** A name that is an English word is an option where a sentence about options has one. */
const WORD = /^([a-z]\w*)(?= (?:is|are|has|goes|wants|needs)\b)|(?<=\b(?:expected|with|without|or|and) )([a-z]\w*)(?=$|[,;.]| with\b)/g
const CAMEL = /\b[a-z]+(?:[A-Z]\w*)+/g

/** The message of an error, for somebody who has a command line. */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  if (!(error instanceof MixtralError)) return message
  if (error.code === 'OPTION') return withFlags(message)
  const more = error.code === 'CONTEXT' && error.promptTokens !== undefined
  return more ? `${message}; --context ${roomFor(error.promptTokens!)} makes room` : message
}

/** A message with flags instead of options. What is in quotes is somebody's own text. */
function withFlags(message: string): string {
  const flag = (name: string) => (Object.hasOwn(flags, name) ? flags[name]! : name)
  return message
    .split(/("(?:[^"\\]|\\.)*")/)
    .map((part, i) => (i % 2 === 1 ? part : part.replace(CAMEL, flag).replace(WORD, flag)))
    .join('')
}

/** A length that is usual, and leaves place for an answer. */
function roomFor(tokens: number): number {
  return 2 ** Math.ceil(Math.log2(tokens + 256))
}
