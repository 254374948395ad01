// What a generation's options mean in token ids: which tokens end it, which are forbidden and when, what is added to
// which logits. Owns these rules and their checks against the vocabulary.

import { MixtralError, shown } from '../../base/errors.js'
import type { Breakers } from '../../runtime/sampler/dry.js'
import { Sampler, type SamplerRules } from '../../runtime/sampler/sampler.js'
import { samplerTable } from '../../runtime/sampler/samplerTable.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import { BannedWords } from './bannedWords.js'
import type { CheckedOptions } from './checkGenerationOptions.js'
import type { LogitBias } from './generationOptions.js'

export interface TokenRules {
  readonly sampler: Sampler
  /** Tokens that end the text. */
  readonly endIds: ReadonlySet<number>
  readonly banned: BannedWords
}

/** Throws `OPTION` for ids outside the vocabulary, and for a bias that is neither a number nor `false`. */
export function tokenRules(options: CheckedOptions, tokenizer: Tokenizer): TokenRules {
  const { stopIds, minTokens, ignoreEos, bannedWords, logitBias, logprobs, postSampling, sampling } = options
  for (const id of stopIds) checkId('stopIds', id, tokenizer)
  const own = [...tokenizer.endIds]
  const ends = [...own, ...stopIds]
  const banned = new BannedWords(bannedWords, tokenizer)
  const rules: SamplerRules = {
    bias: biasById(logitBias, tokenizer),
    withheld: [
      { ids: ends, until: minTokens },
      { ids: own, until: ignoreEos ? Number.POSITIVE_INFINITY : 0 },
    ],
    forbidden: () => banned.forbidden(),
    top: logprobs,
    postSampling,
  }
  const { dryMultiplier = 0, drySequenceBreakers = samplerTable.drySequenceBreakers.default } = sampling
  const texts = typeof drySequenceBreakers === 'string' ? [drySequenceBreakers] : drySequenceBreakers
  const dry = dryMultiplier > 0 ? { breakers: dryBreakers(texts, tokenizer) } : {}
  return { sampler: new Sampler(sampling, { ...rules, ...dry }), endIds: new Set(ends), banned }
}

function biasById(bias: LogitBias, tokenizer: Tokenizer): ReadonlyMap<number, number> {
  const entries: readonly unknown[] = Array.isArray(bias) ? bias : Object.entries(bias).map(([id, value]) => [Number(id), value])
  const all = new Map<number, number>()
  for (const entry of entries) {
    const [token, value]: readonly unknown[] = Array.isArray(entry) && entry.length === 2 ? entry : []
    const added = value === false ? -Infinity : value
    if (typeof added !== 'number' || Number.isNaN(added) || added === Infinity) {
      throw new MixtralError('OPTION', `logitBias has ${JSON.stringify(entry)}, expected a number or false for each token`)
    }
    const ids =
      typeof token === 'string' && token !== '' ? tokenizer.encode(token, { addBos: false }) : [checkId('logitBias', token, tokenizer)]
    for (const id of ids) all.set(id, added)
  }
  return all
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
  const add = (id: number, rest: number[]) => breakers.set(id, [...(breakers.get(id) ?? []), rest])
  const decoder = new TextDecoder()
  const cut = texts.map((text) => [...text].slice(0, LONGEST_BREAKER).join(''))
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    const token = decoder.decode(tokenizer.bytes(id))
    for (const text of cut) {
      if (token.includes(text)) add(id, [])
      else {
        for (let length = Math.min(text.length, token.length); length > 0; length--) {
          if (token.endsWith(text.slice(0, length))) add(id, middleIds(text.slice(length), tokenizer).slice(0, LONGEST_REST))
        }
      }
    }
  }
  return breakers
}

/** The tokens of a text that goes on from another: without the space that a text at the beginning gets. */
function middleIds(text: string, tokenizer: Tokenizer): number[] {
  const marker = tokenizer.encode('\n', { addBos: false })
  return tokenizer.encode(`\n${text}`, { addBos: false }).slice(marker.length)
}
