// What comes next where the constraint leaves no choice: the bytes, and the tokens that the tokenizer would make of
// them. Tokens that further text could make longer are left to be chosen: `{"name": "` is forced, but its last quote
// may belong to a token with the first letters of the value.

import type { Parser, ParserState } from './parser.js'
import type { TokenTrie } from './tokenTrie.js'

/** Bytes of one span; longer ones come in parts. Bounds the work of a call. */
const LONGEST_SPAN = 1024

/** The tokens of the forced span, none if the next token is a choice. `opens`: no token was written before. */
export function forcedTokens(parser: Parser, trie: TokenTrie, state: ParserState, opens: boolean): number[] {
  const { bytes, after } = forcedBytes(parser, state)
  if (bytes.length === 0) return []
  const isWhole = after.threads.length === 0
  const complete = Uint8Array.from(bytes.slice(0, wholeCharacters(bytes)))
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(complete)
  const ids = trie.tokenizer.encode(text, { addBos: false, continues: !opens })
  const sure = isWhole && complete.length === bytes.length ? bytes.length : sureLength(parser, trie, bytes, after)
  let length = 0
  for (let count = 0; count < ids.length; count++) {
    const token = trie.textOf(ids[count]!, opens && count === 0)
    if (token === undefined || length + token.length > sure || token.some((byte, i) => byte !== bytes[length + i]))
      return ids.slice(0, count)
    length += token.length
  }
  return ids
}

function forcedBytes(parser: Parser, state: ParserState): { bytes: number[]; after: ParserState } {
  const bytes: number[] = []
  while (bytes.length < LONGEST_SPAN && !state.mayEnd) {
    const byte = onlyByte(parser, state)
    if (byte === undefined) break
    bytes.push(byte)
    state = parser.step(state, byte)!
  }
  return { bytes, after: state }
}

/** The one byte that may come next, undefined where there are several, or tokens that the grammar names. */
function onlyByte(parser: Parser, state: ParserState): number | undefined {
  let only: number | undefined
  for (const { lexemes } of state.threads) {
    const { bytes, firstByte, takesTokens } = parser.lexer.waysOf(lexemes)
    if (takesTokens || bytes > 1 || (only !== undefined && only !== firstByte)) return undefined
    only = firstByte
  }
  return only
}

/** How many of the bytes form whole characters. */
function wholeCharacters(bytes: readonly number[]): number {
  let start = bytes.length - 1
  while (start > 0 && (bytes[start]! & 0xc0) === 0x80) start--
  const lead = bytes[start]!
  const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
  return start + length <= bytes.length ? bytes.length : start
}

/** The bytes before the first place from which a token could go on past the span. */
function sureLength(parser: Parser, trie: TokenTrie, bytes: readonly number[], after: ParserState): number {
  for (let start = Math.max(0, bytes.length - trie.longest + 1); start < bytes.length; start++) {
    let node = 0
    for (let at = start; at < bytes.length && node >= 0; at++) node = trie.child(node, bytes[at]!)
    if (node < 0) continue
    for (let child = node + 1; child < trie.endOf[node]!; child = trie.endOf[child]!) {
      if (parser.step(after, trie.byteOf[child]!) !== null) return start
    }
  }
  return bytes.length
}
