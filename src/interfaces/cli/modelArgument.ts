// Whether the only argument of a command is a model or a text.

import { existsSync } from 'node:fs'

export function isModelArgument(argument: string): boolean {
  // A name with a tag has no spaces, unlike most prompts.
  const name = /^(hf:|https:\/\/)\S+$|^[\w.-]+(\/[\w.-]+)*:[\w.-]+$/.test(argument)
  return argument === 'demo' || name || argument.endsWith('.gguf') || existsSync(argument)
}
