// What a generation's options mean in token ids: which tokens end it, which are forbidden and when, what is added to
// whose logit. Owns these rules and their checks against the vocabulary.

import { MixtralError, shown } from '../../base/errors.js'
import type { Breakers } from '../../runtime/sampler/dry.js'
import { Sampler, type SamplerRules } from '../../runtime/sampler/sampler.js'
import { samplerTable } from '../../runtime/sampler/samplerTable.js'
import type { Constraint } from '../constraint/constraint.js'
import type { ConstraintSpec } from '../constraint/language.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import { BannedWords } from './bannedWords.js'
import type { CheckedOptions } from './checkGenerationOptions.js'
import type { CompiledConstraints } from './compiledConstraints.js'
import type { DraftRules } from './drafter.js'
import type { LogitBias } from './generationOptions.js'

export interface TokenRules extends DraftRules {
  readonly sampler: Sampler
  /** Tokens that end the text. */
  readonly endIds: ReadonlySet<number>
  readonly banned: BannedWords
  /**
   * Takes the tokens that the constraint forces, at most `most` of them: they are not drawn and use no random number.
   * None with a bias or banned words, which may ask for another spelling.
   */
  readonly forced: (most: number) => readonly number[]
  /** Whether the constraint leaves nothing but the end. */
  readonly isComplete: () => boolean
}

/**
 * @param opens whether the text begins an answer, and does not continue the prompt's text
 * Throws `OPTION` for ids outside the vocabulary, for a bias that is none and for a constraint that is malformed,
 * `UNSUPPORTED` for what a constraint asks and is not done.
 */
export async function tokenRules(options: CheckedOptions, tokenizer: Tokenizer, opens: boolean): Promise<TokenRules> {
  const { constraint, stopIds, minTokens, ignoreEos, bannedWords, logitBias, logprobs, postSampling, sampling } = options
  for (const id of stopIds) checkId('stopIds', id, tokenizer)
  const own = [...tokenizer.endIds]
  const ends = [...own, ...stopIds]
  const banned = new BannedWords(bannedWords, tokenizer)
  const bias = biasById(logitBias, tokenizer)
  const language = constraint && (await compiledConstraint(constraint, tokenizer))
  const state = language?.start(opens)
  const rules: SamplerRules = {
    bias,
    withheld: [
      { ids: ends, until: minTokens },
      { ids: own, until: ignoreEos ? Number.POSITIVE_INFINITY : 0 },
    ],
    ...(state && { constraint: state }),
    ...(bannedWords.length > 0 && { forbidden: () => banned.forbidden() }),
    top: logprobs,
    postSampling,
  }
  const { dryMultiplier = 0, drySequenceBreakers = samplerTable.drySequenceBreakers.default } = sampling
  const texts = typeof drySequenceBreakers === 'string' ? [drySequenceBreakers] : drySequenceBreakers
  const dry = dryMultiplier > 0 ? { breakers: dryBreakers(texts, tokenizer) } : {}
  const sampler = new Sampler(sampling, { ...rules, ...dry })
  const forces = bias.size === 0 && bannedWords.length === 0
  const forced = (most: number) => sampler.follow((forces && state?.forced().slice(0, most)) || [])
  const ahead = language && (() => language.ahead?.start(opens))
  return { sampler, endIds: new Set(ends), banned, ahead, forces, forced, isComplete: () => state?.isComplete ?? false }
}

/**
 * Whether the prompt ends where an answer begins, and not in the middle of a text. Then the space before the first word
 * is the tokenizer's, and not part of the answer.
 */
export function asksForAnswer(tokenizer: Tokenizer, prompt: readonly number[]): boolean {
  const last = prompt.at(-1)
  if (last === undefined || tokenizer.token(last).type === 'control') return true
  return tokenizer.decode(prompt.slice(-16)).trimEnd().endsWith('[/INST]')
}

/**
 * The engine of constraints is loaded when a constraint is asked for the first time, so that importing the library
 * stays cheap.
 */
async function compiledConstraint(spec: ConstraintSpec, tokenizer: Tokenizer): Promise<Constraint> {
  let known = compiled.get(tokenizer)
  if (!known) {
    const { CompiledConstraints } = await import('./compiledConstraints.js')
    known = compiled.get(tokenizer) ?? new CompiledConstraints(tokenizer)
    compiled.set(tokenizer, known)
  }
  return known.of(spec)
}

