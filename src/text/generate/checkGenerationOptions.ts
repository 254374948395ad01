// The check of the options of a generation. What needs the tokenizer is checked by tokenRules.ts when there is one.

import { checkTokenList, isPlain, listCopy, MixtralError, shown } from '../../base/errors.js'
import { checkCallOptions, checkScaleList } from '../../runtime/engine/callArguments.js'
import type { Progress } from '../../runtime/engine/engineOptions.js'
import { checkSamplerOptions } from '../../runtime/sampler/checkSamplerOptions.js'
import { checkOptions } from '../../runtime/sampler/optionRow.js'
import type { SamplerOptions } from '../../runtime/sampler/samplerOptions.js'
import type { ConstraintSpec } from '../constraint/language.js'
import { jsonCopy } from '../tools/plainJson.js'
import type { GenerationOptions, LogitBias } from './generationOptions.js'
import { generationTable } from './generationTable.js'
import { StopStrings } from './stopStrings.js'

/** Each banned word is looked for in every token of the vocabulary, and behind every token of the text. */
const MOST_WORDS = 10_000
const MOST_CHARACTERS = 200_000

/** Most answers to one prompt, as in the OpenAI API. */
const MOST_ANSWERS = 128

export interface CheckedOptions {
  readonly maxNewTokens: number
  readonly minTokens: number
  readonly ignoreEos: boolean
  readonly stops: StopStrings
  readonly stopIds: readonly number[]
  readonly bannedWords: readonly string[]
  readonly logitBias: LogitBias
  /** How many of the most likely tokens are reported; undefined for no log-probabilities. */
  readonly logprobs: number | undefined
  readonly postSampling: boolean
  /** What the text must be. */
  readonly constraint: ConstraintSpec | undefined
  readonly sampling: SamplerOptions
  /** How many answers. */
  readonly n: number
  /** Undefined for the model's own number. */
  readonly expertsPerToken: number | undefined
  readonly experts: boolean
  /** How much of each adapter counts; undefined for what holds for the model. */
  readonly adapters: readonly number[] | undefined
  readonly salt: string
  readonly signal: AbortSignal | undefined
  readonly onAccepted: (() => void) | undefined
  readonly expected: readonly number[] | undefined
  readonly onProgress: ((progress: Progress) => void) | undefined
}

/** The options with defaults filled in, copied. Throws `OPTION` naming an unknown or impossible one. */
export function checkGenerationOptions(options: GenerationOptions): CheckedOptions {
  checkOptions(generationTable, options, ['n', 'experts', 'adapters', 'salt', 'signal', 'onAccepted', 'expected', 'onProgress'])
  const { maxNewTokens = Number.POSITIVE_INFINITY, minTokens = 0, ignoreEos = false, stop, stopIds = [], ...others } = options
  const { bannedWords, logitBias = [], logprobs, postSampling = false, grammar, jsonSchema, regex, ...rest } = others
  const { n = 1, expertsPerToken, experts = false, adapters, salt = '', signal, onAccepted, expected, onProgress, ...given } = rest
  const sampling: SamplerOptions = Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, Array.isArray(value) ? listCopy<unknown>(value) : value]),
  )
  if (!Number.isInteger(n) || n < 1 || n > MOST_ANSWERS) {
    throw new MixtralError('OPTION', `n is ${shown(n)}, expected a whole number from 1 to ${MOST_ANSWERS}`)
  }
  if (typeof experts !== 'boolean') throw new MixtralError('OPTION', `experts is ${shown(experts)}, expected true or false`)
  if (typeof salt !== 'string') throw new MixtralError('OPTION', `salt is ${shown(salt)}, expected a string`)
  if (onAccepted !== undefined && typeof onAccepted !== 'function') throw new MixtralError('OPTION', 'onAccepted is not a function')
  if (expected !== undefined) {
    checkTokenList(expected)
    if (n > 1) throw new MixtralError('OPTION', `expected is given with n ${n}, which must be 1: it is one answer`)
  }
  checkCallOptions({ signal, onProgress })
  checkSamplerOptions(sampling)
  if (minTokens > maxNewTokens) {
    throw new MixtralError('OPTION', `minTokens is ${minTokens}, expected at most maxNewTokens, which is ${maxNewTokens}`)
  }
  if (postSampling && logprobs === undefined) throw new MixtralError('OPTION', 'postSampling is true, expected logprobs with it')
  const texts = listOf(bannedWords)
  const characters = texts.reduce((sum, text) => sum + (typeof text === 'string' ? text.length : 0), 0)
  if (texts.length > MOST_WORDS || characters > MOST_CHARACTERS) {
    const found = `bannedWords has ${texts.length} texts of ${characters} characters`
    throw new MixtralError('OPTION', `${found}, expected at most ${MOST_WORDS} and ${MOST_CHARACTERS} in all`)
  }
  const wrong = texts.findIndex((text) => typeof text !== 'string' || text === '')
  if (wrong >= 0) throw new MixtralError('OPTION', `bannedWords has ${shown(texts[wrong])}, expected strings of at least one character`)
  const own = { maxNewTokens, minTokens, ignoreEos, stops: new StopStrings(listOf(stop)), stopIds: listCopy(stopIds), bannedWords: texts }
  const constraint = constraintOf({ grammar, jsonSchema, regex })
  return {
    ...own,
    logitBias: copyOf(logitBias),
    logprobs,
    postSampling,
    constraint,
    sampling,
    n,
    expertsPerToken,
    experts,
    adapters: adapters && checkScaleList(adapters),
    salt,
    signal,
    onAccepted,
    expected: expected && listCopy(expected),
    onProgress,
  }
}

/** The one that is given of the three. */
function constraintOf(options: Readonly<Record<'grammar' | 'jsonSchema' | 'regex', unknown>>): ConstraintSpec | undefined {
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  if (given.length > 1) {
    throw new MixtralError(
      'OPTION',
      `${given.map(([name]) => name).join(' and ')} are given, expected at most one of grammar, jsonSchema and regex`,
    )
  }
  if (given.length === 0) return undefined
  const [[name, value]] = given as [[string, unknown]]
  if (name === 'jsonSchema' && typeof value === 'object' && value && !isPlain(value)) {
    throw new MixtralError('OPTION', 'jsonSchema is an object of a class of its own, expected a JSON Schema: a plain object, true or false')
  }
  return { [name]: name === 'jsonSchema' ? jsonCopy(value, name, 'OPTION') : value } as unknown as ConstraintSpec
}

function listOf(texts: string | readonly string[] = []): readonly string[] {
  return typeof texts === 'string' ? [texts] : listCopy(texts)
}

/** A copy of pairs, or of an object. What is neither is refused where tokens are known. */
function copyOf(bias: LogitBias): LogitBias {
  if (!Array.isArray(bias)) return Symbol.iterator in bias ? bias : { ...bias }
  return listCopy<unknown>(bias).map((pair) => (Array.isArray(pair) ? listCopy<unknown>(pair) : pair)) as unknown as LogitBias
}
