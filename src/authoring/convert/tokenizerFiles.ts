// The tokenizer of a checkpoint as a whole: which of its files exist, and what is read from which. tokenizer.model is
// preferred to tokenizer.json, which is made from it; the other files add to them.

import { limits } from '../../base/limits.js'
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
  /** tokenizer_config.json, config.json and generation_config.json, where the checkpoint has them. */
  readonly tokenizerConfig: JsonObject | undefined
  readonly config: JsonObject | undefined
  readonly generationConfig: JsonObject | undefined
}

const LARGEST_TOKENIZER = limits.tokenizer.most
const LARGEST_CONFIG = limits.tokenizerConfig.most

/** File names of the SentencePiece model: that of transformers, and those of Mistral AI, with a version. */
const modelNames = ['tokenizer.model', 'tokenizer.model.v3', 'tokenizer.model.v2', 'tokenizer.model.v1']

/** Reads the tokenizer. Throws `IO`, `CHECKPOINT` or `UNSUPPORTED`, naming the file. */
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
