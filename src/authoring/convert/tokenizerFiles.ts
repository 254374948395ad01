// The tokenizer of a checkpoint as a whole: which of its files there are, and which one says what. tokenizer.model goes before tokenizer.json, of which
// it is the source; what the others add goes on top.

import { checkpointError } from '../../format/tensors/checkpointError.js'
import { JsonObject, readBytes } from '../../format/tensors/jsonObject.js'
import { type AddedToken, readAddedTokens } from './addedTokens.js'
import type { Checkpoint } from './checkpoint.js'
import { readSentencePieceModel } from './sentencePieceModel.js'
import type { SourceVocabulary } from './sourceVocabulary.js'
import { readTokenizerJson } from './tokenizerJson.js'

export interface TokenizerFiles {
  readonly vocabulary: SourceVocabulary
  readonly added: ReadonlyMap<number, AddedToken>
  /** tokenizer_config.json, config.json and generation_config.json, where there are such. */
  readonly tokenizerConfig: JsonObject | undefined
  readonly config: JsonObject | undefined
  readonly generationConfig: JsonObject | undefined
}

/** Three times what the largest vocabularies in use take. */
const LARGEST_TOKENIZER = 64 * 2 ** 20
const LARGEST_CONFIG = 16 * 2 ** 20

/** The SentencePiece model as transformers names it, and with its version, as Mistral AI does. */
const modelNames = ['tokenizer.model', 'tokenizer.model.v3', 'tokenizer.model.v2', 'tokenizer.model.v1']

/** Throws `IO`, `CHECKPOINT` or `UNSUPPORTED`, naming the file. */
export async function readTokenizerFiles(checkpoint: Checkpoint): Promise<TokenizerFiles> {
  const json = (name: string, mostBytes = LARGEST_CONFIG) => {
    const path = checkpoint.path(name)
    return path ? JsonObject.read(path, mostBytes) : undefined
  }
  const modelPath = modelNames.map((name) => checkpoint.path(name)).find((path) => path !== undefined)
  const tokenizerJson = await json('tokenizer.json', LARGEST_TOKENIZER)
  const tokenizerConfig = await json('tokenizer_config.json')
  if (!modelPath && !tokenizerJson) throw checkpointError(checkpoint.folder, 'no tokenizer, expected tokenizer.model or tokenizer.json')
  const fromJson = tokenizerJson && !modelPath ? readTokenizerJson(tokenizerJson) : undefined
  return {
    vocabulary: fromJson ?? readSentencePieceModel(await readBytes(modelPath!, LARGEST_TOKENIZER), modelPath!),
    added: readAddedTokens({ addedTokens: await json('added_tokens.json'), tokenizerJson, tokenizerConfig }),
    tokenizerConfig,
    config: checkpoint.layout === 'huggingface' ? await json('config.json') : undefined,
    generationConfig: await json('generation_config.json'),
  }
}
