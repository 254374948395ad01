// The one error of the project, and how values from outside appear in its message. Owns the list of codes; does not
// know where an error is shown.

import { limits } from './limits.js'
import { plainText, quotedText, shortened } from './terminalText.js'

/**
 * What went wrong, stable across releases:
 * - `GGUF`: the file is not a well-formed GGUF, or a shard set is wrong
 * - `MODEL`: a well-formed GGUF that is no model for this runtime (architecture, hyper-parameter, missing or misshapen
 *   tensor)
 * - `CHECKPOINT`: a checkpoint to convert is malformed or incomplete (safetensors, configuration, tokenizer files)
 * - `UNSUPPORTED`: a known thing without support, such as a block format without a kernel
 * - `TOKENIZER`: the vocabulary in the file, or an id outside it
 * - `TEMPLATE`: the chat template in the file, or messages it refuses
 * - `OPTION`: an unknown or impossible option
 * - `CONTEXT`: the prompt does not fit the context
 * - `MEMORY`: the memory asked for cannot be had
 * - `THREAD`: a worker thread threw or ended in mid-step
 * - `SESSION`: a saved session is damaged, or belongs to another model or version
 * - `ABORTED`: the caller's AbortSignal fired
 * - `CLOSED`: the model was closed
 * - `IO`: a file or an address could not be opened, read or written
 */
export type MixtralErrorCode =
  | 'GGUF'
  | 'MODEL'
  | 'CHECKPOINT'
  | 'UNSUPPORTED'
  | 'TOKENIZER'
  | 'TEMPLATE'
  | 'OPTION'
  | 'CONTEXT'
  | 'MEMORY'
  | 'THREAD'
  | 'SESSION'
  | 'ABORTED'
  | 'CLOSED'
  | 'IO'

/**
 * Every error this library throws on purpose. The message says what was found, what was expected, and where. It may
 * hold text from anywhere, so it is cut to a screen, and has nothing that a terminal would obey.
 */
export class MixtralError extends Error {
  readonly code: MixtralErrorCode

  constructor(code: MixtralErrorCode, message: string, options?: ErrorOptions) {
    super(shortened(plainText(message), limits.errorText.most), options)
    this.name = 'MixtralError'
    this.code = code
  }
}

/** The error of a call whose AbortSignal fired; `cause` is the signal's reason. */
export function abortedError(signal?: AbortSignal): MixtralError {
  return new MixtralError('ABORTED', 'the call was aborted', { cause: signal?.reason })
}

/** The error of a call on a closed model. */
export function closedError(): MixtralError {
  return new MixtralError('CLOSED', 'the model was closed')
}

/** A text from outside, such as a name in a file, for a message: in quotes, escaped, cut to 80 characters. */
export function quoted(text: string): string {
  return quotedText(text, 80)
}

/**
 * Any value for a message: text quoted, a list by its length, undefined as `no value`, an object by its type. Never
 * throws, whatever the value is.
 */
export function shown(value: unknown): string {
  if (value === undefined) return 'no value'
  if (typeof value === 'string') return quoted(value)
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return String(value)
  return Array.isArray(value) ? `a list of ${value.length}` : 'an object'
}

/** Throws `OPTION` unless the options are an object: not null, not a number. */
export function checkObject(options: unknown): void {
  if (typeof options === 'object' && options !== null) return
  throw new MixtralError('OPTION', `the options are ${shown(options)}, expected an object`)
}

/** Throws `OPTION` unless options are an object, and for one whose name is not in `known`. */
export function checkNames(options: object, known: readonly string[]): void {
  checkObject(options)
  const unknown = Object.keys(options).find((name) => !known.includes(name))
  if (unknown !== undefined) throw new MixtralError('OPTION', `unknown option ${unknown}, expected ${known.join(', ')}`)
}

/** Throws `OPTION` unless the value is a string; `what` names it. */
export function checkText(what: string, value: unknown): void {
  checkKind(what, value, typeof value === 'string', 'a string')
}

/** Throws `OPTION` unless the value is a list, such as an array or a typed array. Its ids are not checked. */
export function checkTokenList(tokens: unknown): void {
  if (Array.isArray(tokens) || ArrayBuffer.isView(tokens)) return
  throw new MixtralError('OPTION', `the tokens are ${shown(tokens)}, expected a list of token ids`)
}

/** Throws `OPTION` unless the value is of the right kind; `what` names it, and `expected` the kind. */
export function checkKind(what: string, value: unknown, isRight: boolean, expected: string): void {
  if (!isRight) throw new MixtralError('OPTION', `${what} is ${shown(value)}, expected ${expected}`)
}
