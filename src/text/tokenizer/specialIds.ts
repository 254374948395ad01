// The types of tokens, and the ids with a meaning: BOS, EOS, unknown, and what else ends an answer. Owns what is done
// where a file is odd, which is what llama.cpp does: an id outside the vocabulary gives way to the usual one, and
// tokens that are known by their names to end an answer, or to begin a turn, do so whatever the file says of them. Each
// such case is a note, for people to read.

import { MixtralError, shown } from '../../base/errors.js'
import type { GgufValue } from '../../format/gguf/gguf.js'

/** `tokenizer.ggml.token_type`, as SentencePiece numbers them. */
export const tokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const

export interface SpecialIds {
  readonly bosId: number
  readonly eosId: number
  readonly unknownId: number | undefined
  /** Tokens that end an answer: EOS, and the end-of-turn tokens of chat finetunes. */
  readonly endIds: ReadonlySet<number>
  /** What is odd about the file. */
  readonly notes: readonly string[]
}

/** Tokens that end an answer by their names, for files that name another or none. */
const ENDS = new Set([
  '</s>',
  '<|im_end|>',
  '<|eot_id|>',
  '<|eom_id|>',
  '<|end|>',
  '<|endoftext|>',
  '<|end_of_text|>',
  '<|end_of_turn|>',
  '<end_of_turn>',
])

/** Tokens that begin a turn by their names. */
const BEGINNINGS = new Set(['<|im_start|>'])

/** Types that make a token with such a name a text, which it is not. */
const TEXTS = new Map<number, string>([
  [tokenType.normal, 'normal'],
  [tokenType.unused, 'unused'],
])

/**
 * Reads the ids. The type of such a token that the file calls a text becomes control. Throws a MixtralError `TOKENIZER`
 * for an id that is no whole number, and for a vocabulary without the usual tokens.
 */
export function readSpecialIds(metadata: ReadonlyMap<string, GgufValue>, pieces: readonly string[], types: Uint8Array): SpecialIds {
  const notes: string[] = []
  const id = (name: string, usual?: number) => {
    const key = `tokenizer.ggml.${name}`
    const value = metadata.get(key) ?? usual
    if (value === undefined) return undefined
    if (typeof value !== 'number' || !Number.isInteger(value) || (value === usual && value >= pieces.length)) {
      throw new MixtralError('TOKENIZER', `${key}: ${shown(value)}, expected an id below ${pieces.length}`)
    }
    if (value >= 0 && value < pieces.length) return value
    if (usual !== undefined && usual >= pieces.length) {
      throw new MixtralError('TOKENIZER', `${key}: ${value}, expected an id below ${pieces.length}`)
    }
    notes.push(
      `${key} is ${value} in a vocabulary of ${pieces.length} tokens; ${usual === undefined ? 'it is ignored' : `${usual} is taken`}`,
    )
    return usual
  }
  const eosId = id('eos_token_id', 2)!
  const endIds = new Set([eosId, id('eot_token_id'), id('eom_token_id')].filter((end) => end !== undefined))
  const ends = metadata.get('tokenizer.ggml.eos_token_ids') ?? [] // as Ollama reads it
  let ignored: GgufValue | undefined
  for (const end of Array.isArray(ends) ? ends : [ends]) {
    if (typeof end === 'number' && Number.isInteger(end) && end >= 0 && end < pieces.length) endIds.add(end)
    else ignored ??= end
  }
  if (ignored !== undefined) {
    notes.push(`tokenizer.ggml.eos_token_ids has ${shown(ignored)} in a vocabulary of ${pieces.length} tokens; what is no id is ignored`)
  }
  const retyped: string[] = []
  pieces.forEach((piece, token) => {
    if (ENDS.has(piece)) endIds.add(token)
    else if (!BEGINNINGS.has(piece)) return
    const type = TEXTS.get(types[token]!)
    if (type === undefined) return
    types[token] = tokenType.control
    retyped.push(`token ${token}, ${JSON.stringify(piece)}, has the type ${type} in the file`)
  })
  if (retyped.length > 0) {
    const more = retyped.length > 1 ? `, and so are ${retyped.length - 1} more` : ''
    notes.push(`${retyped[0]}; it is taken as the control token that it is elsewhere${more}`)
  }
  const bosId = id('bos_token_id', 1)!
  const unknownId = id('unknown_token_id', types[0] === tokenType.unknown ? 0 : undefined)
  notes.push(...writable(new Set([bosId, ...endIds]), pieces, types))
  // Characters without a token become it: as a control token, a text could write what only templates may.
  const isControl = unknownId !== undefined && (types[unknownId] === tokenType.control || unknownId === bosId || endIds.has(unknownId))
  if (isControl) {
    notes.push(`tokenizer.ggml.unknown_token_id is ${unknownId}, a control token, which no text may become; it is ignored`)
  }
  return { bosId, eosId, unknownId: isControl ? undefined : unknownId, endIds, notes }
}

/** A note where a text can become a token that ends an answer or begins a prompt. It does so as before. */
function writable(ids: ReadonlySet<number>, pieces: readonly string[], types: Uint8Array): string[] {
  const kinds = new Map<number, string>([...TEXTS, [tokenType.byte, 'byte']])
  const odd = [...ids].filter((id) => kinds.has(types[id]!))
  if (odd.length === 0) return []
  const [first] = odd as [number]
  const more = odd.length > 1 ? `, and so can ${odd.length - 1} more` : ''
  const what = `token ${first}, ${shown(pieces[first])}, begins prompts or ends answers and has the type ${kinds.get(types[first]!)}`
  return [`${what} in the file: the text of a message can become it${more}`]
}
