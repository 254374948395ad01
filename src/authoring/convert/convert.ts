// From the folder of a checkpoint to a GGUF file. Owns the options and the order: all is read and checked before a byte
// is written, then the tensors stream through. What becomes of them is conversionPlan.ts.

import fs from 'node:fs/promises'
import path from 'node:path'
import { checkText, MixtralError, shown } from '../../base/errors.js'
import { checkCallOptions } from '../../runtime/engine/callArguments.js'
import type { Progress } from '../../runtime/engine/engineOptions.js'
import type { Checkpoint } from './checkpoint.js'
import { type ElementType, elementTypes } from './elementType.js'

export interface ConvertOptions {
  /** Type of the matrices; norms and routers are F32. Default: their type in the checkpoint. */
  readonly type?: ElementType
  /** Writes shards with at most this many bytes of tensors each. Default: one file. */
  readonly shardBytes?: number
  readonly signal?: AbortSignal
  /** Called with the bytes of tensors that are written. */
  readonly onProgress?: (progress: Progress) => void
}

export interface ConvertResult {
  readonly type: ElementType
  /** Number of tensors written. */
  readonly tensors: number
  /** Number of weights in them. */
  readonly weights: number
  /** What was taken or left out in a way that may surprise, a line each. */
  readonly notes: readonly string[]
}

/**
 * Converts a Mixtral checkpoint, as transformers or Mistral AI's own tools write it (safetensors, one file or shards),
 * to a GGUF file.
 * @param folder with the weights, config.json (or params.json) and tokenizer.model or tokenizer.json
 * @param target the file to write; it gets its name when all of it is on disk
 *
 * Throws `CHECKPOINT` for a malformed or incomplete checkpoint and `UNSUPPORTED` for one of another kind, both before
 * anything is written; `MODEL` or `TOKENIZER` if the result would not load; `OPTION` for an impossible option, for a
 * target that is a file of the checkpoint, and for a weight that does not fit the type; `IO`; `ABORTED`.
 * @example await convertCheckpoint('Mixtral-8x7B-Instruct-v0.1', 'mixtral.gguf', { type: 'BF16' })
 */
export function convertCheckpoint(folder: string, target: string, options: ConvertOptions = {}): Promise<ConvertResult> {
  return convertInSteps(folder, target, options, () => {})
}

/**
 * The same. `beforeWriting` is called when all but the weights is read and checked: until then nothing has to be put
 * right if the process ends, which reading a large vocabulary would keep from hearing of a signal.
 */
export async function convertInSteps(
  folder: string,
  target: string,
  given: ConvertOptions,
  beforeWriting: () => void,
): Promise<ConvertResult> {
  const options = checkCallOptions(given, ['type', 'shardBytes'])
  checkText('the folder', folder)
  checkText('the target', target)
  const { type: wanted, onProgress, ...others } = options
  if (wanted !== undefined && !elementTypes.includes(wanted)) {
    throw new MixtralError('OPTION', `type is ${shown(wanted)}, expected one of ${elementTypes.join(', ')}`)
  }
  const [{ Checkpoint }, { planConversion }, { writeGguf }] = await Promise.all([
    import('./checkpoint.js'),
    import('./conversionPlan.js'),
    import('../../format/gguf/writer.js'),
  ])
  const checkpoint = await Checkpoint.open(folder)
  try {
    await refuseToReplace(checkpoint, target)
    const { type, metadata, tensors, notes } = await planConversion(checkpoint, wanted, options.signal)
    beforeWriting()
    const report = onProgress && { onProgress: (progress: { written: number; total: number }) => onProgress(progressOf(progress)) }
    await writeGguf(target, { metadata, tensors }, { ...others, ...report })
    const weights = tensors.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0)
    return { type, tensors: tensors.length, weights, notes }
  } finally {
    await checkpoint.close()
  }
}

const progressOf = ({ written, total }: { readonly written: number; readonly total: number }): Progress => ({ loaded: written, total })

/** Throws `OPTION` if the target is a file of the checkpoint. */
async function refuseToReplace(checkpoint: Checkpoint, target: string): Promise<void> {
  const name = path.basename(target)
  const folders = [path.dirname(target), checkpoint.folder].map((folder) => fs.realpath(folder).catch(() => ''))
  const [targetFolder, sourceFolder] = await Promise.all(folders)
  if (name.endsWith('.gguf') || targetFolder !== sourceFolder || !checkpoint.files.has(name)) return
  throw new MixtralError('OPTION', `${target} is a file of the checkpoint, expected another name for the result`)
}
