// How a model writes calls: what stands before the first name, between a name and its arguments, between two calls, and
// at the end. A format is plain data: what is written, read and allowed follows from it. Formats are learned from chat
// templates; a template that shows none gets the one that is here.

/** In a script: the id of the call that has just been written, and of the one that is being begun. */
export const ID_BEFORE = -1
export const ID_NEXT = -2

/** Texts, ids of control tokens, and places of the ids of calls. */
export type Script = readonly (string | number)[]

export interface CallFormat {
  /** From the start of the calls to the first name. */
  readonly open: Script
  /** From a name to its arguments, which are a JSON object. */
  readonly middle: Script
  /** From the arguments of a call to the name of the next; undefined where there is one call only. */
  readonly between: Script | undefined
  /** From the arguments of the last call to the end of the answer. */
  readonly close: Script
  /**
   * The beginning of `open` that no text has, a text or a control token. Where texts are wrapped, it has no meaning.
   */
  readonly trigger: string | number
  /**
   * An answer that is a text. `instead`: it has no calls. `before`: calls may follow it. `wrapped`: it is the value of
   * a JSON object, in which no calls follow.
   */
  readonly texts: 'instead' | 'before' | 'wrapped'
}

/** Where a text is wrapped: what stands before and after it. */
export const WRAP_OPEN = '{"response": '
export const WRAP_CLOSE = '}'

/** For templates that know no tools: JSON alone, either calls or a text. */
export const GENERIC: CallFormat = {
  open: ['{"tool_calls": [{"name": "'],
  middle: ['", "arguments": '],
  between: ['}, {"name": "'],
  close: ['}]}'],
  trigger: '{"tool_calls"',
  texts: 'wrapped',
}

/** A script as what comes one after the other: single characters, and ids of control tokens. */
export function symbolsOf(script: Script, before: string, next: string): (string | number)[] {
  return script.flatMap((part): (string | number)[] => {
    if (part === ID_BEFORE) return before.split('')
    if (part === ID_NEXT) return next.split('')
    return typeof part === 'number' ? [part] : part.split('')
  })
}
