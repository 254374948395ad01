// A tokenizer.json of a SentencePiece vocabulary, as transformers makes one: a merge for every cut of every piece, in
// the order of the scores.

export interface Piece {
  readonly text: string
  readonly score: number
  readonly type: number
}

export interface TokenizerJson {
  version: string
  added_tokens: Record<string, unknown>[]
  normalizer: unknown
  pre_tokenizer: unknown
  post_processor: unknown
  decoder: unknown
  model: {
    type: string
    unk_token: string
    fuse_unk: boolean
    byte_fallback: boolean
    vocab: Record<string, number>
    merges: (string | [string, string])[]
    [key: string]: unknown
  }
}

/** With the way that tokenizers have prepared texts until 2024, or since. */
export function tokenizerJsonOf(pieces: readonly Piece[], style: 'normalizer' | 'metaspace' = 'normalizer'): TokenizerJson {
  return {
    version: '1.0',
    added_tokens: pieces.flatMap(({ text, type }, id) => (type === 2 || type === 3 ? [addedToken(id, text, true)] : [])),
    normalizer:
      style === 'metaspace'
        ? null
        : {
            type: 'Sequence',
            normalizers: [
              { type: 'Prepend', prepend: '▁' },
              { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
            ],
          },
    pre_tokenizer: style === 'metaspace' ? { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: false } : null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: { type: 'Sequence', decoders: [{ type: 'ByteFallback' }, { type: 'Fuse' }] },
    model: {
      type: 'BPE',
      unk_token: '<unk>',
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(pieces.map(({ text }, id) => [text, id])),
      merges: mergesOf(pieces).map(([left, right]) => (style === 'metaspace' ? [left, right] : `${left} ${right}`)),
    },
  }
}

export function addedToken(id: number, content: string, special: boolean): Record<string, unknown> {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }
}

function mergesOf(pieces: readonly Piece[]): [string, string][] {
  const known = new Set(pieces.map(({ text }) => text))
  const cuts = pieces.flatMap(({ text, score }) =>
    Array.from({ length: text.length - 1 }, (_, i) => ({ left: text.slice(0, i + 1), right: text.slice(i + 1), score })),
  )
  return cuts
    .filter(({ left, right }) => known.has(left) && known.has(right))
    .sort((a, b) => b.score - a.score || b.left.length - a.left.length)
    .map(({ left, right }) => [left, right])
}