const compiled = new WeakMap<Tokenizer, CompiledConstraints>()

function biasById(bias: LogitBias, tokenizer: Tokenizer): ReadonlyMap<number, number> {
  if (!Array.isArray(bias) && Symbol.iterator in bias) {
    throw new MixtralError('OPTION', 'logitBias is a collection, expected an object with token ids as keys, or a list of pairs')
  }
  const entries: readonly unknown[] = Array.isArray(bias) ? bias : Object.entries(bias).map(([id, value]) => [idOfKey(id), value])
  const all = new Map<number, number>()
  for (const entry of entries) {
    if (!Array.isArray(entry) || entry.length !== 2) {
      throw new MixtralError('OPTION', `logitBias has ${shown(entry)}, expected pairs of a token and a number or false`)
    }
    const [token, value]: readonly unknown[] = entry
    const added = value === false ? -Infinity : value
    if (typeof added !== 'number' || Number.isNaN(added) || added === Infinity) {
      throw new MixtralError('OPTION', `logitBias has ${shown(value)} for token ${shown(token)}, expected a number or false for each token`)
    }
    const ids =
      typeof token === 'string' && token !== '' ? tokenizer.encode(token, { addBos: false }) : [checkId('logitBias', token, tokenizer)]
    for (const id of ids) all.set(id, added)
  }
  return all
}

/** The id that an object's key spells in digits. Number() would read an empty key as token 0. */
function idOfKey(key: string): number {
  if (/^\d+$/.test(key)) return Number(key)
  throw new MixtralError('OPTION', `logitBias has the key ${shown(key)}, expected token ids; texts go into a list of pairs`)
}

function checkId(option: string, id: unknown, { vocabSize }: Tokenizer): number {
  if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < vocabSize) return id
  throw new MixtralError('OPTION', `${option} has token ${shown(id)}, expected ids from 0 to ${vocabSize - 1}`)
}

/** Texts longer than this are no use as breakers; llama.cpp cuts them alike. */
const LONGEST_BREAKER = 40
const LONGEST_REST = 20 // tokens

/**
 * The token sequences in which a breaker may stand: a token with the whole text in it; or one that ends with the text's
 * beginning, followed by the tokens of the rest, as the tokenizer cuts it (llama.cpp's rule: other ways to cut the rest
 * are not seen).
 */
function dryBreakers(texts: readonly string[], tokenizer: Tokenizer): Breakers {
  const breakers = new Map<number, number[][]>()
  const add = (id: number, rest: number[]) => listIn(breakers, id).push(rest)
  const decoder = new TextDecoder()
  const whole = new Set(texts.map((text) => [...text].slice(0, LONGEST_BREAKER).join('')))
  // Looked up by the parts of a token, so that many breakers cost a token no more than few.
  const byBeginning = new Map<string, { readonly text: string; readonly rest: number[] }[]>()
  const rests = new Map<string, number[]>()
  for (const text of whole) {
    for (let length = 1; length < text.length; length++) {
      const left = text.slice(length)
      const rest = rests.get(left) ?? middleIds(left, tokenizer).slice(0, LONGEST_REST)
      rests.set(left, rest)
      listIn(byBeginning, text.slice(0, length)).push({ text, rest })
    }
  }
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    const token = decoder.decode(tokenizer.bytes(id))
    const contained = partsOf(token).filter((part) => whole.has(part))
    if (contained.length > 0) add(id, [])
    for (let start = 0; start < token.length; start++) {
      for (const { text, rest } of byBeginning.get(token.slice(start)) ?? []) if (!contained.includes(text)) add(id, rest)
    }
  }
  return breakers
}

function listIn<K, T>(lists: Map<K, T[]>, key: K): T[] {
  const list = lists.get(key) ?? []
  lists.set(key, list)
  return list
}

/** Every part of a text that a breaker can be. */
function partsOf(text: string): string[] {
  const parts: string[] = []
  for (let start = 0; start < text.length; start++) {
    for (let end = start + 1; end <= Math.min(text.length, start + 2 * LONGEST_BREAKER); end++) parts.push(text.slice(start, end))
  }
  return parts
}

/** The tokens of a text that goes on from another: without the space that a text at the beginning gets. */
function middleIds(text: string, tokenizer: Tokenizer): number[] {
  return tokenizer.encode(text, { addBos: false, continues: true })
}
