// What a template shows of calls: it is run on a small conversation with calls of which name, arguments and id are
// known, and the texts around them are the format. A template that leaves out tools, calls or results, or writes them
// in another way than a name before a JSON object, shows none. Neither does one that writes very long texts: templates
// come from strangers, and every search here is linear.

import { limits } from '../../base/limits.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import { type CallFormat, ID_BEFORE, ID_NEXT, type Script } from '../tools/callFormat.js'
import type { CheckedTool } from '../tools/toolDefinitions.js'
import type { Turn } from './chatMessages.js'
import type { TurnCall } from './openCalls.js'
import { isOverTime } from './templateProgram.js'

export interface LearnedFormat {
  readonly format: CallFormat
  /** Whether results stand in JSON as they are, so that a text must come as a JSON string. */
  readonly jsonResults: boolean
}

type Run = (turns: readonly Turn[], shown: { tools: readonly CheckedTool[] | undefined; addGenerationPrompt: boolean }) => string

const TEXT = 'zqtext'
const RESULT = 'zq"result'
const NAMES = ['zqnamea', 'zqnameb'] as const
const IDS = ['zqcallid1', 'zqcallid2'] as const
const ARGUMENTS = /\{\s*"zqkey"\s*:\s*"zqvalue"\s*\}/

const TOOLS: readonly CheckedTool[] = [
  { name: NAMES[0], description: 'zqabout', parameters: { type: 'object', properties: { zqkey: { type: 'string' } } }, strict: false },
]

const [first, second] = NAMES.map((name, i): TurnCall => ({ id: IDS[i]!, name, arguments: new Map([['zqkey', 'zqvalue']]) })) as [
  TurnCall,
  TurnCall,
]
const question: Turn = { role: 'user', content: 'zqquestion', calls: [] }
const answer = (content: string, ...calls: TurnCall[]): Turn => ({ role: 'assistant', content, calls })

/**
 * Undefined where the template shows no format.
 * @param run renders turns
 */
