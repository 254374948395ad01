// The provider of the AI SDK: loaded models by their names. Owns which name means which model; models stay their
// owner's, who closes them.

import type { EmbeddingModelV3, LanguageModelV3, ProviderV3 } from '@ai-sdk/provider'
import { checkKind, isPlain } from '../../../base/errors.js'
import { MixtralModel } from '../../../text/generate/mixtralModel.js'
import { checkModel, modelName } from '../sharedCalls.js'
import { noSuchModel } from './callError.js'
import { embeddingModelOf } from './embeddingModel.js'
import { languageModelOf } from './languageModel.js'

/** Called with a name, or with none for the first model, it gives a language model. */
export interface MixtralProvider extends ProviderV3 {
  (modelId?: string): LanguageModelV3
  /** Throws `OPTION` for a name that no model has, marked as the SDK's `NoSuchModelError`. */
  languageModel(modelId?: string): LanguageModelV3
  /** Throws what `languageModel` throws. */
  embeddingModel(modelId?: string): EmbeddingModelV3
  /** Throws `OPTION`, marked as the SDK's `NoSuchModelError`. */
  imageModel(modelId: string): never
}

/**
 * A provider for the AI SDK of a loaded model, which has the name of its file; or of several by their names. Throws
 * `OPTION` for what is no model.
 * @example
 * const mixtral = createMixtral(await MixtralModel.load('demo'))
 * const { text } = await generateText({ model: mixtral(), prompt: 'Who are you?' })
 */
export function createMixtral(models: MixtralModel | Readonly<Record<string, MixtralModel>>): MixtralProvider {
  const byName = namedModels(models)
  const names = [...byName.keys()]
  const find = (type: string, given?: string) => {
    const name = given ?? names[0]!
    const model = byName.get(name)
    if (!model) throw noSuchModel(type, name, names)
    return [model, name] as const
  }
  const languageModel = (modelId?: string) => languageModelOf(...find('languageModel', modelId))
  const provider = (modelId?: string) => languageModel(modelId)
  return Object.assign(provider, {
    specificationVersion: 'v3' as const,
    languageModel,
    embeddingModel: (modelId?: string) => embeddingModelOf(...find('embeddingModel', modelId)),
    imageModel: (modelId: string): never => {
      throw noSuchModel('imageModel', modelId, [])
    },
  })
}

function namedModels(given: MixtralModel | Readonly<Record<string, MixtralModel>>): Map<string, MixtralModel> {
  if (given instanceof MixtralModel) return new Map([[modelName(given), given]])
  const isRecord = typeof given === 'object' && given !== null && isPlain(given) && Object.keys(given).length > 0
  checkKind('models', given, isRecord, 'a model, or models by their names')
  for (const [name, model] of Object.entries(given)) checkModel(`the model ${name}`, model)
  return new Map(Object.entries(given))
}
