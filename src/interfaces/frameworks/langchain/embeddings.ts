// A loaded model as embeddings of LangChain. Texts that are embedded at the same time share the model's steps.

import { Embeddings, type EmbeddingsParams } from '@langchain/core/embeddings'
import { checkText } from '../../../base/errors.js'
import { checkScales } from '../../../runtime/engine/callArguments.js'
import type { MixtralModel } from '../../../text/generate/mixtralModel.js'
import { checkModel, embedAll } from '../sharedCalls.js'
import { langchainError } from './answerMessages.js'

export interface MixtralEmbeddingsFields extends EmbeddingsParams {
  /** A loaded model, which stays its owner's to close. */
  readonly model: MixtralModel
  /** Calls share no part of the KV cache with calls of another salt. Default: none. */
  readonly salt?: string
  /** How much of each adapter of the model counts. Default: as the model was loaded. */
  readonly adapters?: readonly number[]
}

/**
 * Embeddings of a loaded model, for LangChain's vector stores: the vectors that `MixtralModel.embed` gives.
 * @example
 * const embeddings = new MixtralEmbeddings({ model: await MixtralModel.load('demo') })
 * const vector = await embeddings.embedQuery('a red boat')
 */
export class MixtralEmbeddings extends Embeddings {
  readonly #model: MixtralModel
  readonly #salt: string | undefined
  readonly #adapters: readonly number[] | undefined
  readonly #width: number | undefined

  /** Throws `OPTION` for what is no model, and no choice of its adapters. */
  constructor({ model, salt, adapters, ...params }: MixtralEmbeddingsFields) {
    super(params)
    checkModel('model', model)
    if (salt !== undefined) checkText('salt', salt)
    this.#model = model
    this.#salt = salt
    this.#adapters = adapters === undefined ? undefined : checkScales(adapters, model)
    this.#width = params.maxConcurrency
  }

  /** The embeddings of documents, in their order. Throws what `MixtralModel.embed` throws, as `ChatMixtral` does. */
  override async embedDocuments(documents: string[]): Promise<number[][]> {
    try {
      const found = await embedAll(this.#model, documents, { salt: this.#salt, adapters: this.#adapters, width: this.#width })
      return found.map(({ vector }) => Array.from(vector))
    } catch (error) {
      throw langchainError(error)
    }
  }

  /** The embedding of a query: that of the same text as a document. Throws what `embedDocuments` throws. */
  override async embedQuery(document: string): Promise<number[]> {
    const [vector] = await this.embedDocuments([document])
    return vector!
  }
}