export function learnCallFormat(run: Run, tokenizer: Tokenizer): LearnedFormat | undefined {
  const prompt = tried(() => run([question], { tools: TOOLS, addGenerationPrompt: true }))
  if (!prompt?.includes(first.name)) return undefined
  // Ollama's templates show tools where the question is the last message, and not in front of an answer.
  const prompts = [prompt, tried(() => run([question], { tools: undefined, addGenerationPrompt: true })) ?? prompt]
  const written = (...turns: Turn[]) => {
    const whole = tried(() => run([question, ...turns], { tools: TOOLS, addGenerationPrompt: false }))
    const before = prompts.find((each) => whole?.startsWith(each))
    return before === undefined ? undefined : whole!.slice(before.length)
  }
  const one = partsOf(written(answer('', first)))
  const results = written(answer('', first), { role: 'tool', content: RESULT, calls: [], answers: first })
  if (!one || !results || !/zq\\?"result/.test(results)) return undefined
  const open = scriptOf(one.open.trimStart(), tokenizer)
  if (open.length === 0) return undefined
  const two = written(answer('', first, second))
  const mixed = written(answer(TEXT, first))
  const format: CallFormat = {
    open,
    middle: scriptOf(one.middle, tokenizer),
    between: betweenOf(two, one, tokenizer),
    close: closeOf(one.rest, tokenizer),
    trigger: triggerOf(open),
    texts: mixed?.includes(first.name, mixed.indexOf(TEXT) >>> 0) ? 'before' : 'instead',
  }
  const scripts = [format.open, format.middle, format.between ?? [], format.close]
  if (scripts.some((script) => lengthOf(script) > limits.callText.most)) return undefined
  return { format, jsonResults: /":\s*zq"result/.test(results) }
}

function lengthOf(script: Script): number {
  return script.reduce<number>((sum, part) => sum + (typeof part === 'string' ? part.length : 1), 0)
}

/**
 * Templates refuse in many ways, and one that fails here, or writes too much, shows nothing. That the time of the chat
 * is over says nothing of the template, and is thrown.
 */
function tried(run: () => string): string | undefined {
  try {
    const text = run()
    return text.length > limits.shownCalls.most ? undefined : text
  } catch (error) {
    if (isOverTime(error)) throw error
    return undefined
  }
}

interface Parts {
  readonly open: string
  readonly middle: string
  readonly arguments: string
  readonly rest: string
}

/** A text around the first call. */
function partsOf(text: string | undefined): Parts | undefined {
  const at = text?.indexOf(first.name) ?? -1
  if (text === undefined || at < 0) return undefined
  const behind = text.slice(at + first.name.length)
  const found = ARGUMENTS.exec(behind)
  if (!found || /^[\w-]/.test(behind)) return undefined
  return {
    open: text.slice(0, at),
    middle: behind.slice(0, found.index),
    arguments: found[0],
    rest: behind.slice(found.index + found[0].length),
  }
}

/** From the first arguments to the second name; undefined where the template takes one call only. */
function betweenOf(two: string | undefined, one: Parts, tokenizer: Tokenizer): Script | undefined {
  const begin = one.open + first.name + one.middle + one.arguments
  const end = two?.indexOf(second.name, begin.length) ?? -1
  if (!two?.startsWith(begin) || end < 0) return undefined
  const between = two.slice(begin.length, end)
  // Ollama's templates leave out the commas of a list, which models write.
  return scriptOf(/\[\s*\{/.test(one.open) ? between.replace(/\}\s*\{/, '}, {') : between, tokenizer)
}

/** What follows the last call, up to the token that ends the answer. */
function closeOf(rest: string, tokenizer: Tokenizer): Script {
  const parts = tokenizer.splitSpecial(rest)
  const end = parts.findIndex((part) => typeof part === 'number' && tokenizer.endIds.has(part))
  const text = (end < 0 ? parts : parts.slice(0, end)).map((part) => (typeof part === 'string' ? part : pieceOf(part, tokenizer)))
  return scriptOf(text.join('').trimEnd(), tokenizer)
}

/** The beginning of calls that no text has: a control token, or the text before the JSON. */
function triggerOf([start]: Script): string | number {
  if (typeof start === 'number') return start
  return start!.slice(0, jsonStart(start!)) || start!
}

/** Where the JSON begins that a text ends with, up to the quote before a value: `[{"name": "`. Its end without one. */
function jsonStart(text: string): number {
  let at = text.length
  const skipSpace = () => {
    at = text.slice(0, at).trimEnd().length
  }
  const skip = (sign: string) => {
    if (text[at - 1] !== sign) return false
    at--
    skipSpace()
    return true
  }
  if (!skip('"') || !skip(':') || text[at - 1] !== '"') return text.length
  at = text.lastIndexOf('"', at - 2)
  if (at < 0) return text.length
  skipSpace()
  if (!skip('{')) return text.length
  skip('[')
  return at
}

/** A text as a script. Tokens that are text stay text: the model may spell them in any way. */
function scriptOf(text: string, tokenizer: Tokenizer): Script {
  const script: (string | number)[] = []
  const add = (part: string | number) => {
    const last = script.at(-1)
    if (typeof part === 'string' && typeof last === 'string') script[script.length - 1] = last + part
    else if (part !== '') script.push(part)
  }
  for (const part of tokenizer.splitSpecial(text)) {
    if (typeof part === 'number' && tokenizer.token(part).type === 'control') add(part)
    else addIds(typeof part === 'number' ? pieceOf(part, tokenizer) : part, add)
  }
  return script
}

/** A text with the places of ids in it. */
function addIds(text: string, add: (part: string | number) => void): void {
  for (const part of text.split(new RegExp(`(${IDS.join('|')})`))) add(part === IDS[0] ? ID_BEFORE : part === IDS[1] ? ID_NEXT : part)
}

function pieceOf(id: number, tokenizer: Tokenizer): string {
  return tokenizer.token(id).piece.replaceAll('\u2581', ' ')
}
