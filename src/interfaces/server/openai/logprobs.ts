// Log-probabilities in the two shapes of the OpenAI API: that of chats, and that of completions, where lists are
// parallel and tokens are keys.

import type { Steps } from '../../../base/timeSlice.js'
import type { ScoredToken } from '../../../text/generate/score.js'
import type { DrawnLogprob, TokenLogprob } from '../../../text/generate/tokenLogprobs.js'
import type { Tokenizer } from '../../../text/tokenizer/tokenizer.js'

/** Stands for minus infinity, which JSON has no word for. */
const LEAST = -9999

const encoder = new TextEncoder()
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

const finite = (logprob: number) => Math.max(logprob, LEAST)

/** An entry of `choice.logprobs.content`; Ollama's `logprobs` has the same. */
export function chatLogprob({ top, ...drawn }: DrawnLogprob) {
  const entry = ({ token, logprob, bytes }: TokenLogprob) => ({ token, logprob: finite(logprob), bytes })
  return { ...entry(drawn), top_logprobs: top.map(entry) }
}

export interface LegacyLogprobs {
  readonly tokens: string[]
  readonly token_logprobs: (number | null)[]
  readonly top_logprobs: (Readonly<Record<string, number>> | null)[]
  readonly text_offset: number[]
}

/** The parallel lists of a completion. Owns how far the text has come, in code points. */
export class LegacyList {
  #offset = 0
  #list = empty()

  /** The entries since the last call; undefined for none. */
  take(): LegacyLogprobs | undefined {
    const list = this.#list
    this.#list = empty()
    return list.tokens.length === 0 ? undefined : list
  }

  /** A prompt that is repeated: its first token has nothing before it. In steps, since it may have many tokens. */
  *addPrompt(ids: readonly number[], scored: readonly ScoredToken[], tokenizer: Tokenizer): Steps<void> {
    const decoder = tokenizer.decoder({ special: true })
    const known = knownPieces(tokenizer)
    const inPlace = (id: number, isFirst: boolean): Piece => {
      const ofState = known[isFirst ? 'first' : decoder.opens ? 'opening' : 'within']
      const piece = ofState.get(id) ?? pieceOf(id, isFirst, decoder.bytes(id), tokenizer)
      ofState.set(id, piece)
      return piece
    }
    for (const [i, id] of ids.entries()) {
      const score = scored[i - 1]
      const own = inPlace(id, i === 0)
      if (score) {
        const all = [{ id, key: own.key, logprob: score.logprob }]
        for (const { id, logprob } of score.top) all.push({ id, key: inPlace(id, false).key, logprob })
        this.#push(own, finite(score.logprob), topOf(all))
      } else this.#push(own, null, null)
      if (i > 0 || tokenizer.token(id).type !== 'control') decoder.push(id)
      yield
    }
  }

  add({ top, ...drawn }: DrawnLogprob): void {
    const all = [drawn, ...top].map((each) => ({ id: each.id, key: keyOf(each), logprob: each.logprob }))
    this.#push({ key: all[0]!.key, points: pointsOf(drawn.bytes) }, finite(drawn.logprob), topOf(all))
  }

  #push({ key, points }: Pick<Piece, 'key' | 'points'>, logprob: number | null, top: Readonly<Record<string, number>> | null): void {
    this.#list.tokens.push(key)
    this.#list.token_logprobs.push(logprob)
    this.#list.top_logprobs.push(top)
    this.#list.text_offset.push(this.#offset)
    this.#offset += points
  }
}

/** A token as the lists have it. */
interface Piece {
  readonly id: number
  readonly key: string
  /** Code points that begin in it. */
  readonly points: number
}

/** Tokens of repeated prompts: at the very beginning, at the beginning of a text, and elsewhere. */
type KnownPieces = Readonly<Record<'first' | 'opening' | 'within', Map<number, Piece>>>

const pieces = new WeakMap<Tokenizer, KnownPieces>()

/** The pieces of a vocabulary that have been made, at most three of each token: prompts have the same ones again. */
function knownPieces(tokenizer: Tokenizer): KnownPieces {
  const known = pieces.get(tokenizer) ?? { first: new Map(), opening: new Map(), within: new Map() }
  pieces.set(tokenizer, known)
  return known
}

function pieceOf(id: number, isFirst: boolean, inText: Uint8Array, tokenizer: Tokenizer): Piece {
  const { piece, type } = tokenizer.token(id)
  const isControl = type === 'control' || type === 'unknown'
  const bytes = isControl && !isFirst ? encoder.encode(piece) : inText
  return { id, key: keyOf({ token: isControl ? piece : utf8.decode(bytes), bytes: [...bytes] }), points: pointsOf(bytes) }
}

const pointsOf = (bytes: ArrayLike<number>) => {
  let points = 0
  for (let i = 0; i < bytes.length; i++) if ((bytes[i]! & 0xc0) !== 0x80) points++
  return points
}

/**
 * Log-probabilities by token. A key is of one token: bytes of a character must not all be U+FFFD. An object without a
 * prototype, since engines give a hidden class to each order of keys in others.
 */
function topOf(all: readonly { readonly id: number; readonly key: string; readonly logprob: number }[]): Record<string, number> {
  const top: Record<string, number> = Object.create(null)
  for (const { id, key, logprob } of all) {
    const first = all.find((other) => other.key === key)!
    top[first.id === id ? key : `token_id:${id}`] = finite(logprob)
  }
  return top
}

export const NO_LOGPROBS: LegacyLogprobs = empty()

function empty(): LegacyLogprobs {
  return { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] }
}

/** The text of a token, or its bytes where they are no text. */
function keyOf({ token, bytes }: Pick<TokenLogprob, 'token' | 'bytes'>): string {
  if (!token.includes('\ufffd')) return token
  return `bytes:${bytes.map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`
}

/** The text of a prompt's tokens: all but the control token that begins it. */
export function promptText(ids: readonly number[], tokenizer: Tokenizer): string {
  const decoder = tokenizer.decoder({ special: true })
  const shown = tokenizer.token(ids[0]!).type === 'control' ? ids.slice(1) : ids
  return shown.map((id) => decoder.push(id)).join('') + decoder.end()
}
