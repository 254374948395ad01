// The one error of the project, and how values from outside appear in its message. Owns the list of codes; does not
// know where an error is shown.

import { limits } from './limits.js'
import { didYouMean, meantOption } from './nearNames.js'
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

/** What a generation had written when an error ended it. */
export interface PartialAnswer {
  /** The text so far, what a reader of a stream has not taken yet included. */
  readonly text: string
  readonly ids: readonly number[]
  /** With the option `n` above 1: what each answer had. The first is this one, without `choices`. */
  readonly choices?: readonly PartialAnswer[]
}

/** What an error tells beside its message. */
export interface ErrorDetails {
  readonly promptTokens?: number
  readonly contextLength?: number
  readonly partial?: PartialAnswer
}

/**
 * Every error this library throws on purpose. The message says what was found, what was expected, and where. It may
 * hold text from anywhere, so it is cut to a screen, and has nothing that a terminal would obey. Its `name` is
 * `AbortError` where the code is `ABORTED`, as the web's programs expect, else `MixtralError`.
 */
export class MixtralError extends Error implements ErrorDetails {
  readonly code: MixtralErrorCode
  /** With `CONTEXT`: how many tokens the prompt has. */
  declare readonly promptTokens?: number
  /** With `CONTEXT`: how many tokens there is room for, prompt and answer together. */
  declare readonly contextLength?: number
  /** Where a generation had begun: what it had written. */
  declare readonly partial?: PartialAnswer

  constructor(code: MixtralErrorCode, message: string, options: ErrorOptions & ErrorDetails = {}) {
    const { cause, ...details } = options
    super(shortened(plainText(message), limits.errorText.most), 'cause' in options ? { cause } : undefined)
    this.name = code === 'ABORTED' ? 'AbortError' : 'MixtralError'
    this.code = code
    Object.assign(this, details)
  }

  /**
   * Whether the caller of a loaded model is to blame, who gave a wrong option, messages, a prompt that is too long or
   * ids that do not exist: the codes `OPTION`, `TEMPLATE`, `CONTEXT` and `TOKENIZER`.
   */
  get isCallersFault(): boolean {
    return CALLERS.includes(this.code)
  }
}

/** Codes of calls that would fail in the same way again, as they are: an HTTP server answers them with 400. */
const CALLERS: readonly MixtralErrorCode[] = ['OPTION', 'TEMPLATE', 'CONTEXT', 'TOKENIZER']

/** The error with what had been written; a copy, where it is the error of another generation too. */
export function withPartial(error: unknown, partial: PartialAnswer): unknown {
  if (!(error instanceof MixtralError)) return error
  if (!error.partial && Object.isExtensible(error)) return Object.assign(error, { partial })
  const copy = new MixtralError(error.code, error.message, { ...error, partial, cause: error.cause })
  return Object.assign(copy, { stack: error.stack })
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
  return isArray(value) ? `a list of ${value.length}` : 'an object'
}

/** Whether it is an array; what a revoked proxy was, nobody can tell. */
function isArray(value: unknown): value is readonly unknown[] {
  return unlessRevoked(() => Array.isArray(value)) ?? false
}

/** What a value tells of itself; undefined where it throws, as a revoked proxy does. */
export function unlessRevoked<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch {
    return undefined
  }
}

/** Why the system refused, without the call and the path that Node puts behind it: messages have named the file. */
export function reasonOf(cause: unknown): string {
  const { message, path, syscall } = cause as Error & { readonly path?: string; readonly syscall?: string }
  const end = path !== undefined && syscall !== undefined ? message.indexOf(`, ${syscall} '${path}'`) : -1
  return end < 0 ? message : message.slice(0, end)
}

/** Whether an object has no class of its own: what it holds are its own properties. */
export function isPlain(value: object): boolean {
  const isOfNone = () => {
    const prototype: unknown = Object.getPrototypeOf(value)
    return prototype === null || Object.getPrototypeOf(prototype) === null // of any realm
  }
  return unlessRevoked(isOfNone) ?? false
}

/**
 * Throws `OPTION` unless the options are a plain object. What another holds, such as a Map, an AbortSignal or an object
 * that inherits options, would be passed over without a word.
 */
export function checkObject(options: unknown): void {
  if (typeof options === 'object' && options !== null && isPlain(options)) return
  throw new MixtralError('OPTION', `the options are ${shown(options)}${ofClass(options)}, expected a plain object`)
}

function ofClass(value: unknown): string {
  if (typeof value !== 'object' || value === null || isArray(value)) return ''
  const name = unlessRevoked((): unknown => value.constructor?.name)
  return typeof name === 'string' && name !== 'Object' ? ` of the class ${plainText(name)}` : ' that inherits from another'
}

/** Throws `OPTION` unless options are an object, and for one whose name is not in `known`. */
export function checkNames(options: object, known: readonly string[]): void {
  checkObject(options)
  const unknown = Object.keys(options).find((name) => !known.includes(name))
  if (unknown !== undefined) throw unknownOption(unknown, known)
}

/** The error of an option that does not exist; `instead`: what it is called here, where that is known. */
export function unknownOption(name: string, known: readonly string[], instead?: string): MixtralError {
  const meant = instead ?? meantOption(name, known)
  const near = meant === undefined ? didYouMean(name, known) : `; did you mean ${meant}?`
  return new MixtralError('OPTION', `unknown option ${plainText(name)}, expected ${known.join(', ')}${near}`)
}

/** Throws `OPTION` unless the value is a string; `what` names it. */
export function checkText(what: string, value: unknown): void {
  checkKind(what, value, typeof value === 'string', 'a string')
}

/** Throws `OPTION` unless the value is a list, such as an array or a typed array. Its ids are not checked. */
export function checkTokenList(tokens: unknown): void {
  if (isArray(tokens) || (ArrayBuffer.isView(tokens) && !(tokens instanceof DataView))) return
  throw new MixtralError('OPTION', `the tokens are ${shown(tokens)}, expected a list of token ids`)
}

/**
 * A copy of a list that is no longer than it says, whatever its iterator gives. Throws `OPTION` for one that says that
 * it is longer than any: an array of holes takes no memory, its copy all there is.
 */
export function listCopy<T>(list: ArrayLike<T>, { length } = list): T[] {
  if (length > limits.list.most) throw new MixtralError('OPTION', `a list of ${length}, expected at most ${limits.list.most}`)
  return Array.from({ length }, (_, i) => list[i]!)
}

/** Throws `OPTION` unless the value is of the right kind; `what` names it, and `expected` the kind. */
export function checkKind(what: string, value: unknown, isRight: boolean, expected: string): void {
  if (!isRight) throw new MixtralError('OPTION', `${what} is ${shown(value)}, expected ${expected}`)
}
