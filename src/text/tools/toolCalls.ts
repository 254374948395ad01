// A call of a function, whole and in parts, in the shape of the OpenAI API; and the ids of calls. Mistral's format
// takes ids of nine letters and digits. Those that we make have this form, and others get one that follows from them.

import { createHash } from 'node:crypto'

/** A call that the model asks for. */
export interface ToolCall {
  readonly id: string
  readonly type: 'function'
  readonly function: {
    readonly name: string
    /** The arguments: the text of a JSON object. */
    readonly arguments: string
  }
}

/** A part of a call as it is written: id, type and name in the first part, then pieces of the arguments. */
export interface ToolCallDelta {
  /** Which call of the answer: 0, 1, ... */
  readonly index: number
  readonly id?: string
  readonly type?: 'function'
  readonly function: { readonly name?: string; readonly arguments: string }
}

const CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const LENGTH = 9

/** The id in the form that Mistral's format takes: the same if it has it, else one that follows from it. */
export function shortId(id: string): string {
  return /^[a-zA-Z0-9]{9}$/.test(id) ? id : digest(id)
}

/**
 * The ids of the calls of an answer. They follow from the prompt and the seed, so that the same generation has the same
 * ids, and differ from those of earlier answers, whose prompts were shorter.
 */
export function callIds(prompt: readonly number[], seed: number | undefined): (index: number) => string {
  const base = digest(`${seed} ${prompt.join()}`)
  return (index) => digest(`${base} ${index}`)
}

function digest(text: string): string {
  const bytes = createHash('sha256').update(text).digest()
  let id = ''
  // 62 characters for a byte: a little more often the first ones, which is no matter for names
  for (let i = 0; i < LENGTH; i++) id += CHARACTERS[bytes[i]! % CHARACTERS.length]
  return id
}
