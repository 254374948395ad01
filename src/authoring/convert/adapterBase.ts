// What is known of the model that an adapter belongs to: its widths, and how wide a head is, which no adapter says.
// Owns where that comes from: a GGUF file, the configuration of a checkpoint, or the name of a published model.

import path from 'node:path'
import { MixtralError, quoted } from '../../base/errors.js'
import { fileBytes } from '../../base/files/optionalFiles.js'
import { limits } from '../../base/limits.js'
import { openGguf } from '../../format/gguf/openGguf.js'
import { JsonObject } from '../../format/tensors/jsonObject.js'
import type { AdapterBase } from '../../runtime/adapters/adapter.js'
import { isFolder } from '../../runtime/adapters/adapterSet.js'
import { configOf } from '../../runtime/weights/mixtralConfig.js'
import { consolidatedParameters, huggingFaceParameters } from './hyperParameters.js'

/** The sizes of the published models, by their names; no adapter here depends on the vocabulary. */
const published: readonly (readonly [RegExp, AdapterBase])[] = [
  [
    /(^|\/)mixtral-8x7b/i,
    { ...{ layers: 32, hiddenSize: 4096, intermediateSize: 14336, heads: 32, kvHeads: 8, headDim: 128, experts: 8 }, vocabSize: 32000 },
  ],
  [
    /(^|\/)mixtral-8x22b/i,
    { ...{ layers: 56, hiddenSize: 6144, intermediateSize: 16384, heads: 48, kvHeads: 8, headDim: 128, experts: 8 }, vocabSize: 32768 },
  ],
]

/**
 * The sizes of the model at `given`, the path of a GGUF file or of a checkpoint's folder; without it, of the published
 * model that `name` names. Throws `OPTION` where it names none, and what reading a header or a configuration throws.
 */
export async function readAdapterBase(given: string | undefined, name: string | undefined): Promise<AdapterBase> {
  if (given === undefined) {
    const known = published.find(([pattern]) => name !== undefined && pattern.test(name))
    if (known) return known[1]
    const found = name === undefined ? 'names none' : `names ${quoted(name)}`
    throw new MixtralError(
      'OPTION',
      `base is not given, expected a GGUF file or a checkpoint's folder: adapter_config.json ${found}, which is no published Mixtral`,
    )
  }
  if (!(await isFolder(given))) return configOf(await openGguf(given))
  const read = (file: string) => JsonObject.read(path.join(given, file), limits.config.most)
  const isConsolidated = (await fileBytes(path.join(given, 'config.json'))) === undefined
  return isConsolidated ? consolidatedParameters(await read('params.json')) : huggingFaceParameters(await read('config.json'))
}
