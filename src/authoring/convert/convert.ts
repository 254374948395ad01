// From the folder of a checkpoint to a GGUF file. Everything is read and checked before a byte is written, down to what our own loader will say to it;
// then the tensors stream through. Owns the order of that, and the choice of the type.

import fs from 'node:fs/promises'
import path from 'node:path'
import { MixtralError } from '../../base/errors.js'
import type { GgufEntry } from '../../format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../format/gguf/ggmlType.js'
import { type WriteOptions, writeGguf } from '../../format/gguf/writer.js'
import { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import { Tokenizer } from '../../text/tokenizer/tokenizer.js'
import { chatTemplates } from './chatTemplates.js'
import { Checkpoint } from './checkpoint.js'
import type { ElementType } from './elementType.js'
import { consolidatedParameters, huggingFaceParameters } from './hyperParameters.js'
import { JsonObject } from './jsonObject.js'
import { modelMetadata } from './modelMetadata.js'
import { tensorPieces } from './tensorPieces.js'
import { planTensors } from './tensorPlan.js'
import { readTokenizerFiles } from './tokenizerFiles.js'
import { tokenizerMetadata } from './tokenizerMetadata.js'

export interface ConvertOptions extends WriteOptions {
  /** Of the matrices; norms and routers are F32. Default: the type they have in the checkpoint. */
  readonly type?: ElementType
}

export interface ConvertResult {
  readonly type: ElementType
  readonly tensors: number
  readonly weights: number
}

const LARGEST_CONFIG = 2 ** 20

/** What the package exports under this name: described in index.ts. */
export async function convertCheckpoint(folder: string, target: string, options: ConvertOptions = {}): Promise<ConvertResult> {
  const checkpoint = await Checkpoint.open(folder)
  try {
    await refuseToReplace(checkpoint, target)
    const file = checkpoint.layout === 'huggingface' ? 'config.json' : 'params.json'
    const config = await JsonObject.read(path.join(folder, file), LARGEST_CONFIG)
    const parameters = checkpoint.layout === 'huggingface' ? huggingFaceParameters(config) : consolidatedParameters(config)
    const tensors = planTensors(checkpoint, parameters)
    const type = options.type ?? (tensors[0]!.parts[0]!.tensor.dtype as ElementType)
    const tokenizer = await readTokenizerFiles(checkpoint)
    const metadata: GgufEntry[] = [
      ...modelMetadata({
        name: path.basename(path.resolve(folder)),
        type,
        parameters,
        tensors,
        generationConfig: tokenizer.generationConfig,
      }),
      ...tokenizerMetadata(tokenizer, parameters.vocabSize),
      ...(await chatTemplates(checkpoint, tokenizer.tokenizerConfig)),
    ]
    const values = new Map(metadata.map(([key, , value]) => [key, value]))
    MixtralConfig.fromGgufMetadata(values)
    Tokenizer.fromGgufMetadata(values)

    const produced = tensors.map((tensor) => {
      const own = tensor.isF32 ? 'F32' : type
      return { name: tensor.name, type: ggmlTypeByName(own)!, shape: tensor.shape, pieces: () => tensorPieces(tensor, own) }
    })
    await writeGguf(target, { metadata, tensors: produced }, options)
    const weights = tensors.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0)
    return { type, tensors: tensors.length, weights }
  } finally {
    await checkpoint.close()
  }
}

/** A target in the checkpoint's own folder must not be one of its files. */
async function refuseToReplace(checkpoint: Checkpoint, target: string): Promise<void> {
  const name = path.basename(target)
  const folders = [path.dirname(target), checkpoint.folder].map((folder) => fs.realpath(folder).catch(() => ''))
  const [targetFolder, sourceFolder] = await Promise.all(folders)
  if (name.endsWith('.gguf') || targetFolder !== sourceFolder || !checkpoint.files.has(name)) return
  throw new MixtralError('OPTION', `${target} is a file of the checkpoint, expected another name for the result`)
}
