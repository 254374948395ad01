// A SentencePiece model file: pieces with scores and types, and how text is prepared. Field numbers are from
// sentencepiece_model.proto (Kudo and Richardson). Refuses models that work in another way than our tokenizer and
// llama.cpp's do.

import { impostorOf } from '../../base/files/byteSource.js'
import { checkpointError, unsupported } from '../../format/tensors/checkpointError.js'
import { tokenType } from '../../text/tokenizer/specialIds.js'
import { type Field, fieldsOf, WireError } from './protobuf.js'
import { LARGEST_VOCABULARY, type SourceToken, type SourceVocabulary } from './sourceVocabulary.js'

/** Field numbers of ModelProto, and within it of SentencePiece, TrainerSpec and NormalizerSpec. */
const PIECES = 1
const TRAINER = 2
const NORMALIZER = 3
const piece = { text: 1, score: 2, type: 3 }
const trainer = { modelType: 3, whitespaceIsSuffix: 24, unknownId: 40, bosId: 41, eosId: 42, padId: 43 }
const normalizer = { charsMap: 2, addDummyPrefix: 3, removeExtraWhitespaces: 4, escapeWhitespaces: 5 }
const BPE = 2

/**
 * Reads a model. Throws `CHECKPOINT` if the bytes are not one, and `UNSUPPORTED` if it is not of the byte-pair kind or
 * prepares text in a way that we do not.
 */
export function readSentencePieceModel(bytes: Uint8Array, file: string): SourceVocabulary {
  const impostor = impostorOf(bytes)
  if (impostor !== undefined) throw checkpointError(file, impostor)
  try {
    return read(bytes, file)
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    throw checkpointError(file, `${error.message}: not a SentencePiece model`, undefined, { cause: error })
  }
}

function read(bytes: Uint8Array, file: string): SourceVocabulary {
  const tokens: SourceToken[] = []
  const training = new Map<number, Field['value']>()
  const normalizing = new Map<number, Field['value']>()
  for (const { number, value } of fieldsOf(bytes)) {
    if (typeof value === 'number') continue
    if (number === PIECES) {
      if (tokens.length === LARGEST_VOCABULARY) throw checkpointError(file, `more than ${LARGEST_VOCABULARY} pieces`)
      tokens.push(readPiece(value, file, tokens.length))
    } else if (number === TRAINER) for (const field of fieldsOf(value)) training.set(field.number, field.value)
    else if (number === NORMALIZER) for (const field of fieldsOf(value)) normalizing.set(field.number, field.value)
  }
  if (tokens.length === 0) throw checkpointError(file, 'no pieces: not a SentencePiece model')

  // The defaults are those of the format.
  const modelType = training.get(trainer.modelType) ?? 1
  if (modelType !== BPE) throw unsupported(file, `a SentencePiece model of type ${valueText(modelType)}, expected ${BPE}, BPE`)
  const refuse = (what: string) => {
    throw unsupported(file, `a SentencePiece model that ${what}, which tokenizers of GGUF files do not`)
  }
  if (training.get(trainer.whitespaceIsSuffix) === 1) refuse('puts spaces behind words')
  const charsMap = normalizing.get(normalizer.charsMap)
  if (typeof charsMap === 'object' && charsMap.length > 0) refuse('replaces characters')
  if ((normalizing.get(normalizer.removeExtraWhitespaces) ?? 1) === 1) refuse('removes repeated spaces')
  if (normalizing.get(normalizer.escapeWhitespaces) === 0) refuse('leaves spaces as they are')

  const id = (number: number, usual: number) => {
    const value = training.get(number) ?? usual
    return typeof value === 'number' && value < tokens.length ? value : undefined // -1, none, is a huge number
  }
  const special = {
    ...{ bos: id(trainer.bosId, 1), eos: id(trainer.eosId, 2) },
    ...{ unknown: id(trainer.unknownId, 0), padding: id(trainer.padId, Number.POSITIVE_INFINITY) },
  }
  return {
    file,
    tokens,
    addSpacePrefix: (normalizing.get(normalizer.addDummyPrefix) ?? 1) === 1,
    special: Object.fromEntries(Object.entries(special).filter(([, value]) => value !== undefined)),
  }
}

/** The bytes of a field may be most of the file. */
function valueText(value: Field['value']): string {
  return typeof value === 'number' ? String(value) : `${value.length} bytes`
}

function readPiece(bytes: Uint8Array, file: string, id: number): SourceToken {
  const fields = new Map<number, Field['value']>()
  for (const { number, value } of fieldsOf(bytes)) fields.set(number, value)
  const text = fields.get(piece.text)
  const score = fields.get(piece.score) ?? 0
  const type = fields.get(piece.type) ?? tokenType.normal
  const where = `piece ${id}`
  if (typeof text !== 'object') throw checkpointError(file, 'no text', where)
  if (typeof score !== 'number' || Number.isNaN(score)) throw checkpointError(file, 'a score that is not a number', where)
  if (!(Object.values(tokenType) as unknown[]).includes(type))
    throw checkpointError(file, `type ${valueText(type)}, expected 1 to 6`, where)
  try {
    return { piece: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(text), score, type: type as number }
  } catch (cause) {
    throw checkpointError(file, 'a text that is not valid UTF-8', where, { cause })
  }
}
