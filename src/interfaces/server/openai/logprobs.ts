// Log-probabilities in the two shapes of the OpenAI API: that of chats, and that of completions, where lists are
// parallel and tokens are keys.

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

  /** A prompt that is repeated: its first token has nothing before it. */
  addPrompt(ids: readonly number[], scored: readonly ScoredToken[], tokenizer: Tokenizer): void {
    const decoder = tokenizer.decoder({ special: true })
    const inPlace = (id: number, isFirst: boolean): TokenLogprob => {
      const { piece, type } = tokenizer.token(id)
      const isControl = type === 'control' || type === 'unknown'
      const bytes = isControl && !isFirst ? encoder.encode(piece) : decoder.bytes(id)
      return { id, token: isControl ? piece : utf8.decode(bytes), logprob: 0, bytes: [...bytes] }
    }
    for (const [i, id] of ids.entries()) {
      const score = scored[i - 1]
      const own = { ...inPlace(id, i === 0), logprob: score?.logprob ?? 0 }
      if (score) this.add({ ...own, top: score.top.map(({ id, logprob }) => ({ ...inPlace(id, false), logprob })) })
      else this.#push(keyOf(own), null, null, own.bytes)
      if (i > 0 || tokenizer.token(id).type !== 'control') decoder.push(id)
    }
  }

  add({ top, ...drawn }: DrawnLogprob): void {
    const keys = new Map<string, number>() // a key is of one token: bytes of a character must not all be U+FFFD
    const idOf = new Map<string, number>()
    for (const each of [drawn, ...top]) {
      let key = keyOf(each)
      if (idOf.has(key) && idOf.get(key) !== each.id) key = `token_id:${each.id}`
      idOf.set(key, each.id)
      keys.set(key, finite(each.logprob))
    }
    this.#push(keyOf(drawn), finite(drawn.logprob), Object.fromEntries(keys), drawn.bytes)
  }

  #push(token: string, logprob: number | null, top: Readonly<Record<string, number>> | null, bytes: readonly number[]): void {
    this.#list.tokens.push(token)
    this.#list.token_logprobs.push(logprob)
    this.#list.top_logprobs.push(top)
    this.#list.text_offset.push(this.#offset)
    this.#offset += bytes.filter((byte) => (byte & 0xc0) !== 0x80).length
  }
}

export const NO_LOGPROBS: LegacyLogprobs = empty()

function empty(): LegacyLogprobs {
  return { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] }
}

/** The text of a token, or its bytes where they are no text. */
function keyOf({ token, bytes }: TokenLogprob): string {
  if (!token.includes('\ufffd')) return token
  return `bytes:${bytes.map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`
}

/** The text of a prompt's tokens: all but the control token that begins it. */
export function promptText(ids: readonly number[], tokenizer: Tokenizer): string {
  const decoder = tokenizer.decoder({ special: true })
  const shown = tokenizer.token(ids[0]!).type === 'control' ? ids.slice(1) : ids
  return shown.map((id) => decoder.push(id)).join('') + decoder.end()
}
