// What a checkpoint becomes: the metadata and the tensors of a GGUF file. Reads and checks everything but the weights,
// down to what our own loader will demand of the file. Writes nothing.

import path from 'node:path'
import { limits } from '../../base/limits.js'
import type { GgufEntry } from '../../format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../format/gguf/ggmlType.js'
import type { ProducedTensor } from '../../format/gguf/writer.js'
import { JsonObject } from '../../format/tensors/jsonObject.js'
import { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import { Tokenizer } from '../../text/tokenizer/tokenizer.js'
import { chatTemplates } from './chatTemplates.js'
import type { Checkpoint } from './checkpoint.js'
import type { ElementType } from './elementType.js'
import { consolidatedParameters, type HyperParameters, huggingFaceParameters } from './hyperParameters.js'
import { modelMetadata } from './modelMetadata.js'
import { tensorPieces } from './tensorPieces.js'
import { planTensors } from './tensorPlan.js'
import { readTokenizerFiles } from './tokenizerFiles.js'
import { tokenizerMetadata } from './tokenizerMetadata.js'

export interface ConversionPlan {
  readonly type: ElementType
  readonly metadata: readonly GgufEntry[]
  readonly tensors: readonly ProducedTensor[]
  /** What is taken or left out in a way that may surprise. */
  readonly notes: readonly string[]
}

const LARGEST_CONFIG = limits.config.most

/**
 * Plans the conversion of a checkpoint. Throws `CHECKPOINT`, `UNSUPPORTED`, `IO`, `ABORTED`, and what our loader would
 * throw of the file.
 */
export async function planConversion(
  checkpoint: Checkpoint,
  wanted: ElementType | undefined,
  signal?: AbortSignal,
): Promise<ConversionPlan> {
  const { folder, layout } = checkpoint
  const file = layout === 'huggingface' ? 'config.json' : 'params.json'
  const config = await JsonObject.read(path.join(folder, file), LARGEST_CONFIG)
  const defaults: string[] = []
  const parameters = layout === 'huggingface' ? huggingFaceParameters(config, defaults) : consolidatedParameters(config)
  const tensors = planTensors(checkpoint, parameters)
  const type = wanted ?? (tensors[0]!.parts[0]!.tensor.dtype as ElementType)
  const tokenizer = await readTokenizerFiles(checkpoint)
  const notes = [...checkpoint.notes, ...defaults, ...surprises(parameters)]
  const metadata: GgufEntry[] = [
    ...modelMetadata({
      name: path.basename(path.resolve(folder)),
      type,
      parameters,
      tensors,
      generationConfig: tokenizer.generationConfig,
    }),
    ...tokenizerMetadata(tokenizer, parameters.vocabSize, notes),
    ...(await chatTemplates(checkpoint, tokenizer.tokenizerConfig)),
  ]
  const values = new Map(metadata.map(([key, , value]) => [key, value]))
  MixtralConfig.fromGgufMetadata(values)
  const written = await Tokenizer.load(values, signal ? { signal } : {})
  const produced = tensors.map((tensor) => {
    const own = tensor.isF32 ? 'F32' : type
    return { name: tensor.name, type: ggmlTypeByName(own)!, shape: tensor.shape, pieces: () => tensorPieces(tensor, own) }
  })
  return { type, metadata, tensors: produced, notes: [...notes, ...written.notes] }
}

/** What the configuration says, and users do not expect. */
function surprises({ slidingWindow, contextLength }: HyperParameters): string[] {
  if (slidingWindow === undefined || slidingWindow >= contextLength) return []
  return [
    `the configuration has a sliding window: each token attends to the last ${slidingWindow} of ${contextLength}, here as in transformers; llama.cpp ignores it`,
  ]
}
