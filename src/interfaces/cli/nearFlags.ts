// The flag, command or slash command that somebody meant who wrote another: by its letters, by its beginning, or by
// what other programs call it. Knows no command; what a command has is given.

import { nearNames } from '../../base/nearNames.js'
import { generationTable } from '../../text/generate/generationTable.js'

/** What other programs call a flag of ours that is no option of a generation. */
const otherFlags: Readonly<Record<string, string>> = {
  '--ctx-size': '--context',
  '--num-ctx': '--context',
  '--context-length': '--context',
  '--n-ctx': '--context',
  '--num-thread': '--threads',
  '--memory': '--ram',
  '--system-prompt': '--system',
  '--format': '--json-schema',
  '--verbose': '--debug',
  '--output': '--out',
  '--allow-requantize': '--requantize',
  '--split-max-size': '--shard-size',
  '--keep-split': '--shard-size',
  '--temp': '--temperature',
  '--lora-scaled': '--lora',
  '--lora-init-without-apply': '--lora',
  '--lora-modules': '--lora',
  '--adapter': '--lora',
  '--cache-type-k': '--kv',
  '--cache-type-v': '--kv',
  '--kv-cache-dtype': '--kv',
}

/** What other programs, and shells, call a command of ours. */
const otherCommands: Readonly<Record<string, string>> = {
  ls: 'list',
  ps: 'list',
  remove: 'rm',
  delete: 'rm',
  download: 'pull',
  generate: 'run',
  start: 'serve',
  server: 'serve',
  benchmark: 'bench',
  info: 'show',
}

/** What other chats call a slash command of ours. */
const otherSlashes: Readonly<Record<string, string>> = {
  '/?': '/help',
  '/h': '/help',
  '/q': '/bye',
  '/new': '/clear',
  '/reset': '/clear',
  '/branch': '/fork',
}

const LONGEST_NAME = 40

/** `; did you mean --temperature?`, or nothing. */
export const meantFlag = (flag: string, known: readonly string[]) =>
  meant(flag.replace(/=.*$/s, ''), known, { ...fromTables(), ...otherFlags })

export const meantCommand = (name: string, known: readonly string[]) => meant(name, known, otherCommands)

export const meantSlash = (word: string, known: readonly string[]) => meant(word, known, otherSlashes)

function meant(name: string, known: readonly string[], others: Readonly<Record<string, string>>): string {
  if (name.length > LONGEST_NAME) return ''
  const other = Object.hasOwn(others, name) ? others[name]! : undefined
  const begun = name.length >= 4 ? known.filter((one) => one.startsWith(name)) : []
  const near = other !== undefined && known.includes(other) ? [other] : begun.length > 0 ? begun.slice(0, 3) : nearNames(name, known)
  return near.length > 0 ? `; did you mean ${near.join(', ')}?` : ''
}

/** What the OpenAI API, llama-server and Ollama call the options of a generation, and what the library does. */
function fromTables(): Record<string, string> {
  const rows = Object.entries(generationTable).flatMap(([name, { flag, openai, ollama, llama }]) => {
    const names = [name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`), openai, ollama, llama]
    const long = /--[\w-]+/.exec(flag)![0]
    return names.flatMap((one) => (one === undefined ? [] : [[`--${one.replaceAll('_', '-')}`, long] as const]))
  })
  return Object.fromEntries(rows)
}
