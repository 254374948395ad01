// A tokenizer.json of Hugging Face's tokenizers: a vocabulary and a list of merges. Owns the conversion of the merges
// to scores with which SentencePiece's algorithm merges alike, and refuses files for which there are no such scores.

import { quoted } from '../../base/errors.js'
import { unsupported } from '../../format/tensors/checkpointError.js'
import type { JsonObject } from '../../format/tensors/jsonObject.js'
import { tokenType } from '../../text/tokenizer/specialIds.js'
import { mergeScores } from './mergeScores.js'
import { isPiece, LARGEST_VOCABULARY, LONGEST_PIECE, type SourceToken, type SourceVocabulary } from './sourceVocabulary.js'
import { readTextPreparation } from './textPreparation.js'

/**
 * Reads the vocabulary. Throws `CHECKPOINT` if the file is malformed, and `UNSUPPORTED` if it does not do what
 * SentencePiece's BPE with bytes for unknown characters does.
 */
export function readTokenizerJson(json: JsonObject): SourceVocabulary {
  const model = json.object('model') ?? json.refuse('model', 'an object')
  const kind = model.string('type') ?? 'BPE'
  if (kind !== 'BPE') throw unsupported(json.file, `a model of type ${quoted(kind)}, expected "BPE"`, 'key "model.type"')
  for (const key of ['continuing_subword_prefix', 'end_of_word_suffix', 'dropout', 'ignore_merges']) {
    const value = model.value(key)
    if (value !== undefined && value !== '' && value !== false && value !== 0) {
      throw unsupported(json.file, 'has a value, expected none in a SentencePiece vocabulary', `key "model.${key}"`)
    }
  }
  if (!model.boolean('byte_fallback')) {
    throw unsupported(
      json.file,
      'is not true: expected a SentencePiece vocabulary, with bytes for unknown characters',
      'key "model.byte_fallback"',
    )
  }
  const addSpacePrefix = readTextPreparation(json)
  const idOfPiece = readVocabulary(model)
  const scores = mergeScores(json.file, idOfPiece, readMerges(model))
  const unknown = model.string('unk_token')
  const tokens: (SourceToken | undefined)[] = []
  for (const [piece, id] of idOfPiece) {
    while (tokens.length < id) tokens.push(undefined) // without holes, for speed
    const { score, type } = scores.get(piece)!
    tokens[id] = { piece, score, type: piece === unknown ? tokenType.unknown : /^<0x[0-9A-F]{2}>$/i.test(piece) ? tokenType.byte : type }
  }
  const unknownId = unknown === undefined ? undefined : idOfPiece.get(unknown)
  return {
    file: json.file,
    tokens,
    addSpacePrefix,
    ...surroundings(json),
    special: unknownId === undefined ? {} : { unknown: unknownId },
  }
}

function readVocabulary(model: JsonObject): Map<string, number> {
  const vocabulary = model.object('vocab') ?? model.refuse('vocab', 'an object of pieces and their ids')
  const idOfPiece = new Map<string, number>()
  const pieceOfId = new Map<number, string>()
  for (const piece of vocabulary.keys) {
    const id = vocabulary.integer(piece, 0, LARGEST_VOCABULARY - 1) ?? vocabulary.refuse(piece, 'an id')
    if (!isPiece(piece)) vocabulary.refuse(piece, `a piece of well-formed text, 1 to ${LONGEST_PIECE} long`)
    const twin = pieceOfId.get(id)
    if (twin !== undefined) vocabulary.refuse(piece, `an id of its own, not that of ${quoted(twin)}`)
    idOfPiece.set(piece, id)
    pieceOfId.set(id, piece)
  }
  return idOfPiece
}

/** The pairs to merge, in order. Until 2024 a pair was written as one text with a space in it. */
function readMerges(model: JsonObject): (readonly [left: string, right: string])[] {
  const merges = model.array('merges') ?? model.refuse('merges', 'a list')
  return merges.map((merge) => {
    const pair: unknown = typeof merge === 'string' ? merge.split(' ') : merge
    if (!Array.isArray(pair) || pair.length !== 2 || !pair.every((part) => typeof part === 'string' && part !== '')) {
      return model.refuse('merges', 'a list of pairs of pieces')
    }
    return [pair[0], pair[1]]
  })
}

/** Whether the post-processor puts BOS and EOS around a text; nothing where there is none. */
function surroundings(json: JsonObject): { addBos?: boolean; addEos?: boolean } {
  const processor = json.object('post_processor')
  const all = processor?.objects('processors') ?? (processor ? [processor] : [])
  const single = all.find((each) => each.string('type') === 'TemplateProcessing')?.objects('single')
  if (!single || single.length === 0) return {}
  return { addBos: single[0]!.has('SpecialToken'), addEos: single.at(-1)!.has('SpecialToken') }
}
